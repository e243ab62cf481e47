-- What people define (templates, hosts, receivers) and every change of it. Bodies are checked before they come here.

-- A number per apply, given out under a lock, so that a later commit always has the higher one.
CREATE SEQUENCE definition_revision AS bigint;

CREATE TABLE definition (
    kind       text NOT NULL CHECK (kind IN ('template', 'host', 'receiver')),
    name       text NOT NULL CHECK (name <> ''),
    body       jsonb NOT NULL CHECK (jsonb_typeof(body) = 'object'),
    revision   bigint NOT NULL,
    via        text NOT NULL CHECK (via IN ('file', 'web', 'shipped', 'enrolment')),
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, name)
);

-- The history of definitions: never updated, never deleted.
CREATE TABLE definition_change (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    revision   bigint NOT NULL,
    action     text NOT NULL CHECK (action IN ('create', 'update', 'delete')),
    kind       text NOT NULL,
    name       text NOT NULL,
    before     jsonb,
    after      jsonb,
    via        text NOT NULL,
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((before IS NULL) = (action = 'create') AND (after IS NULL) = (action = 'delete'))
);
CREATE INDEX definition_change_revision ON definition_change (revision);
CREATE INDEX definition_change_key ON definition_change (kind, name, id);
