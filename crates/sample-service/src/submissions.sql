-- Projects, and submissions that are no forms.
CREATE TABLE projects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    fields TEXT NOT NULL CHECK (json_valid(fields)),
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    name TEXT GENERATED ALWAYS AS (fields ->> '$.name') VIRTUAL,
    status TEXT GENERATED ALWAYS AS (fields ->> '$.status') VIRTUAL
) STRICT;
CREATE UNIQUE INDEX projects_by_name ON projects (name);

ALTER TABLE submissions ADD COLUMN kind TEXT NOT NULL DEFAULT 'form' CHECK (kind IN ('form', 'csv', 'manual'));
ALTER TABLE submissions ADD COLUMN project_id TEXT;
CREATE INDEX submissions_by_project ON submissions (project_id) WHERE project_id IS NOT NULL;

-- A submission with how many of its samples are where.
CREATE VIEW submissions_with_samples AS
SELECT submissions.*,
    (SELECT count(*) FROM samples WHERE submission_id = submissions.id) AS samples,
    (SELECT count(*) FROM samples WHERE submission_id = submissions.id AND status = 'submitted') AS submitted,
    (SELECT count(*) FROM samples WHERE submission_id = submissions.id
        AND status IN ('completed', 'distributed')) AS completed,
    (SELECT count(*) FROM samples WHERE submission_id = submissions.id
        AND status = 'archived' AND completed_ms IS NULL) AS archived,
    (SELECT count(*) FROM samples WHERE submission_id = submissions.id
        AND status = 'archived' AND completed_ms IS NOT NULL) AS put_away,
    (SELECT count(*) FROM samples WHERE submission_id = submissions.id
        AND status IN ('submitted', 'prep', 'sequencing', 'analysis')
        AND (held_since_ms IS NOT NULL OR EXISTS (
            SELECT 1 FROM processing_steps AS step WHERE step.sample_id = samples.id
                AND step.stage = samples.stage AND step.status = 'failed'))) AS in_question
FROM submissions;
