//! Who asks. Either a gateway in front has found that out and says it in the header `userId`, or each caller shows a signed
//! bearer token (a JSON Web Token) whose subject is the user. Tokens of the queue say their user themselves and need neither.
//!
//! A bearer token is checked with the keys of a file, which is read again when it changes, so keys are changed without a
//! restart. A key fixes its algorithm; what a token says of its own only has to agree.

mod http;
mod keys;
mod settings;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde::Deserialize;

pub use http::User;
pub use keys::KeyFileError;
pub use settings::{IdentitySettings, Trust};

use crate::ids::UserId;
use keys::{Key, Keys};

/// How far clocks may be apart, in seconds.
const LEEWAY: u64 = 5;

/// The largest key file, in bytes.
const LARGEST_FILE: u64 = 256 * 1024;

/// How the service knows who asks.
#[derive(Debug)]
pub struct Identity(Kind);

#[derive(Debug)]
enum Kind {
    Gateway,
    Bearers(Box<Bearers>),
}

/// Why it cannot be known who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unidentified {
    /// The gateway said nothing, or no user.
    #[error("there is no userId")]
    Nameless,
    /// There is no bearer token.
    #[error("there is no bearer token")]
    NoBearer,
    /// It was good once.
    #[error("the bearer token has expired")]
    Expired,
    /// It is not signed with one of the keys, not for us, or its subject is no user.
    #[error("the bearer token is not accepted")]
    NotAccepted,
    /// The header `userId` says somebody else.
    #[error("the header userId is not the subject")]
    AnothersName,
}

/// Why the service cannot know who asks.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// There is nothing to check bearer tokens with.
    #[error("ONSALE_JWT_KEY_FILE (--jwt-key-file) is required with ONSALE_IDENTITY=jwt: a file with the keys")]
    NoKeyFile,
    /// Somebody wants bearer tokens to be checked, and they would not be.
    #[error("{0} takes ONSALE_IDENTITY=jwt beside it: as it is, the userId header would be believed")]
    NotChecked(&'static str),
    /// The keys are not there.
    #[error("ONSALE_JWT_KEY_FILE (--jwt-key-file) takes a file with keys, and {} {source}", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyFileError,
    },
}

/// Checks bearer tokens.
#[derive(Debug)]
struct Bearers {
    path: PathBuf,
    audience: Option<String>,
    issuer: Option<String>,
    accepted: ArcSwap<Accepted>,
    /// Whether it has been said that the file cannot be read again.
    is_stale: AtomicBool,
}

/// The keys in force, and how each is used.
struct Accepted {
    keys: Keys,
    /// Of the file that they are from.
    hash: blake3::Hash,
    /// One for each algorithm that there is a key for.
    validations: Vec<(Algorithm, Validation)>,
}

/// Of a bearer token; what else it must say is checked by the library.
#[derive(Deserialize)]
struct Claims {
    sub: String,
}

impl Identity {
    /// Who says who a visitor is.
    #[must_use]
    pub const fn trust(&self) -> Trust {
        match self.0 {
            Kind::Gateway => Trust::Gateway,
            Kind::Bearers(_) => Trust::Jwt,
        }
    }

    /// As set. Reads the keys, if there are to be any.
    pub fn new(settings: &IdentitySettings) -> Result<Self, IdentityError> {
        let IdentitySettings { identity, jwt_key_file, jwt_audience, jwt_issuer } = settings;
        if *identity == Trust::Gateway {
            let meant_for_jwt = [
                ("ONSALE_JWT_KEY_FILE", jwt_key_file.is_some()),
                ("ONSALE_JWT_AUDIENCE", jwt_audience.is_some()),
                ("ONSALE_JWT_ISSUER", jwt_issuer.is_some()),
            ];
            return match meant_for_jwt.into_iter().find(|(_, set)| *set) {
                Some((variable, _)) => Err(IdentityError::NotChecked(variable)),
                None => Ok(Self(Kind::Gateway)),
            };
        }
        let path = jwt_key_file.clone().ok_or(IdentityError::NoKeyFile)?;
        let bearers = Bearers::new(path.clone(), jwt_audience.clone(), jwt_issuer.clone());
        let bearers = bearers.map_err(|source| IdentityError::KeyFile { path, source })?;
        Ok(Self(Kind::Bearers(Box::new(bearers))))
    }

    /// Says in the log who is believed.
    pub fn announce(&self) {
        match &self.0 {
            Kind::Gateway => tracing::warn!(
                identity = "gateway",
                "the userId header is believed: keep this behind a gateway that authenticates people and sets it, or have \
                 bearer tokens checked with ONSALE_IDENTITY=jwt"
            ),
            Kind::Bearers(bearers) => {
                let (keys, anybodys) = (bearers.accepted.load().keys.count(), bearers.audience.is_none());
                tracing::info!(identity = "jwt", keys, "users are the subjects of bearer tokens");
                if anybodys {
                    tracing::warn!("bearer tokens for any audience are taken: ONSALE_JWT_AUDIENCE names ours");
                }
            }
        }
    }

    /// Reads the keys again if their file has changed. Keys that cannot be read leave those before in force.
    pub async fn refresh(&self) {
        let Kind::Bearers(bearers) = &self.0 else { return };
        let path = bearers.path.clone();
        let contents = tokio::task::spawn_blocking(move || contents(&path)).await;
        let contents = contents.unwrap_or_else(|lost| Err(std::io::Error::other(lost).into()));
        bearers.take(contents);
    }
}

impl Bearers {
    fn new(path: PathBuf, audience: Option<String>, issuer: Option<String>) -> Result<Self, KeyFileError> {
        let accepted = Accepted::new(&contents(&path)?, audience.as_deref(), issuer.as_deref())?;
        let accepted = ArcSwap::from_pointee(accepted);
        Ok(Self { path, audience, issuer, accepted, is_stale: AtomicBool::new(false) })
    }

    /// Puts what the file has now in force.
    fn take(&self, contents: Result<Vec<u8>, KeyFileError>) {
        let changed = contents.and_then(|contents| {
            if blake3::hash(&contents) == self.accepted.load().hash {
                return Ok(None);
            }
            Accepted::new(&contents, self.audience.as_deref(), self.issuer.as_deref()).map(Some)
        });
        let was_stale = self.is_stale.swap(changed.is_err(), Ordering::Relaxed);
        match changed {
            Ok(Some(accepted)) => {
                tracing::info!(keys = accepted.keys.count(), "the keys of bearer tokens have changed");
                self.accepted.store(Arc::new(accepted));
            }
            Err(error) if !was_stale => {
                tracing::warn!(%error, "ONSALE_JWT_KEY_FILE cannot be read again; the keys before it stay in force");
            }
            Ok(None) | Err(_) => {}
        }
    }

    /// The user whose bearer token this is.
    fn subject(&self, shown: &str) -> Result<UserId, Unidentified> {
        let refused = |error: jsonwebtoken::errors::Error| match error.kind() {
            ErrorKind::ExpiredSignature => Unidentified::Expired,
            _ => Unidentified::NotAccepted,
        };
        let header = decode_header(shown).map_err(refused)?;
        // It would tell of rules that we do not know (RFC 7515, section 4.1.11).
        if header.crit.is_some() {
            return Err(Unidentified::NotAccepted);
        }
        let accepted = self.accepted.load();
        let (key, validation) = accepted.meant(header.kid.as_deref()).ok_or(Unidentified::NotAccepted)?;
        let claims: Claims = decode(shown, &key.verifying, validation).map_err(refused)?.claims;
        claims.sub.parse().map_err(|_| Unidentified::NotAccepted)
    }
}

impl Accepted {
    fn new(contents: &[u8], audience: Option<&str>, issuer: Option<&str>) -> Result<Self, KeyFileError> {
        let keys = Keys::read(contents)?;
        let mut validations: Vec<(Algorithm, Validation)> = Vec::new();
        for algorithm in keys.iter().map(|key| key.algorithm) {
            if validations.iter().all(|(known, _)| *known != algorithm) {
                validations.push((algorithm, validation(algorithm, audience, issuer)));
            }
        }
        Ok(Self { keys, hash: blake3::hash(contents), validations })
    }

    /// The key that a token means, and how it is used.
    fn meant(&self, id: Option<&str>) -> Option<(&Key, &Validation)> {
        let key = self.keys.meant(id)?;
        let (_, validation) = self.validations.iter().find(|(algorithm, _)| *algorithm == key.algorithm)?;
        Some((key, validation))
    }
}

impl std::fmt::Debug for Accepted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Accepted({} keys)", self.keys.count())
    }
}

fn validation(algorithm: Algorithm, audience: Option<&str>, issuer: Option<&str>) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.leeway = LEEWAY;
    validation.validate_nbf = true;
    let mut required = vec!["exp", "sub"];
    match audience {
        Some(audience) => {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        None => validation.validate_aud = false,
    }
    if let Some(issuer) = issuer {
        validation.set_issuer(&[issuer]);
        required.push("iss");
    }
    validation.set_required_spec_claims(&required);
    validation
}

fn contents(path: &Path) -> Result<Vec<u8>, KeyFileError> {
    use std::io::Read;
    let mut contents = Vec::new();
    std::fs::File::open(path)?.take(LARGEST_FILE + 1).read_to_end(&mut contents)?;
    if contents.len() as u64 > LARGEST_FILE {
        return Err(KeyFileError::TooLarge(LARGEST_FILE));
    }
    Ok(contents)
}
