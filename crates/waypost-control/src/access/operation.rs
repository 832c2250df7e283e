//! Who may do what: one row for each operation. Every use case asks this table first.

use waypost_core::access::{Role, Scope};

/// Whose business an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The caller's account.
    Account,
    /// The instance as a whole: the operator, and API keys of the default account.
    Instance,
    /// The operator alone.
    Operator,
}

/// What an operation takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The operation in the audit log: a kind of object and a verb.
    pub name: &'static str,
    /// The least role of a person.
    pub role: Role,
    /// The scope of an API key.
    pub scope: Scope,
    /// Whose business it is.
    pub reach: Reach,
}

/// Declares the operations with what each takes.
macro_rules! operations {
    ($($(#[$about:meta])* $operation:ident = $name:literal, $role:ident, $scope:ident, $reach:ident;)+) => {
        /// Something that a caller may be allowed to do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Operation {
            $($(#[$about])* $operation,)+
        }

        impl Operation {
            /// Every operation.
            pub const ALL: &'static [Self] = &[$(Self::$operation),+];

            /// What it takes.
            pub const fn requirement(self) -> Requirement {
                match self {
                    $(Self::$operation => Requirement {
                        name: $name,
                        role: Role::$role,
                        scope: Scope::$scope,
                        reach: Reach::$reach,
                    },)+
                }
            }
        }
    };
}

operations! {
    /// Read links and their versions.
    ReadLinks = "link.read", Viewer, LinksRead, Account;
    /// See where a visit would go.
    Decide = "link.decide", Viewer, LinksRead, Account;
    /// Look for what is odd about a link.
    Lint = "link.lint", Viewer, LinksRead, Account;
    /// Create a link, or several.
    CreateLink = "link.create", Editor, LinksWrite, Account;
    /// Change a link.
    UpdateLink = "link.update", Editor, LinksWrite, Account;
    /// Delete a link.
    DeleteLink = "link.delete", Admin, LinksWrite, Account;
    /// See how far edges are with links.
    ReadLinkSync = "link.sync_read", Viewer, SyncRead, Account;
    /// Send links to edges again.
    RetryLinkSync = "link.sync_retry", Editor, LinksWrite, Account;
    /// Read reports, raw clicks and live feeds.
    ReadClicks = "click.read", Viewer, StatsRead, Account;
    /// Erase clicks of a link or a visitor.
    EraseClicks = "click.erase", Admin, Admin, Account;
    /// See how long raw clicks are kept.
    ReadRetention = "click.retention_read", Viewer, StatsRead, Account;
    /// Choose how long raw clicks are kept.
    SetRetention = "click.retention_set", Admin, Admin, Account;
    /// See which clicks of edges were counted, lost or refused.
    AuditClicks = "click.audit", Admin, SyncRead, Instance;
    /// Set the logo in the QR codes of the account.
    SetQrLogo = "qr_logo.set", Editor, LinksWrite, Account;
    /// Delete the logo in the QR codes of the account.
    DeleteQrLogo = "qr_logo.delete", Editor, LinksWrite, Account;
    /// List domains.
    ReadDomains = "domain.read", Viewer, LinksRead, Account;
    /// Create a domain.
    CreateDomain = "domain.create", Admin, Admin, Operator;
    /// Change a domain.
    UpdateDomain = "domain.update", Admin, Admin, Operator;
    /// Delete a domain.
    DeleteDomain = "domain.delete", Admin, Admin, Operator;
    /// List API keys.
    ReadApiKeys = "api_key.read", Admin, Admin, Account;
    /// Create an API key.
    CreateApiKey = "api_key.create", Admin, Admin, Account;
    /// Revoke an API key.
    RevokeApiKey = "api_key.revoke", Admin, Admin, Account;
    /// Read the audit log.
    ReadAuditLog = "audit.read", Admin, Admin, Account;
    /// See how far edges are with all links.
    ReadSync = "sync.read", Admin, SyncRead, Instance;
    /// Send links of all accounts to edges again, or compare them.
    ChangeSync = "sync.retry", Admin, Admin, Instance;
    /// Read readiness in detail, and metrics.
    ReadHealth = "health.read", Admin, SyncRead, Instance;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What takes a caller and is nothing that may be refused: remembering a request, watching a permission.
    const ASK_NOTHING: [&str; 3] = ["fn new(", "fn once(", "fn watch_permission("];

    /// Reads the sources, so that a new use case cannot forget to ask.
    #[test]
    fn every_use_case_asks_first() {
        let mut forgotten = Vec::new();
        let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
        let mut asked = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let source = std::fs::read_to_string(&path).expect("a source file");
                for function in source.split("    pub ").skip(1) {
                    let Some((head, body)) = function.split_once("{\n") else { continue };
                    let is_use_case = head.contains("fn ") && head.contains("caller: &Caller");
                    let first = body.trim_start().lines().next().unwrap_or_default();
                    if is_use_case && first.starts_with("caller.may(Operation::") {
                        asked += 1;
                    } else if is_use_case && !ASK_NOTHING.iter().any(|name| head.contains(name)) {
                        forgotten.push(format!("{}: {head}", path.display()));
                    }
                }
            }
        }
        assert!(forgotten.is_empty(), "{forgotten:#?}");
        assert!(asked >= 25, "{asked}");
    }

    #[test]
    fn names_are_unique_and_say_object_and_verb() {
        let mut names: Vec<_> = Operation::ALL.iter().map(|operation| operation.requirement().name).collect();
        assert!(names.iter().all(|name| name.split('.').count() == 2), "{names:?}");
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Operation::ALL.len());
    }
}
