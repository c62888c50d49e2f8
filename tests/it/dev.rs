//! The private servers: they start beside others, keep their data, and never outlive their parent.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use onsale::dev::{DevError, Durability, Home, Install, PostgresServer, Programs, RedisServer, Servers};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::sleep;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// The guardian's executable is the program itself.
fn onsale() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_onsale"))
}

async fn programs() -> Result<Programs, DevError> {
    Programs::find_or_install(Install::Allowed).await
}

/// A folder that any user can enter, as that of a usual clone.
fn open_folder() -> io::Result<TempDir> {
    tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir()
}

async fn start(home: &Home) -> Result<Servers, DevError> {
    Servers::start(&programs().await?, home, onsale(), Durability::None).await
}

/// Sends one command to Redis and reads one line of its answer.
async fn ask_redis(redis: &RedisServer, command: &str) -> Result<String, Box<dyn std::error::Error>> {
    let url = redis.url();
    let address = url.trim_start_matches("redis://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("{command}\r\n").as_bytes()).await?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).await?;
    if line.starts_with('$') && line != "$-1\r\n" {
        line.clear();
        reader.read_line(&mut line).await?;
    }
    Ok(line.trim_end().to_owned())
}

/// Runs one statement with `psql`, of the same folder as the server.
async fn ask_postgres(postgres: &PostgresServer, sql: &str) -> Result<String, Box<dyn std::error::Error>> {
    let psql = programs().await?.postgres.with_file_name("psql");
    let output = Command::new(psql).args(["-XAtq", "-c", sql, &postgres.url()]).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn pid(raw: u32) -> Result<Pid, std::num::TryFromIntError> {
    i32::try_from(raw).map(Pid::from_raw)
}

fn lives(raw: u32) -> bool {
    pid(raw).is_ok_and(|pid| kill(pid, None) != Err(Errno::ESRCH))
}

/// Waits until a condition holds, for as long as a slow machine may need.
async fn until(what: &str, condition: impl Fn() -> bool) -> Outcome {
    let begun = Instant::now();
    while !condition() {
        if begun.elapsed() > Duration::from_mins(1) {
            return Err(format!("waited in vain until {what}").into());
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

#[tokio::test]
async fn servers_answer_on_ports_of_their_own_and_the_next_start_finds_their_data() -> Outcome {
    let (folder, other_folder) = (open_folder()?, open_folder()?);
    let home = Home::open(folder.path()).await?;
    let other_home = Home::open(other_folder.path()).await?;
    let (servers, other) = tokio::try_join!(start(&home), start(&other_home))?;

    assert_eq!(ask_redis(&servers.redis, "SET seat taken").await?, "+OK");
    assert_eq!(ask_redis(&other.redis, "GET seat").await?, "$-1", "one Redis for two homes");
    ask_postgres(&servers.postgres, "CREATE TABLE sold (seat int); INSERT INTO sold VALUES (7)").await?;
    assert!(ask_postgres(&other.postgres, "TABLE sold").await.is_err(), "one Postgres for two homes");
    assert_eq!(ask_postgres(&servers.postgres, "SHOW max_connections").await?, "200");
    assert_eq!(ask_postgres(&servers.postgres, "SHOW synchronous_commit").await?, "on");
    other.stop().await?;
    let ended = [servers.redis.pid(), servers.postgres.pid()];
    servers.stop().await?;
    assert!(!ended.into_iter().any(lives), "still there after stop");

    let servers = start(&home).await?;
    assert_eq!(ask_redis(&servers.redis, "GET seat").await?, "taken");
    assert_eq!(ask_postgres(&servers.postgres, "TABLE sold").await?, "7");
    Ok(servers.stop().await?)
}

#[tokio::test]
async fn only_the_password_opens_postgres() -> Outcome {
    let folder = open_folder()?;
    let home = Home::open(folder.path()).await?;
    let postgres = PostgresServer::start(&programs().await?, &home, onsale(), Durability::None).await?;
    let psql = programs().await?.postgres.with_file_name("psql");
    let url = postgres.url();
    let (_, place) = url.split_once('@').ok_or("no password in the url")?;
    let refused =
        Command::new(psql).args(["-XAtqw", "-c", "SELECT 1", &format!("postgres://onsale:wrong@{place}")]).output()?;
    assert!(String::from_utf8_lossy(&refused.stderr).contains("password authentication failed"));
    Ok(postgres.stop().await?)
}

#[tokio::test]
async fn a_killed_parent_leaves_no_orphans() -> Outcome {
    let folder = open_folder()?;
    let mut parent = Command::new(onsale())
        .args(["dev", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--home"])
        .arg(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let pids = || -> Vec<u32> {
        ["redis.pid", "postgres.pid"]
            .iter()
            .filter_map(|name| fs::read_to_string(folder.path().join(name)).ok()?.trim().parse().ok())
            .collect()
    };
    let started = until("both servers have started", || pids().len() == 2).await;
    let servers = pids();
    let living = servers.iter().all(|pid| lives(*pid));
    parent.kill()?;
    parent.wait()?;
    started?;
    assert!(living, "a server was gone before its parent");
    until("the servers have followed their parent", || !servers.iter().any(|pid| lives(*pid))).await?;
    // Their guardians too, or this would find the folder locked.
    let home = Home::open(folder.path()).await?;
    Ok(start(&home).await?.stop().await?)
}

#[tokio::test]
async fn an_address_that_is_taken_is_found_before_any_server_is_started() -> Outcome {
    let folder = open_folder()?;
    let home = folder.path().join("home");
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    for (option, variable) in [("--listen", "ONSALE_LISTEN"), ("--metrics-listen", "ONSALE_METRICS_LISTEN")] {
        let free = if option == "--listen" { "--metrics-listen" } else { "--listen" };
        let ran = Command::new(onsale())
            .args(["dev", option, &address, free, "127.0.0.1:0", "--home"])
            .arg(&home)
            .output()?;
        let said = String::from_utf8(ran.stderr)?;
        assert!(!ran.status.success() && said.lines().count() == 1, "{said}");
        assert!(said.contains(&format!("cannot listen on {address} ({variable})")), "{said}");
        assert!(!home.exists(), "nothing was begun");
    }
    Ok(())
}

#[tokio::test]
async fn a_dropped_handle_stops_its_server() -> Outcome {
    let folder = open_folder()?;
    let home = Home::open(folder.path()).await?;
    let redis = RedisServer::start(&programs().await?, &home, onsale()).await?;
    let server = redis.pid();
    drop(redis);
    until("the server has stopped", || !lives(server)).await
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn redis_asks_for_large_pages_where_there_are_any() -> Outcome {
    let folder = open_folder()?;
    let home = Home::open(folder.path()).await?;
    let redis = RedisServer::start(&programs().await?, &home, onsale()).await?;
    let memory = "EVAL \"return string.match(redis.call('INFO','memory'),'mem_allocator:(%a+)')\" 0";
    let allocator = ask_redis(&redis, memory).await?;
    // Of a mapping, hg: madvise(2) with MADV_HUGEPAGE was called.
    let maps = fs::read_to_string(format!("/proc/{}/smaps", redis.pid()))?;
    let asked =
        maps.lines().any(|line| line.starts_with("VmFlags:") && line.split_whitespace().any(|flag| flag == "hg"));
    let can = allocator == "jemalloc" && Path::new("/sys/kernel/mm/transparent_hugepage").exists();
    assert!(asked || !can, "{allocator} has not");
    Ok(())
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_server_whose_guardian_was_killed_is_stopped_all_the_same() -> Outcome {
    let folder = open_folder()?;
    let home = Home::open(folder.path()).await?;
    let mut servers = start(&home).await?;
    let server = servers.redis.pid();
    let status = fs::read_to_string(format!("/proc/{server}/status"))?;
    let guardian = status.lines().find_map(|line| line.strip_prefix("PPid:")).ok_or("no parent")?;
    let guardian: i32 = guardian.trim().parse()?;
    kill(Pid::from_raw(guardian), Signal::SIGKILL)?;
    let death = servers.died().await.to_string();
    assert!(death.starts_with("redis ended by itself (its guardian's signal: 9"), "{death}");
    until("the orphan has stopped", || !lives(server)).await?;
    Ok(servers.stop().await?)
}

#[tokio::test]
async fn a_server_that_ends_by_itself_is_noticed_and_restarts_where_it_was() -> Outcome {
    let folder = open_folder()?;
    let home = Home::open(folder.path()).await?;
    let mut servers = start(&home).await?;
    ask_postgres(&servers.postgres, "CREATE TABLE sold (seat int); INSERT INTO sold VALUES (7)").await?;
    let urls = (servers.redis.url(), servers.postgres.url());

    kill(pid(servers.postgres.pid())?, Signal::SIGKILL)?;
    let death = servers.died().await.to_string();
    assert!(death.starts_with("postgres ended by itself (signal: 9)"), "{death}");
    kill(pid(servers.redis.pid())?, Signal::SIGKILL)?;
    servers.postgres.restart().await?;
    servers.redis.restart().await?;

    assert_eq!((servers.redis.url(), servers.postgres.url()), urls);
    assert_eq!(ask_redis(&servers.redis, "PING").await?, "+PONG");
    assert_eq!(ask_postgres(&servers.postgres, "TABLE sold").await?, "7");
    Ok(servers.stop().await?)
}

#[tokio::test]
async fn a_suspended_server_stops_in_good_order() -> Outcome {
    let folder = open_folder()?;
    let home = Home::open(folder.path()).await?;
    let servers = start(&home).await?;
    for server in [servers.redis.pid(), servers.postgres.pid()] {
        kill(pid(server)?, Signal::SIGSTOP)?;
    }
    servers.stop().await?;
    for (log, last_words) in [("redis.log", "Redis is now ready to exit"), ("postgres.log", "system is shut down")] {
        let log = fs::read_to_string(folder.path().join(log))?;
        assert!(log.contains(last_words), "{log}");
    }
    Ok(())
}

#[tokio::test]
async fn a_second_start_in_one_folder_is_refused() -> Outcome {
    let folder = open_folder()?;
    let first = Home::open(folder.path()).await?;
    let second = Home::open(folder.path()).await.err().ok_or("opened twice")?;
    assert!(matches!(second, DevError::Running { .. }), "{second}");
    assert!(second.to_string().contains(&std::process::id().to_string()), "{second}");
    drop(first);
    Home::open(folder.path()).await?;
    Ok(())
}

#[tokio::test]
async fn a_start_waits_for_the_servers_of_the_run_before() -> Outcome {
    let folder = open_folder()?;
    let home = Home::open(folder.path()).await?;
    let servers = start(&home).await?;
    let ending = [servers.redis.pid(), servers.postgres.pid()];
    drop((servers, home));
    let _home = Home::open(folder.path()).await?;
    assert!(!ending.into_iter().any(lives), "opened while the old servers were running");
    Ok(())
}

#[tokio::test]
async fn a_folder_closed_to_the_servers_user_works_through_a_link() -> Outcome {
    // Only root has another user run the servers.
    if !geteuid().is_root() {
        return Ok(());
    }
    let closed = tempfile::Builder::new().permissions(Permissions::from_mode(0o700)).tempdir()?;
    let folder = closed.path().join("clone/.onsale");
    let home = Home::open(&folder).await?;
    let link = fs::read_link(folder.join("data"))?;
    assert_eq!(link, home.data());
    assert_eq!(fs::metadata(&link)?.permissions().mode() & 0o777, 0o700);
    let servers = start(&home).await?;
    ask_redis(&servers.redis, "SET seat taken").await?;
    servers.stop().await?;
    drop(home);

    let home = Home::open(&folder).await?;
    assert_eq!(home.data(), link, "the data of the run before were not found");
    let servers = start(&home).await?;
    assert_eq!(ask_redis(&servers.redis, "GET seat").await?, "taken");
    servers.stop().await?;
    home.discard()?;
    assert!(!link.exists() && !folder.join("data").is_symlink());
    Ok(())
}

#[tokio::test]
async fn a_copied_folder_does_not_share_the_data_of_the_other() -> Outcome {
    if !geteuid().is_root() {
        return Ok(());
    }
    let closed = tempfile::Builder::new().permissions(Permissions::from_mode(0o700)).tempdir()?;
    let [first, second] = ["first", "second"].map(|name| closed.path().join(name));
    let first_home = Home::open(&first).await?;
    fs::create_dir(&second)?;
    std::os::unix::fs::symlink(first_home.data(), second.join("data"))?;
    let second_home = Home::open(&second).await?;
    assert_ne!(first_home.data(), second_home.data());
    assert_eq!(fs::read_link(second.join("data"))?, second_home.data());
    first_home.discard()?;
    Ok(second_home.discard()?)
}

#[tokio::test]
async fn a_half_finished_initdb_is_done_again() -> Outcome {
    let folder = open_folder()?;
    let home = Home::open(folder.path()).await?;
    let half = home.data().join("postgres.new");
    fs::create_dir_all(half.join("cluster"))?;
    fs::write(half.join("cluster/PG_VERSION"), "15\n")?;
    fs::write(half.join("password"), "half")?;
    let postgres = PostgresServer::start(&programs().await?, &home, onsale(), Durability::None).await?;
    assert_eq!(ask_postgres(&postgres, "SELECT current_database()").await?, "onsale");
    assert!(!half.exists());
    Ok(postgres.stop().await?)
}

#[tokio::test]
async fn an_early_death_is_told_with_the_end_of_the_log() -> Outcome {
    let folder = open_folder()?;
    let home = Home::open(folder.path()).await?;
    let programs = programs().await?;
    let postgres = PostgresServer::start(&programs, &home, onsale(), Durability::None).await?;
    postgres.stop().await?;
    fs::write(home.data().join("postgres/cluster/PG_VERSION"), "8.4\n")?;
    let begun = Instant::now();
    let death = PostgresServer::start(&programs, &home, onsale(), Durability::None).await;
    let death = death.err().ok_or("started on data of another version")?.to_string();
    assert!(death.contains("not compatible with this version"), "{death}");
    assert!(begun.elapsed() < Duration::from_secs(30), "waited for a dead server");
    Ok(())
}

#[tokio::test]
async fn a_strangers_process_id_in_a_stale_file_does_not_stop_postgres() -> Outcome {
    let folder = open_folder()?;
    let home = Home::open(folder.path()).await?;
    let programs = programs().await?;
    let redis = RedisServer::start(&programs, &home, onsale()).await?;
    let postgres = PostgresServer::start(&programs, &home, onsale(), Durability::None).await?;
    let file: PathBuf = home.data().join("postgres/cluster/postmaster.pid");
    let left = fs::read_to_string(&file)?;
    let own = postgres.pid().to_string();
    postgres.stop().await?;
    fs::write(&file, left.replacen(&own, &redis.pid().to_string(), 1))?;
    let postgres = PostgresServer::start(&programs, &home, onsale(), Durability::None).await?;
    postgres.stop().await?;
    Ok(redis.stop().await?)
}
