//! What can go wrong in the store. A failure keeps its identity: a broken database is never "not found".

use waypost_sql::SqlError;

/// Why an operation of the store did not happen. Unless a variant says otherwise nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed.
    #[error(transparent)]
    Sql(#[from] SqlError),
    /// There is no such row in this account.
    #[error("there is no such {what}")]
    NotFound {
        /// `link`, `domain`, `account`, `api key`, `utm template`.
        what: &'static str,
    },
    /// The row has another version than the caller expected.
    #[error("the link is now at version {current}")]
    VersionConflict {
        /// The version it has.
        current: u64,
    },
    /// Another live link of the domain has this slug.
    #[error("the slug {} is taken", waypost_core::Quoted(slug))]
    SlugTaken {
        /// The slug.
        slug: String,
    },
    /// Host and slug together are too long for the edges' keys.
    #[error("host and slug have at most {} bytes together", waypost_core::slug::HOST_AND_SLUG_BYTES_MAX)]
    SlugTooLong,
    /// Another domain has this host.
    #[error("the domain {host} is taken")]
    DomainTaken {
        /// The host.
        host: String,
    },
    /// The public URL names a domain that is not the default one, and cannot become it.
    #[error("{}", public_url_taken(host, *links, default_host))]
    PublicUrlTaken {
        /// The host of the public URL.
        host: String,
        /// How many links that domain has; 100,001 where there are more than 100,000.
        links: u64,
        /// The host of the default domain.
        default_host: String,
    },
    /// The domain has links, and the change would need them to be none.
    #[error("the domain {host} has links")]
    DomainInUse {
        /// The host.
        host: String,
    },
    /// The domain has links, and cannot be deleted.
    #[error("the domain {host} has {}, and is deleted only without any", count_of_links(*links))]
    DomainHasLinks {
        /// The host.
        host: String,
        /// How many; 100,001 where there are more than 100,000.
        links: u64,
    },
    /// The default domain cannot be deleted.
    #[error("{host} is the default domain, which cannot be deleted; public_url gives it another host")]
    DomainIsDefault {
        /// The host.
        host: String,
    },
    /// Another member of the account has this address.
    #[error("the account has a member {email}")]
    EmailTaken {
        /// The address.
        email: String,
    },
    /// Another API key has this key id: draw again.
    #[error("the key id is taken")]
    KeyIdTaken,
    /// More was asked for than one call takes.
    #[error("at most {max} {what} in one call")]
    TooMany {
        /// What there were too many of.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// A list cursor that this store did not hand out.
    #[error("the cursor is not one of this list")]
    CursorInvalid,
    /// The outbox does not reach back to (or not up to) the reader's cursor: entries were trimmed, or the database is
    /// another one. The reader must rebuild from all records.
    #[error("the outbox holds the entries {first} to {last} and cannot go on from {cursor}")]
    OutboxGap {
        /// The reader's cursor.
        cursor: u64,
        /// The oldest entry kept; 0 where there is none.
        first: u64,
        /// The newest entry; 0 where there is none.
        last: u64,
    },
}

impl StoreError {
    /// Whether the same call may succeed later without any change of it: answer 503, not 500.
    pub const fn is_unavailable(&self) -> bool {
        matches!(self, Self::Sql(error) if error.is_unavailable())
    }
}

fn public_url_taken(host: &str, links: u64, default_host: &str) -> String {
    let emptied = match links {
        0 => String::new(),
        _ => format!(
            "move or delete its {} (`waypost export --domain {host}` writes them into a file), then ",
            count_of_links(links)
        ),
    };
    format!(
        "public_url names {host}, which is a domain beside the default domain {default_host}. Links of both keep their hosts \
         where public_url keeps the host {default_host}. To have {host} instead of {default_host}, {emptied}run `waypost domain \
         delete {host}` and start again: links of {default_host} are then found at {host}"
    )
}

/// A number that was counted up to a limit, as people say it.
fn count_of_links(links: u64) -> String {
    match links {
        1 => "one link".to_owned(),
        2..=100_000 => format!("{links} links"),
        _ => "more than 100,000 links".to_owned(),
    }
}
