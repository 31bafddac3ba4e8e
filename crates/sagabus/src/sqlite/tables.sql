CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL UNIQUE,
    envelope BLOB NOT NULL,
    refused TEXT
) STRICT;
CREATE TABLE inbox (
    consumer TEXT NOT NULL,
    event_id TEXT NOT NULL,
    seen_ms INTEGER NOT NULL,
    PRIMARY KEY (consumer, event_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX inbox_by_age ON inbox (seen_ms);
CREATE TABLE step_keys (
    key TEXT PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('done', 'undone')),
    output TEXT,
    at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
