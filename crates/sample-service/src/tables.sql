CREATE TABLE submissions (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    number TEXT NOT NULL UNIQUE,
    file_name TEXT NOT NULL,
    file_id TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('received', 'processing', 'accepted', 'rejected')),
    submitter_name TEXT,
    submitter_email TEXT,
    reason TEXT,
    review TEXT,
    form TEXT,
    sample_count INTEGER NOT NULL DEFAULT 0,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX submissions_by_status ON submissions (status);

CREATE TABLE samples (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    submission_id TEXT REFERENCES submissions (id),
    status TEXT NOT NULL CHECK (status IN
        ('submitted', 'prep', 'sequencing', 'analysis', 'completed', 'distributed', 'archived')),
    fields TEXT NOT NULL CHECK (json_valid(fields)),
    submitted_ms INTEGER NOT NULL,
    started_ms INTEGER,
    completed_ms INTEGER,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    sample_name TEXT GENERATED ALWAYS AS (fields ->> '$.sampleName') VIRTUAL,
    project_id TEXT GENERATED ALWAYS AS (fields ->> '$.projectId') VIRTUAL,
    submitter_name TEXT GENERATED ALWAYS AS (fields ->> '$.submitterName') VIRTUAL,
    submitter_email TEXT GENERATED ALWAYS AS (fields ->> '$.submitterEmail') VIRTUAL,
    lab_name TEXT GENERATED ALWAYS AS (fields ->> '$.labName') VIRTUAL,
    sample_type TEXT GENERATED ALWAYS AS (fields ->> '$.sampleType') VIRTUAL,
    flow_cell_type TEXT GENERATED ALWAYS AS (fields ->> '$.flowCellType') VIRTUAL,
    chart_field TEXT GENERATED ALWAYS AS (fields ->> '$.chartField') VIRTUAL,
    assigned_to TEXT GENERATED ALWAYS AS (fields ->> '$.assignedTo') VIRTUAL,
    priority TEXT GENERATED ALWAYS AS (fields ->> '$.priority') VIRTUAL
) STRICT;
CREATE INDEX samples_by_status ON samples (status);
CREATE INDEX samples_by_priority ON samples (priority);
CREATE INDEX samples_by_assignee ON samples (assigned_to);
CREATE INDEX samples_by_chart_field ON samples (chart_field);
CREATE INDEX samples_by_submission ON samples (submission_id);
CREATE INDEX samples_by_submitted ON samples (submitted_ms);

-- No reference to samples: what was done to a sample stays known after it is deleted.
CREATE TABLE workflow_history (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    sample_id TEXT NOT NULL,
    action TEXT NOT NULL,
    status TEXT NOT NULL,
    assigned_to TEXT,
    notes TEXT,
    created_ms INTEGER NOT NULL,
    created_by TEXT NOT NULL
) STRICT;
CREATE INDEX workflow_history_by_sample ON workflow_history (sample_id, seq);

CREATE TABLE chart_fields (
    chart_field TEXT PRIMARY KEY,
    description TEXT,
    is_active INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1))
) STRICT, WITHOUT ROWID;
INSERT INTO chart_fields (chart_field) VALUES
    ('HTSF-001'), ('HTSF-002'), ('HTSF-003'), ('HTSF-004'), ('HTSF-005'),
    ('NANO-001'), ('NANO-002'), ('NANO-003'), ('NANO-004'), ('NANO-005'),
    ('SEQ-001'), ('SEQ-002'), ('SEQ-003'), ('SEQ-004'), ('SEQ-005');
