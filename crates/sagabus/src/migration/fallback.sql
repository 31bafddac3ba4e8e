CREATE TABLE fallbacks (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL UNIQUE,
    event_type TEXT NOT NULL,
    cause TEXT NOT NULL CHECK (cause IN ('refused', 'unknown')),
    bus_error TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('began', 'ran', 'failed', 'bus')),
    call_error TEXT,
    began_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    read_from INTEGER NOT NULL,
    told_at INTEGER,
    verdict TEXT CHECK (verdict IN ('call_only', 'both'))
) STRICT;
CREATE INDEX fallbacks_untold ON fallbacks (seq) WHERE state = 'ran' AND verdict IS NULL;
