//! Who watches the queues, in Redis itself and past every proxy: the cap and the order at every look, and who was let in
//! when, for the checker. Also notices when the machine as a whole stands still.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use tokio::task::JoinHandle;

use crate::history::{Admission, History, Span, millis, now_ms};
use crate::programme::{Programme, Queue, WAITING_TTL};
use crate::stores;

const INTERVAL: Duration = Duration::from_millis(200);
/// A look that comes so much late says that the machine is overloaded.
const STALL: Duration = Duration::from_millis(150);

/// One instant of a queue. Returns: ms, how many are active, records of those active, of those who wait, of those who
/// ended lately. When somebody was let in whose record says that it waits, its slot says (lua/queue/token.lua).
const LOOK: &str = "
local function records(users)
  if #users == 0 then return {} end
  local found = {}
  for _, record in ipairs(redis.call('HMGET', KEYS[3], unpack(users))) do
    if record then found[#found + 1] = record end
  end
  return found
end
local origin = tonumber(redis.call('HGET', KEYS[5], 'origin') or 0)
local function let_in(records)
  local found = {}
  for _, record in ipairs(records) do
    local place, entered = string.match(record, '^W:(%d+):(%d+)')
    if place then
      local at = (place - origin - 1) % 2097152 * 18
      local slot = redis.call('GETRANGE', KEYS[6], at, at + 17)
      local order, _, since = 0, 0, 0
      if #slot == 18 then order, _, since = struct.unpack('>I6I6I6', slot) end
      record = order == tonumber(place) and string.format('A:%s:%s:%.0f', place, entered, since)
    end
    if record then found[#found + 1] = record end
  end
  return found
end
local time = redis.call('TIME')
return {
  time[1] * 1000 + math.floor(time[2] / 1000), redis.call('ZCARD', KEYS[2]),
  let_in(records(redis.call('ZRANGE', KEYS[2], 0, 999))), records(redis.call('ZRANGE', KEYS[1], 0, 199)),
  records(redis.call('ZREVRANGE', KEYS[4], 0, 199))
}";

type Look = (u64, u64, Vec<String>, Vec<String>, Vec<String>);

/// A token's record: STATUS:place:entered:seen. Of one that was let in, `seen` is when.
#[derive(Debug, Clone, Copy)]
struct Record {
    status: char,
    place: u64,
    entered: u64,
    seen: u64,
}

/// Watches until it is aborted.
pub fn watch(redis_url: &str, programme: &Arc<Programme>, history: Arc<History>) -> JoinHandle<()> {
    let (url, programme) = (redis_url.to_owned(), programme.clone());
    tokio::spawn(async move {
        let mut connection = None;
        loop {
            let slept = (Instant::now(), now_ms());
            tokio::time::sleep(INTERVAL).await;
            if slept.0.elapsed() > INTERVAL + STALL {
                history.records().stalls.push(Span { from: slept.1 + millis(INTERVAL), to: now_ms() });
            }
            if connection.is_none() {
                connection = stores::connect(&url).await.ok();
            }
            for queue in &programme.queues {
                if let Some(open) = &mut connection {
                    match look(open, queue).await {
                        Ok(look) => learn(&history, queue, &look),
                        Err(_) => connection = None,
                    }
                }
            }
        }
    })
}

async fn look(connection: &mut MultiplexedConnection, queue: &Queue) -> redis::RedisResult<Look> {
    let keys = ["waiting", "active", "tokens", "ended", "state", "times"];
    let keys = keys.map(|key| format!("onsale:{{queue:{}}}:{key}", queue.name));
    redis::cmd("EVAL").arg(LOOK).arg(keys.len()).arg(&keys[..]).query_async(connection).await
}

fn learn(history: &History, queue: &Queue, (now, count, active, waiting, ended): &Look) {
    let mut records = history.records();
    *records.counts.entry("looks at a queue").or_default() += 1;
    if *count > queue.cap {
        records.breach("never more active than the cap", format!("{count} active in {} at {now}", queue.name));
    }
    let read = |records: &[String]| records.iter().filter_map(|record| parse(record)).collect::<Vec<_>>();
    let (active, waiting, ended) = (read(active), read(waiting), read(ended));
    for first in waiting.iter().filter(|token| token.seen + millis(WAITING_TTL) > *now) {
        // Of two who were there together, the later place is in and the earlier one is not.
        let overtaker = active.iter().find(|token| token.place > first.place && token.seen > first.entered);
        if let Some(overtaker) = overtaker {
            let detail = format!("{} at {now}: {first:?} waits, {overtaker:?} is active", queue.name);
            records.breach("nobody is let in before who came earlier", detail);
        }
    }
    // One that had paid before Redis went back is ended without being let in again.
    let ended = ended.iter().filter(|token| token.status == 'C' && token.seen > 0);
    for token in active.iter().chain(ended) {
        let admission = Admission { entered: token.entered, admitted: token.seen };
        records.admissions.insert((queue.name, token.place), admission);
    }
}

fn parse(record: &str) -> Option<Record> {
    let mut parts = record.split(':');
    let status = parts.next()?.chars().next()?;
    let mut number = || parts.next()?.parse().ok();
    Some(Record { status, place: number()?, entered: number()?, seen: number()? })
}
