-- Money: a balance a user, and the append-only ledger that explains it.

CREATE TABLE user_wallet (
    user_id bigint PRIMARY KEY CONSTRAINT user_wallet_user_range CHECK (user_id BETWEEN 1 AND 9007199254740991),
    -- Whole won.
    balance bigint NOT NULL CONSTRAINT user_wallet_balance_range CHECK (balance BETWEEN 0 AND 1000000000000)
);

CREATE TABLE wallet_ledger (
    id                 bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id            bigint      NOT NULL,
    kind               text        NOT NULL CONSTRAINT wallet_ledger_kind CHECK (kind IN ('CHARGE', 'PAYMENT', 'REFUND')),
    -- Signed whole won: what the entry added to the balance.
    amount             bigint      NOT NULL,
    balance_after      bigint      NOT NULL CONSTRAINT wallet_ledger_balance_range CHECK (balance_after BETWEEN 0 AND 1000000000000),
    payment_history_id bigint,
    created_at         timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT wallet_ledger_sign CHECK (CASE kind WHEN 'PAYMENT' THEN amount <= 0 ELSE amount >= 0 END),
    CONSTRAINT wallet_ledger_payment CHECK ((kind = 'CHARGE') = (payment_history_id IS NULL)),
    CONSTRAINT wallet_ledger_once_a_payment UNIQUE (payment_history_id, kind)
);
CREATE INDEX wallet_ledger_by_user ON wallet_ledger (user_id, id);

CREATE FUNCTION wallet_ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'wallet_ledger is append-only';
END $$;
CREATE TRIGGER wallet_ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE
    ON wallet_ledger FOR EACH STATEMENT EXECUTE FUNCTION wallet_ledger_is_append_only();
