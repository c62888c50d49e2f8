\set n :n + 1
\set k :base + :n * 64 + :client_id
\set user 1 + :k % 20000
\set seat 1000000 + :k
WITH bill AS (
    SELECT seat.price FROM concert_seat seat JOIN user_wallet wallet ON wallet.balance >= seat.price
    WHERE seat.id = :seat AND wallet.user_id = :user
), confirmed AS (
    INSERT INTO reservation AS had (id, user_id, concert_seat_id, status, price, attempt)
    SELECT :k, :user, :seat, 'CONFIRMED', price, 1 FROM bill
    ON CONFLICT (id) DO UPDATE
        SET status = 'CONFIRMED', attempt = excluded.attempt, price = excluded.price, created_at = now()
        WHERE had.status = 'ABORTED' AND had.attempt < excluded.attempt AND had.user_id = excluded.user_id
    RETURNING id, price
), debit AS (
    UPDATE user_wallet wallet SET balance = wallet.balance - confirmed.price
    FROM confirmed WHERE wallet.user_id = :user
    RETURNING wallet.balance, confirmed.price
), paid AS (
    INSERT INTO payment_history (reservation_id, user_id, amount, queue_id, queue_place)
    SELECT :k, :user, price, 1, :k FROM debit
    RETURNING id, amount
), entry AS (
    INSERT INTO wallet_ledger (user_id, kind, amount, balance_after, payment_history_id)
    SELECT :user, 'PAYMENT', -debit.price, debit.balance, paid.id FROM paid, debit
)
SELECT id, amount FROM paid;
