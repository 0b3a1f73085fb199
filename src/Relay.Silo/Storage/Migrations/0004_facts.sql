-- A fact of history has an id of its own: one that is delivered again (from a silo's spool, after an answer that was lost) is known by it.
-- Rows from before have none.
ALTER TABLE session_event ADD COLUMN fact_id uuid;
CREATE UNIQUE INDEX session_event_fact ON session_event (fact_id);
ALTER TABLE audit_event ADD COLUMN fact_id uuid;
CREATE UNIQUE INDEX audit_event_fact ON audit_event (fact_id);

-- Ended by another silo because its own was gone: the end that its own silo or its gateway still has to tell is the better one.
ALTER TABLE session ADD COLUMN reaped boolean NOT NULL DEFAULT false;
