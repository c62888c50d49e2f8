-- How far a queue has come: what is needed to give lost places back when Redis has lost them.

-- By `at`, everybody up to the place `admitted` had been let in or had left; `waiting` were there still. Written at most
-- once a second and only when it changes; kept for a day, the longest that a token can be active.
CREATE TABLE queue_progress (
    queue_id integer     NOT NULL CONSTRAINT queue_progress_queue_exists REFERENCES queue,
    at       timestamptz NOT NULL DEFAULT now(),
    admitted bigint      NOT NULL,
    waiting  integer     NOT NULL,
    CONSTRAINT queue_progress_one_at_a_time PRIMARY KEY (queue_id, at)
);
CREATE INDEX queue_progress_by_place ON queue_progress (queue_id, admitted, at);

-- The token under which a payment was made: used up, whatever Redis remembers. NULL before this migration.
ALTER TABLE payment_history ADD COLUMN queue_id integer, ADD COLUMN queue_place bigint;
CREATE INDEX payment_history_by_place ON payment_history (queue_id, queue_place);
