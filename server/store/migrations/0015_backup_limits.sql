-- Limits among the definitions, and runs that got a place under them.
-- Safe beside the version before: it orders runs for people only, and tells hosts whatever is ordered.

ALTER TABLE definition DROP CONSTRAINT definition_kind_check;
ALTER TABLE definition ADD CONSTRAINT definition_kind_check
    CHECK (kind IN ('template', 'host', 'receiver', 'escalation', 'waiver', 'limit'));

-- The limits of which the run holds a place while it is under way; none: a person ordered it.
ALTER TABLE backup_order ADD COLUMN limits text[] NOT NULL DEFAULT '{}';
