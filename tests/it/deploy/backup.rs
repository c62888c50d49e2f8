//! Backups, taken while people buy and restored with the commands of `docs/operations.md`.

use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use onsale::dev::{Durability, Home, Install, PostgresServer, Programs};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::file::text;
use crate::support::{ONSALE, TestApp, block_on, eventually, serve_settings, servers};

const LONG: Duration = Duration::from_mins(1);

/// What a seat of `add_schedule` costs.
const PRICE: i64 = 50_000;

/// The code blocks of *Backup and restore*: dump, restore of a dump, following, restore of that.
fn commands() -> [String; 4] {
    let operations = text("docs/operations.md");
    let (_, section) = operations.split_once("\n## Backup and restore\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let blocks = section.split("\n```sh\n").skip(1).map(|rest| rest.split("\n```\n").next().unwrap().to_owned());
    blocks.collect::<Vec<_>>().try_into().unwrap()
}

async fn programs() -> Programs {
    // They have installed what was missing.
    servers().await;
    Programs::find_or_install(Install::Forbidden).await.unwrap()
}

/// A shell with PostgreSQL's programs and ours, and these variables. What it leaves running is in its process group.
fn shell(programs: &Programs, script: &str, variables: &[(&str, &str)]) -> Command {
    let folders = [programs.postgres.parent().unwrap(), Path::new(ONSALE).parent().unwrap()];
    let former = std::env::var_os("PATH").unwrap();
    let path = folders.into_iter().map(Path::to_path_buf).chain(std::env::split_paths(&former));
    let mut shell = Command::new("sh");
    shell.args(["-euc", script]).env("PATH", std::env::join_paths(path).unwrap()).envs(variables.iter().copied());
    shell.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
    shell
}

async fn run(programs: &Programs, script: &str, variables: &[(&str, &str)]) {
    let ended = shell(programs, script, variables).stderr(Stdio::piped()).output().await.unwrap();
    assert!(ended.status.success(), "{script}\n{}", String::from_utf8_lossy(&ended.stderr));
}

/// What a shop is told whose disk has just been written to as a whole: a commit may take its time.
const PATIENT: [&str; 4] = ["--postgres-timeout-ms", "20000", "--request-timeout-ms", "40000"];

/// A shop on these stores.
async fn shop(database: &str, prefix: &str, more: &[&str]) -> Arc<TestApp> {
    let redis = servers().await.redis_url();
    let stores =
        ["--database-url", database, "--redis-url", &redis, "--key-prefix", prefix, "--postgres-connections", "4"];
    let app = TestApp::from_settings(serve_settings(&[&stores, more].concat())).await;
    app.start_jobs().await;
    Arc::new(app)
}

/// Somebody buys seats, a user for each, until told to stop.
struct Buying {
    /// The payments that were answered as made.
    paid: Arc<Mutex<Vec<i64>>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Buying {
    /// Buys a schedule's seats in their order.
    fn start(app: &Arc<TestApp>, schedule: i64, seats: Vec<i64>) -> Self {
        let (paid, stop) = (Arc::default(), CancellationToken::new());
        let task = tokio::spawn(buy(Arc::clone(app), schedule, seats, Arc::clone(&paid), stop.clone()));
        Self { paid, stop, task }
    }

    /// Waits until so many more were sold.
    async fn until_more(&self, more: usize) {
        let goal = self.paid().len() + more;
        eventually("seats are sold", LONG, async || self.paid().len() >= goal).await;
    }

    fn paid(&self) -> Vec<i64> {
        self.paid.lock().unwrap().clone()
    }

    /// Ends it after the purchase that is under way; all that was paid.
    async fn end(self) -> Vec<i64> {
        let Self { paid, stop, task } = self;
        stop.cancel();
        task.await.unwrap();
        paid.lock().unwrap().clone()
    }
}

async fn buy(app: Arc<TestApp>, schedule: i64, seats: Vec<i64>, paid: Arc<Mutex<Vec<i64>>>, stop: CancellationToken) {
    for (user, seat) in (1..).zip(seats) {
        // The database is gone at some time; whatever is refused then was not promised either.
        let token = app.call("POST", "/api/v1/queues/token", &[("userId", &user.to_string())], Value::Null).await;
        let Some(token) = token.body["data"]["token"].as_str() else { continue };
        app.charge(user, PRICE).await;
        let held = app.hold(token, schedule, seat).await;
        if held.status == 200 {
            let answer = app.pay(token, held.reservation()).await;
            if answer.status == 200 {
                paid.lock().unwrap().push(answer.payment());
            }
        }
        if stop.is_cancelled() {
            return;
        }
    }
    panic!("the hall is too small");
}

/// Asserts that all of these payments are there, and that the shop that was restored sells on as it should.
async fn assert_whole(app: &TestApp, paid: &[i64], schedule: i64, seats: &[i64]) {
    let known: Vec<i64> = sqlx::query_scalar("SELECT id FROM payment_history").fetch_all(app.pool()).await.unwrap();
    let lost: Vec<_> = paid.iter().filter(|payment| !known.contains(payment)).collect();
    assert!(lost.is_empty(), "{lost:?} of {} payments were lost", paid.len());

    let user = 999_999;
    app.charge(user, PRICE).await.data();
    let token = app.enter_active(user).await;
    let sold = "SELECT concert_seat_id FROM reservation WHERE status = 'CONFIRMED' AND concert_seat_id = ANY($1)";
    let sold: Vec<i64> = sqlx::query_scalar(sold).bind(seats).fetch_all(app.pool()).await.unwrap();
    assert!(sold.len() >= paid.len());
    app.hold(&token, schedule, sold[0]).await.assert_error(409, "SEAT_TAKEN");
    app.pay(&token, app.hold(&token, schedule, *seats.last().unwrap()).await.reservation()).await.payment();
    app.audit().await;
}

#[test]
fn a_dump_taken_while_people_buy_is_a_sound_shop() {
    block_on(async {
        let [dump, restore, ..] = commands();
        let (programs, database) = (programs().await, servers().await.seeded_database().await);
        let (folder, restored) = (TempDir::new().unwrap(), servers().await.empty_database().await);
        let app = shop(&database, "dumped", &[]).await;
        let (hall, seats) = app.add_schedule(1, 9, 3000).await;
        let buying = Buying::start(&app, hall, seats.clone());
        buying.until_more(20).await;
        let before = buying.paid();
        let backup = folder.path().to_str().unwrap();
        run(&programs, &dump, &[("DATABASE_URL", &database), ("BACKUP", backup)]).await;
        buying.until_more(20).await;
        let paid = buying.end().await;

        let redis = servers().await.redis_url();
        run(&programs, &restore, &[("RESTORED_URL", &restored), ("BACKUP", backup), ("REDIS_URL", &redis)]).await;
        // Redis has nothing of it.
        let copy = shop(&restored, "restored", &PATIENT).await;
        assert_whole(&copy, &before, hall, &seats).await;
        let count = "SELECT count(*) FROM payment_history";
        assert!(copy.number(count).await < i64::try_from(paid.len()).unwrap(), "people bought meanwhile");
        for (app, url) in [(app, database), (copy, restored)] {
            drop(app);
            servers().await.drop_database(&url).await;
        }
    });
}

/// Processes that a shell left running; they end with this.
struct Left(Child);

impl Drop for Left {
    fn drop(&mut self) {
        if let Some(group) = self.0.id().and_then(|id| id.try_into().ok()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGTERM);
        }
    }
}

/// Gives a folder and what is in it to the owner of another.
fn give(folder: &Path, like: &Path) {
    let owner = std::fs::metadata(like).unwrap();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(path) = folders.pop() {
        chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
        if path.is_dir() {
            folders.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
}

#[test]
fn no_payment_that_was_answered_is_lost_with_the_database_s_machine() {
    block_on(async {
        let [.., follow, restore] = commands();
        let (programs, folder) = (programs().await, TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap());
        let home = Home::open(&folder.path().join("home")).await.unwrap();
        let mut server = PostgresServer::start(&programs, &home, Path::new(ONSALE), Durability::Full).await.unwrap();
        let url = server.url();
        let stores = [("DATABASE_URL", &*url), ("REDIS_URL", &servers().await.redis_url())];
        run(&programs, "onsale migrate && onsale seed", &stores).await;
        let app = shop(&url, "followed", &[]).await;
        let (hall, seats) = app.add_schedule(1, 9, 3000).await;
        let buying = Buying::start(&app, hall, seats.clone());
        buying.until_more(5).await;

        let backup = folder.path().join("backup");
        std::fs::create_dir(&backup).unwrap();
        let backup = backup.to_str().unwrap();
        // The shell stays for as long as the receiver does.
        let mut shell = shell(
            &programs,
            &format!("{follow}\ntouch \"$BACKUP/follows\"\nwait"),
            &[("DATABASE_URL", &url), ("BACKUP", backup)],
        );
        let receiver = Left(shell.spawn().unwrap());
        eventually("it follows", LONG, async || Path::new(backup).join("follows").exists()).await;
        let follows = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
        eventually("commits wait for it", LONG, async || app.number(follows).await == 1).await;
        buying.until_more(30).await;

        // The machine is gone from one moment to the next, with its disk.
        kill(Pid::from_raw(server.pid().try_into().unwrap()), Signal::SIGKILL).unwrap();
        let paid = buying.end().await;
        drop(receiver);
        let cluster = home.data().join("postgres/cluster");
        let gone = folder.path().join("gone");
        std::fs::rename(&cluster, &gone).unwrap();
        std::fs::create_dir(&cluster).unwrap();
        run(&programs, &restore, &[("DATA", cluster.to_str().unwrap()), ("BACKUP", backup)]).await;
        give(&cluster, &gone);
        give(Path::new(backup), &gone);
        std::fs::set_permissions(&cluster, std::fs::metadata(&gone).unwrap().permissions()).unwrap();
        std::fs::remove_dir_all(&gone).unwrap();

        server.restart().await.unwrap();
        let restored = shop(&server.url(), "followed_restored", &PATIENT).await;
        assert_whole(&restored, &paid, hall, &seats).await;
        drop((app, restored));
        server.stop().await.unwrap();
    });
}
