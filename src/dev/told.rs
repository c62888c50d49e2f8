//! Where a run of `onsale dev` can be reached, for the programs beside it: a file `env` in its folder, as long as it runs.

use std::fs;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::settings::{ServiceSettings, StoreSettings};

/// The file; dropping it removes it, so that nobody looks for a run that is over.
#[derive(Debug)]
pub(super) struct Told(PathBuf);

impl Told {
    /// Writes what a shell can read: where it serves, and what `onsale audit` needs to know. The password of Postgres is in
    /// it, so only its owner may read it.
    pub(super) fn write(
        folder: &Path,
        api: SocketAddr,
        stores: &StoreSettings,
        service: &ServiceSettings,
    ) -> io::Result<Self> {
        let path = folder.join("env");
        // One that a killed run left behind might have another mode.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let told = Self(path);
        let cap = service.queue.max_active.to_string();
        for (name, value) in [
            ("BASE", &*format!("http://{api}")),
            ("DATABASE_URL", &stores.database_url),
            ("REDIS_URL", &stores.redis_url),
            ("ONSALE_KEY_PREFIX", &stores.key_prefix),
            ("ONSALE_MAX_ACTIVE", &cap),
        ] {
            writeln!(file, "{name}='{}'", value.replace('\'', r"'\''"))?;
        }
        Ok(told)
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use clap::Parser as _;

    use super::*;
    use crate::settings::{Cli, Command};

    #[test]
    fn it_is_its_owners_and_gone_with_the_run() {
        let Command::Dev(dev) = Cli::parse_from(["onsale", "dev", "--max-active", "7"]).command else { unreachable!() };
        let stores = StoreSettings {
            database_url: "postgres://a:it's@b/c".to_owned(),
            redis_url: "redis://d".to_owned(),
            key_prefix: "onsale".to_owned(),
        };
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("env"), "left by a killed run").unwrap();
        let api = "127.0.0.1:8080".parse().unwrap();
        let told = Told::write(folder.path(), api, &stores, &dev.service).unwrap();
        let path = folder.path().join("env");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let script = ". ./env && echo $BASE $DATABASE_URL $REDIS_URL $ONSALE_KEY_PREFIX $ONSALE_MAX_ACTIVE";
        let read = std::process::Command::new("sh").args(["-c", script]).current_dir(folder.path()).output().unwrap();
        let read = String::from_utf8(read.stdout).unwrap();
        assert_eq!(read, "http://127.0.0.1:8080 postgres://a:it's@b/c redis://d onsale 7\n");
        drop(told);
        assert!(!path.exists());
    }
}
