-- The draws by which those who come before a queue's opening are put into order, with all that is needed to recompute them.

-- A draw's seed is made before anybody can come, its hash is public from then on, and the seed once the draw is over: when
-- `entries`, `base` (the place before the first entry's) and `first_order` (the order before the first drawn one) are known.
-- `epoch` is the queue's when the draw was made.
CREATE TABLE queue_draw (
    queue_id    integer     NOT NULL CONSTRAINT queue_draw_queue_exists REFERENCES queue ON DELETE CASCADE,
    number      integer     NOT NULL CONSTRAINT queue_draw_number_positive CHECK (number > 0),
    opens_at    timestamptz NOT NULL,
    seed        bytea       NOT NULL CONSTRAINT queue_draw_seed_whole CHECK (octet_length(seed) = 32),
    epoch       integer     NOT NULL,
    base        bigint,
    entries     bigint      CONSTRAINT queue_draw_entries_range CHECK (entries BETWEEN 0 AND 4294967295),
    first_order bigint,
    drawn_at    timestamptz,
    CONSTRAINT queue_draw_key PRIMARY KEY (queue_id, number),
    CONSTRAINT queue_draw_whole CHECK (num_nonnulls(base, entries, first_order, drawn_at) IN (0, 4))
);

-- A queue that is opened again after an opening has another draw, one at a time.
CREATE UNIQUE INDEX queue_draw_one_under_way ON queue_draw (queue_id) WHERE drawn_at IS NULL;

CREATE TRIGGER queue_draw_changed AFTER INSERT OR DELETE OR UPDATE
    ON queue_draw FOR EACH STATEMENT EXECUTE FUNCTION programme_changed();
