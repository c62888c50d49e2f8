//! Tokens: what a client holds of its place. Opaque to it, authenticated by the server's key, so that a forged one is
//! refused without asking Redis.
//!
//! A token is base64url without padding over 54 bytes: version 1, key id 1, queue 4, user 8, place 8 (big-endian), then
//! the 32-byte keyed BLAKE3 hash of those 22. It says who stands where in which queue, never whether that is still so:
//! that only Redis knows.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::QueueId;
use crate::ids::UserId;
use crate::seat::Holder;

const VERSION: u8 = 1;
const CLAIM_BYTES: usize = 22;
const TOKEN_BYTES: usize = CLAIM_BYTES + blake3::OUT_LEN;
const TOKEN_CHARS: usize = TOKEN_BYTES / 3 * 4;

/// What a token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The queue.
    pub queue: QueueId,
    /// Its user.
    pub user: UserId,
    /// The place, by which the queue is ordered.
    pub place: u64,
}

impl Claim {
    /// Its user, as one who takes seats under this token. In its queue, nobody else is ever given its place.
    #[must_use]
    pub fn holder(&self) -> Holder {
        Holder { user: self.user, place: self.place, token: format!("{}-{}", self.queue.0, self.place) }
    }
}

/// Makes tokens with the server's key, and checks those that were made with it or with another that still counts.
pub struct Signer {
    key: Key,
    /// Accepted too, while one key is replaced by the next.
    others: Vec<Key>,
}

struct Key {
    key: [u8; blake3::KEY_LEN],
    id: u8,
}

impl Key {
    fn new(secret: &[u8]) -> Self {
        let key = blake3::derive_key("onsale 2026-11 queue token", secret);
        let [id, ..] = blake3::derive_key("onsale 2026-11 queue token key id", secret);
        Self { key, id }
    }
}

impl Signer {
    /// From the server's secret, 32 bytes or more.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self { key: Key::new(secret), others: Vec::new() }
    }

    /// Accepts tokens of another secret too.
    #[must_use]
    pub fn accepting(mut self, secret: &[u8]) -> Self {
        self.others.push(Key::new(secret));
        self
    }

    /// The token of a claim. The same claim has always the same token.
    #[must_use]
    pub fn sign(&self, claim: &Claim) -> String {
        let mut bytes = [0; TOKEN_BYTES];
        let (body, mac) = bytes.split_at_mut(CLAIM_BYTES);
        body[0] = VERSION;
        body[1] = self.key.id;
        body[2..6].copy_from_slice(&claim.queue.0.to_be_bytes());
        body[6..14].copy_from_slice(&claim.user.get().to_be_bytes());
        body[14..22].copy_from_slice(&claim.place.to_be_bytes());
        mac.copy_from_slice(blake3::keyed_hash(&self.key.key, body).as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The claim of a token, if the token is ours to the last bit. Compares in constant time and allocates nothing; which
    /// key it takes, the token says openly.
    #[must_use]
    pub fn verify(&self, token: &str) -> Option<Claim> {
        let mut bytes = [0; TOKEN_BYTES];
        if token.len() != TOKEN_CHARS || URL_SAFE_NO_PAD.decode_slice(token, &mut bytes) != Ok(TOKEN_BYTES) {
            return None;
        }
        let (body, mac) = bytes.split_at(CLAIM_BYTES);
        if body[0] != VERSION {
            return None;
        }
        let mac = blake3::Hash::from_bytes(mac.try_into().ok()?);
        // Two keys may have the same id, which is one byte. `Hash` compares in constant time.
        let mut named = std::iter::once(&self.key).chain(&self.others).filter(|key| key.id == body[1]);
        if !named.any(|key| blake3::keyed_hash(&key.key, body) == mac) {
            return None;
        }
        Some(Claim {
            queue: QueueId(i32::from_be_bytes(body[2..6].try_into().ok()?)),
            user: i64::from_be_bytes(body[6..14].try_into().ok()?).try_into().ok()?,
            place: u64::from_be_bytes(body[14..22].try_into().ok()?),
        })
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim() -> Claim {
        Claim { queue: QueueId(1), user: "42".parse().unwrap_or_else(|_| unreachable!()), place: 1 << 40 }
    }

    #[test]
    fn a_token_gives_back_its_claim() {
        let signer = Signer::new(&[7; 32]);
        let token = signer.sign(&claim());
        assert_eq!(token.len(), TOKEN_CHARS);
        assert_eq!(signer.verify(&token), Some(claim()));
        assert_eq!(token, signer.sign(&claim()));
    }

    #[test]
    fn any_altered_character_is_refused() {
        let signer = Signer::new(&[7; 32]);
        let token = signer.sign(&claim());
        for at in 0..token.len() {
            for other in ['A', 'B', '-', '_', '=', '!', ' '] {
                let mut forged: Vec<char> = token.chars().collect();
                if forged[at] != other {
                    forged[at] = other;
                    assert_eq!(signer.verify(&forged.into_iter().collect::<String>()), None);
                }
            }
        }
        for bad in ["", "token:123", &token[1..], &format!("{token}A"), &"é".repeat(36)] {
            assert_eq!(signer.verify(bad), None, "{bad}");
        }
    }

    #[test]
    fn another_key_is_refused() {
        assert_eq!(Signer::new(&[8; 32]).verify(&Signer::new(&[7; 32]).sign(&claim())), None);
    }

    #[test]
    fn a_key_that_is_accepted_too_is_never_signed_with() {
        let (former, next) = (Signer::new(&[7; 32]), Signer::new(&[8; 32]));
        let both = Signer::new(&[8; 32]).accepting(&[6; 32]).accepting(&[7; 32]);
        assert_eq!(both.verify(&former.sign(&claim())), Some(claim()));
        assert_eq!(both.sign(&claim()), next.sign(&claim()));
        assert_eq!(both.verify(&Signer::new(&[9; 32]).sign(&claim())), None);
    }

    #[test]
    fn keys_with_the_same_id_are_told_apart() {
        let id = |secret: u16| Key::new(&secret.to_be_bytes().repeat(16)).id;
        let same = (1..=u16::MAX).find(|secret| id(*secret) == id(0)).unwrap_or_else(|| unreachable!());
        let secret = |number: u16| number.to_be_bytes().repeat(16);
        let both = Signer::new(&secret(0)).accepting(&secret(same));
        assert_eq!(both.verify(&Signer::new(&secret(same)).sign(&claim())), Some(claim()));
        assert_eq!(Signer::new(&secret(0)).verify(&Signer::new(&secret(same)).sign(&claim())), None);
    }
}
