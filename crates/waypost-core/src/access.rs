//! The words for what somebody may do in an account: the roles of people, and the scopes of API keys.

use std::fmt;
use std::str::FromStr;

use crate::coded::coded_enum;

coded_enum! {
    /// What a person may do in an account. Each role may do all that the roles before it may.
    pub enum Role {
        /// Read links and reports.
        Viewer = 0 "viewer",
        /// Create, change and archive links.
        Editor = 1 "editor",
        /// Delete links, erase clicks; domains, members, API keys, settings and the audit log.
        Admin = 2 "admin",
        /// Name other owners, and close the account.
        Owner = 3 "owner",
    }
}

coded_enum! {
    /// What an API key may be used for.
    pub enum Scope {
        /// Read links, their versions, and where a visit of them goes.
        LinksRead = 0 "links:read",
        /// Create, change and delete links.
        LinksWrite = 1 "links:write",
        /// Read reports and clicks.
        StatsRead = 2 "stats:read",
        /// Send conversions.
        ConversionsWrite = 3 "conversions:write",
        /// Read how far edges are.
        SyncRead = 4 "sync:read",
        /// Everything that an administrator of the account may do, including all of the above.
        Admin = 5 "admin",
    }
}

/// A set of scopes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u8);

/// A string that names no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no scope {}", crate::Quoted(name))]
pub struct ScopeError {
    name: String,
}

impl Scopes {
    /// The same set with this scope.
    #[must_use]
    pub const fn with(self, scope: Scope) -> Self {
        Self(self.0 | 1 << scope as u8)
    }

    /// Whether the set allows what the scope is for: it has the scope itself, or `admin`.
    pub const fn allows(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8 | 1 << Scope::Admin as u8) != 0
    }

    /// Whether the scope itself is in the set.
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & 1 << scope as u8 != 0
    }

    /// Whether no scope is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The scopes of the set, in their fixed order.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.iter().copied().filter(move |scope| self.contains(*scope))
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        scopes.into_iter().fold(Self::default(), Self::with)
    }
}

/// The names of the scopes, separated by spaces.
impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, scope) in self.iter().enumerate() {
            let gap = if place == 0 { "" } else { " " };
            write!(f, "{gap}{}", scope.name())?;
        }
        Ok(())
    }
}

/// Reads what `Display` writes.
impl FromStr for Scopes {
    type Err = ScopeError;

    fn from_str(names: &str) -> Result<Self, ScopeError> {
        let read = |name: &str| Scope::from_name(name).ok_or_else(|| ScopeError { name: crate::quoted::kept(name) });
        names.split_ascii_whitespace().map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_written_and_read() {
        let scopes: Scopes = "stats:read links:read".parse().expect("two scopes");
        assert_eq!(scopes.to_string(), "links:read stats:read");
        assert!(scopes.allows(Scope::LinksRead) && !scopes.allows(Scope::LinksWrite));
        assert!(Scopes::default().with(Scope::Admin).allows(Scope::LinksWrite));
        assert!(!Scopes::default().with(Scope::Admin).contains(Scope::LinksWrite));
        assert_eq!("".parse::<Scopes>(), Ok(Scopes::default()));
        assert!("links:read links:delete".parse::<Scopes>().is_err());
        assert!(Role::Owner > Role::Admin && Role::Editor > Role::Viewer);
    }
}
