-- The event that told of a submission: what follows from it is caused by that.
ALTER TABLE submissions ADD COLUMN event_id TEXT;
