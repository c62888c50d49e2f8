//! What an attacker may try, and the test that holds it. A row's own tests are here, or named with their place.
//!
//! | threat | tests |
//! |---|---|
//! | forged token | [`token`]: any flipped bit, other keys, other queues, kept keys; `queue::token`, `gate::pass` |
//! | replayed token | [`replay`]: a hundred at once; `race::queue`, `race::money` |
//! | another's reservation | [`ownership`]: every user against every resource |
//! | flooding the queue | [`flood`]: users made up, on two instances; `hardening::limits` |
//! | operators' calls | [`operators`]: every route without the bearer; `admin::access`, `admin::log` |
//! | logs | [`logs`]: canaries through every call, one error one line |
//! | traces | [`traces`]: names and codes, no ids and no tokens |
//! | injection | [`injection`]: braces, quotes and worse, wherever text comes in; static scripts and statements |
//! | amounts | [`amounts`]: numbers out of range, wherever one comes in; the server's own price; the tables' CHECKs |

mod amounts;
mod flood;
mod injection;
mod logs;
mod operators;
mod ownership;
mod replay;
mod running;
mod token;
mod traces;

use crate::lua::source;
use crate::support::TestApp;

/// What text that is no id, no name and no token can look like.
const NASTY: [&str; 16] = [
    "}{",
    "{queue:1}",
    "1}{queue:2",
    "{queue:default}:schedule:1:seats",
    "*",
    "1 OR 1=1",
    "1;DROP TABLE user_wallet",
    "' OR ''='",
    "$1",
    "\"]}{[\"",
    "../../etc/passwd",
    "redis.call('FLUSHALL')",
    "return KEYS",
    "%s%n${jndi:ldap://x}",
    "-1",
    "9223372036854775808",
];

/// Every method and path that the program serves, as its source says, so that no new call can be forgotten.
fn calls() -> Vec<(String, String)> {
    let files = source::files("src").into_iter();
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let mut calls = Vec::new();
    for path in files {
        let code: String = std::fs::read_to_string(&path).unwrap().split_whitespace().collect();
        for route in code.split(".route(").skip(1) {
            let Some((path, handlers)) = route.split_once(',') else { continue };
            // A name instead of a text is the gate's own.
            let path = path.strip_prefix('"').map_or("/gate/check", |path| path.trim_end_matches('"'));
            // Up to the bracket that closes the route.
            let mut depth = 1;
            let end = handlers.find(|letter| {
                depth += i32::from(letter == '(') - i32::from(letter == ')');
                depth == 0
            });
            let handlers = &handlers[..end.unwrap()];
            for method in ["get", "post", "patch", "put", "delete", "any"] {
                let called = format!("{method}(");
                if handlers.starts_with(&called) || handlers.contains(&format!(").{called}")) {
                    let method = if method == "any" { "GET".to_owned() } else { method.to_uppercase() };
                    calls.push((method, path.to_owned()));
                }
            }
        }
    }
    calls.retain(|(_, path)| path != "/metrics");
    assert!(calls.len() > 35, "the calls were not found: {calls:?}");
    calls
}

/// A path with this wherever it names something.
fn filled(path: &str, with: &str) -> String {
    let mut filled = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        filled.push_str(with);
        rest = after.split_once('}').map_or("", |(_, after)| after);
    }
    filled + rest
}

/// A text as it stands in a path.
fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |encoded, byte| encoded + &format!("%{byte:02X}"))
}

impl TestApp {
    /// The names of this app's keys in Redis.
    async fn redis_keys(&self) -> Vec<String> {
        let client = redis::Client::open(self.settings.stores.redis_url.as_str()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut keys = redis::cmd("KEYS");
        keys.arg(format!("{}:*", self.settings.stores.key_prefix)).query_async(&mut connection).await.unwrap()
    }

    /// What is in Redis and in Postgres: names of keys, and rows of the tables that matter.
    async fn contents(&self) -> (Vec<String>, i64) {
        let rows = "SELECT (SELECT count(*) FROM user_wallet) + (SELECT count(*) FROM wallet_ledger)
                         + (SELECT count(*) FROM reservation) + (SELECT count(*) FROM payment_history)
                         + (SELECT count(*) FROM admin_audit) + (SELECT count(*) FROM queue) + (SELECT count(*) FROM concert)
                         + (SELECT count(*) FROM concert_schedule) + (SELECT count(*) FROM concert_seat)
                         + (SELECT coalesce(sum(balance), 0) FROM user_wallet)::bigint";
        let mut keys = self.redis_keys().await;
        keys.sort_unstable();
        (keys, self.number(rows).await)
    }
}
