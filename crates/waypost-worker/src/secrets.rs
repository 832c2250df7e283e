//! The secrets that this Worker shares with the control plane: what signs its clicks, and what is derived from them.
//!
//! Signing is [`waypost_core::webhook`]'s work; with several secrets there is a signature by each. Grants and the salts
//! of visitor keys come from the first.

use waypost_core::grant::GrantKey;
use waypost_core::visitor::Salt;
use waypost_core::webhook::{SignedMessage, WebhookKeyError, WebhookKeys};

/// The secrets, the newest first; perhaps none.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    keys: WebhookKeys,
}

impl Secrets {
    /// Reads secrets with white space between them.
    ///
    /// # Errors
    /// If one is of another form. The error does not show it.
    pub(crate) fn parse(text: &str) -> Result<Self, WebhookKeyError> {
        WebhookKeys::parse(text.split_ascii_whitespace()).map(|keys| Self { keys })
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Writes the value of `webhook-signature` to the end of `out`.
    pub(crate) fn sign(&self, message: SignedMessage<'_>, out: &mut Vec<u8>) {
        self.keys.sign(message, out);
    }

    /// The salt of a day's visitor keys. It is the same at every place the Worker runs, and cannot be found without the
    /// secret.
    pub(crate) fn salt_of(&self, day: i64) -> Option<Salt> {
        let mac = self.keys.derive(b"waypost visitor salt 1\0", &day.to_le_bytes())?;
        mac.first_chunk().copied()
    }

    /// The key of this Worker's unlock grants.
    pub(crate) fn grant_key(&self) -> Option<GrantKey> {
        self.keys.derive(b"waypost worker grants 1\0", b"").map(GrantKey::new)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn secrets_stand_with_spaces_between() {
        assert!(Secrets::parse(" ").unwrap().is_empty());
        assert!(!Secrets::parse(&format!(" {SECRET}\n{SECRET} ")).unwrap().is_empty());
        assert!(Secrets::parse(&format!("{SECRET},{SECRET}")).is_err());
        assert!(!format!("{:?}", Secrets::parse(SECRET).unwrap()).contains("MfKQ"));
    }

    #[test]
    fn what_is_derived_differs_by_purpose_and_day() {
        let secrets = Secrets::parse(SECRET).unwrap();
        assert_eq!(secrets.salt_of(20_000), secrets.salt_of(20_000));
        assert_ne!(secrets.salt_of(20_000), secrets.salt_of(20_001));
        assert_eq!(Secrets::default().salt_of(1), None);
        assert!(Secrets::default().grant_key().is_none());
    }
}
