-- Every column is part of the hash of its row; the order here is the order in the hash.
CREATE TABLE audit_entries (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    event_id TEXT UNIQUE,
    time_ms INTEGER NOT NULL,
    recorded_ms INTEGER NOT NULL,
    service TEXT NOT NULL,
    action TEXT NOT NULL,
    actor_id TEXT,
    actor_email TEXT,
    resource TEXT NOT NULL,
    resource_id TEXT,
    outcome TEXT NOT NULL,
    severity TEXT NOT NULL,
    category TEXT NOT NULL,
    correlation_id TEXT,
    causation_id TEXT,
    details BLOB NOT NULL,
    prev_hash BLOB NOT NULL,
    hash BLOB NOT NULL
) STRICT;
CREATE INDEX audit_entries_by_time ON audit_entries (time_ms);
CREATE INDEX audit_entries_by_action ON audit_entries (action);
CREATE INDEX audit_entries_by_resource ON audit_entries (resource, resource_id);
CREATE INDEX audit_entries_by_correlation ON audit_entries (correlation_id);

CREATE TRIGGER audit_entries_never_change BEFORE UPDATE ON audit_entries
BEGIN SELECT RAISE(ABORT, 'audit entries are never changed'); END;
CREATE TRIGGER audit_entries_never_go BEFORE DELETE ON audit_entries
BEGIN SELECT RAISE(ABORT, 'audit entries are never deleted'); END;

-- The end of the chain: entries cut off at the end are missed too.
CREATE TABLE audit_head (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL
) STRICT;
INSERT INTO audit_head VALUES (1, 0, zeroblob(32));
