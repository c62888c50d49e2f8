-- What was answered to requests with an Idempotency-Key, so that the same request is carried out once. A row older than
-- 24 hours counts as absent, until it is overwritten or swept.

CREATE TABLE idempotency_key (
    user_id     bigint      NOT NULL,
    call        text        NOT NULL CONSTRAINT idempotency_key_call CHECK (call IN ('HOLD', 'CHARGE', 'PAY')),
    key         text        NOT NULL CONSTRAINT idempotency_key_length CHECK (char_length(key) BETWEEN 1 AND 64),
    -- BLAKE3 of the request's fields: the key is for this request and no other.
    fingerprint bytea       NOT NULL CONSTRAINT idempotency_key_fingerprint_length CHECK (octet_length(fingerprint) = 32),
    -- Answers that a retry could cure are not stored.
    status      smallint    NOT NULL CONSTRAINT idempotency_key_status_final CHECK (status BETWEEN 200 AND 499),
    body        text        NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, call, key)
);
CREATE INDEX idempotency_key_by_age ON idempotency_key (created_at);
