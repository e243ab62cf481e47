-- Who serves: a row each server renews every second, active or standby. Nothing is decided by it alone: the lease and
-- its epoch are what fences.
CREATE TABLE server_presence (
    name     text PRIMARY KEY,
    endpoint text NOT NULL,
    software text NOT NULL,
    seen_at  timestamptz NOT NULL,
    links    integer NOT NULL,
    callers  text[] NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0);
COMMENT ON COLUMN server_presence.links IS 'parts linked to it now';
COMMENT ON COLUMN server_presence.callers IS 'parts that said hello within the last seconds and were not taken in';

-- The wish that the holder of an epoch hands over. A row of its own: the lease is share-locked by every transaction.
CREATE TABLE lease_wish (
    one      boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch    bigint NOT NULL,
    asked_at timestamptz NOT NULL,
    asked_by text NOT NULL
);
