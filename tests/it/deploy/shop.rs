//! The shop that `compose.yaml` describes, without containers: its Redis, its two instances and its nginx, each with the
//! command, the environment and the files that it has there, but for addresses and folders.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use onsale::dev::{Install, Port, Programs, nginx};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::file::{Compose, filled_in, secret, strings, text};
use crate::support::{ONSALE, eventually, servers, suspend};

/// How long anything may take to be there on a busy machine.
const START: Duration = Duration::from_mins(1);

fn child(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().unwrap().try_into().unwrap())
}

fn signal(child: &Child, signal: Signal) {
    kill(pid(child), signal).unwrap();
}

/// Redis with the command and the access list that it has in `compose.yaml`.
pub struct ComposeRedis {
    port: Port,
    program: PathBuf,
    server: Child,
    folder: TempDir,
}

impl ComposeRedis {
    pub async fn start() -> Self {
        // They have installed it where it was missing.
        servers().await;
        let program = Programs::find_or_install(Install::Forbidden).await.unwrap().redis_server;
        let (folder, port) = (TempDir::new().unwrap(), Port::reserve().unwrap());
        let server = Self::spawn(&program, folder.path(), port.number());
        let redis = Self { port, program, server, folder };
        redis.until_it_answers().await;
        redis
    }

    fn spawn(program: &Path, folder: &Path, port: u16) -> Child {
        let compose = Compose::read();
        let service = compose.service("redis");
        let list = filled_in(compose.file["configs"]["users.acl"]["content"].as_str().unwrap());
        let (file, target) = (folder.join("users.acl"), &service["configs"][0]["target"]);
        std::fs::write(&file, list).unwrap();
        let command = strings(&service["command"]);
        assert_eq!(command[0], "redis-server");
        let args = command[1..].iter().map(|arg| if target == arg { file.to_str().unwrap() } else { arg });
        let mut server = child(program);
        server.args(args).args(["--bind", "127.0.0.1", "--port", &port.to_string()]).arg("--dir").arg(folder);
        server.spawn().unwrap()
    }

    /// Ends it and starts it again, with what it has written.
    pub async fn restart(&mut self) {
        signal(&self.server, Signal::SIGTERM);
        tokio::time::timeout(START, self.server.wait()).await.unwrap().unwrap();
        self.server = Self::spawn(&self.program, self.folder.path(), self.port.number());
        self.until_it_answers().await;
    }

    async fn until_it_answers(&self) {
        eventually("Redis answers", START, async || self.connect("admin").await.is_ok()).await;
    }

    /// Where to reach it, as one of its users.
    pub fn url(&self, user: &str) -> String {
        let password = secret(if user == "admin" { "REDIS_ADMIN_KEY" } else { "REDIS_KEY" });
        format!("redis://{user}:{password}@127.0.0.1:{}", self.port.number())
    }

    /// Where to reach it, as nobody.
    pub fn url_without_user(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port.number())
    }

    async fn connect(&self, user: &str) -> redis::RedisResult<redis::aio::MultiplexedConnection> {
        redis::Client::open(self.url(user)).unwrap().get_multiplexed_async_connection().await
    }

    /// Runs a command as one of its users.
    pub async fn run(&self, user: &str, command: &[&str]) -> redis::RedisResult<redis::Value> {
        let mut connection = self.connect(user).await.unwrap();
        redis::cmd(command[0]).arg(&command[1..]).query_async(&mut connection).await
    }

    /// What was refused to whom.
    pub async fn refusals(&self) -> Vec<redis::Value> {
        match self.run("admin", &["ACL", "LOG"]).await.unwrap() {
            redis::Value::Array(refusals) => refusals,
            other => panic!("{other:?}"),
        }
    }
}

/// One instance, with the environment that it has in `compose.yaml`.
pub struct Instance {
    environment: BTreeMap<String, String>,
    address: String,
    server: Child,
    _ports: [Port; 2],
}

impl Instance {
    async fn start(name: &str, database: &str, redis: &ComposeRedis) -> Self {
        let mut environment = Compose::read().environment(name);
        let ports = [(); 2].map(|()| Port::reserve().unwrap());
        let [address, metrics] = ports.each_ref().map(|port| format!("127.0.0.1:{}", port.number()));
        let mut here = |name: &str, from: &str, to: String| {
            let value = environment.get_mut(name).unwrap();
            assert!(value.contains(from), "{name}={value}");
            *value = value.replace(from, &to);
        };
        here("REDIS_URL", "redis:6379", format!("127.0.0.1:{}", redis.port.number()));
        here("ONSALE_LISTEN", "0.0.0.0:8080", address.clone());
        here("ONSALE_METRICS_LISTEN", "0.0.0.0:9100", metrics);
        environment.insert("DATABASE_URL".to_owned(), database.to_owned());
        // One PostgreSQL serves all tests, on a machine that is busy with them.
        environment.insert("ONSALE_POSTGRES_CONNECTIONS".to_owned(), "4".to_owned());
        environment.insert("ONSALE_POSTGRES_TIMEOUT_MS".to_owned(), "20000".to_owned());
        let server = Self::spawn(&environment);
        let instance = Self { environment, address, server, _ports: ports };
        instance.until_ready().await;
        instance
    }

    fn spawn(environment: &BTreeMap<String, String>) -> Child {
        child(ONSALE).arg("serve").env_clear().envs(environment).spawn().unwrap()
    }

    async fn until_ready(&self) {
        let ready = async || self.run(&["health"]).await.0 == Some(0);
        eventually("the instance is ready", START, ready).await;
    }

    /// Runs another verb of the program in the instance's environment: its exit code, and what it said.
    pub async fn run(&self, args: &[&str]) -> (Option<i32>, String) {
        let mut command = child(ONSALE);
        command.args(args).env_clear().envs(&self.environment).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = command.output().await.unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn signal(&self, signal: Signal) {
        self::signal(&self.server, signal);
    }

    /// Stops it where it is, until it is sent `SIGCONT`.
    pub fn suspend(&self) {
        suspend(pid(&self.server));
    }

    /// Asks it to end, and waits until it has. Its exit code.
    pub async fn stop(&mut self) -> Option<i32> {
        self.signal(Signal::SIGTERM);
        let ended = tokio::time::timeout(START, self.server.wait()).await;
        ended.unwrap().unwrap().code()
    }

    /// Starts it again at the same address, and waits until it is ready.
    pub async fn start_again(&mut self) {
        self.server = Self::spawn(&self.environment);
        self.until_ready().await;
    }
}

/// All of it.
pub struct Shop {
    pub instances: [Instance; 2],
    _redis: ComposeRedis,
    pub database: String,
    pub client: Client,
    /// Where visitors come in.
    pub address: String,
    operators: String,
    _nginx: Child,
    _ports: [Port; 2],
    folder: TempDir,
}

impl Shop {
    pub async fn open() -> Self {
        Self::with("127.0.0.1 1;", "127.0.0.1 1;").await
    }

    /// Likewise, with something changed in nginx' file.
    pub async fn with(theirs: &str, ours: &str) -> Self {
        let (redis, database) = (ComposeRedis::start().await, servers().await.seeded_database().await);
        let (first, second) = tokio::join!(
            Instance::start("onsale-1", &database, &redis),
            Instance::start("onsale-2", &database, &redis),
        );
        let instances = [first, second];
        let (folder, ports) = (TempDir::new().unwrap(), [(); 2].map(|()| Port::reserve().unwrap()));
        let [visitors, operators] = ports.each_ref().map(|port| format!("127.0.0.1:{}", port.number()));
        let nginx = start_nginx(folder.path(), &instances, [&visitors, &operators], (theirs, ours)).await;
        let client = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        let shop = Self {
            instances,
            _redis: redis,
            database,
            client,
            address: visitors,
            operators,
            _nginx: nginx,
            _ports: ports,
            folder,
        };
        let answers = async || shop.operators("GET", "/nginx").send().await.is_ok_and(|answer| answer.status() == 204);
        eventually("nginx answers", START, answers).await;
        shop
    }

    /// A visitor's request.
    pub fn visitors(&self, method: &str, path: &str) -> RequestBuilder {
        self.client.request(method.parse().unwrap(), format!("http://{}{path}", self.address))
    }

    /// A request by the operators' way.
    pub fn operators(&self, method: &str, path: &str) -> RequestBuilder {
        self.client.request(method.parse().unwrap(), format!("http://{}{path}", self.operators))
    }

    /// What nginx has written: of calls, and of what went wrong.
    pub fn logs(&self) -> [String; 2] {
        ["stdout", "stderr"].map(|name| std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default())
    }
}

/// nginx with the repository's file, of which only addresses and folders are changed.
async fn start_nginx(folder: &Path, instances: &[Instance; 2], addresses: [&str; 2], change: (&str, &str)) -> Child {
    let install =
        if std::env::var("ONSALE_INSTALL").as_deref() == Ok("0") { Install::Forbidden } else { Install::Allowed };
    let program = nginx(install).await.unwrap();
    let at = folder.display().to_string();
    let [visitors, operators] = addresses.map(|address| format!("listen {address}"));
    let changed = [
        change,
        ("listen 8080", &*visitors),
        ("listen 8081", &*operators),
        ("onsale-1:8080", &*instances[0].address),
        ("onsale-2:8080", &*instances[1].address),
        ("/tmp/", &*format!("{at}/")),
        ("/dev/", &*format!("{at}/")),
        // A test may not be allowed as many.
        ("worker_rlimit_nofile 65536;", ""),
        ("worker_connections 16384;", "worker_connections 512;"),
    ];
    let configuration = changed.into_iter().fold(text("deploy/nginx.conf"), |text, (theirs, ours)| {
        assert!(text.contains(theirs), "{theirs}");
        text.replace(theirs, ours)
    });
    let file = folder.join("nginx.conf");
    std::fs::write(&file, configuration).unwrap();
    let args = ["-e", &format!("{at}/stderr"), "-p", &at, "-c", file.to_str().unwrap()];
    let test = Command::new(&program).args(args).arg("-t").output().await.unwrap();
    assert!(test.status.success(), "{}", String::from_utf8_lossy(&test.stderr));
    let said = String::from_utf8(test.stderr).unwrap();
    assert!(!said.contains("[warn]"), "{said}");
    child(program).args(args).args(["-g", "daemon off; master_process off;"]).spawn().unwrap()
}
