//! What is on sale in a run, and who comes: a hall, arenas to be sold out, queues that let nobody in, users with money.

use super::stage::Outcome;

/// A hall whose seats nobody takes.
pub(super) const HALL: u64 = 1000;
pub(super) const HALL_SEATS: usize = 20_000;

/// Halls to be sold out: the first ones by holds, the last ones by payments.
pub(super) const ARENA: usize = 2000;
pub(super) const ARENAS: usize = 7;
pub(super) const PAID_ARENAS: usize = 2;
pub(super) const ARENA_SEATS: usize = 50_000;

/// The seat at the first position of the first arena; an arena's come after another's.
pub(super) const FIRST_SEAT: usize = 1_000_000;

/// Users with an active token and money, who hold seats in turn.
pub(super) const VISITORS: usize = 20_000;

/// Users who pay for one seat each are from here on.
pub(super) const FIRST_BUYER: usize = 1_000_000;

/// Users who wait are from here on, in each queue others.
pub(super) const FIRST_WAITING: usize = 10_000_000;

/// Concerts of queues that let in one: a crowd's, a few's, and one for whoever comes.
pub(super) const CROWD: u64 = 1001;
pub(super) const FEW: u64 = 1002;
pub(super) const DOOR: u64 = 1003;

/// All of it, as SQL.
pub(super) fn sql() -> String {
    let buyers = FIRST_BUYER + PAID_ARENAS * ARENA_SEATS;
    format!(
        "INSERT INTO queue (id, name, max_active, stock_factor)
             VALUES ({CROWD}, 'crowd', 1, 0), ({FEW}, 'few', 1, 0), ({DOOR}, 'door', 1, 0);
         INSERT INTO concert (id, title, queue_id) VALUES ({HALL}, 'Hall', 1),
             ({CROWD}, 'Crowd', {CROWD}), ({FEW}, 'Few', {FEW}), ({DOOR}, 'Door', {DOOR});
         INSERT INTO concert_schedule (id, concert_id, date) VALUES ({HALL}, {HALL}, CURRENT_DATE + 30);
         INSERT INTO concert_seat (id, concert_schedule_id, position, section, row, number, price)
             SELECT 100000 + n, {HALL}, n, 'A', 'A', n + 1, 1000 FROM generate_series(0, {HALL_SEATS} - 1) n;
         INSERT INTO concert_schedule (id, concert_id, date)
             SELECT {ARENA} + n, {HALL}, CURRENT_DATE + 31 + n FROM generate_series(0, {ARENAS} - 1) n;
         INSERT INTO concert_seat (id, concert_schedule_id, position, section, row, number, price)
             SELECT {FIRST_SEAT} + {ARENA_SEATS} * arena + n, {ARENA} + arena, n, 'A', 'A', n + 1, 1000
             FROM generate_series(0, {ARENAS} - 1) arena, generate_series(0, {ARENA_SEATS} - 1) n;
         WITH rich AS (
             INSERT INTO user_wallet (user_id, balance)
             SELECT n, 1000000000 FROM generate_series(1, {buyers}) n WHERE n <= {VISITORS} OR n >= {FIRST_BUYER}
             RETURNING user_id, balance)
         INSERT INTO wallet_ledger (user_id, kind, amount, balance_after)
             SELECT user_id, 'CHARGE', balance, balance FROM rich;"
    )
}

/// What the service is told, so that no limit is what is measured.
pub(super) fn settings() -> [(&'static str, String); 8] {
    let hour = || "3600".to_owned();
    [
        ("ONSALE_MAX_ACTIVE", "10000000".to_owned()),
        ("ONSALE_ADMIT_PER_SECOND", "1000000".to_owned()),
        ("ONSALE_ACTIVE_TTL_SECONDS", hour()),
        ("ONSALE_WAITING_TTL_SECONDS", hour()),
        ("ONSALE_HOLD_TTL_SECONDS", hour()),
        ("ONSALE_STOCK_FACTOR", "0".to_owned()),
        ("ONSALE_POSTGRES_QUEUE", "10000".to_owned()),
        ("ONSALE_USER_WRITES_PER_SECOND", "0".to_owned()),
    ]
}

/// A call with a token.
pub(super) fn get(path: &str, header: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: onsale\r\n{header}\r\n\r\n")
}

/// A call with a body.
pub(super) fn send(method: &str, path: &str, header: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: onsale\r\n{header}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// A user takes a place in the default queue, or in a concert's own.
pub(super) fn enter(user: usize, concert: Option<u64>) -> String {
    let header = format!("userId: {user}");
    let path = "/api/v1/queues/token";
    match concert {
        None => send("POST", path, &header, "application/x-www-form-urlencoded", ""),
        Some(concert) => {
            send("POST", path, &header, "application/x-www-form-urlencoded", &format!("concertId={concert}"))
        }
    }
}

/// A seat of the arenas, counted over all of them.
pub(super) fn hold(token: &str, seat: usize) -> String {
    let (schedule, seat) = (ARENA + seat / ARENA_SEATS, FIRST_SEAT + seat);
    let body = format!("{{\"concertScheduleId\":{schedule},\"concertSeatId\":{seat}}}");
    send("POST", "/api/v1/reservations/concert", &format!("token: {token}"), "application/json", &body)
}

pub(super) fn charge(user: usize) -> String {
    let path = "/api/v1/user-wallets/balance";
    send("PATCH", path, &format!("userId: {user}"), "application/json", "{\"amount\":1}")
}

pub(super) fn pay(token: &str, reservation: u64) -> String {
    let body = format!("{{\"concertReservationId\":{reservation}}}");
    send("POST", "/api/v1/payment/concert", &format!("token: {token}"), "application/json", &body)
}

/// A text or number of an answer's data.
pub(super) fn datum(body: &[u8], name: &str) -> Outcome<serde_json::Value> {
    let answer: serde_json::Value = serde_json::from_slice(body)?;
    Ok(answer["data"][name].clone())
}
