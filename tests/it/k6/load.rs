//! `make load`'s script, with something in k6's place: which shop it plays on, and that either failure is one.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::Command;

use crate::lua::source;
use crate::support::{ONSALE, TestApp, block_on};

/// Says what it was told, and fails as it is told to.
const K6: &str = "#!/bin/sh\necho \"$1 $2 on $BASE, $K6_NEW_MACHINE_READABLE_SUMMARY\"\nexit \"${K6_STATUS:-0}\"\n";

struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

async fn load(folder: &TempDir, scenario: &str, variables: &[(&str, &str)]) -> Ran {
    let path = format!("{}:/usr/bin:/bin", folder.path().join("bin").display());
    let mut load = Command::new(source::repository("k6/load"));
    load.arg(scenario).env_clear().envs([("PATH", &*path), ("ONSALE", ONSALE)]).env("ONSALE_HOME", folder.path());
    load.envs(variables.iter().copied()).current_dir(folder.path()).stdin(Stdio::null());
    let output = load.output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[test]
fn a_scenario_is_played_and_then_the_stores_are_audited() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let folder = TempDir::new().unwrap();
        let without = load(&folder, "smoke", &[]).await;
        assert_eq!(without.code, Some(2));
        assert!(without.stderr.contains("https://grafana.com/docs/k6/latest/set-up/install-k6/"), "{}", without.stderr);

        fs::create_dir(folder.path().join("bin")).unwrap();
        let k6 = folder.path().join("bin/k6");
        fs::write(&k6, K6).unwrap();
        fs::set_permissions(&k6, Permissions::from_mode(0o755)).unwrap();
        let unknown = load(&folder, "tsunami", &[]).await;
        assert_eq!(unknown.code, Some(2));
        assert!(unknown.stderr.contains("no scenario tsunami") && unknown.stderr.contains(" ticket-open"));
        let nowhere = load(&folder, "smoke", &[]).await;
        assert_eq!(nowhere.code, Some(2));
        assert!(nowhere.stderr.contains("make run"), "{}", nowhere.stderr);

        let stores = &app.settings.stores;
        let told = format!(
            "BASE='http://127.0.0.1:7'\nDATABASE_URL='{}'\nREDIS_URL='{}'\nONSALE_KEY_PREFIX='{}'\n",
            stores.database_url, stores.redis_url, stores.key_prefix
        );
        fs::write(folder.path().join("env"), told).unwrap();
        let ran = load(&folder, "one-seat", &[]).await;
        assert_eq!((ran.code, &*ran.stderr), (Some(0), ""), "{}", ran.stdout);
        assert!(ran.stdout.starts_with("run ") && ran.stdout.contains("one-seat.js on http://127.0.0.1:7, false\n"));
        assert!(ran.stdout.lines().count() >= 7, "every invariant has its line: {}", ran.stdout);

        let failed = load(&folder, "smoke", &[("K6_STATUS", "99")]).await;
        assert_eq!(failed.code, Some(99), "thresholds were broken");
        assert!(failed.stdout.lines().count() >= 7, "it is audited all the same");
        let half = load(&folder, "smoke", &[("BASE", "http://127.0.0.1:9")]).await;
        assert_eq!(half.code, Some(2), "another shop, and whose stores?");

        sqlx::query("INSERT INTO user_wallet (user_id, balance) VALUES (1, 1000)").execute(app.pool()).await.unwrap();
        let broken = load(&folder, "smoke", &[]).await;
        assert_eq!(broken.code, Some(1), "{}", broken.stdout);
        assert!(broken.stdout.contains("BROKEN"), "{}", broken.stdout);
    });
}
