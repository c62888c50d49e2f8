//! Where the private servers' files lie, and who may use them.
//!
//! A home is a folder, `./.onsale` by default.  What `onsale` itself writes (locks, logs,
//! process ids) lies in it directly; what the servers write lies in `data`, which belongs
//! to the user who runs them.  Root cannot run Postgres, so root's servers run as an
//! ordinary user, who may be unable to enter the folder: then `data` is a link to a folder
//! under `/var` that this user can enter.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown, symlink,
};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::unistd::{Uid, User, geteuid};

use super::error::{self, DevError};
use super::guard;

/// How long a run that holds the folder may take to end, should it be ending just now.
const RUN_WAIT: Duration = Duration::from_secs(3);
/// How long the servers of an ended run may take to end: longer than a guardian's grace.
const SERVERS_WAIT: Duration = Duration::from_secs(15);
/// Where root keeps the data of folders that the servers' user cannot enter.
const ELSEWHERE: [&str; 2] = ["/var/lib/onsale-dev", "/var/tmp/onsale-dev"];

/// The ordinary user who runs root's servers.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// The two locks on a home.
///
/// One is held by the main program alone, the other also by the guardians and servers that
/// it started.  So the first tells at once that somebody else runs here, and the second
/// tells when the servers of a run that is over have ended.
#[derive(Debug)]
struct Locks {
    _run: File,
    servers: File,
}

/// A folder for the private servers' files, locked for this process.
///
/// Clones share the locks, which are free when the last clone, and the last server started
/// in it, is gone.
#[derive(Clone, Debug)]
pub struct Home {
    folder: PathBuf,
    data: PathBuf,
    account: Option<Account>,
    locks: Arc<Locks>,
}

impl Home {
    /// Opens a folder, making it where it is missing, and locks it.
    ///
    /// Waits a little for an earlier run in the same folder to end.
    pub async fn open(folder: &Path) -> Result<Self, DevError> {
        fs::create_dir_all(folder).map_err(error::file("make the folder", folder))?;
        let folder = fs::canonicalize(folder).map_err(error::file("find", folder))?;
        let locks = Arc::new(Locks::take(&folder).await?);
        let (data, account) = if geteuid().is_root() { roots_data(&folder)? } else { (own_data(&folder)?, None) };
        Ok(Self { folder, data, account, locks })
    }

    /// The folder itself, in full.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of the servers' data, in full and with links resolved.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Removes the servers' data, wherever they lie.  The servers must have been stopped.
    pub fn discard(self) -> Result<(), DevError> {
        fs::remove_dir_all(&self.data).map_err(error::file("remove", &self.data))?;
        let link = self.folder.join("data");
        if link.is_symlink() {
            fs::remove_file(&link).map_err(error::file("remove", &link))?;
        }
        Ok(())
    }

    /// The user to run the servers as, where that is not oneself.
    pub(super) fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    /// A handle to pass to a child, which then holds the servers' lock as long as it lives.
    pub(super) fn share_lock(&self) -> Result<Stdio, DevError> {
        let lock = self.locks.servers.try_clone();
        lock.map(Stdio::from).map_err(error::file("share the lock in", &self.folder))
    }

    /// Makes a folder that belongs to the user who runs the servers, and to nobody else.
    pub(super) fn make_dir(&self, path: &Path) -> Result<(), DevError> {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(error::file("make the folder", path)(error));
            }
            _ => {}
        }
        self.give(path)
    }

    /// Writes a new file that only the user who runs the servers can read.
    pub(super) fn write_secret(&self, path: &Path, text: &str) -> Result<(), DevError> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(path);
        file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(error::file("write", path))?;
        self.give(path)
    }

    fn give(&self, path: &Path) -> Result<(), DevError> {
        match &self.account {
            Some(account) => {
                chown(path, Some(account.uid), Some(account.gid)).map_err(error::file("change the owner of", path))
            }
            None => Ok(()),
        }
    }
}

impl Locks {
    async fn take(folder: &Path) -> Result<Self, DevError> {
        let path = folder.join("lock");
        let Some(mut run) = lock(&path, RUN_WAIT).await? else {
            let mut holder = String::new();
            let read = File::open(&path).and_then(|mut file| file.read_to_string(&mut holder));
            let known = read.is_ok() && !holder.trim().is_empty();
            return Err(DevError::Running {
                folder: folder.to_owned(),
                holder: if known { holder.trim() } else { "unknown" }.to_owned(),
            });
        };
        // Only for the sentence above, in another process.
        run.set_len(0).and_then(|()| writeln!(run, "{}", std::process::id())).map_err(error::file("write", &path))?;
        let Some(servers) = lock(&folder.join("servers.lock"), SERVERS_WAIT).await? else {
            return Err(leftover(folder));
        };
        Ok(Self { _run: run, servers })
    }
}

/// Opens and locks a file; `None` when somebody else still holds it after `wait`.
async fn lock(path: &Path, wait: Duration) -> Result<Option<File>, DevError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file = match options.open(path) {
        Err(source) if source.kind() == ErrorKind::PermissionDenied => {
            // Root, say, made it: that says more than a permission does.
            let meta = fs::metadata(path).map_err(error::file("open", path))?;
            return Err(DevError::WrongOwner { path: path.to_owned(), owner: meta.uid() });
        }
        opened => opened.map_err(error::file("open", path))?,
    };
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::Error(source)) => return Err(error::file("lock", path)(source)),
            Err(TryLockError::WouldBlock) if begun.elapsed() >= wait => return Ok(None),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// A guardian that was killed leaves its server behind, and the server's id in a file.
fn leftover(folder: &Path) -> DevError {
    let pids = ["redis.pid", "postgres.pid"]
        .iter()
        .filter_map(|name| guard::read_pid(&folder.join(name)))
        .map(|pid| pid.to_string())
        .collect::<Vec<_>>()
        .join(" ");
    let pids = if pids.is_empty() { "(their process ids are not known)".to_owned() } else { pids };
    DevError::Leftover { folder: folder.to_owned(), waited: SERVERS_WAIT.as_secs(), pids }
}

/// The data folder of an ordinary user, who runs the servers as oneself.
fn own_data(folder: &Path) -> Result<PathBuf, DevError> {
    let data = folder.join("data");
    match DirBuilder::new().mode(0o700).create(&data) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(error::file("make the folder", &data)(error));
        }
        _ => {}
    }
    let owner = fs::metadata(&data).map_err(error::file("look at", &data))?;
    if owner.uid() != geteuid().as_raw() {
        return Err(DevError::WrongOwner { path: data, owner: owner.uid() });
    }
    fs::canonicalize(&data).map_err(error::file("find", &data))
}

/// The data folder for root, and the user who runs the servers in it.
fn roots_data(folder: &Path) -> Result<(PathBuf, Option<Account>), DevError> {
    let data = folder.join("data");
    let elsewhere = short_hash(folder);
    if let Ok(target) = fs::read_link(&data) {
        if ELSEWHERE.iter().any(|base| target == Path::new(base).join(&elsewhere)) {
            return settle_elsewhere(&target, &data);
        }
        // A copied or moved folder: the data it points to may be in use by the other one.
        tracing::warn!(
            link = %data.display(),
            "the data link is of another folder, beginning with new data"
        );
        fs::remove_file(&data).map_err(error::file("remove", &data))?;
    }
    let unreachable = match settle(&data) {
        Ok(account) => return Ok((data, Some(account))),
        Err(error @ (DevError::Unreachable { .. } | DevError::File { .. })) => error,
        Err(error) => return Err(error),
    };
    // Data that are there already are not left behind: their folder is not empty.
    if data.exists() && fs::remove_dir(&data).is_err() {
        return Err(unreachable);
    }
    let [first, second] = ELSEWHERE.map(|base| Path::new(base).join(&elsewhere));
    settle_elsewhere(&first, &data).or_else(|_| settle_elsewhere(&second, &data))
}

/// Prepares a data folder outside of the home, and makes `link` point to it.
fn settle_elsewhere(target: &Path, link: &Path) -> Result<(PathBuf, Option<Account>), DevError> {
    let base = target.parent().unwrap_or(target);
    match DirBuilder::new().mode(0o755).create(base) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(error::file("make the folder", base)(error));
        }
        _ => {}
    }
    // Below /var/tmp anybody could have made it first, to be given our data.
    let meta = fs::symlink_metadata(base).map_err(error::file("look at", base))?;
    if !meta.is_dir() || meta.uid() != 0 || meta.mode() & 0o022 != 0 {
        return Err(DevError::WrongOwner { path: base.to_owned(), owner: meta.uid() });
    }
    let account = settle(target)?;
    if !link.is_symlink() {
        symlink(target, link).map_err(error::file("make the link", link))?;
    }
    Ok((target.to_owned(), Some(account)))
}

/// Makes `data` a folder that an ordinary user owns alone and can really work in.
fn settle(data: &Path) -> Result<Account, DevError> {
    match DirBuilder::new().mode(0o700).create(data) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(error::file("make the folder", data)(error));
        }
        _ => {}
    }
    let meta = fs::symlink_metadata(data).map_err(error::file("look at", data))?;
    if !meta.is_dir() {
        let source = io::Error::from(ErrorKind::NotADirectory);
        return Err(error::file("use", data)(source));
    }
    let account = account_for(meta.uid())?;
    chown(data, Some(account.uid), Some(account.gid)).map_err(error::file("change the owner of", data))?;
    fs::set_permissions(data, Permissions::from_mode(0o700)).map_err(error::file("change the mode of", data))?;
    if can_work_in(data, &account)? {
        Ok(account)
    } else {
        Err(DevError::Unreachable { account: account.name, path: data.to_owned() })
    }
}

/// The owner of data that are there already, if that is an ordinary user; else whoever
/// usually runs servers.
fn account_for(owner: u32) -> Result<Account, DevError> {
    let known = if owner == 0 {
        ["postgres", "nobody"].iter().find_map(|name| User::from_name(name).ok().flatten())
    } else {
        User::from_uid(Uid::from_raw(owner)).ok().flatten()
    };
    known
        .map(|user| Account { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw() })
        .ok_or(DevError::NoOrdinaryUser)
}

/// Tries it, as that user: no reading of modes knows all about file systems and ACLs.
fn can_work_in(data: &Path, account: &Account) -> Result<bool, DevError> {
    let shell = Path::new("/bin/sh");
    let tried = Command::new(shell)
        .args(["-c", ": > .probe && rm .probe"])
        .current_dir(data)
        .uid(account.uid)
        .gid(account.gid)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match tried {
        Ok(status) => Ok(status.success()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(false),
        Err(error) => Err(error::spawn(shell)(error)),
    }
}

/// A short name for a path, the same on every machine and in every build (64-bit FNV-1a).
fn short_hash(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    let hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("{hash:016x}")
}
