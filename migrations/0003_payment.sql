-- Who bought: reservations that were paid for, and the payments.

-- Block n holds the reservation ids (n-1)*1000+1 to n*1000, all for one schedule. Ids are handed out from blocks, so
-- they never repeat, whatever Redis forgets, and each tells its schedule.
CREATE TABLE reservation_block (
    id                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY
                               CONSTRAINT reservation_block_range CHECK (id <= 9007199254740),
    concert_schedule_id bigint NOT NULL CONSTRAINT reservation_block_schedule_exists REFERENCES concert_schedule
);

-- CONFIRMED: paid. CANCELLED: refunded. ABORTED: a tombstone, put for an attempt to pay of which nobody knows whether it
-- will still arrive. Of an attempt and its tombstone, whoever comes first has decided; a later attempt may pass.
CREATE TABLE reservation (
    id              bigint      PRIMARY KEY,
    user_id         bigint      NOT NULL,
    concert_seat_id bigint      NOT NULL,
    status          text        NOT NULL CONSTRAINT reservation_status CHECK (status IN ('CONFIRMED', 'CANCELLED', 'ABORTED')),
    price           bigint      NOT NULL CONSTRAINT reservation_price_range CHECK (price >= 0),
    -- Which attempt to pay has decided, counted from 1 by the seat map.
    attempt         integer     NOT NULL DEFAULT 1 CONSTRAINT reservation_attempt_positive CHECK (attempt > 0),
    created_at      timestamptz NOT NULL DEFAULT now(),
    cancelled_at    timestamptz,
    CONSTRAINT reservation_cancelled_has_time CHECK ((status = 'CANCELLED') = (cancelled_at IS NOT NULL))
);
-- The rule of the house: a seat has at most one live reservation.
CREATE UNIQUE INDEX reservation_seat_live ON reservation (concert_seat_id) WHERE status = 'CONFIRMED';
CREATE INDEX reservation_by_user ON reservation (user_id, id);

CREATE TABLE payment_history (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reservation_id bigint      NOT NULL CONSTRAINT payment_history_reservation_unique UNIQUE
                               CONSTRAINT payment_history_reservation_exists REFERENCES reservation,
    user_id        bigint      NOT NULL,
    -- Whole won, the seat's price.
    amount         bigint      NOT NULL CONSTRAINT payment_history_amount_range CHECK (amount >= 0),
    status         text        NOT NULL DEFAULT 'PAID' CONSTRAINT payment_history_status CHECK (status IN ('PAID', 'REFUNDED')),
    paid_at        timestamptz NOT NULL DEFAULT now(),
    refunded_at    timestamptz,
    CONSTRAINT payment_history_refunded_has_time CHECK ((status = 'REFUNDED') = (refunded_at IS NOT NULL))
);
CREATE INDEX payment_history_by_user ON payment_history (user_id, id);
