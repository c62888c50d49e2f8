//! What of the identity can be set.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

/// Who says who a visitor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// The gateway in front: its header `userId` is believed.
    Gateway,
    /// A signed bearer token.
    Jwt,
}

/// How the service knows who asks.
#[derive(Debug, Clone, Args)]
pub struct IdentitySettings {
    /// Who says who a visitor is: gateway, whose header userId is believed, or jwt, a bearer token whose subject is the user
    #[arg(long, env = "ONSALE_IDENTITY", default_value = "gateway", value_parser = PossibleValuesParser::new(["gateway", "jwt"]).map(trust))]
    pub identity: Trust,
    /// What bearer tokens are signed with, for jwt: a file with a JSON Web Key Set (for RS256, Ed25519 or HS256), one public key as
    /// PEM, or one secret of 32 bytes or more, as it is; it is read again when it changes
    #[arg(long, env = "ONSALE_JWT_KEY_FILE", value_name = "FILE")]
    pub jwt_key_file: Option<PathBuf>,
    /// For whom bearer tokens must be, for jwt: the claim aud; without it, for anybody
    #[arg(long, env = "ONSALE_JWT_AUDIENCE", value_name = "NAME", value_parser = name)]
    pub jwt_audience: Option<String>,
    /// Whose bearer tokens are taken, for jwt: the claim iss; without it, anybody's that the keys have signed
    #[arg(long, env = "ONSALE_JWT_ISSUER", value_name = "NAME", value_parser = name)]
    pub jwt_issuer: Option<String>,
}

#[expect(clippy::needless_pass_by_value, reason = "clap hands it over")]
fn trust(text: String) -> Trust {
    if text == "jwt" { Trust::Jwt } else { Trust::Gateway }
}

fn name(text: &str) -> Result<String, String> {
    if (1..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err(format!("takes 1 to 256 visible ASCII characters, not {text:?}"))
    }
}
