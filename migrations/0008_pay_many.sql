-- A batch of payments is a call of its own, and so its keys are.

ALTER TABLE idempotency_key
    DROP CONSTRAINT idempotency_key_call,
    ADD CONSTRAINT idempotency_key_call CHECK (call IN ('HOLD', 'CHARGE', 'PAY', 'PAY_MANY'));
