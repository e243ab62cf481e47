-- The gap ledger: how what is stored came, and between which instants the numbers lie that are not.
-- Safe beside the version before: it counts no class and notes no gap, so what it stores counts as stored in time, and
-- of the gaps of its time only the numbers are known.

-- `late` and `replayed` count records among `ranges`, each in at most one of the two. `newest_at` is the last instant of
-- the record with the highest number in `ranges`.
ALTER TABLE received
    ADD COLUMN late      bigint NOT NULL DEFAULT 0,
    ADD COLUMN replayed  bigint NOT NULL DEFAULT 0,
    ADD COLUMN newest_at timestamptz;

-- A row per stretch of numbers below the highest stored one that are not stored themselves; what became of them say
-- `lost` and `refused`. The instants are those of the stored neighbours, NULL where nobody knows them.
CREATE TABLE received_gap (
    source_id integer NOT NULL,
    boot      bigint NOT NULL,
    first     bigint NOT NULL,
    last      bigint NOT NULL CHECK (last >= first),
    after_at  timestamptz,
    before_at timestamptz,
    PRIMARY KEY (source_id, boot, first),
    FOREIGN KEY (source_id, boot) REFERENCES received ON DELETE CASCADE
);
