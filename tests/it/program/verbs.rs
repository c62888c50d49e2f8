//! `migrate`, `seed` and `audit` on a database of their own, and `verify-draw` of what is no draw.

use super::run;
use crate::support::{block_on, servers};

#[test]
fn migrate_and_seed_may_be_repeated() {
    block_on(async {
        let (database, redis) = (servers().await.empty_database().await, servers().await.redis_url());
        let stores = [("DATABASE_URL", &*database), ("REDIS_URL", &*redis), ("ONSALE_KEY_PREFIX", "verbs")];
        let ran = run(&["seed"], &stores).await;
        assert!(ran.code != Some(0) && ran.stderr.contains("onsale migrate"), "{ran:?}");
        for _ in 0..2 {
            let ran = run(&["migrate"], &stores).await;
            assert_eq!((ran.code, ran.stdout.lines().count()), (Some(0), 1), "{ran:?}");
        }
        for added in ["Added 10 concerts, 30 schedules, 1500 seats.\n", "Added 0 concerts, 0 schedules, 0 seats.\n"] {
            let ran = run(&["seed"], &stores).await;
            assert_eq!((ran.code, &*ran.stdout), (Some(0), added), "{ran:?}");
        }
        let ran = run(&["audit"], &stores).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
    });
}

#[test]
fn verify_draw_says_what_it_was_given_instead() {
    block_on(async {
        let file = tempfile::NamedTempFile::new().unwrap();
        let refused = r#"{"result":"ERROR","data":null,"error":{"code":"X","message":"There is none."}}"#;
        for (text, said) in [(refused, "There is none.\n"), ("{}", "missing field"), ("[]", "not a draw's facts")] {
            std::fs::write(file.path(), text).unwrap();
            let ran = run(&["verify-draw", "--facts", file.path().to_str().unwrap()], &[]).await;
            assert!(ran.code == Some(1) && ran.stderr.contains(said), "{ran:?}");
        }
    });
}
