-- Cold history packed small: a row per item and hour, whose samples are one bytea (server/store/cold.py says its layout).
-- A table of its own beside `history`, whose rows of arrays stay until retention takes them or late values are merged into
-- them: an older server that takes over for a while merges into `history` only, and so cannot lose what is packed here.

DO $sliced$
DECLARE
    has_timescale boolean := EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb');
    by_at         text := CASE WHEN has_timescale THEN '' ELSE 'PARTITION BY RANGE (at)' END;
BEGIN
    -- at is the middle of the hour; late as in history_batch.
    EXECUTE 'CREATE TABLE history_packed (
        at      timestamptz NOT NULL,
        item_id integer NOT NULL,
        count   integer NOT NULL CHECK (count > 0),
        packed  bytea NOT NULL,
        late    bytea,
        PRIMARY KEY (item_id, at)) ' || by_at;
    IF has_timescale THEN
        PERFORM create_hypertable('history_packed', 'at', chunk_time_interval => interval '7 days',
                                  create_default_indexes => false);
    ELSE
        CREATE TABLE history_packed_default PARTITION OF history_packed DEFAULT;
    END IF;
END
$sliced$;

-- Packed bits do not compress any further.
ALTER TABLE history_packed ALTER COLUMN packed SET STORAGE EXTERNAL;

-- ── The packed form, for SQL ───────────────────────────────────────────────────────────────────────────────────
-- For people and other tools, so that the view `samples` tells everything; the checksum is checked by the server only.

-- The little-endian integer of so many bytes at a place.
CREATE FUNCTION packed_integer(packed bytea, place integer, bytes integer) RETURNS bigint
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (SELECT bit_or(get_byte(packed, place + i)::bigint << (8 * i)) FROM generate_series(0, bytes - 1) AS i);

-- What is left of a number modulo 2^64, as a bigint.
CREATE FUNCTION packed_wrap(number numeric) RETURNS bigint
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (CASE WHEN number BETWEEN -9223372036854775808 AND 9223372036854775807 THEN number
            ELSE mod(mod(number + 9223372036854775808, 18446744073709551616) + 18446744073709551616,
                     18446744073709551616) - 9223372036854775808 END)::bigint;

-- The float64 of these bits (IEEE 754).
CREATE FUNCTION packed_float(bits bigint) RETURNS double precision
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN CASE (bits >> 52) & 2047
        WHEN 2047 THEN CASE WHEN bits & 4503599627370495 <> 0 THEN 'NaN'::float8
                            WHEN bits < 0 THEN '-Infinity'::float8 ELSE 'Infinity'::float8 END
        WHEN 0 THEN CASE WHEN bits < 0 THEN '-1'::float8 ELSE '1'::float8 END
                    * ((bits & 4503599627370495)::float8 * power(2::float8, -537) * power(2::float8, -537))
        ELSE CASE WHEN bits < 0 THEN '-1'::float8 ELSE '1'::float8 END
             * (1 + (bits & 4503599627370495)::float8 / 4503599627370496::float8)
             * power(2::float8, ((bits >> 52) & 2047) - 1023)
    END;

-- One column of a packed hour (server/store/integers.py): its numbers by their places from 0.
CREATE FUNCTION unpack_run(
    packed bytea, bits_at integer, count integer, width integer, form integer, shift integer, first bigint, base bigint,
    step bigint, exceptions integer, places_at integer, uppers_at integer
) RETURNS TABLE (place integer, number bigint)
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $body$
    WITH bits AS MATERIALIZED (
        SELECT ('x' || encode(substring(packed FROM bits_at + 1 FOR (count + 7) / 8 * width), 'hex'))::varbit AS run
    ), lower AS (
        SELECT i, CASE
            WHEN width = 0 THEN 0
            WHEN width = 64 THEN substring(run FROM i * 64 + 1 FOR 64)::bit(64)::bigint
            ELSE ((substring(run FROM i * width + 1 FOR width)::bit(64)::bigint >> 1) & 9223372036854775807)
                 >> (63 - width)
            END AS residual
        FROM bits, generate_series(0, count - 1) AS i
    ), upper AS (
        SELECT packed_integer(packed, places_at + e * 2, 2)::integer AS i,
               packed_integer(packed, uppers_at + e * 8, 8) << width AS residual
        FROM generate_series(0, exceptions - 1) AS e
    ), whole AS (
        SELECT i, lower.residual | coalesce(upper.residual, 0) AS residual FROM lower LEFT JOIN upper USING (i)
    ), level AS (
        SELECT i, CASE form
            WHEN 0 THEN residual::numeric + base
            WHEN 3 THEN residual::numeric + base + i::numeric * step
            WHEN 1 THEN sum(CASE WHEN i = 0 THEN 0 ELSE residual::numeric + base END) OVER (ORDER BY i)
            WHEN 2 THEN sum(CASE WHEN i = 0 THEN 0 ELSE
                ((residual >> 1) & 9223372036854775807) # -(residual & 1) END::numeric) OVER (ORDER BY i)
            END AS y
        FROM whole
    )
    SELECT i, packed_wrap(first + y * power(2::numeric, shift)) FROM level
    $body$;

-- A packed hour's samples: µs from the middle of its hour, and values.
CREATE FUNCTION unpack_history(packed bytea) RETURNS TABLE (offset_us bigint, value double precision)
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE ROWS 360 AS $body$
DECLARE
    header   constant integer := 52;
    n        integer;
    decimals integer;
    at_bits integer; value_bits integer; at_exceptions integer; value_exceptions integer;
    at_places integer; value_places integer;
BEGIN
    IF octet_length(packed) < header OR get_byte(packed, 4) <> 1 THEN
        RAISE EXCEPTION 'a row of history_packed is damaged or of a newer form: read it with the server';
    END IF;
    decimals := get_byte(packed, 5);
    n := packed_integer(packed, 6, 4);
    at_exceptions := packed_integer(packed, 13, 2);
    value_exceptions := packed_integer(packed, 34, 2);
    at_bits := header;
    value_bits := at_bits + (n + 7) / 8 * get_byte(packed, 11);
    at_places := value_bits + (n + 7) / 8 * get_byte(packed, 32);
    value_places := at_places + 10 * at_exceptions;
    IF octet_length(packed) <> value_places + 10 * value_exceptions THEN
        RAISE EXCEPTION 'a row of history_packed is damaged: its length does not fit its header';
    END IF;
    RETURN QUERY
    SELECT a.number, CASE decimals WHEN 255 THEN packed_float(v.number)
                     ELSE v.number::float8 / power(10::numeric, decimals)::float8 END
    FROM unpack_run(packed, at_bits, n, get_byte(packed, 11), get_byte(packed, 10), get_byte(packed, 12),
                    (packed_integer(packed, 15, 4) << 32) >> 32, packed_integer(packed, 19, 8),
                    packed_integer(packed, 27, 4), at_exceptions, at_places, at_places + 2 * at_exceptions) AS a
    JOIN unpack_run(packed, value_bits, n, get_byte(packed, 32), get_byte(packed, 31), get_byte(packed, 33),
                    packed_integer(packed, 36, 8), packed_integer(packed, 44, 8), 0, value_exceptions, value_places,
                    value_places + 2 * value_exceptions) AS v USING (place)
    ORDER BY place;
END
$body$;

CREATE OR REPLACE VIEW samples AS
    SELECT s.item_id, b.first_at + s.offset_us * interval '1 microsecond' AS at, s.value
    FROM history_batch b, unnest(b.items, b.offsets, b."values") AS s (item_id, offset_us, value)
    UNION ALL
    SELECT h.item_id, h.at + s.offset_us * interval '1 microsecond', s.value
    FROM history h, unnest(h.offsets, h."values") AS s (offset_us, value)
    UNION ALL
    SELECT p.item_id, p.at + s.offset_us * interval '1 microsecond', s.value
    FROM history_packed p, unpack_history(p.packed) AS s;
