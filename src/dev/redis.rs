//! A private Redis: as strict as production about memory and the append-only file.

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::error::DevError;
use super::guard::StopSignal;
use super::home::Home;
use super::process::{Running, Service};
use super::programs::Programs;

/// A private Redis server; dropping it stops the server.
#[derive(Debug)]
pub struct RedisServer(Running<Redis>);

#[derive(Debug)]
struct Redis {
    program: PathBuf,
    dir: PathBuf,
}

impl RedisServer {
    /// Starts Redis on a free port of 127.0.0.1, and waits until it answers.
    pub async fn start(programs: &Programs, home: &Home, guard_exe: &Path) -> Result<Self, DevError> {
        let dir = home.data().join(Redis::NAME);
        home.make_dir(&dir)?;
        let program = programs.redis_server.clone();
        let running = Running::start(Redis { program, dir }, home, guard_exe).await?;
        Ok(Self(running))
    }

    /// Where to reach it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.0.port())
    }

    /// The process id of the server itself, not of its guardian.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// Waits until the server ends by itself, and says why it did.  Cancel safe.
    pub async fn died(&mut self) -> DevError {
        self.0.died().await
    }

    /// Starts it again on the same port with the same data, stopping it first if need be.
    pub async fn restart(&mut self) -> Result<(), DevError> {
        self.0.restart().await
    }

    /// Stops it, and waits until it is gone.
    pub async fn stop(self) -> Result<(), DevError> {
        self.0.stop().await
    }
}

impl Service for Redis {
    const NAME: &'static str = "redis";
    const STOP: StopSignal = StopSignal::Term;

    fn dir(&self) -> &Path {
        &self.dir
    }

    fn command(&self, port: u16) -> Vec<OsString> {
        let port = port.to_string();
        let arguments = [
            ["--port", &port],
            ["--bind", "127.0.0.1"],
            ["--protected-mode", "yes"],
            ["--daemonize", "no"],
            ["--appendonly", "yes"],
            ["--appendfsync", "everysec"],
            // Rewriting the file means a second process on the same memory: not while a sale goes on, if it can wait.
            ["--auto-aof-rewrite-min-size", "512mb"],
            ["--save", ""],
            ["--disable-thp", "no"],
            // Nothing may be thrown away to make room: every key is a seat or a visitor.
            ["--maxmemory-policy", "noeviction"],
        ];
        let mut command = vec![self.program.clone().into_os_string()];
        command.extend(arguments.as_flattened().iter().map(OsString::from));
        command.push(OsString::from("--dir"));
        command.push(self.dir.clone().into_os_string());
        command
    }

    /// A crowd's keys lie all over its memory: in large pages where the kernel has them. jemalloc's variable has a name of its
    /// own where it is a part of Redis.
    fn environment(&self) -> &'static [(&'static str, &'static str)] {
        &[("MALLOC_CONF", "thp:always"), ("JE_MALLOC_CONF", "thp:always")]
    }

    async fn answers(&self, port: u16, pid: u32) -> bool {
        let asked = timeout(Duration::from_secs(1), ask(port)).await;
        // Another Redis may have been quicker to take the port, and answers in its stead.
        let own = format!("\r\nprocess_id:{pid}\r\n");
        asked.is_ok_and(|answer| answer.is_ok_and(|text| text.starts_with("+PONG\r\n") && text.contains(&own)))
    }
}

/// Asks a Redis whether it is ready, and who it is.
async fn ask(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.write_all(b"PING\r\nINFO server\r\nQUIT\r\n").await?;
    let mut answer = Vec::new();
    stream.take(16 * 1024).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
