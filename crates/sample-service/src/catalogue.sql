-- What the facility works with, as data. Accounts are one kind of it.
CREATE TABLE catalogue (
    kind TEXT NOT NULL CHECK (kind IN ('kit', 'flow_cell', 'chemistry', 'instrument', 'service', 'chart_field')),
    name TEXT NOT NULL,
    description TEXT,
    is_active INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)),
    attributes TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(attributes)),
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
INSERT INTO catalogue (kind, name, description, is_active)
    SELECT 'chart_field', chart_field, description, is_active FROM chart_fields;
DROP TABLE chart_fields;
INSERT INTO catalogue (kind, name, description, is_active, attributes) VALUES
    ('kit', 'SQK-LSK114', 'Ligation Sequencing', 1, '{}'),
    ('kit', 'SQK-NBD114.96', 'Ligation with Barcoding', 1, '{"barcodes":96}'),
    ('kit', 'SQK-RAD114', 'Rapid Sequencing', 1, '{}'),
    ('kit', 'SQK-RBK114.24', 'Rapid with Barcoding', 1, '{"barcodes":24}'),
    ('flow_cell', 'FLO-FLG114', 'Flongle', 1, '{"chemistry":"R10.4.1"}'),
    ('flow_cell', 'FLO-MIN106', 'MinION', 1, '{"chemistry":"R9.4.1"}'),
    ('flow_cell', 'FLO-MIN114', 'MinION', 1, '{"chemistry":"R10.4.1"}'),
    ('flow_cell', 'FLO-PRO114M', 'PromethION', 1, '{"chemistry":"R10.4.1"}'),
    ('chemistry', 'R9.4.1', NULL, 1, '{}'),
    ('chemistry', 'R10.4.1', NULL, 1, '{}'),
    ('chemistry', 'R10.5.1', 'Named by the application before', 0, '{}'),
    ('chemistry', 'Other', NULL, 1, '{}'),
    ('instrument', 'MinION', NULL, 1, '{"positions":1}'),
    ('instrument', 'GridION', NULL, 1, '{"positions":5}'),
    ('instrument', 'PromethION', NULL, 1, '{"positions":24}'),
    ('service', 'standard', 'What samples have that name no other; the days are to be set by the facility', 1, '{"targetDays":42}');

CREATE TABLE sample_details (
    sample_id TEXT PRIMARY KEY,
    details TEXT NOT NULL CHECK (json_valid(details))
) STRICT, WITHOUT ROWID;

-- A file belongs to a sample or to a submission, never to both. The bytes are with the uploads.
CREATE TABLE attachments (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    sample_id TEXT,
    submission_id TEXT,
    file_id TEXT NOT NULL,
    file_name TEXT NOT NULL,
    file_type TEXT NOT NULL,
    file_size INTEGER NOT NULL,
    description TEXT,
    uploaded_by TEXT NOT NULL,
    uploaded_ms INTEGER NOT NULL,
    CHECK ((sample_id IS NULL) <> (submission_id IS NULL))
) STRICT;
CREATE INDEX attachments_by_sample ON attachments (sample_id) WHERE sample_id IS NOT NULL;
CREATE INDEX attachments_by_submission ON attachments (submission_id) WHERE submission_id IS NOT NULL;
