BEGIN TRANSACTION;
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
INSERT INTO "audit_entries" VALUES(1,'01a22016-0930-7a21-94e8-71b437e74ef0',NULL,1793527200000,1795834644784,'sample-service','sample.created','ada','ada@lab.example.edu','sample','sample-1','success','info','data_modification','01a22016-0930-74b6-8850-2f0f1adc18ef',NULL,X'7B2273616D706C654964223A2273616D706C652D31222C22757365724964223A22616461227D',X'0000000000000000000000000000000000000000000000000000000000000000',X'E2762B13B8B6BC3CCDBA15E8CECF305401E320316727492486EE3BD3E59E3E08');
INSERT INTO "audit_entries" VALUES(2,'01a22016-0958-7d7c-8eee-b3815e78c9b8',NULL,1793527201000,1795834644824,'saga-orchestrator','saga.failed',NULL,NULL,'saga','s','failure','error','system','01a22016-0956-7006-bd4b-92e6f3e88b9d',NULL,X'7B22736167614964223A2273227D',X'E2762B13B8B6BC3CCDBA15E8CECF305401E320316727492486EE3BD3E59E3E08',X'4258ACA439305D558C3AEB851238EF32806F46329774CB8EFC219FDEBC7B77EE');
INSERT INTO "audit_entries" VALUES(3,'01a22016-096c-784d-88c4-969c58808a0f',NULL,1793527202000,1795834644844,'auth-service','auth.login','ada',NULL,'session',NULL,'success','info','authentication','01a22016-096b-7ed4-934d-8431b08f5eeb',NULL,X'7B7D',X'4258ACA439305D558C3AEB851238EF32806F46329774CB8EFC219FDEBC7B77EE',X'0F3EF5A4C9F76FAD432F59583BAA6DBF021D2F95D296370546B92742AC42D2F2');
CREATE TABLE audit_head (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL
) STRICT;
INSERT INTO "audit_head" VALUES(1,3,X'0F3EF5A4C9F76FAD432F59583BAA6DBF021D2F95D296370546B92742AC42D2F2');
CREATE TABLE inbox (
    consumer TEXT NOT NULL,
    event_id TEXT NOT NULL,
    seen_ms INTEGER NOT NULL,
    PRIMARY KEY (consumer, event_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL UNIQUE,
    envelope BLOB NOT NULL,
    refused TEXT
) STRICT;
CREATE TABLE step_keys (
    key TEXT PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('done', 'undone')),
    output TEXT,
    at_ms INTEGER NOT NULL
, fence INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;
CREATE INDEX inbox_by_age ON inbox (seen_ms);
CREATE INDEX audit_entries_by_time ON audit_entries (time_ms);
CREATE INDEX audit_entries_by_action ON audit_entries (action);
CREATE INDEX audit_entries_by_resource ON audit_entries (resource, resource_id);
CREATE INDEX audit_entries_by_correlation ON audit_entries (correlation_id);
CREATE TRIGGER audit_entries_never_change BEFORE UPDATE ON audit_entries
BEGIN SELECT RAISE(ABORT, 'audit entries are never changed'); END;
CREATE TRIGGER audit_entries_never_go BEFORE DELETE ON audit_entries
BEGIN SELECT RAISE(ABORT, 'audit entries are never deleted'); END;
COMMIT;
PRAGMA user_version = 3;
