-- Waivers among the definitions, and runs of backups that people order.
-- Safe beside the version before: it writes neither, and goes on finding what it reads.

ALTER TABLE definition DROP CONSTRAINT definition_kind_check;
ALTER TABLE definition ADD CONSTRAINT definition_kind_check
    CHECK (kind IN ('template', 'host', 'receiver', 'escalation', 'waiver'));

-- A run that somebody ordered. (host, set, due instant) is the run's id: the same one is never ordered twice. An active
-- server claims it under its epoch before it tells the host; the host's own items say what became of it.
CREATE TABLE backup_order (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    host          text NOT NULL,
    set_name      text NOT NULL,
    due_at        timestamptz NOT NULL,
    ordered_by    text NOT NULL,
    ordered_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL,
    claimed_epoch bigint,
    cancelled_by  text,
    state         text NOT NULL DEFAULT 'ordered'
                  CHECK (state IN ('ordered', 'started', 'ok', 'failed', 'refused', 'expired', 'cancelled')),
    note          text NOT NULL DEFAULT '',
    answered_at   timestamptz,
    UNIQUE (host, set_name, due_at)
) WITH (fillfactor = 80);
-- One at a time of a set.
CREATE UNIQUE INDEX backup_order_open ON backup_order (host, set_name) WHERE state IN ('ordered', 'started');
