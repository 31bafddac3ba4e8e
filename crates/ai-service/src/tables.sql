CREATE TABLE processing_jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    job_type TEXT NOT NULL CHECK (job_type IN ('pdf_extraction', 'data_validation', 'enhancement')),
    status TEXT NOT NULL CHECK (status IN ('pending', 'processing', 'completed', 'failed', 'cancelled')),
    progress INTEGER NOT NULL CHECK (progress BETWEEN 0 AND 100),
    submission_id TEXT,
    sample_id TEXT,
    file_name TEXT NOT NULL,
    file_id TEXT NOT NULL,
    file_bytes INTEGER NOT NULL,
    user_id TEXT,
    result_id TEXT,
    error_kind TEXT,
    error_text TEXT,
    retry_count INTEGER NOT NULL DEFAULT 0,
    -- The saga step that the job belongs to: one job for all its attempts.
    step_key TEXT UNIQUE,
    correlation_id TEXT NOT NULL,
    -- The last event about the job: the cause of the next one.
    last_event_id TEXT,
    created_ms INTEGER NOT NULL,
    started_ms INTEGER,
    ended_ms INTEGER,
    updated_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX processing_jobs_by_status ON processing_jobs (status);
CREATE INDEX processing_jobs_by_sample ON processing_jobs (sample_id);
CREATE INDEX processing_jobs_by_submission ON processing_jobs (submission_id);

CREATE TABLE extraction_results (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    job_id TEXT NOT NULL REFERENCES processing_jobs (id),
    status TEXT NOT NULL CHECK (status IN ('current', 'withdrawn')),
    submission_id TEXT,
    sample_id TEXT,
    file_name TEXT NOT NULL,
    file_id TEXT NOT NULL,
    method TEXT NOT NULL CHECK (method IN ('llm', 'pattern', 'hybrid', 'rag')),
    extracted_data TEXT NOT NULL CHECK (json_valid(extracted_data)),
    fields TEXT NOT NULL CHECK (json_valid(fields)),
    issues TEXT NOT NULL CHECK (json_valid(issues)),
    confidence REAL NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    processing_time_ms INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX extraction_results_by_status ON extraction_results (status);

-- Failures ever counted: a job that is tried again and succeeds takes none back.
CREATE TABLE error_counts (
    kind TEXT PRIMARY KEY,
    count INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
