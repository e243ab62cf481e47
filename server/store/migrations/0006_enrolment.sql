-- Letting machines in: one-time tokens, requests that wait for an administrator, and keys that are being replaced.
-- Both servers write here, active or standby: enrolment has nothing to do with the lease.

-- `secret` is needed to check and to make proofs (HMAC), so it lies here as it is, from creation until the token is
-- used, revoked or expired, and is then wiped. `answer` is what the same request is answered when it comes again.
CREATE TABLE enrolment_token (
    id           text PRIMARY KEY CHECK (id <> ''),
    secret       bytea CHECK (octet_length(secret) = 32),
    host         text,
    templates    text[] NOT NULL,
    groups       text[] NOT NULL,
    proxy_group  text NOT NULL CHECK (proxy_group <> ''),
    created_by   text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    revoked_at   timestamptz,
    used_at      timestamptz,
    used_by      text,
    used_address text,
    used_key     bytea,
    digest       bytea,
    answer       text,
    CHECK ((used_at IS NULL) = (digest IS NULL)),
    CHECK (secret IS NULL OR (used_at IS NULL AND revoked_at IS NULL))
);

-- Who asks without a token; a row a key. Decided with a host means approved, without one refused.
CREATE TABLE enrolment_request (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key          bytea NOT NULL UNIQUE CHECK (octet_length(key) = 32),
    digest       bytea NOT NULL,
    name         text NOT NULL,
    source       uuid NOT NULL,
    software     text NOT NULL,
    address      text NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now(),
    seen_at      timestamptz NOT NULL DEFAULT now(),
    decided_at   timestamptz,
    decided_by   text,
    host         text,
    CHECK (host IS NULL OR decided_at IS NOT NULL)
);

-- A key that shall be replaced. `new_key` is what its holder made and said under the old one; once the new one is in
-- use the old one is revoked and the row is done.
CREATE TABLE key_rotation (
    old_key    bytea PRIMARY KEY REFERENCES peer_key ON DELETE CASCADE,
    new_key    bytea UNIQUE REFERENCES peer_key ON DELETE CASCADE,
    asked_by   text NOT NULL,
    asked_at   timestamptz NOT NULL DEFAULT now(),
    offered_at timestamptz,
    offers     integer NOT NULL DEFAULT 0,
    done_at    timestamptz
);
CREATE INDEX key_rotation_open ON key_rotation (old_key) WHERE done_at IS NULL;
