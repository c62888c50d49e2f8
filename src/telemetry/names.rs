//! Every metric that this program keeps: its name, what it counts, its unit; and the counters that begin at 0, since one that
//! appears with its first count has no increase that anybody could see.

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, histogram};

type Described = (&'static str, Unit, &'static str);

const COUNTERS: [Described; 18] = [
    ("http_requests_total", Unit::Count, "Requests answered, by method, route template and status."),
    (
        "connections_closed_total",
        Unit::Count,
        "Connections closed before their clients did, by reason: full, head, idle.",
    ),
    ("queue_tokens_issued_total", Unit::Count, "Tokens given, not counting repeated answers."),
    ("queue_promoted_total", Unit::Count, "Tokens let in."),
    ("queue_expired_total", Unit::Count, "Tokens ended by their time, active or waiting."),
    ("queue_restored_total", Unit::Count, "Places that Redis had lost and that came back."),
    ("seat_holds_total", Unit::Count, "Holds asked for, by outcome."),
    ("seats_settled_total", Unit::Count, "Seats whose map in Redis had missed a sale or a refund, and was told of it."),
    ("payments_total", Unit::Count, "Payments asked for, by outcome."),
    ("payments_reconciled_total", Unit::Count, "Payments that nobody finished, brought to their end, by outcome."),
    ("payment_amount_won_total", Unit::Count, "Won taken."),
    ("refunds_total", Unit::Count, "Refunds asked for, by outcome."),
    ("refund_amount_won_total", Unit::Count, "Won given back."),
    ("wallet_charges_total", Unit::Count, "Charges."),
    ("postgres_refused_total", Unit::Count, "Calls to PostgreSQL refused, since too many were under way."),
    ("job_runs_total", Unit::Count, "Runs of the scheduler's jobs, by outcome."),
    ("process_cpu_seconds_total", Unit::Seconds, "CPU time that the process has taken, in seconds."),
    ("tokio_busy_seconds_total", Unit::Seconds, "Time that the runtime's threads were busy, all together, in seconds."),
];

const HISTOGRAMS: [Described; 7] = [
    ("http_request_duration_seconds", Unit::Seconds, "From a request's head to its answer, in seconds."),
    ("queue_wait_seconds", Unit::Seconds, "From entering to being active, in seconds."),
    (
        "queue_estimate_error_seconds",
        Unit::Seconds,
        "How far a real wait was from the range that was told first, in seconds; 0 within it.",
    ),
    ("redis_request_duration_seconds", Unit::Seconds, "A call to Redis, by script, in seconds."),
    ("postgres_request_duration_seconds", Unit::Seconds, "A call to PostgreSQL, by statement, in seconds."),
    ("batch_size", Unit::Count, "Requests that were done together, by what was done."),
    ("job_duration_seconds", Unit::Seconds, "A run of a job, in seconds."),
];

const GAUGES: [Described; 31] = [
    ("build_info", Unit::Count, "1, with the version as a label."),
    (
        "queue_waiting",
        Unit::Count,
        "Tokens waiting. Like all that is the shop's, on the one instance that measures it.",
    ),
    ("queue_active", Unit::Count, "Tokens active."),
    ("queue_active_max", Unit::Count, "Tokens that may be active: the cap."),
    ("queue_admit_per_second", Unit::Count, "Tokens that may be let in a second."),
    (
        "queue_room",
        Unit::Count,
        "With fewer active than these whoever waits is let in: the cap, or what the stock leaves.",
    ),
    ("queue_open", Unit::Count, "1 unless the queue's opening is still to come."),
    ("queue_paused", Unit::Count, "1 while nobody is let in."),
    ("queue_draining", Unit::Count, "1 while nobody new is given a place."),
    ("queue_sold_out", Unit::Count, "1 when all that the queue sells is sold."),
    ("queue_seats_free", Unit::Count, "Free seats of what the queue sells, if it is tied to them or somebody waits."),
    ("queue_seats_unsold", Unit::Count, "Seats of what the queue sells that are free, held or being paid, likewise."),
    ("queue_streams", Unit::Count, "Streams of queue events that are open, on this instance."),
    ("seat_streams", Unit::Count, "Streams of seat changes that are open, on this instance."),
    ("seat_holds_live", Unit::Count, "Holds that live, those being paid included."),
    (
        "payment_under_way_seconds",
        Unit::Seconds,
        "For how long the oldest payment has been under way, in seconds; 0: none is.",
    ),
    (
        "store_up",
        Unit::Count,
        "1 if the store has answered this instance's last question, once a second; PostgreSQL that it may be written to.",
    ),
    ("postgres_connections", Unit::Count, "Connections to PostgreSQL, by whether a statement has them."),
    ("postgres_connections_max", Unit::Count, "Connections to PostgreSQL that there may be."),
    ("postgres_statements", Unit::Count, "Statements under way, those that wait for a connection included."),
    ("postgres_statements_max", Unit::Count, "Statements that may be under way; more are refused."),
    ("process_start_time_seconds", Unit::Seconds, "When the process began, in seconds since 1970."),
    ("process_resident_memory_bytes", Unit::Bytes, "Memory that the process has in use, in bytes."),
    ("process_threads", Unit::Count, "Threads of the process."),
    ("process_open_fds", Unit::Count, "Files that the process has open: connections and streams, above all."),
    ("process_max_fds", Unit::Count, "Files that the process may have open."),
    ("tokio_workers", Unit::Count, "Threads of the runtime."),
    ("tokio_alive_tasks", Unit::Count, "Tasks that the runtime has."),
    ("tokio_global_queue_depth", Unit::Count, "Tasks that wait for any thread of the runtime."),
    ("audit_breaches", Unit::Count, "Breaches of an invariant that the last audit found."),
    ("audit_last_run_timestamp_seconds", Unit::Seconds, "When the last audit ended, in seconds since 1970."),
];

/// What became of what is counted by outcome.
const OUTCOMES: [(&str, &[&str]); 4] = [
    ("seat_holds_total", &["held", "not_found", "taken", "limit", "not_active", "error"]),
    (
        "payments_total",
        &[
            "paid",
            "replayed",
            "not_active",
            "not_found",
            "lapsed",
            "in_progress",
            "taken",
            "insufficient",
            "key_in_use",
            "error",
        ],
    ),
    ("refunds_total", &["refunded", "replayed", "not_found", "too_late", "balance_limit", "error"]),
    ("payments_reconciled_total", &["ok", "error"]),
];

const PLAIN: [&str; 5] = [
    "seats_settled_total",
    "payment_amount_won_total",
    "refund_amount_won_total",
    "wallet_charges_total",
    "postgres_refused_total",
];

/// What is done together.
const BATCHED: [&str; 7] = [
    "queue.enter",
    "queue.check",
    "seat.hold",
    "seat.begin_payment",
    "seat.finish_payment",
    "payment.pay",
    "wallet.charge",
];

/// The calls that a sale stands on; the others' counters appear with their first answer.
const CALLS: [(&str, &str); 8] = [
    ("POST", "/api/v1/queues/token"),
    ("GET", "/api/v1/queues/token/rank"),
    ("GET", "/api/v1/concerts/{concertId}/schedules"),
    ("GET", "/api/v1/concerts/schedules/{concertScheduleId}/seats"),
    ("POST", "/api/v1/reservations/concert"),
    ("GET", "/api/v1/user-wallets/balance"),
    ("PATCH", "/api/v1/user-wallets/balance"),
    ("POST", "/api/v1/payment/concert"),
];

/// What a metric says of itself.
pub(crate) fn help(name: &str) -> &'static str {
    let all = COUNTERS.iter().chain(&HISTOGRAMS).chain(&GAUGES);
    all.into_iter().find(|(known, ..)| *known == name).map_or("", |(.., help)| *help)
}

pub(super) fn describe() {
    for (name, unit, help) in COUNTERS {
        describe_counter!(name, unit, help);
    }
    for (name, unit, help) in HISTOGRAMS {
        describe_histogram!(name, unit, help);
    }
    for (name, unit, help) in GAUGES {
        describe_gauge!(name, unit, help);
    }
}

/// Has everything begin at 0 whose labels are known from the start.
pub(super) fn count_from_zero() {
    for name in PLAIN {
        counter!(name).increment(0);
    }
    for (name, outcomes) in OUTCOMES {
        for outcome in outcomes {
            counter!(name, "outcome" => *outcome).increment(0);
        }
    }
    for reason in ["full", "head", "idle"] {
        counter!("connections_closed_total", "reason" => reason).increment(0);
    }
    for op in BATCHED {
        let _ = histogram!("batch_size", "op" => op);
    }
    for (method, route) in CALLS {
        counter!("http_requests_total", "method" => method, "route" => route, "status" => "200").increment(0);
        let _ = histogram!("http_request_duration_seconds", "method" => method, "route" => route);
    }
}
