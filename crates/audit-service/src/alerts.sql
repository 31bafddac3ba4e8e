-- Of which entries alerts told. The alerts themselves are entries of the trail.
CREATE TABLE audit_alert_history (
    id INTEGER PRIMARY KEY,
    alert_id TEXT NOT NULL,
    audit_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    triggered_ms INTEGER NOT NULL,
    recipients TEXT NOT NULL
) STRICT;
CREATE INDEX audit_alert_history_by_alert ON audit_alert_history (alert_id, triggered_ms);
