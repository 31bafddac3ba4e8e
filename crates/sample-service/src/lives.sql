-- Decisions about samples whose quality control failed, and the lives of flow cells.
CREATE TABLE qc_decisions (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    saga_id TEXT NOT NULL,
    sample_id TEXT NOT NULL,
    sample_name TEXT NOT NULL,
    stage TEXT NOT NULL,
    error TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'decided', 'carried_out', 'withdrawn')),
    requested_ms INTEGER NOT NULL,
    due_ms INTEGER NOT NULL,
    overdue_ms INTEGER,
    decision TEXT CHECK (decision IS NULL OR decision IN ('resubmit', 'proceed', 'cancel')),
    author TEXT,
    reason TEXT,
    entered_by TEXT,
    decided_ms INTEGER,
    ended_ms INTEGER
) STRICT;
CREATE INDEX qc_decisions_by_sample ON qc_decisions (sample_id, seq);
CREATE INDEX qc_decisions_by_state ON qc_decisions (state, seq);
-- One question about a sample at a time.
CREATE UNIQUE INDEX qc_decisions_open ON qc_decisions (sample_id) WHERE state IN ('waiting', 'decided');

-- Flongles are used once. What else holds for a product the facility says.
UPDATE catalogue SET attributes = json_set(attributes, '$.maxLoads', 1) WHERE kind = 'flow_cell' AND name = 'FLO-FLG114';

CREATE TABLE flow_cells (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    product TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('new', 'loaded', 'washed', 'used_up', 'returned')),
    loads INTEGER NOT NULL,
    pores INTEGER,
    instrument TEXT,
    position TEXT,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    created_by TEXT NOT NULL
) STRICT;
CREATE INDEX flow_cells_by_state ON flow_cells (state);

CREATE TABLE flow_cell_acts (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    flow_cell_id TEXT NOT NULL,
    action TEXT NOT NULL,
    load_number INTEGER,
    pores INTEGER,
    volume REAL,
    instrument TEXT,
    position TEXT,
    notes TEXT,
    created_ms INTEGER NOT NULL,
    created_by TEXT NOT NULL
) STRICT;
CREATE INDEX flow_cell_acts_by_flow_cell ON flow_cell_acts (flow_cell_id, seq);

-- No reference to samples: what was on a flow cell stays known after a sample is deleted.
CREATE TABLE flow_cell_samples (
    flow_cell_id TEXT NOT NULL,
    load_number INTEGER NOT NULL,
    sample_id TEXT NOT NULL,
    PRIMARY KEY (flow_cell_id, load_number, sample_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX flow_cell_samples_by_sample ON flow_cell_samples (sample_id);
