-- The trail of before was a chain of hashes. Its entries wait here until they are taken up.
DROP TRIGGER audit_entries_never_change;
DROP TRIGGER audit_entries_never_go;
DROP INDEX audit_entries_by_time;
DROP INDEX audit_entries_by_action;
DROP INDEX audit_entries_by_resource;
DROP INDEX audit_entries_by_correlation;
ALTER TABLE audit_entries RENAME TO audit_chained;
ALTER TABLE audit_head RENAME TO audit_chained_head;

-- Every column is part of the leaf; the order here is the order in the leaf. An entry that was emptied has no row.
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
    reason TEXT,
    ip_address TEXT,
    user_agent TEXT,
    session_id TEXT,
    tags TEXT,
    duration_ms INTEGER,
    old_values BLOB,
    new_values BLOB,
    details BLOB NOT NULL
) STRICT;
CREATE INDEX audit_entries_by_time ON audit_entries (time_ms);
CREATE INDEX audit_entries_by_action ON audit_entries (action);
CREATE INDEX audit_entries_by_actor ON audit_entries (actor_id) WHERE actor_id IS NOT NULL;
CREATE INDEX audit_entries_by_resource ON audit_entries (resource, resource_id);
CREATE INDEX audit_entries_by_correlation ON audit_entries (correlation_id);

-- The complete subtrees of the tree; those of level 0 are the leaves. Entry `seq` is leaf `seq - 1`.
CREATE TABLE audit_nodes (
    level INTEGER NOT NULL,
    idx INTEGER NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (level, idx)
) STRICT, WITHOUT ROWID;

-- How many entries there are, and whether some are being emptied now.
CREATE TABLE audit_head (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    size INTEGER NOT NULL,
    is_emptying INTEGER NOT NULL
) STRICT;
INSERT INTO audit_head VALUES (1, 0, 0);

-- Signed states of the tree; each note stands in a file beside the database too.
CREATE TABLE audit_checkpoints (
    size INTEGER PRIMARY KEY,
    note TEXT NOT NULL
) STRICT;

-- Events whose entries were emptied: they are not taken again.
CREATE TABLE audit_emptied_events (event_id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;

CREATE TRIGGER audit_entries_never_change BEFORE UPDATE ON audit_entries
BEGIN SELECT RAISE(ABORT, 'audit entries are never changed'); END;
CREATE TRIGGER audit_entries_never_go BEFORE DELETE ON audit_entries
WHEN NOT (SELECT is_emptying FROM audit_head)
BEGIN SELECT RAISE(ABORT, 'audit entries are never deleted'); END;
CREATE TRIGGER audit_nodes_never_change BEFORE UPDATE ON audit_nodes
BEGIN SELECT RAISE(ABORT, 'the tree of the audit trail is never changed'); END;
CREATE TRIGGER audit_nodes_never_go BEFORE DELETE ON audit_nodes
BEGIN SELECT RAISE(ABORT, 'the tree of the audit trail is never cut'); END;
CREATE TRIGGER audit_checkpoints_never_change BEFORE UPDATE ON audit_checkpoints
BEGIN SELECT RAISE(ABORT, 'checkpoints are never changed'); END;
CREATE TRIGGER audit_checkpoints_never_go BEFORE DELETE ON audit_checkpoints
BEGIN SELECT RAISE(ABORT, 'checkpoints are never deleted'); END;
