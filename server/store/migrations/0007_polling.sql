-- Every proxy polls too: its poller is a source without a host, whose id is made of the proxy's key
-- (core/security/poller.py), and which the proxy's group may relay. Keys that come later bring theirs (store/peers.py).
INSERT INTO source (uuid, name)
SELECT encode(substring(sha256('watchkeep poller'::bytea || key) FROM 1 FOR 16), 'hex')::uuid, name
FROM peer_key WHERE role = 'proxy'
ON CONFLICT (uuid) DO NOTHING;

INSERT INTO source_assignment (source_id, group_id)
SELECT s.id, k.group_id
FROM peer_key k
JOIN source s ON s.uuid = encode(substring(sha256('watchkeep poller'::bytea || k.key) FROM 1 FOR 16), 'hex')::uuid
WHERE k.role = 'proxy'
ON CONFLICT (source_id, group_id) WHERE released_at IS NULL DO NOTHING;
