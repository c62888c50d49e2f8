//! The floor of token and hold in Redis: the service's own scripts, one call each, on data of the same shape under keys of
//! their own, sent to bare Redis without waiting for each answer or with.
//!
//! Here, and only here, is how the scripts are joined and what they take: change it with `src/queue/store.rs` and
//! `src/seat/store.rs`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use redis::Script;
use redis::aio::MultiplexedConnection;

use super::programme::ARENA_SEATS;
use super::stage::Outcome;
use super::stage::cost::{Meter, float};

/// As many as redis-benchmark has.
const CONNECTIONS: usize = 50;

const QUEUE_KEYS: [&str; 9] = ["waiting", "active", "tokens", "ended", "holding", "state", "crowd", "early", "times"];
const SEAT_KEYS: [&str; 8] = ["seats", "map", "holds", "lapses", "by_seat", "by_user", "paying", "past"];

/// Those who hold, each with a token; each takes at most three seats.
const HOLDERS: usize = 20_000;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scripted {
    Enter,
    Hold,
}

/// A round's cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    pub(super) per_second: f64,
    pub(super) cpu_us: f64,
}

fn source(name: &str) -> Outcome<String> {
    Ok(std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("lua").join(name))?)
}

fn joined(names: &[&str]) -> Outcome<String> {
    let sources = names.iter().map(|name| source(name)).collect::<Outcome<Vec<_>>>()?;
    Ok(sources.join("\n"))
}

impl Scripted {
    fn source(self) -> Outcome<String> {
        match self {
            Self::Enter => joined(&["queue/token.lua", "queue/admit.lua", "each.lua", "queue/enter.lua"]),
            Self::Hold => joined(&["seat/map.lua", "queue/token.lua", "each.lua", "seat/hold.lua"]),
        }
    }

    /// Of the call of this number, without the incarnation: what calls share, then this call's own.
    fn arguments(self, call: usize) -> String {
        let (shared, own) = match self {
            Self::Enter => ("1 1000000 3600000 3600000 64 0 -1 0 0 0 100000000".to_owned(), format!("{}", call + 1)),
            Self::Hold => {
                let user = call % HOLDERS + 1;
                let (reservation, position) = (call + 1, call % ARENA_SEATS);
                ("4 256 3600000 1".to_owned(), format!("{user} {user} 1-{user} {reservation} {position} 3600000"))
            }
        };
        format!("{shared} {own}")
    }

    /// A queue's keys; before them, for holds, a schedule's.
    fn keys(self, number: usize) -> Vec<String> {
        let queue = QUEUE_KEYS.map(|key| format!("floor:{{queue:{number}}}:{key}"));
        let seats = SEAT_KEYS.map(|key| format!("floor:{{queue:{number}}}:schedule:1:{key}"));
        match self {
            Self::Enter => queue.to_vec(),
            Self::Hold => [&seats[..], &queue[..]].concat(),
        }
    }

    /// Opens what it works on, as new.
    async fn open(self, connection: &mut MultiplexedConnection, keys: &[String]) -> Outcome {
        let run = async |names: &[&str], arguments: &[&str], connection: &mut MultiplexedConnection| {
            let script = Script::new(&joined(names)?);
            let mut call = script.prepare_invoke();
            let is_queue = names[0] == "queue/token.lua";
            let (seats, queue) = keys.split_at(keys.len() - QUEUE_KEYS.len());
            for key in if is_queue { queue } else { seats } {
                call.key(key);
            }
            for argument in arguments {
                call.arg(*argument);
            }
            Outcome::Ok(call.arg("floor").invoke_async::<redis::Value>(connection).await?)
        };
        run(&["queue/token.lua", "queue/open.lua"], &["0", "1", "0"], connection).await?;
        if self == Self::Hold {
            let seats = "F".repeat(ARENA_SEATS);
            run(&["seat/map.lua", "seat/load.lua"], &["nonce", &seats], connection).await?;
            run(&["seat/map.lua", "seat/open.lua"], &["nonce", "0"], connection).await?;
            let queue = &keys[keys.len() - QUEUE_KEYS.len()..];
            // Let in for a minute, which every hold prolongs.
            let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
            let mut let_in = redis::pipe();
            for user in 1..=HOLDERS {
                let_in.hset(&queue[2], user, format!("A:{user}:{now}:{now}")).ignore();
                let_in.zadd(&queue[1], user, (now + 60_000).to_string()).ignore();
            }
            let_in.exec_async(connection).await?;
        }
        Ok(())
    }

    /// Has Redis run it for a time, with so many calls under way on each connection, and no more than there are.
    pub(super) async fn round(self, meter: &Meter, number: usize, pipeline: usize, time: Duration) -> Outcome<Cost> {
        let (mut connection, keys) = (meter.connection.clone(), self.keys(number));
        self.open(&mut connection, &keys).await?;
        let hash: String = redis::cmd("SCRIPT").arg("LOAD").arg(self.source()?).query_async(&mut connection).await?;
        let port = redis::cmd("CONFIG").arg("GET").arg("port").query_async::<Vec<String>>(&mut connection).await?;
        let address = ("127.0.0.1", port.get(1).ok_or("no port")?.parse::<u16>()?);
        let streams = (0..CONNECTIONS).map(|_| TcpStream::connect(address)).collect::<Result<Vec<_>, _>>()?;
        streams.iter().try_for_each(|stream| stream.set_nodelay(true))?;
        let most = if self == Self::Hold { ARENA_SEATS } else { usize::MAX };
        let command = |call: usize| {
            let mut command = redis::cmd("EVALSHA");
            command.arg(&hash).arg(keys.len()).arg(&keys);
            self.arguments(call).split(' ').for_each(|argument| _ = command.arg(argument));
            command.arg("floor").get_packed_command()
        };
        let (mut calls, before, begun) = (0, meter.read()?, Instant::now());
        while begun.elapsed() < time && calls + CONNECTIONS * pipeline <= most {
            for mut stream in &streams {
                let batch: Vec<u8> = (calls..calls + pipeline).flat_map(&command).collect();
                stream.write_all(&batch)?;
                calls += pipeline;
            }
            for stream in &streams {
                read_replies(stream, pipeline)?;
            }
        }
        let spent = meter.since(&before)?;
        self.check(&mut connection, &keys, calls).await?;
        let count = float(calls as u64);
        Ok(Cost { per_second: count / spent.seconds, cpu_us: spent.redis_cpu_seconds / count * 1e6 })
    }

    /// Every call must have done what it is for; then all goes.
    async fn check(self, connection: &mut MultiplexedConnection, keys: &[String], calls: usize) -> Outcome {
        // The third of both: a record for each.
        let done: usize = redis::cmd("HLEN").arg(&keys[2]).query_async(connection).await?;
        redis::cmd("UNLINK").arg(keys).query_async::<()>(connection).await?;
        if done == calls { Ok(()) } else { Err(format!("{self:?}: {done} of {calls} calls did their work").into()) }
    }
}

/// Reads so many replies, whatever they are.
fn read_replies(mut stream: &TcpStream, count: usize) -> Outcome {
    let (mut buffer, mut input, mut at, mut left) = ([0; 16 * 1024], Vec::new(), 0, count);
    while left > 0 {
        if let Some(end) = end_of_value(&input, at) {
            (at, left) = (end, left - 1);
            continue;
        }
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err("Redis has closed a connection".into());
        }
        input.extend_from_slice(&buffer[..read]);
    }
    Ok(())
}

/// Where a reply that begins here ends, if it is whole.
fn end_of_value(input: &[u8], at: usize) -> Option<usize> {
    let line = at + input.get(at..)?.iter().position(|byte| *byte == b'\n')? + 1;
    let number = std::str::from_utf8(&input[at + 1..line - 2]).ok()?.parse::<usize>();
    match (input[at], number) {
        (b'$', Ok(length)) => (line + length + 2 <= input.len()).then_some(line + length + 2),
        (b'*', Ok(count)) => (0..count).try_fold(line, |at, _| end_of_value(input, at)),
        _ => Some(line),
    }
}

/// By which Redis knows the script that lets in.
pub(super) fn promote_hash() -> Outcome<String> {
    Ok(Script::new(&joined(&["queue/token.lua", "queue/admit.lua", "queue/promote.lua"])?).get_hash().to_owned())
}
