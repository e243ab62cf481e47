-- Steps of telling: what is owed beyond the opening itself, who took a problem over, what people wrote about it.
-- Safe beside the version before: it writes none of the new columns and goes on finding what it reads.

ALTER TABLE definition DROP CONSTRAINT definition_kind_check;
ALTER TABLE definition ADD CONSTRAINT definition_kind_check
    CHECK (kind IN ('template', 'host', 'receiver', 'escalation'));

-- The acknowledgement in force; the event of its kind says the same for the timeline.
ALTER TABLE problem
    ADD COLUMN acknowledged_at      timestamptz,
    ADD COLUMN acknowledged_by      text,
    ADD COLUMN acknowledgement_note text;

-- Acknowledgements and notes are events too: the page hears of them, and what is told of them belongs to them.
ALTER TABLE event DROP CONSTRAINT event_kind_check;
ALTER TABLE event ADD CONSTRAINT event_kind_check CHECK (kind IN ('opened', 'resolved', 'acknowledged', 'note'));
ALTER TABLE event DROP CONSTRAINT event_problem_id_kind_key;
ALTER TABLE event
    ADD COLUMN by   text,
    ADD COLUMN text text;
CREATE UNIQUE INDEX event_once ON event (problem_id, kind) WHERE kind IN ('opened', 'resolved', 'acknowledged');
CREATE INDEX event_problem ON event (problem_id, id);

-- Which step of which escalation a notice belongs to (from 0), and the how-manieth of it it is; none: told by no step.
ALTER TABLE outbox
    ADD COLUMN escalation text,
    ADD COLUMN step       integer,
    ADD COLUMN repetition integer;

-- Escalations under way: a row from the opening's own transaction to the problem's end. 'infinity': nothing to decide,
-- as things are defined now. The name '' stands for receivers that are told directly and whose hours had not begun.
CREATE TABLE escalation (
    problem_id bigint NOT NULL REFERENCES problem ON DELETE CASCADE,
    name       text NOT NULL,
    due_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (problem_id, name)
) WITH (fillfactor = 80);
CREATE INDEX escalation_due ON escalation (due_at);
