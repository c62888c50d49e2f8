//! One running server, seen from the program that started it.
//!
//! Redis and Postgres differ in their command lines and in how they say that they are
//! ready; all else about starting, restarting and stopping a server is here, once.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{sleep, timeout};

use super::error::{self, DevError};
use super::guard::{self, StopSignal};
use super::home::Home;
use super::port::Port;

/// How long a server may take until it answers: recovery after a crash takes its time.
const READY_WAIT: Duration = Duration::from_mins(1);
/// How long a start is repeated for while the remains of a killed server are in its way.
const REMAINS_WAIT: Duration = Duration::from_secs(10);
/// How often a start is repeated with another port, when somebody was quicker to take it.
const PORT_TRIES: u32 = 5;
const POLL: Duration = Duration::from_millis(20);
/// How much of a log an error shows.
const TAIL_LINES: usize = 15;
const TAIL_BYTES: u64 = 8 * 1024;

/// What is particular to one kind of server.
pub(super) trait Service: Send + Sync {
    /// Its name in messages and file names.
    const NAME: &'static str;
    /// How it is asked to stop.
    const STOP: StopSignal;

    /// The folder to run in.
    fn dir(&self) -> &Path;
    /// The program and its arguments.
    fn command(&self, port: u16) -> Vec<OsString>;
    /// What it needs to find in its environment.
    fn environment(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }
    /// Whether the server with this process id answers on this port.
    fn answers(&self, port: u16, pid: u32) -> impl Future<Output = bool> + Send;
}

/// A server under its guardian.
#[derive(Debug)]
pub(super) struct Running<S> {
    service: S,
    home: Home,
    guard_exe: PathBuf,
    /// Kept while the server is down, for the time when it is up again.
    port: Port,
    pid: u32,
    guardian: Guardian,
}

/// The guardian process; it stops the server when `pipe` is dropped.
#[derive(Debug)]
struct Guardian {
    process: Child,
    pipe: Option<ChildStdin>,
}

impl<S: Service> Running<S> {
    /// Starts a server on a free port, and waits until it answers.
    pub(super) async fn start(service: S, home: &Home, guard_exe: &Path) -> Result<Self, DevError> {
        let mut tries = 1;
        loop {
            let port = reserve()?;
            match launch(&service, home, guard_exe, port.number()).await {
                Err(DevError::Died { tail, .. }) if tries < PORT_TRIES && in_the_way(&tail) => {
                    tries += 1;
                }
                Err(error) => return Err(error),
                Ok((guardian, pid)) => {
                    return Ok(Self {
                        service,
                        home: home.clone(),
                        guard_exe: guard_exe.to_owned(),
                        port,
                        pid,
                        guardian,
                    });
                }
            }
        }
    }

    /// Starts the server again on the same port, stopping it first if it still runs.
    pub(super) async fn restart(&mut self) -> Result<(), DevError> {
        self.end().await?;
        let begun = Instant::now();
        loop {
            match launch(&self.service, &self.home, &self.guard_exe, self.port.number()).await {
                // A killed PostgreSQL's children need a moment to notice that it is gone.
                Err(DevError::Died { tail, .. }) if begun.elapsed() < REMAINS_WAIT && in_the_way(&tail) => {
                    sleep(Duration::from_millis(200)).await;
                }
                Err(error) => return Err(error),
                Ok((guardian, pid)) => {
                    self.guardian = guardian;
                    self.pid = pid;
                    return Ok(());
                }
            }
        }
    }

    /// Waits until the server ends by itself, and says why it did.  Cancel safe.
    pub(super) async fn died(&mut self) -> DevError {
        match self.guardian.process.wait().await {
            Ok(status) => {
                self.replace_guardian(status);
                died::<S>(&self.home, status)
            }
            Err(source) => DevError::Guard(source),
        }
    }

    /// Stops the server and waits until it is gone.
    pub(super) async fn stop(mut self) -> Result<(), DevError> {
        self.end().await
    }

    async fn end(&mut self) -> Result<(), DevError> {
        let status = self.guardian.end(S::NAME).await?;
        self.replace_guardian(status);
        Ok(())
    }

    /// Asks the server to stop in place of a guardian that was killed itself.
    fn replace_guardian(&self, status: ExitStatus) {
        let pid_file = pid_file::<S>(&self.home);
        let pid = guard::read_pid(&pid_file).and_then(|pid| i32::try_from(pid).ok());
        if let (Some(_), Some(pid)) = (status.signal(), pid) {
            // What fails here has no consequence but an orphan, which the lock tells of.
            let _ = kill(Pid::from_raw(pid), Signal::from(S::STOP));
            drop(fs::remove_file(pid_file));
        }
    }

    pub(super) const fn port(&self) -> u16 {
        self.port.number()
    }

    pub(super) const fn pid(&self) -> u32 {
        self.pid
    }
}

impl Guardian {
    async fn end(&mut self, name: &'static str) -> Result<ExitStatus, DevError> {
        self.pipe = None;
        // The guardian kills what does not stop, so this is for a guardian gone astray.
        let limit = guard::GRACE + Duration::from_secs(5);
        if timeout(limit, self.process.wait()).await.is_err() {
            self.process.start_kill().map_err(DevError::Guard)?;
        }
        let status = self.process.wait().await.map_err(DevError::Guard)?;
        tracing::debug!(server = name, %status, "stopped");
        Ok(status)
    }
}

fn reserve() -> Result<Port, DevError> {
    Port::reserve().map_err(|source| DevError::File {
        doing: "find a free port on",
        path: PathBuf::from("127.0.0.1"),
        source,
    })
}

/// Whether a server ended for a reason that another port, or a little time, does away with.
fn in_the_way(log: &str) -> bool {
    log.contains("Address already in use")
        || log.contains("Address in use")
        || log.contains("pre-existing shared memory block")
}

fn pid_file<S: Service>(home: &Home) -> PathBuf {
    home.folder().join(S::NAME).with_extension("pid")
}

fn log_file<S: Service>(home: &Home) -> PathBuf {
    home.folder().join(S::NAME).with_extension("log")
}

/// Starts a guardian with its server, and waits until the server answers.
async fn launch<S: Service>(
    service: &S,
    home: &Home,
    guard_exe: &Path,
    port: u16,
) -> Result<(Guardian, u32), DevError> {
    let pid_file = pid_file::<S>(home);
    // Left by a guardian that was killed.
    drop(fs::remove_file(&pid_file));
    let mut guardian = spawn(service, home, guard_exe, port, &pid_file)?;
    let begun = Instant::now();
    while begun.elapsed() < READY_WAIT {
        if let Some(status) = guardian.process.try_wait().map_err(DevError::Guard)? {
            return Err(died::<S>(home, status));
        }
        if let Some(pid) = guard::read_pid(&pid_file)
            && service.answers(port, pid).await
        {
            return Ok((guardian, pid));
        }
        sleep(POLL).await;
    }
    guardian.end(S::NAME).await?;
    let log = log_file::<S>(home);
    Err(DevError::Silent { name: S::NAME, waited: READY_WAIT.as_secs(), tail: tail(&log), log })
}

fn spawn<S: Service>(
    service: &S,
    home: &Home,
    guard_exe: &Path,
    port: u16,
    pid_file: &Path,
) -> Result<Guardian, DevError> {
    let mut command = Command::new(guard_exe);
    command.arg("guard").arg("--dir").arg(service.dir());
    command.arg("--pid-file").arg(pid_file);
    command.args(["--stop-signal", S::STOP.name()]);
    if let Some(account) = home.account() {
        command.args(["--uid", &account.uid.to_string()]);
        command.args(["--gid", &account.gid.to_string()]);
    }
    command.arg("--").args(service.command(port));
    quiet_environment(&mut command);
    command
        .envs(service.environment().iter().copied())
        // Out of the terminal's foreground group: Ctrl-C is for the main program, which
        // then stops the servers in its own order.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(home.share_lock()?)
        .stderr(new_log(&log_file::<S>(home))?);
    let mut process = command.spawn().map_err(error::spawn(guard_exe))?;
    let pipe = process.stdin.take();
    Ok(Guardian { process, pipe })
}

/// Takes away what would change a server's behaviour or the language of its log, and the
/// program's own settings, among which are secrets.
pub(super) fn quiet_environment(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let bytes = name.as_encoded_bytes();
        if bytes.starts_with(b"PG") || bytes.starts_with(b"ONSALE_") {
            command.env_remove(name);
        }
    }
    command.env("LC_ALL", "C");
}

/// Begins a new log; that of the start before is kept beside it.
fn new_log(path: &Path) -> Result<Stdio, DevError> {
    drop(fs::rename(path, path.with_extension("log.old")));
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(0o600);
    let log = options.open(path).map_err(error::file("open", path))?;
    Ok(Stdio::from(log))
}

fn died<S: Service>(home: &Home, status: ExitStatus) -> DevError {
    let log = log_file::<S>(home);
    let status = match status.code() {
        // As guardians and shells tell of signals.
        Some(code) if code > 128 => format!("signal: {}", code - 128),
        Some(_) => status.to_string(),
        None => format!("its guardian's {status}"),
    };
    DevError::Died { name: S::NAME, status, tail: tail(&log), log }
}

/// The last lines of a log.
fn tail(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(mut file) = fs::File::open(path) {
        let length = file.metadata().map_or(0, |meta| meta.len());
        let start = SeekFrom::Start(length.saturating_sub(TAIL_BYTES));
        drop(file.seek(start).and_then(|_| file.read_to_end(&mut bytes)));
    }
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}
