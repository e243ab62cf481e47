-- Where each source of a proxy group lives: the proxy its agent is told to prefer, since when and why, where it is
-- heard, how much it sends. Written by the active server alone (server/balancing); every server and command reads it.
CREATE TABLE source_placement (
    source_id        integer PRIMARY KEY REFERENCES source ON DELETE CASCADE,
    home_key         bytea NOT NULL REFERENCES peer_key ON DELETE CASCADE,
    number           bigint NOT NULL,
    kind             text NOT NULL CHECK (kind IN ('came', 'followed', 'stayed', 'moved')),
    reason           text NOT NULL,
    since            timestamptz NOT NULL,
    moved_at         timestamptz,
    moves            integer NOT NULL DEFAULT 0,
    heard_key        bytea,
    bytes_per_second double precision NOT NULL DEFAULT 0
) WITH (fillfactor = 70);
