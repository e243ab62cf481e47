-- Keys that may listen to the live feed. Beside the previous version: its servers cannot read such a role, so allow the first
-- subscriber when every server runs this version (`watchkeep up` has one server).
ALTER TABLE peer_key
    DROP CONSTRAINT peer_key_role_check,
    ADD CONSTRAINT peer_key_role_check CHECK (role IN ('agent', 'proxy', 'server', 'subscriber'));
