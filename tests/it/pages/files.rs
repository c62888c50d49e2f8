//! The pages' files, and what is said of pages to browsers.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::lua::source::{files, repository};
use crate::support::{Answer, TestApp, block_on};

async fn get(app: &TestApp, path: &str, headers: &[(&str, &str)]) -> Answer {
    app.call("GET", path, headers, Value::Null).await
}

fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.bytes).unwrap()
}

/// The addresses that a page loads.
fn loaded(page: &str) -> BTreeSet<String> {
    let after = page.split("=\"/assets/").skip(1);
    after.map(|rest| format!("/assets/{}", rest.split('"').next().unwrap())).collect()
}

#[test]
fn a_file_is_kept_for_good_under_its_version_and_asked_for_again_under_another() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let page = get(&app, "/concerts/1", &[]).await;
        let files = loaded(text(&page));
        assert!(files.len() >= 6, "{files:?}");
        for path in &files {
            let plain = get(&app, path, &[]).await;
            assert_eq!(plain.status, 200, "{path}");
            assert_eq!(plain.header("cache-control"), "public, max-age=31536000, immutable");
            assert_eq!(plain.header("x-content-type-options"), "nosniff");
            let gzip = get(&app, path, &[("accept-encoding", "gzip")]).await;
            assert_eq!(gzip.header("content-encoding"), "gzip");
            assert!(gzip.bytes.len() < plain.bytes.len());
            let again = get(&app, path, &[("if-none-match", plain.header("etag"))]).await;
            assert_eq!((again.status.as_u16(), again.bytes.len()), (304, 0));
        }
        let name = files.first().unwrap().rsplit('/').next().unwrap().to_owned();
        let other = get(&app, &format!("/assets/0123456789abcdef/{name}"), &[]).await;
        assert_eq!((other.status.as_u16(), other.header("cache-control")), (200, "no-cache"));
        for path in ["/assets/0123456789abcdef/none.js", "/assets/x/..%2f..%2fCargo.toml"] {
            get(&app, path, &[]).await.assert_error(404, "NOT_FOUND");
        }
    });
}

#[test]
fn a_page_runs_nothing_but_its_own_files() {
    block_on(async {
        let app = TestApp::without_jobs(&["--demo"]).await;
        for (path, status) in
            [("/", 200), ("/concerts/1", 200), ("/me", 200), ("/console", 200), ("/demo", 200), ("/concerts/77", 404)]
        {
            let page = get(&app, path, &[("accept-language", "ko")]).await;
            assert_eq!((page.status.as_u16(), page.header("content-type")), (status, "text/html; charset=utf-8"));
            let policy = page.header("content-security-policy");
            for part in ["default-src 'none'", "script-src 'self';", "style-src 'self';", "frame-ancestors 'none'"] {
                assert!(policy.contains(part), "{path}: {policy}");
            }
            assert_eq!(page.header("referrer-policy"), "same-origin");
            let page = text(&page);
            assert!(page.contains("<html lang=\"ko\">"), "{path}");
            for stopped in ["<style", "style=", " onclick", "{{", "src=\"http", "href=\"http"] {
                assert!(!page.contains(stopped), "{path}: {stopped}");
            }
            assert_eq!(page.matches("<script").count(), page.matches("<script type=\"module\" src=\"").count());
            let head = app.call("HEAD", path, &[], Value::Null).await;
            assert_eq!((head.status.as_u16(), head.bytes.len()), (status, 0));
        }
        // What only a developer's machine shows.
        let shop = TestApp::without_jobs(&[]).await;
        assert_eq!(get(&shop, "/demo", &[]).await.status, 404);
        assert!(text(&get(&shop, "/", &[]).await).contains("name=\"visitor\" content=\"gateway\""));
        assert!(text(&get(&app, "/", &[]).await).contains("name=\"visitor\" content=\"demo\""));
    });
}

#[test]
fn scripts_make_no_markup_of_texts_and_run_none() {
    let scripts = files("web").into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "js"));
    let mut seen = 0;
    for path in scripts {
        let code = std::fs::read_to_string(&path).unwrap();
        for stopped in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"] {
            assert!(!code.contains(stopped), "{}: {stopped}", path.display());
        }
        seen += 1;
    }
    assert!(seen > 8, "{seen} in {}", repository("web").display());
}
