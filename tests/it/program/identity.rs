//! Who is believed is said at the start, and what is wrong with that stops it.

use serde_json::Value;

use super::arguments::{NEEDED, assert_refused};
use super::serve::Serving;
use crate::support::block_on;

#[test]
fn the_start_says_loudly_who_is_believed() {
    block_on(async {
        let warned = |log: &[String], word: &str| {
            let mut lines = log.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
            lines.any(|line| line["level"] == "WARN" && line["message"].as_str().unwrap().contains(word))
        };
        let serving = Serving::start(&[]).await;
        assert!(warned(&serving.before, "the userId header is believed"), "{:?}", serving.before);

        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        std::fs::write(&keys, "canary: a secret of thirty-two bytes").unwrap();
        let args = ["--identity", "jwt", "--jwt-key-file", keys.to_str().unwrap()];
        let serving = Serving::start(&args).await;
        assert!(!warned(&serving.before, "userId"), "{:?}", serving.before);
        assert!(warned(&serving.before, "ONSALE_JWT_AUDIENCE"), "{:?}", serving.before);
        assert!(!serving.before.concat().contains("canary"));
        let serving = Serving::start(&[&args[..], &["--jwt-audience", "onsale"]].concat()).await;
        assert!(!warned(&serving.before, "ONSALE_JWT"), "{:?}", serving.before);
    });
}

#[test]
fn what_is_wrong_with_it_is_named() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let [good, bad] = ["good", "bad"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
        std::fs::write(&good, "a secret of thirty-two bytes, or more").unwrap();
        std::fs::write(&bad, "hunter2").unwrap();
        let (identity, file) = ("ONSALE_IDENTITY", "ONSALE_JWT_KEY_FILE");
        for (variables, named) in [
            (vec![(identity, "oauth")], identity),
            (vec![(identity, "")], identity),
            (vec![(identity, "jwt")], file),
            (vec![(identity, "jwt"), (file, "/nowhere")], file),
            (vec![(identity, "jwt"), (file, "/")], file),
            (vec![(identity, "jwt"), (file, &bad)], file),
            (vec![(identity, "jwt"), (file, &good), ("ONSALE_JWT_AUDIENCE", "")], "ONSALE_JWT_AUDIENCE"),
            (vec![(identity, "jwt"), (file, &good), ("ONSALE_JWT_ISSUER", "a b")], "ONSALE_JWT_ISSUER"),
            // Somebody thinks that tokens are checked.
            (vec![(file, &*good)], file),
            (vec![("ONSALE_JWT_AUDIENCE", "onsale")], "ONSALE_JWT_AUDIENCE"),
            (vec![(identity, "gateway"), ("ONSALE_JWT_ISSUER", "x")], "ONSALE_JWT_ISSUER"),
        ] {
            assert_refused(&[&NEEDED[..], &variables].concat(), named).await;
        }
    });
}
