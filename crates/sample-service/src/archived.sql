-- When a sample was archived: changes after that do not move its clock. Of those before, the last change tells best.
ALTER TABLE samples ADD COLUMN archived_ms INTEGER;
UPDATE samples SET archived_ms = updated_ms WHERE status = 'archived';
