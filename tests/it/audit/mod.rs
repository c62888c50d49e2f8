//! `onsale audit`: what must never be is done by hand, and it says which invariant that breaks and where.

mod books;
mod live;
mod stores;

use serde_json::Value;

use crate::program::run;
use crate::support::TestApp;

/// What the audit says of an app's stores.
#[derive(Debug)]
struct Audit {
    code: Option<i32>,
    findings: Vec<Value>,
}

impl Audit {
    /// As `onsale audit` does it, with these options.
    async fn of(app: &TestApp, args: &[&str]) -> Self {
        let stores = &app.settings.stores;
        let variables = [
            ("DATABASE_URL", &*stores.database_url),
            ("REDIS_URL", &*stores.redis_url),
            ("ONSALE_KEY_PREFIX", &*stores.key_prefix),
        ];
        let json = run(&[&["audit", "--json"], args].concat(), &variables).await;
        let findings: Vec<Value> = json.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let numbers: Vec<_> = findings.iter().map(|finding| finding["invariant"].as_u64().unwrap()).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7], "a line each: {json:?}");
        let audit = Self { code: json.code, findings };
        assert_eq!(audit.code, Some(i32::from(!audit.broken().is_empty())), "{json:?}");
        audit
    }

    /// The invariants that it calls broken.
    fn broken(&self) -> Vec<u64> {
        let broken = self.findings.iter().filter(|finding| finding["holds"] == false);
        broken.map(|finding| finding["invariant"].as_u64().unwrap()).collect()
    }

    /// What it names as breaking them, in order.
    fn examples(&self) -> Vec<&str> {
        let breaches = self.findings.iter().flat_map(|finding| finding["breaches"].as_array().unwrap());
        let examples = breaches.flat_map(|breach| breach["examples"].as_array().unwrap());
        examples.map(|example| example.as_str().unwrap()).collect()
    }

    #[track_caller]
    fn assert_broken(&self, invariants: &[u64], examples: &[&str]) {
        assert_eq!((self.broken(), self.examples()), (invariants.to_vec(), examples.to_vec()), "{self:?}");
    }
}

/// An app that has sold seat 1 to user 1, and where user 2 holds seat 2: payment and first reservation are number 1.
async fn sale() -> TestApp {
    let app = TestApp::without_jobs(&[]).await;
    app.charge(1, 300_000).await.data();
    let (buyer, holder) = (app.enter(1).await, app.enter(2).await);
    assert_eq!(app.hold(&buyer, 1, 1).await.reservation(), 1);
    assert_eq!(app.hold(&holder, 1, 2).await.reservation(), 2);
    assert_eq!(app.pay(&buyer, 1).await.payment(), 1);
    app
}
