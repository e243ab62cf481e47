-- The spine's tables: who is active, who may speak, what was received, its history, its problems, what is to be told.
-- Runs once, in one transaction (server/store/migrate.py). Instants are timestamptz; columns of samples are arrays.

-- ── Active and standby ─────────────────────────────────────────────────────────────────────────────────────────
-- Every writing transaction reads `lease` FOR SHARE and compares the epoch; the heartbeat lives in another row of
-- another table, because the heartbeat would otherwise wait for every ingest transaction and the other way round.
CREATE TABLE lease (
    one         boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch       bigint NOT NULL,
    holder      text NOT NULL,
    endpoint    text NOT NULL,
    taken_at    timestamptz NOT NULL,
    released_at timestamptz
) WITH (fillfactor = 50);
INSERT INTO lease (epoch, holder, endpoint, taken_at, released_at) VALUES (0, '', '', now(), now());

CREATE TABLE lease_heartbeat (
    one   boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch bigint NOT NULL,
    at    timestamptz NOT NULL
) WITH (fillfactor = 20, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0);
INSERT INTO lease_heartbeat (epoch, at) VALUES (0, '-infinity');

-- ── Inventory: hosts, items, sources, keys ─────────────────────────────────────────────────────────────────────
CREATE TABLE host (
    id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text NOT NULL UNIQUE CHECK (name <> ''),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE item (
    id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    host_id     integer NOT NULL REFERENCES host ON DELETE CASCADE,
    key         text NOT NULL CHECK (key <> ''),
    type        text NOT NULL CHECK (type IN ('number', 'text')),
    unit        text NOT NULL DEFAULT '',
    description text NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (host_id, key)
);

-- A source numbers its own records; `uuid` is the id in the record's header, `host_id` its own host (none for pollers).
CREATE TABLE source (
    id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uuid       uuid NOT NULL UNIQUE,
    name       text NOT NULL,
    host_id    integer REFERENCES host ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE proxy_group (
    id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text NOT NULL UNIQUE CHECK (name <> ''),
    created_at timestamptz NOT NULL DEFAULT now()
);

-- A CURVE public key and who speaks with it: an agent's belongs to its source, a proxy's to a group.
CREATE TABLE peer_key (
    key        bytea PRIMARY KEY CHECK (octet_length(key) = 32),
    role       text NOT NULL CHECK (role IN ('agent', 'proxy', 'server')),
    name       text NOT NULL,
    source_id  integer REFERENCES source ON DELETE CASCADE,
    group_id   integer REFERENCES proxy_group,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz,
    CHECK ((role = 'proxy') = (group_id IS NOT NULL))
);

-- Which group's proxies may relay a source, with its past: a batch made before a move may still come by the old group.
CREATE TABLE source_assignment (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id   integer NOT NULL REFERENCES source ON DELETE CASCADE,
    group_id    integer NOT NULL REFERENCES proxy_group,
    assigned_at timestamptz NOT NULL DEFAULT now(),
    released_at timestamptz
);
CREATE UNIQUE INDEX source_assignment_current ON source_assignment (source_id, group_id) WHERE released_at IS NULL;

-- ── What was received ──────────────────────────────────────────────────────────────────────────────────────────
-- A row per life of a source. A number in `ranges` is committed, in `lost` was dropped by the source, in `refused`
-- will never be stored. Fill factor: the row is updated by every ingest transaction and stays on its page (HOT).
CREATE TABLE received (
    source_id   integer NOT NULL REFERENCES source ON DELETE CASCADE,
    boot        bigint NOT NULL CHECK (boot > 0),
    ranges      int8multirange NOT NULL DEFAULT '{}',
    lost        int8multirange NOT NULL DEFAULT '{}',
    refused     int8multirange NOT NULL DEFAULT '{}',
    last_number bigint,
    closed_at   timestamptz,
    first_at    timestamptz NOT NULL DEFAULT now(),
    heard_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source_id, boot)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

-- A row per dictionary record, as columns: the source's item number and our item, for one life of the source.
CREATE TABLE dictionary (
    source_id integer NOT NULL REFERENCES source ON DELETE CASCADE,
    boot      bigint NOT NULL,
    version   bigint NOT NULL,
    numbers   bigint[] NOT NULL,
    items     integer[] NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source_id, boot, version),
    CHECK (cardinality(numbers) = cardinality(items))
);

-- Which sources ever declared an item: where to look for its values among the batches.
CREATE TABLE item_source (
    item_id   integer NOT NULL REFERENCES item ON DELETE CASCADE,
    source_id integer NOT NULL REFERENCES source ON DELETE CASCADE,
    PRIMARY KEY (item_id, source_id)
);

-- Records that could not be stored, kept whole for people to look at; acknowledged as refused.
CREATE TABLE quarantine (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source    uuid NOT NULL,
    boot      bigint NOT NULL,
    number    bigint NOT NULL,
    reason    text NOT NULL,
    record    bytea NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now()
);

-- ── History ────────────────────────────────────────────────────────────────────────────────────────────────────
-- Sliced tables are hypertables where TimescaleDB is there, range partitions elsewhere (server/store/slices.py).
-- history_batch is sliced by the hour of *storing*: late batches land in the open slice, so a clock gone wrong or a
-- week's backlog never makes a slice of its own, and a closed slice never changes again.
DO $sliced$
DECLARE
    has_timescale boolean := EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb');
    by_stored_at  text := CASE WHEN has_timescale THEN '' ELSE 'PARTITION BY RANGE (stored_at)' END;
    by_at         text := CASE WHEN has_timescale THEN '' ELSE 'PARTITION BY RANGE (at)' END;
BEGIN
    -- hot: a row per record, as it came; offsets are µs after first_at; late marks bits (most significant first) of
    -- values that were not newer than what had been evaluated, NULL when none was.
    EXECUTE 'CREATE TABLE history_batch (
        stored_at timestamptz NOT NULL DEFAULT now(),
        source_id integer NOT NULL,
        boot      bigint NOT NULL,
        number    bigint NOT NULL,
        first_at  timestamptz NOT NULL,
        last_at   timestamptz NOT NULL,
        items     integer[] NOT NULL,
        offsets   integer[] NOT NULL,
        "values"  double precision[] NOT NULL,
        late      bytea) ' || by_stored_at;

    -- cold: a row per item and hour; at is the middle of the hour, offsets are µs from it (±30 min fits an int4).
    EXECUTE 'CREATE TABLE history (
        item_id  integer NOT NULL,
        at       timestamptz NOT NULL,
        offsets  integer[] NOT NULL,
        "values" double precision[] NOT NULL,
        late     bytea,
        PRIMARY KEY (item_id, at)) ' || by_at;

    EXECUTE 'CREATE TABLE history_text (
        stored_at timestamptz NOT NULL DEFAULT now(),
        item_id   integer NOT NULL,
        at        timestamptz NOT NULL,
        source_id integer NOT NULL,
        boot      bigint NOT NULL,
        number    bigint NOT NULL,
        value     text NOT NULL,
        is_late   boolean NOT NULL DEFAULT false) ' || by_stored_at;

    -- trends: at is the beginning of the hour.
    EXECUTE 'CREATE TABLE trends (
        item_id integer NOT NULL,
        at      timestamptz NOT NULL,
        minimum double precision NOT NULL,
        average double precision NOT NULL,
        maximum double precision NOT NULL,
        count   integer NOT NULL,
        PRIMARY KEY (item_id, at)) ' || by_at;

    IF has_timescale THEN
        PERFORM create_hypertable('history_batch', 'stored_at', chunk_time_interval => interval '1 hour',
                                  create_default_indexes => false);
        PERFORM create_hypertable('history_text', 'stored_at', chunk_time_interval => interval '1 day',
                                  create_default_indexes => false);
        PERFORM create_hypertable('history', 'at', chunk_time_interval => interval '7 days',
                                  create_default_indexes => false);
        PERFORM create_hypertable('trends', 'at', chunk_time_interval => interval '91 days',
                                  create_default_indexes => false);
    ELSE
        -- Storing never waits for maintenance: what finds no slice goes here and is packed from here.
        CREATE TABLE history_batch_default PARTITION OF history_batch DEFAULT;
        CREATE TABLE history_text_default PARTITION OF history_text DEFAULT;
        CREATE TABLE history_default PARTITION OF history DEFAULT;
        CREATE TABLE trends_default PARTITION OF trends DEFAULT;
    END IF;
END
$sliced$;

-- The hot columns are short-lived: compressing them costs more processor than it saves disk.
ALTER TABLE history_batch
    ALTER COLUMN items SET STORAGE EXTERNAL,
    ALTER COLUMN offsets SET STORAGE EXTERNAL,
    ALTER COLUMN "values" SET STORAGE EXTERNAL;

CREATE INDEX history_batch_source_last ON history_batch (source_id, last_at);
-- Stored in the order of time, so a block range index costs next to nothing: "what came since", values a second.
CREATE INDEX history_batch_stored ON history_batch USING brin (stored_at) WITH (pages_per_range = 32);
CREATE INDEX history_text_item_at ON history_text (item_id, at);

-- For people and other tools: a row per sample. Programs of ours use server/store/history.py.
CREATE VIEW samples AS
    SELECT s.item_id, b.first_at + s.offset_us * interval '1 microsecond' AS at, s.value
    FROM history_batch b, unnest(b.items, b.offsets, b."values") AS s (item_id, offset_us, value)
    UNION ALL
    SELECT h.item_id, h.at + s.offset_us * interval '1 microsecond', s.value
    FROM history h, unnest(h.offsets, h."values") AS s (offset_us, value);

-- ── Problems ───────────────────────────────────────────────────────────────────────────────────────────────────
-- The identity of a template's trigger; its body lies in the definitions.
CREATE TABLE trigger (
    id       integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    template text NOT NULL,
    name     text NOT NULL,
    UNIQUE (template, name)
);

CREATE TABLE problem (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    trigger_id       integer NOT NULL REFERENCES trigger,
    host_id          integer NOT NULL REFERENCES host ON DELETE CASCADE,
    parameter        text NOT NULL DEFAULT '',
    severity         text NOT NULL CHECK (severity IN ('information', 'warning', 'average', 'high', 'disaster')),
    name             text NOT NULL,
    value            double precision,
    unit             text NOT NULL DEFAULT '',
    items            integer[] NOT NULL DEFAULT '{}', -- what its expression speaks of
    opened_at        timestamptz NOT NULL,
    opened_stored_at timestamptz NOT NULL DEFAULT now(),
    resolved_at      timestamptz
);
CREATE UNIQUE INDEX problem_open ON problem (trigger_id, host_id, parameter) WHERE resolved_at IS NULL;
CREATE INDEX problem_host ON problem (host_id, id);

CREATE TABLE event (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    problem_id bigint NOT NULL REFERENCES problem ON DELETE CASCADE,
    kind       text NOT NULL CHECK (kind IN ('opened', 'resolved')),
    at         timestamptz NOT NULL,
    stored_at  timestamptz NOT NULL DEFAULT now(),
    value      double precision,
    UNIQUE (problem_id, kind)
);

-- What leaves the house: written with its event, claimed by conditional update, sent with `key` as idempotency key.
CREATE TABLE outbox (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key              uuid NOT NULL UNIQUE,
    event_id         bigint NOT NULL REFERENCES event ON DELETE CASCADE,
    receiver         text NOT NULL,
    media            text NOT NULL,
    payload          jsonb NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT now(),
    due_at           timestamptz NOT NULL DEFAULT now(),
    attempts         integer NOT NULL DEFAULT 0,
    claimed_by_epoch bigint,
    claimed_until    timestamptz,
    sent_at          timestamptz,
    failed_at        timestamptz,
    last_error       text
) WITH (fillfactor = 80);
CREATE INDEX outbox_due ON outbox (due_at) WHERE sent_at IS NULL AND failed_at IS NULL;
CREATE INDEX outbox_event ON outbox (event_id);
