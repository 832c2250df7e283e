//! Checking a link's password in the Worker itself, for those who run it without a control plane.
//!
//! One check of the usual hash (argon2id, 19 MiB, two passes) takes more CPU time than the free plan gives a request;
//! the shell therefore asks the control plane wherever there is one.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, Params, PasswordVerifier};

/// The most bytes of a link's password.
const PASSWORD_BYTES_MAX: usize = 256;
/// The most memory (KiB), passes and lanes that a hash may ask for here.
const MEMORY_KIB_MAX: u32 = 64 << 10;
const PASSES_MAX: u32 = 6;
const LANES_MAX: u32 = 4;

/// Whether the password is the one that was hashed; `None` if the hash cannot be checked here.
pub(crate) fn is_right(password: &[u8], hash: &str) -> Option<bool> {
    let hash = PasswordHash::new(hash).ok()?;
    let params = Params::try_from(&hash).ok()?;
    let is_affordable =
        params.m_cost() <= MEMORY_KIB_MAX && params.t_cost() <= PASSES_MAX && params.p_cost() <= LANES_MAX;
    if !is_affordable || hash.hash.is_none() {
        return None;
    }
    Some(password.len() <= PASSWORD_BYTES_MAX && Argon2::default().verify_password(password, &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of `secret`, with the parameters that the control plane uses.
    const HASH: &str =
        "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$14ukWqiThj4Xz77NYv01V28GbBZHY9AaZwsFswQFO0U";

    #[test]
    fn passwords_are_checked() {
        assert_eq!(is_right(b"secret", HASH), Some(true));
        assert_eq!(is_right(b"Secret", HASH), Some(false));
        assert_eq!(is_right(&[b'x'; 10_000], HASH), Some(false));
    }

    #[test]
    fn hashes_out_of_bounds_are_not_checked() {
        let tail = "$c29tZXNhbHRzb21lc2FsdA$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let no_output = "$argon2id$v=19$m=16,t=2,p=1$c29tZXNhbHRzb21lc2FsdA";
        for bad in ["", "x", "$2b$12$abc", no_output, &format!("$argon2id$v=19$m=4194304,t=2,p=1{tail}")] {
            assert_eq!(is_right(b"secret", bad), None, "{bad}");
        }
        assert_eq!(is_right(b"secret", &format!("$argon2id$v=19$m=19456,t=100,p=1{tail}")), None);
    }
}
