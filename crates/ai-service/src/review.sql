-- Jobs are removed after a while and results stay: a result names its job and holds it no more.
CREATE TABLE kept_results (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    job_id TEXT NOT NULL,
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
    updated_ms INTEGER NOT NULL,
    -- The method that was asked for, the kind of document, the model, and what is to be said of the reading.
    asked TEXT NOT NULL DEFAULT 'pattern',
    kind TEXT NOT NULL DEFAULT 'htsf_form',
    model TEXT,
    notes TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(notes)),
    -- Absent where nobody has to look.
    review TEXT CHECK (review IN ('waiting', 'claimed', 'accepted', 'refused')),
    review_reasons TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(review_reasons)),
    claimed_by TEXT,
    claimed_ms INTEGER,
    decided_by TEXT,
    decided_ms INTEGER,
    decision_reason TEXT,
    -- The form as it was corrected, beside the one that was read.
    corrected_data TEXT CHECK (corrected_data IS NULL OR json_valid(corrected_data))
) STRICT;
INSERT INTO kept_results (seq, id, job_id, status, submission_id, sample_id, file_name, file_id, method, extracted_data,
    fields, issues, confidence, processing_time_ms, created_ms, updated_ms)
SELECT seq, id, job_id, status, submission_id, sample_id, file_name, file_id, method, extracted_data,
    fields, issues, confidence, processing_time_ms, created_ms, updated_ms FROM extraction_results;
DROP TABLE extraction_results;
ALTER TABLE kept_results RENAME TO extraction_results;
CREATE INDEX extraction_results_by_status ON extraction_results (status);
CREATE INDEX extraction_results_by_review ON extraction_results (review) WHERE review IS NOT NULL;
CREATE INDEX extraction_results_by_file ON extraction_results (file_id, created_ms);

ALTER TABLE processing_jobs ADD COLUMN method TEXT NOT NULL DEFAULT 'pattern';
CREATE INDEX processing_jobs_by_end ON processing_jobs (ended_ms);

-- What a person put in the place of what was read. Nothing is changed or removed here.
CREATE TABLE corrections (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    result_id TEXT NOT NULL,
    field TEXT NOT NULL,
    old_value TEXT NOT NULL CHECK (json_valid(old_value)),
    new_value TEXT NOT NULL CHECK (json_valid(new_value)),
    author TEXT NOT NULL,
    time_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX corrections_by_result ON corrections (result_id);

-- How many values of a reviewed result each method or model had read, and how many of them were right.
CREATE TABLE performance (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    model TEXT NOT NULL,
    result_id TEXT NOT NULL,
    right_count INTEGER NOT NULL,
    value_count INTEGER NOT NULL,
    processing_time_ms INTEGER NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX performance_by_model ON performance (model);
