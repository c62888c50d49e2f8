//! Keys and tokens: read from settings, never shown.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

/// Bytes that are never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// From bytes, 32 or more of them.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() >= 32).then_some(Self(bytes))
    }

    /// The bytes themselves.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Hex where it can be hex, else base64 in either alphabet, padded or not. What was given is never repeated.
pub(crate) fn secret(text: &str) -> Result<Secret, String> {
    let hex = hex::decode(text).ok();
    let base64 =
        || [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD].iter().find_map(|kind| kind.decode(text).ok());
    hex.or_else(base64)
        .and_then(Secret::new)
        .ok_or_else(|| "takes 32 bytes or more, as hex or base64, such as `openssl rand -hex 32` prints".to_owned())
}

/// A secret that is shown as the text it was given as.
pub(crate) fn bearer(text: &str) -> Result<Secret, String> {
    secret(text).map(|_| Secret(text.as_bytes().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_in_either_notation_and_never_shown() {
        let bytes: Vec<u8> = (200..240).collect();
        for text in [hex::encode(&bytes), STANDARD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            assert_eq!(secret(&text), Ok(Secret(bytes.clone())), "{text}");
        }
        assert!(secret(&hex::encode([1; 31])).is_err_and(|complaint| !complaint.contains("0101")));
        assert_eq!(format!("{:?}", Secret(bytes)), "Secret(…)");
    }
}
