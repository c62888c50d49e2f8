//! What can go wrong while starting the private servers, told so that a person can act on it.

use std::io;
use std::path::{Path, PathBuf};

/// Why the private servers could not be found, started or kept running.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    /// A file or folder of ours could not be used.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// What was tried, as a verb.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A program could not be started at all.
    #[error("cannot start {}: {source}", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Server programs are missing, and were not to be installed or could not be.
    #[error("{missing} not found on this machine{because}; to install by hand: {command}")]
    Missing {
        /// The missing programs.
        missing: String,
        /// Why they were not installed, beginning with a comma; may be empty.
        because: String,
        /// The command that a person would type.
        command: String,
    },
    /// Another `onsale` runs its servers in the same folder.
    #[error(
        "another onsale (process {holder}) runs in {}: stop it first, or choose another folder",
        folder.display()
    )]
    Running {
        /// The folder.
        folder: PathBuf,
        /// Its process id, as it wrote it down.
        holder: String,
    },
    /// The servers of an earlier run are still there, although that run is over.
    #[error(
        "the servers of an earlier run in {} have not ended after {waited} s; \
         end them with: kill {pids}",
        folder.display()
    )]
    Leftover {
        /// The folder.
        folder: PathBuf,
        /// How long they were waited for, in seconds.
        waited: u64,
        /// Their process ids, with spaces between.
        pids: String,
    },
    /// Root cannot run the servers, and there is no other account for them.
    #[error(
        "PostgreSQL refuses to run as root, and there is no user `postgres` or `nobody` \
         to run it as: start onsale as an ordinary user"
    )]
    NoOrdinaryUser,
    /// The data of an earlier run belong to somebody else.
    #[error(
        "{} belongs to the user with id {owner}: start onsale as that user, choose another folder, or remove this one",
        path.display()
    )]
    WrongOwner {
        /// The folder.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// The account that runs the servers cannot work in any folder that we could give it.
    #[error(
        "the user `{account}`, who runs the servers, cannot write in {}: make that folder \
         and all above it open to this user (chmod o+x), or remove it",
        path.display()
    )]
    Unreachable {
        /// The account's name.
        account: String,
        /// The folder.
        path: PathBuf,
    },
    /// Preparing a new database failed.
    #[error("preparing a new PostgreSQL database failed ({status}): {output}")]
    Prepare {
        /// How the program ended.
        status: String,
        /// What it said.
        output: String,
    },
    /// A server ended by itself.
    #[error("{name} ended by itself ({status}); the end of {}:\n{tail}", log.display())]
    Died {
        /// Which server.
        name: &'static str,
        /// How it ended.
        status: String,
        /// Its log file.
        log: PathBuf,
        /// The last lines of that file.
        tail: String,
    },
    /// A server runs but does not answer.
    #[error("{name} does not answer after {waited} s; the end of {}:\n{tail}", log.display())]
    Silent {
        /// Which server.
        name: &'static str,
        /// How long it was waited for, in seconds.
        waited: u64,
        /// Its log file.
        log: PathBuf,
        /// The last lines of that file.
        tail: String,
    },
    /// The guardian was started by hand, or lost its surroundings.
    #[error("the guardian cannot watch the process that started it: {0}")]
    Guard(#[source] io::Error),
}

/// Turns an [`io::Error`] into [`DevError::File`], for `map_err`.
pub(super) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DevError {
    let path = path.to_owned();
    move |source| DevError::File { doing, path, source }
}

/// Turns an [`io::Error`] into [`DevError::Spawn`], for `map_err`.
pub(super) fn spawn(program: &Path) -> impl FnOnce(io::Error) -> DevError {
    let program = program.to_owned();
    move |source| DevError::Spawn { program, source }
}
