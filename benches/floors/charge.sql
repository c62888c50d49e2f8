\set n :n + 1
\set user 1 + (:base + :n * 64 + :client_id) % 20000
WITH charged AS (
    INSERT INTO user_wallet AS wallet (user_id, balance) VALUES (:user, 1)
    ON CONFLICT (user_id) DO UPDATE SET balance = wallet.balance + 1
        WHERE wallet.balance + 1 <= 1000000000000
    RETURNING balance
)
INSERT INTO wallet_ledger (user_id, kind, amount, balance_after)
SELECT :user, 'CHARGE', 1, balance FROM charged
RETURNING balance_after;
