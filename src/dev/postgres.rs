//! A private Postgres with one database, `onsale`, of one user, `onsale`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::error::{self, DevError};
use super::guard::StopSignal;
use super::home::Home;
use super::process::{self, Running, Service};
use super::programs::Programs;
use crate::veiled::Veiled;

/// What a server promises about a crash of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// What is committed is on disk: Postgres's own defaults.
    Full,
    /// Committed data outlive the server but not the machine: quicker, for tests.
    None,
}

/// A private Postgres server; dropping it stops the server.
#[derive(Debug)]
pub struct PostgresServer {
    running: Running<Postgres>,
    password: Veiled,
}

#[derive(Debug)]
struct Postgres {
    program: PathBuf,
    dir: PathBuf,
    durability: Durability,
}

impl PostgresServer {
    /// Starts Postgres on a free port of 127.0.0.1, with new data if there are none yet,
    /// and waits until it answers.
    pub async fn start(
        programs: &Programs,
        home: &Home,
        guard_exe: &Path,
        durability: Durability,
    ) -> Result<Self, DevError> {
        let dir = home.data().join(Postgres::NAME);
        if !dir.exists() {
            prepare(programs, home, &dir, durability).await?;
        }
        forget_stranger(&dir.join("cluster/postmaster.pid"));
        let secret = dir.join("password");
        let password = fs::read_to_string(&secret).map_err(error::file("read", &secret))?;
        let service = Postgres { program: programs.postgres.clone(), dir, durability };
        let running = Running::start(service, home, guard_exe).await?;
        Ok(Self { running, password: password.into() })
    }

    /// Where to reach it, with the password.
    #[must_use]
    pub fn url(&self) -> String {
        let (password, port) = (&*self.password, self.running.port());
        format!("postgres://onsale:{password}@127.0.0.1:{port}/onsale")
    }

    /// The process id of the server itself, not of its guardian.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Waits until the server ends by itself, and says why it did.  Cancel safe.
    pub async fn died(&mut self) -> DevError {
        self.running.died().await
    }

    /// Starts it again on the same port with the same data, stopping it first if need be.
    pub async fn restart(&mut self) -> Result<(), DevError> {
        self.running.restart().await
    }

    /// Stops it, and waits until it is gone.
    pub async fn stop(self) -> Result<(), DevError> {
        self.running.stop().await
    }
}

impl Service for Postgres {
    const NAME: &'static str = "postgres";
    const STOP: StopSignal = StopSignal::Int;

    fn dir(&self) -> &Path {
        &self.dir
    }

    fn command(&self, port: u16) -> Vec<OsString> {
        let mut settings = vec![
            format!("port={port}"),
            "listen_addresses=127.0.0.1".to_owned(),
            // A socket's path may be no longer than 107 bytes; a folder's may.
            "unix_socket_directories=".to_owned(),
        ];
        if self.durability == Durability::None {
            settings.extend(
                ["fsync=off", "full_page_writes=off", "shared_buffers=16MB", "max_connections=200"].map(str::to_owned),
            );
        }
        let mut command = vec![self.program.clone().into_os_string()];
        command.push(OsString::from("-D"));
        command.push(self.dir.join("cluster").into_os_string());
        for setting in settings {
            command.push(OsString::from("-c"));
            command.push(OsString::from(setting));
        }
        command
    }

    /// Reads what `pg_ctl` reads too: a server writes its id, and later that it is ready,
    /// into a file of its own data, where no other server can write.
    async fn answers(&self, _port: u16, pid: u32) -> bool {
        let path = self.dir.join("cluster/postmaster.pid");
        fs::read_to_string(path).is_ok_and(|text| {
            let mut lines = text.lines();
            lines.next().is_some_and(|line| line.trim() == pid.to_string())
                && lines.nth(6).is_some_and(|line| line.trim() == "ready")
        })
    }
}

/// Makes a new cluster with the database in it.
///
/// All is made under another name and renamed when complete, so a crash in the middle
/// leaves nothing that looks like data.
async fn prepare(programs: &Programs, home: &Home, dir: &Path, durability: Durability) -> Result<(), DevError> {
    let draft = dir.with_extension("new");
    if draft.exists() {
        fs::remove_dir_all(&draft).map_err(error::file("remove", &draft))?;
    }
    home.make_dir(&draft)?;
    let secret = draft.join("password");
    home.write_secret(&secret, &hex::encode(rand::random::<[u8; 16]>()))?;
    let cluster = draft.join("cluster");

    let mut initdb = command(&programs.initdb, home, &draft);
    initdb.arg("-D").arg(&cluster).arg("--pwfile").arg(&secret);
    initdb.args(["--username=onsale", "--auth=scram-sha-256"]);
    initdb.args(["--locale=C", "--encoding=UTF8"]);
    if durability == Durability::None {
        initdb.arg("--no-sync");
    }
    // Should we be killed, it goes on for a moment, and the lock keeps the next start away.
    initdb.stdin(home.share_lock()?);
    run(initdb, &programs.initdb, "").await?;

    // In single-user mode the database is made before any client could see the server
    // without it, and needs no password.
    let mut single = command(&programs.postgres, home, &draft);
    single.arg("--single").arg("-D").arg(&cluster);
    if durability == Durability::None {
        single.args(["-c", "fsync=off"]);
    }
    single.arg("postgres").stdin(Stdio::piped());
    run(single, &programs.postgres, "CREATE DATABASE onsale\n").await?;

    fs::rename(&draft, dir).map_err(error::file("make", dir))
}

/// A program of Postgres's, run once as the user of the servers.
fn command(program: &Path, home: &Home, dir: &Path) -> Command {
    let mut command = Command::new(program);
    process::quiet_environment(&mut command);
    command.current_dir(dir).process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    if let Some(account) = home.account() {
        command.uid(account.uid).gid(account.gid);
    }
    command
}

async fn run(mut command: Command, program: &Path, input: &str) -> Result<(), DevError> {
    let mut child = command.spawn().map_err(error::spawn(program))?;
    if let Some(mut stdin) = child.stdin.take() {
        // Should it have ended already, its own words below say more than this would.
        drop(stdin.write_all(input.as_bytes()).await);
    }
    let output = child.wait_with_output().await;
    let output = output.map_err(error::spawn(program))?;
    let said = String::from_utf8_lossy(&output.stderr);
    // In single-user mode PostgreSQL tells of an error only in words.
    if output.status.success() && !said.contains("ERROR:") {
        return Ok(());
    }
    Err(DevError::Prepare { status: output.status.to_string(), output: said.trim().to_owned() })
}

/// Removes a `postmaster.pid` left by a crash, whose process id now is a stranger's.
///
/// Postgres removes the file of a dead process itself, but takes any living process of
/// the same user for another Postgres and refuses to start: our Redis may be that
/// process, in a container where the same ids are given out after each start.
fn forget_stranger(path: &Path) {
    let first = fs::read_to_string(path).ok().and_then(|text| text.lines().next()?.trim().parse::<u32>().ok());
    let Some(pid) = first else { return };
    let name = fs::read_to_string(format!("/proc/{pid}/comm"));
    if name.is_ok_and(|name| name.trim() != "postgres") {
        drop(fs::remove_file(path));
    }
}
