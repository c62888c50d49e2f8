//! The gate's contract with each kind of proxy, by exactly the requests that it sends.

use serde_json::Value;

use super::{CHECK, assert_out, assert_through, check, cookie_of};
use crate::support::{TestApp, at_once, block_on};

const ONE: [&str; 4] = ["--max-active", "1", "--waiting-page", "/waiting/{queue}?to={return}"];

#[test]
fn the_active_go_through_and_the_others_to_the_waiting_page() {
    block_on(async {
        let app = TestApp::without_jobs(&ONE).await;
        let (active, waiting) = (app.enter(1).await, app.enter(2).await);
        for headers in [("token", active.clone()), ("cookie", format!("a=b; onsale_token={active}"))] {
            let answer = check(&app, CHECK, &[(headers.0, &headers.1)]).await;
            assert_through(&answer, 1);
            assert_eq!(answer.header("x-onsale-queue"), "default");
            assert_eq!(cookie_of(&answer), answer.header("x-onsale-pass"));
            let cookie = answer.header("set-cookie");
            assert!(cookie.contains("; HttpOnly; SameSite=Lax; Path=/; Max-Age="), "{cookie}");
            assert!(!cookie.contains("Secure"), "{cookie}");
        }
        let secure = check(&app, CHECK, &[("token", &active), ("x-forwarded-proto", "https")]).await;
        assert!(secure.header("set-cookie").ends_with("; Secure"));

        let asked = [("x-original-url", "https://shop.example/buy?item=1&b=2")];
        let waits = check(&app, CHECK, &[&asked[..], &[("token", &waiting)]].concat()).await;
        assert_out(&waits, 403, "TOKEN_NOT_ACTIVE");
        assert_eq!(waits.header("location"), "/waiting/default?to=%2Fbuy%3Fitem%3D1%26b%3D2");
        let nobody = check(&app, CHECK, &asked).await;
        assert_out(&nobody, 401, "INVALID_TOKEN");
        assert_eq!(nobody.header("location"), waits.header("location"));
        app.leave(&active).await.data();
        assert_out(&check(&app, CHECK, &[("token", &active)]).await, 401, "TOKEN_EXPIRED");
    });
}

#[test]
fn nobody_is_lured_to_another_site() {
    block_on(async {
        let app = TestApp::without_jobs(&ONE).await;
        for said in ["//evil.example/a", "https://evil.example/a", "/\\evil.example/a", "\\\\evil.example/a"] {
            for header in ["x-original-url", "x-forwarded-uri", "x-original-uri"] {
                let location = check(&app, CHECK, &[(header, said)]).await.header("location").to_owned();
                let back = location.strip_prefix("/waiting/default?to=").unwrap();
                assert!(
                    back.starts_with("%2F") && !back.starts_with("%2F%2F") && !back.starts_with("%2F%5C"),
                    "{back}"
                );
                assert!(!back.contains("https"), "{back}");
            }
        }
    });
}

#[test]
fn a_place_in_another_queue_is_none_in_this() {
    block_on(async {
        let app = TestApp::without_jobs(&ONE).await;
        app.add_queue("of-its-own", 2).await;
        let token = app.enter(1).await;
        let pass = check(&app, CHECK, &[("token", &token)]).await.header("x-onsale-pass").to_owned();
        let ways = [("token", &*token), ("onsale-pass", &*pass)];
        for way in ways {
            for here in ["?queue=default", "?concertId=1", "?queue=default&concertId=1"] {
                assert_through(&check(&app, &format!("{CHECK}{here}"), &[way]).await, 1);
            }
        }
        for there in ["?queue=of-its-own", "?concertId=2"] {
            let answer = check(&app, &format!("{CHECK}{there}"), &ways[..1]).await;
            assert_out(&answer, 403, "WRONG_QUEUE");
            assert_eq!(answer.header("location"), "/waiting/of-its-own?to=%2F");
            assert_out(&check(&app, &format!("{CHECK}{there}"), &ways[1..]).await, 403, "WRONG_QUEUE");
            assert_out(&check(&app, &format!("{CHECK}{there}"), &ways).await, 403, "WRONG_QUEUE");
        }
        // What is wrong with the proxy's own question is told to its operator.
        for (bad, status, code) in [
            ("?queue=none", 400, "INVALID_REQUEST"),
            ("?queue=", 400, "INVALID_REQUEST"),
            ("?queue=default&queue=default", 400, "INVALID_REQUEST"),
            ("?concertId=x", 400, "INVALID_REQUEST"),
            ("?concertId=99", 404, "CONCERT_NOT_FOUND"),
            ("?queue=default&concertId=2", 400, "INVALID_REQUEST"),
            ("?redirect=303", 400, "INVALID_REQUEST"),
        ] {
            check(&app, &format!("{CHECK}{bad}"), &ways).await.assert_error(status, code);
        }
    });
}

/// Traefik and Caddy: GET, whatever the visitor's method; its address in headers; the answer goes to the visitor.
#[test]
fn forward_auth_hands_the_redirect_to_the_visitor() {
    block_on(async {
        let app = TestApp::without_jobs(&ONE).await;
        let (active, waiting) = (app.enter(1).await, app.enter(2).await);
        let path = format!("{CHECK}?queue=default&redirect=302");
        let asked = |token: &str| {
            let app = &app;
            let cookie = format!("onsale_token={token}");
            let path = path.clone();
            async move {
                let headers = [
                    ("x-forwarded-method", "POST"),
                    ("x-forwarded-proto", "https"),
                    ("x-forwarded-host", "shop.example"),
                    ("x-forwarded-uri", "/buy?x=1"),
                    ("x-forwarded-for", "192.0.2.1"),
                    ("cookie", &cookie),
                ];
                check(app, &path, &headers).await
            }
        };
        assert_through(&asked(&active).await, 1);
        for (token, code) in [(&*waiting, "TOKEN_NOT_ACTIVE"), ("", "INVALID_TOKEN")] {
            let answer = asked(token).await;
            assert_out(&answer, 302, code);
            assert_eq!(answer.header("location"), "/waiting/default?to=%2Fbuy%3Fx%3D1");
        }
    });
}

/// Envoy: the visitor's own method and path behind the prefix, without the body.
#[test]
fn ext_authz_asks_with_any_method_at_any_path() {
    block_on(async {
        let app = TestApp::without_jobs(&ONE).await;
        app.add_queue("of-its-own", 2).await;
        let active = app.enter(1).await;
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
            for path in
                ["/gate/check/", "/gate/check/buy/1?x=1", "/gate/check//evil.example/?redirect=1&queue=of-its-own"]
            {
                let body = [("content-length", "0"), ("content-type", "application/json")];
                let required = ("x-onsale-require-queue", "default");
                let headers = [&body[..], &[required, ("token", &active)]].concat();
                let answer = app.call(method, path, &headers, Value::Null).await;
                assert_eq!((answer.status.as_u16(), answer.header("x-onsale-user")), (200, "1"), "{method} {path}");
                let out = app.call(method, path, &[&body[..], &[required]].concat(), Value::Null).await;
                assert_eq!(out.status, 302, "{method} {path}");
                let back = out.header("location").strip_prefix("/waiting/default?to=").unwrap();
                let encoded = match path {
                    "/gate/check/" => "%2F",
                    "/gate/check/buy/1?x=1" => "%2Fbuy%2F1%3Fx%3D1",
                    _ => "%2Fevil.example%2F%3Fredirect%3D1%26queue%3Dof-its-own",
                };
                assert_eq!(back, encoded);
            }
        }
        let path = "/gate/check/buy?queue=default";
        let required = |name| [("x-onsale-require-queue", name), ("token", &*active)];
        assert_out(&check(&app, path, &required("of-its-own")).await, 302, "WRONG_QUEUE");
        check(&app, path, &required("none")).await.assert_error(400, "INVALID_REQUEST");
        let twice = [&required("default")[..], &required("of-its-own")[..1]].concat();
        check(&app, path, &twice).await.assert_error(400, "INVALID_REQUEST");
    });
}

#[test]
fn a_hundred_at_once_are_told_apart() {
    block_on(async {
        let app = std::sync::Arc::new(TestApp::without_jobs(&["--max-active", "50"]).await);
        let mut tokens = Vec::new();
        for user in 1..=100 {
            tokens.push(app.enter(user).await);
        }
        let calls = tokens.into_iter().zip(1..).map(|(token, user)| {
            let app = app.clone();
            async move { (user, check(&app, CHECK, &[("token", &token)]).await) }
        });
        for (user, answer) in at_once(calls).await {
            if user <= 50 {
                assert_through(&answer, user);
                assert_eq!(
                    app.call("GET", CHECK, &[("onsale-pass", cookie_of(&answer))], Value::Null)
                        .await
                        .header("x-onsale-user"),
                    user.to_string()
                );
            } else {
                assert_out(&answer, 403, "TOKEN_NOT_ACTIVE");
            }
        }
    });
}

#[test]
fn with_a_pass_redis_need_not_be_there() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let token = app.enter(1).await;
        let pass = check(&app, CHECK, &[("token", &token)]).await.header("x-onsale-pass").to_owned();
        app.forget_redis().await;
        tokio::time::sleep(std::time::Duration::from_millis(600)).await;
        assert_through(&check(&app, CHECK, &[("onsale-pass", &pass), ("token", &token)]).await, 1);
        let key = app.settings.stores.key_prefix.clone();
        let client = redis::Client::open(app.settings.stores.redis_url.as_str()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let keys: Vec<String> = redis::cmd("KEYS").arg(format!("{key}:*")).query_async(&mut connection).await.unwrap();
        assert!(keys.is_empty(), "the gate has asked Redis: {keys:?}");
    });
}
