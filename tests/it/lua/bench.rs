//! A script alone with a real Redis: keys of its own for each test, replies as texts, and a memory of what was said.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, Value};

use super::source;
use crate::support::servers;

/// The keys of one queue or one schedule.
pub struct Bench {
    room: &'static str,
    connection: MultiplexedConnection,
    /// Name and whole key, in the order of KEYS.
    keys: Vec<(String, String)>,
    said: Mutex<BTreeMap<String, BTreeSet<String>>>,
    incarnation: AtomicU32,
}

impl Bench {
    /// Fresh keys, named as `redis::Keys` names them; of one queue, one schedule, or the sampler.
    pub async fn new(room: &'static str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let tag = match room {
            "sample" => "sampler",
            "limit" => "limit:bench",
            _ => "queue:bench",
        };
        let named = |room: &str, part: &str| {
            let names = source::lists_keys(&format!("{room}.")).listed_keys();
            let key = |name: String| (name.clone(), format!("lua_{number}:{{{tag}}}:{part}{name}"));
            names.into_iter().map(key).collect::<Vec<_>>()
        };
        // A schedule's queue is with it.
        let keys = match room {
            "seat" => [named("seat", "schedule:7:"), named("queue", "")].concat(),
            room => named(room, ""),
        };
        let patient = AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(20)));
        let client = Client::open(servers().await.redis_url()).unwrap();
        let connection = client.get_multiplexed_async_connection_with_config(&patient).await.unwrap();
        Self { room, connection, keys, said: Mutex::default(), incarnation: AtomicU32::new(1) }
    }

    /// Runs a script of the room; its reply begins with a word.
    pub async fn run(&self, name: &str, args: &[&str]) -> Vec<String> {
        self.run_of(self.room, name, args).await
    }

    /// Runs a script of this room on the last of the keys.
    pub async fn run_of(&self, room: &str, name: &str, args: &[&str]) -> Vec<String> {
        let op = format!("{room}.{name}");
        let reply = texts(self.invoke(&op, args).await);
        self.said.lock().unwrap().entry(op).or_default().insert(reply[0].clone());
        reply
    }

    /// Runs a script that takes many calls; what it replies to each.
    pub async fn run_each(&self, name: &str, shared: &[&str], own: &[&[&str]]) -> Vec<Vec<String>> {
        let args: Vec<&str> = shared.iter().chain(own.iter().copied().flatten()).copied().collect();
        let Value::Array(replies) = self.invoke(&format!("{}.{name}", self.room), &args).await else {
            panic!("no list of replies");
        };
        replies.into_iter().map(texts).collect()
    }

    async fn invoke(&self, op: &str, args: &[&str]) -> Value {
        let script = redis::Script::new(&source::joined(op));
        let mut invocation = script.prepare_invoke();
        if op == "queue.complete" {
            // Whatever the schedules, it is this one.
            for name in args[2].split_whitespace().flat_map(|_| ["map", "holds", "by_user"]) {
                invocation.key(self.key(name));
            }
        }
        for (_, key) in self.keys_of(op) {
            invocation.key(key);
        }
        for arg in args {
            invocation.arg(*arg);
        }
        invocation.arg(self.incarnation.load(Ordering::Relaxed));
        invocation.invoke_async(&mut self.connection.clone()).await.unwrap()
    }

    /// Asks Redis itself, as in `ZSCORE waiting 7`: the second word stands for the key.
    pub async fn ask(&self, command: &str) -> Vec<String> {
        let mut words = command.split_whitespace();
        let mut cmd = Cmd::new();
        cmd.arg(words.next().unwrap());
        cmd.arg(self.key(words.next().unwrap()));
        for word in words {
            cmd.arg(word);
        }
        texts(cmd.query_async(&mut self.connection.clone()).await.unwrap())
    }

    /// The same, where there is one value to get; `nil` if there is none.
    pub async fn one(&self, command: &str) -> String {
        let answer = self.ask(command).await;
        assert_eq!(answer.len(), 1, "{command}: {answer:?}");
        answer.into_iter().next().unwrap()
    }

    /// So many bytes of a key from one on, as far as there are any.
    pub async fn bytes(&self, name: &str, from: usize, many: usize) -> Vec<u8> {
        let mut get = redis::cmd("GETRANGE");
        get.arg(self.key(name)).arg(from).arg(from + many - 1);
        get.query_async(&mut self.connection.clone()).await.unwrap()
    }

    /// Has Redis carry out a command whose words hold spaces.
    pub async fn execute(&self, command: &Cmd) {
        command.exec_async(&mut self.connection.clone()).await.unwrap();
    }

    /// Redis' clock, in microseconds.
    pub async fn now_us(&self) -> i64 {
        let (seconds, rest): (i64, i64) = redis::cmd("TIME").query_async(&mut self.connection.clone()).await.unwrap();
        seconds * 1_000_000 + rest
    }

    /// All keys as they are stored, to see whether anything has changed.
    pub async fn snapshot(&self) -> Vec<Value> {
        let mut all = Vec::new();
        for (_, key) in &self.keys {
            all.push(redis::cmd("DUMP").arg(key).query_async(&mut self.connection.clone()).await.unwrap());
        }
        all
    }

    /// Another Redis takes over, with the same data.
    pub fn fail_over(&self) {
        self.incarnation.fetch_add(1, Ordering::Relaxed);
    }

    /// Redis loses everything.
    pub async fn lose(&self) {
        for (name, _) in &self.keys {
            self.ask(&format!("DEL {name}")).await;
        }
    }

    /// Asserts that the script has been seen to say every word that its header promises, and no other.
    #[track_caller]
    pub fn assert_said_all(&self, op: &str) {
        let said = self.said.lock().unwrap();
        assert_eq!(said.get(op), Some(&source::named(op).promised_words()), "the words of {op}");
    }

    /// The keys that a script takes: a queue's are the last, and a schedule's go without them where it does not need them.
    fn keys_of(&self, op: &str) -> &[(String, String)] {
        let own = source::lists_keys(op).listed_keys().len();
        if op.starts_with("queue.") {
            &self.keys[self.keys.len() - own..]
        } else if source::openings(op).contains(&"queue.token") {
            &self.keys
        } else {
            &self.keys[..own]
        }
    }

    pub fn key(&self, name: &str) -> &str {
        let found = self.keys.iter().find(|(known, _)| known == name);
        found.map_or_else(|| panic!("no key {name}"), |(_, key)| key)
    }
}

fn texts(value: Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.into_iter().flat_map(texts).collect(),
        Value::Nil => vec!["nil".to_owned()],
        Value::Int(number) => vec![number.to_string()],
        Value::BulkString(bytes) => vec![String::from_utf8(bytes).unwrap()],
        Value::SimpleString(text) => vec![text],
        Value::Okay => vec!["OK".to_owned()],
        other => panic!("a reply of an unknown kind: {other:?}"),
    }
}

/// Lets some milliseconds pass.
pub async fn pass(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// The number at a place of a reply.
#[track_caller]
pub fn number(reply: &[String], at: usize) -> i64 {
    reply[at].parse().unwrap_or_else(|_| panic!("no number at {at} in {reply:?}"))
}
