//! The guardian: `onsale` started again as the parent of one server.
//!
//! A server must not outlive the `onsale` that started it, not even one that was killed
//! with SIGKILL and had no chance to clean up.  So each server's parent is a small process
//! that waits on a pipe whose other end only the main program holds: the kernel closes that
//! end at the main program's death, whatever its cause.
//!
//! The guardian keeps the rights it was started with, because its own executable may lie
//! where the servers' user cannot go; only the server changes to that user.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::process::Child;
use tokio::signal::unix::{self, SignalKind};

use super::error::{self, DevError};

/// How long a server may take to stop before it is killed.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// The signal that asks a server to stop in good order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum StopSignal {
    /// SIGINT: for Postgres, not to wait until its clients have gone.
    #[value(name = "INT")]
    Int,
    /// SIGTERM: for Redis.
    #[value(name = "TERM")]
    Term,
}

impl StopSignal {
    /// The name that the command line takes.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Int => "INT",
            Self::Term => "TERM",
        }
    }
}

impl From<StopSignal> for Signal {
    fn from(signal: StopSignal) -> Self {
        match signal {
            StopSignal::Int => Self::SIGINT,
            StopSignal::Term => Self::SIGTERM,
        }
    }
}

/// The command line of the guardian.
///
/// Besides these it takes over three open files: standard input is the pipe to watch,
/// standard output the lock to hold for as long as the server lives, standard error the
/// server's log.
#[derive(Debug, clap::Args)]
pub struct GuardArgs {
    /// User id to run the program as
    #[arg(long, requires = "gid")]
    pub uid: Option<u32>,
    /// Group id to run the program as
    #[arg(long, requires = "uid")]
    pub gid: Option<u32>,
    /// Folder to run the program in
    #[arg(long)]
    pub dir: PathBuf,
    /// File to write the program's process id to
    #[arg(long)]
    pub pid_file: PathBuf,
    /// Signal that asks the program to stop
    #[arg(long, value_enum)]
    pub stop_signal: StopSignal,
    /// Program to run, and its arguments
    #[arg(last = true, required = true)]
    pub command: Vec<OsString>,
}

/// Runs a program until it ends or the process that started the guardian does.
///
/// The exit code is the program's own, or 128 and the signal that ended it.
pub async fn guard(args: GuardArgs) -> Result<ExitCode, DevError> {
    // Before the program starts, so that a signal cannot end the guardian alone.
    let mut parent = Parent::watch().map_err(DevError::Guard)?;
    let mut child = start(&args)?;
    let pid = child.id().unwrap_or_default();
    write_pid(&args.pid_file, pid)?;
    let status = tokio::select! {
        status = child.wait() => status,
        () = parent.gone() => end(&mut child, args.stop_signal).await,
    };
    // A new guardian may have written its own meanwhile only after the lock was free,
    // and this one still holds it.
    drop(fs::remove_file(&args.pid_file));
    status.map(exit_code).map_err(DevError::Guard)
}

/// The process that started the guardian, seen through a pipe and three signals.
struct Parent {
    pipe: pipe::Receiver,
    interrupt: unix::Signal,
    terminate: unix::Signal,
    hangup: unix::Signal,
}

impl Parent {
    fn watch() -> io::Result<Self> {
        let stdin = io::stdin().as_fd().try_clone_to_owned()?;
        Ok(Self {
            pipe: pipe::Receiver::from_owned_fd(stdin)?,
            interrupt: unix::signal(SignalKind::interrupt())?,
            terminate: unix::signal(SignalKind::terminate())?,
            hangup: unix::signal(SignalKind::hangup())?,
        })
    }

    /// Waits until the parent has closed the pipe, or a signal asks for the end.
    async fn gone(&mut self) {
        tokio::select! {
            () = closed(&mut self.pipe) => {}
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

/// Reads a pipe to its end; nothing is ever written to it.
async fn closed(pipe: &mut pipe::Receiver) {
    let mut buffer = [0; 16];
    while !matches!(pipe.read(&mut buffer).await, Ok(0) | Err(_)) {}
}

fn start(args: &GuardArgs) -> Result<Child, DevError> {
    let Some((program, arguments)) = args.command.split_first() else {
        let nothing = io::Error::new(io::ErrorKind::InvalidInput, "no program to run");
        return Err(DevError::Guard(nothing));
    };
    // The server holds the lock too: should the guardian be killed, the lock still says
    // that a server works on these data.
    let lock = io::stdout().as_fd().try_clone_to_owned();
    let (lock, out, err) = lock
        .and_then(|lock| {
            let log = io::stderr().as_fd().try_clone_to_owned()?;
            Ok((lock, log.try_clone()?, log))
        })
        .map_err(DevError::Guard)?;
    let mut command = std::process::Command::new(program);
    command
        .args(arguments)
        .current_dir(&args.dir)
        .stdin(Stdio::from(lock))
        .stdout(Stdio::from(out))
        .stderr(Stdio::from(err));
    if let (Some(uid), Some(gid)) = (args.uid, args.gid) {
        command.uid(uid).gid(gid);
    }
    tokio::process::Command::from(command).spawn().map_err(error::spawn(Path::new(program)))
}

/// Writes the process id so that a reader sees either nothing or all of it.
fn write_pid(path: &Path, pid: u32) -> Result<(), DevError> {
    let draft = path.with_extension("pid.new");
    fs::write(&draft, format!("{pid}\n")).and_then(|()| fs::rename(&draft, path)).map_err(error::file("write", path))
}

/// Reads the process id that a guardian wrote.
pub(super) fn read_pid(path: &Path) -> Option<u32> {
    let mut text = String::new();
    fs::File::open(path).ok()?.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Asks the program to stop, and kills it if it does not.
async fn end(child: &mut Child, stop: StopSignal) -> io::Result<ExitStatus> {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        let pid = Pid::from_raw(pid);
        // It has not been waited for, so its id is still its own; at worst it is dead.
        let _ = kill(pid, Signal::from(stop));
        // A program that somebody stopped with SIGSTOP sees the first signal only now.
        let _ = kill(pid, Signal::SIGCONT);
    }
    if let Ok(status) = tokio::time::timeout(GRACE, child.wait()).await {
        return status;
    }
    child.start_kill()?;
    child.wait().await
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}
