-- When and how a queue admits, beyond cap and rate.

-- opens_at: nobody is let in before; who comes earlier is drawn into random order then. paused: nobody is let in. draining:
-- nobody new is given a place. stock_factor: so many may try for each free seat; 0: however many seats there are; NULL: the
-- server's own.
ALTER TABLE queue
    ADD COLUMN opens_at     timestamptz,
    ADD COLUMN paused       boolean NOT NULL DEFAULT false,
    ADD COLUMN draining     boolean NOT NULL DEFAULT false,
    ADD COLUMN stock_factor double precision CONSTRAINT queue_stock_factor_range CHECK (stock_factor BETWEEN 0 AND 1000);

-- It serves many concerts, and who comes does not say which it came for.
UPDATE queue SET stock_factor = 0 WHERE id = 1;

DROP TRIGGER queue_changed ON queue;
CREATE TRIGGER queue_changed AFTER INSERT OR DELETE OR UPDATE OF name, max_active, admit_per_second,
    active_ttl_seconds, waiting_ttl_seconds, hold_ttl_seconds, opens_at, paused, draining, stock_factor
    ON queue FOR EACH STATEMENT EXECUTE FUNCTION programme_changed();
