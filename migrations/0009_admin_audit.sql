-- What operators have done: a row an act, written in the act's own transaction, and never changed after.

CREATE TABLE admin_audit (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    -- The name of the key that was shown.
    operator   text        NOT NULL,
    action     text        NOT NULL CONSTRAINT admin_audit_action CHECK (action IN (
                   'CREATE_CONCERT', 'ADD_SCHEDULE', 'CREATE_QUEUE', 'SET_QUEUE', 'PAUSE_QUEUE', 'RESUME_QUEUE', 'DRAIN_QUEUE')),
    -- What it was done to: `concert 7`, `queue default`.
    target     text        NOT NULL,
    -- What was asked; of seats, only how many and at what prices: the seats themselves never change after.
    request    jsonb       NOT NULL,
    -- What came of it: the ids given; a queue's own settings before and after.
    outcome    jsonb       NOT NULL,
    request_id text        NOT NULL
);

CREATE FUNCTION admin_audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'admin_audit is append-only';
END $$;
CREATE TRIGGER admin_audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE
    ON admin_audit FOR EACH STATEMENT EXECUTE FUNCTION admin_audit_is_append_only();
