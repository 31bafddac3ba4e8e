-- Reports that were made, with their files.
CREATE TABLE audit_reports (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    schedule_id TEXT,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    format TEXT NOT NULL,
    from_ms INTEGER NOT NULL,
    to_ms INTEGER NOT NULL,
    record_count INTEGER NOT NULL,
    requested_by TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    digest TEXT NOT NULL,
    content BLOB NOT NULL
) STRICT;

-- When a schedule is due next. The schedules themselves are entries of the trail.
CREATE TABLE audit_report_runs (
    schedule_id TEXT PRIMARY KEY,
    schedule TEXT NOT NULL,
    next_ms INTEGER
) STRICT, WITHOUT ROWID;
