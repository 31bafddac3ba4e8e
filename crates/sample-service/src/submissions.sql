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
