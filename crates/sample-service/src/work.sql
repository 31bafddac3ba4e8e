-- Processing steps, holds and the arrival of the tube.
ALTER TABLE samples ADD COLUMN stage TEXT;
ALTER TABLE samples ADD COLUMN hold_reason TEXT;
ALTER TABLE samples ADD COLUMN held_by TEXT;
ALTER TABLE samples ADD COLUMN held_since_ms INTEGER;
ALTER TABLE samples ADD COLUMN held_total_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE samples ADD COLUMN received_ms INTEGER;
CREATE INDEX samples_by_stage ON samples (stage);

CREATE TABLE processing_steps (
    sample_id TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    stage TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'in_progress', 'completed', 'failed', 'skipped')),
    assigned_to TEXT,
    started_ms INTEGER,
    completed_ms INTEGER,
    estimate_hours INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    notes TEXT,
    results TEXT CHECK (results IS NULL OR json_valid(results)),
    updated_ms INTEGER NOT NULL,
    PRIMARY KEY (sample_id, ordinal)
) STRICT, WITHOUT ROWID;

-- Samples of before: what lies behind them is not known, so it is left out and not said to be done.
INSERT INTO processing_steps (sample_id, ordinal, stage, status, estimate_hours, updated_ms)
WITH stages (ordinal, stage, hours) AS (VALUES
    (0, 'sample_qc', 1), (1, 'library_prep', 4), (2, 'library_qc', 1), (3, 'sequencing_setup', 1),
    (4, 'sequencing_run', 48), (5, 'basecalling', 2), (6, 'quality_assessment', 1), (7, 'data_delivery', 1))
SELECT samples.id, stages.ordinal, stages.stage,
    CASE WHEN stages.ordinal < CASE samples.status
        WHEN 'sequencing' THEN 3 WHEN 'analysis' THEN 5 WHEN 'completed' THEN 8 WHEN 'distributed' THEN 8 ELSE 0
    END THEN 'skipped' ELSE 'pending' END,
    stages.hours, samples.updated_ms
FROM samples CROSS JOIN stages;
UPDATE samples SET stage = (
    SELECT step.stage FROM processing_steps AS step
    WHERE step.sample_id = samples.id AND step.status = 'pending' ORDER BY step.ordinal LIMIT 1);
