-- Roles by host group, tokens for programs, and an audit log in which each row vouches for the one before it.
-- Beside the previous version: its standby knows neither the role 'operator' (and lets it do nothing) nor groups (and would
-- show a restricted account every host), so make restricted accounts once every server runs this version.

ALTER TABLE account
    DROP CONSTRAINT account_role_check,
    ADD CONSTRAINT account_role_check CHECK (role IN ('viewer', 'operator', 'administrator')),
    ADD COLUMN full_name text NOT NULL DEFAULT '',
    -- NULL: every host. An administrator can define any host into any group, so restricting one would be pretence.
    ADD COLUMN groups text[] CHECK (cardinality(groups) > 0),
    ADD CONSTRAINT account_administrator_unrestricted CHECK (role <> 'administrator' OR groups IS NULL);

-- Like a session's, the token itself is never stored. What it may do is what its owner may now, cut to role and groups.
CREATE TABLE api_token (
    id           integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id   integer NOT NULL REFERENCES account ON DELETE CASCADE,
    name         text NOT NULL CHECK (name <> ''),
    token_hash   bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    role         text NOT NULL CHECK (role IN ('viewer', 'operator', 'administrator')),
    groups       text[] CHECK (cardinality(groups) > 0),
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    last_used_at timestamptz,
    last_address text,
    UNIQUE (account_id, name),
    CHECK (role <> 'administrator' OR groups IS NULL)
) WITH (fillfactor = 80);

-- Which hosts are in a group is asked at every request of a restricted visitor.
CREATE INDEX definition_host_groups ON definition USING gin ((body -> 'groups')) WHERE kind = 'host';

-- The chain. A row's hash covers its own content and the hash of the row before it; the head is one row, whose lock puts
-- concurrent writers in line. A trigger does it, so that rows of a server of the previous version are chained too.
ALTER TABLE audit ADD COLUMN link bigint UNIQUE, ADD COLUMN hash bytea;

CREATE TABLE audit_head (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    link    bigint NOT NULL,
    hash    bytea NOT NULL CHECK (octet_length(hash) = 32)
);
INSERT INTO audit_head (link, hash) VALUES (0, decode(repeat('00', 32), 'hex'));

-- Each part is preceded by its length in bytes: no two different rows have the same text.
CREATE FUNCTION audit_hash(before bytea, row_ audit) RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT sha256(before || convert_to(string_agg(octet_length(part) || ':' || part, ',' ORDER BY number), 'UTF8'))
    FROM unnest(ARRAY[row_.link::text, (extract(epoch FROM row_.at) * 1000000)::bigint::text, row_.actor, row_.action,
                      row_.object, row_.address, row_.detail::text]) WITH ORDINALITY AS u (part, number)
$$;

CREATE FUNCTION audit_chain() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before audit_head;
BEGIN
    SELECT * INTO STRICT before FROM audit_head FOR UPDATE;
    NEW.link := before.link + 1;
    NEW.hash := audit_hash(before.hash, NEW);
    UPDATE audit_head SET link = NEW.link, hash = NEW.hash;
    RETURN NEW;
END
$$;

DO $$
DECLARE
    found audit;
    before audit_head;
BEGIN
    LOCK TABLE audit IN SHARE ROW EXCLUSIVE MODE;
    FOR found IN SELECT * FROM audit ORDER BY id LOOP
        SELECT * INTO STRICT before FROM audit_head;
        found.link := before.link + 1;
        found.hash := audit_hash(before.hash, found);
        UPDATE audit SET link = found.link, hash = found.hash WHERE id = found.id;
        UPDATE audit_head SET link = found.link, hash = found.hash;
    END LOOP;
END
$$;
ALTER TABLE audit ALTER COLUMN link SET NOT NULL, ALTER COLUMN hash SET NOT NULL;

CREATE TRIGGER audit_chain BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION audit_chain();
