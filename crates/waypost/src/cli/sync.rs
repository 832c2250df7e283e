//! The arguments of `waypost sync`.

use clap::{ArgGroup, Args, Subcommand};

use super::ClientArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum SyncCommand {
    /// Show how far the edges are: altogether, or with one link
    ///
    /// Without a link: for each target how many links are still to be pushed, are being pushed, were pushed or failed, since when the
    /// oldest waits, and what keeps the target from being reached; then the links that failed. The link table of the server
    /// itself is a target like Cloudflare's Workers KV.
    ///
    /// Exit status: 0 every target is reached and nothing failed, 3 otherwise.
    Status {
        #[command(flatten)]
        link: SomeLink,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Try again now, for a link, for all that failed, or for all links
    ///
    /// Faults of the network are tried again without being asked to; a link that was refused is, once it is changed.
    #[command(group = ArgGroup::new("what").required(true).args(["link", "failed", "all"]))]
    Retry {
        #[command(flatten)]
        link: SomeLink,
        /// Try again all links that failed
        #[arg(long)]
        failed: bool,
        /// Push all links anew, also those that were pushed
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Compare every link with what Workers KV really holds
    ///
    /// Prints each difference: links that are missing in KV, values that are not the link's, keys of links that were deleted, and
    /// foreign keys, which this instance did not write and which belong to none of its links. What was pushed within the last
    /// minute is left out, because KV's lists are that much behind. With --json each is printed as JSON, as are progress and
    /// summary.
    ///
    /// Exit status: 0 no link differs (foreign keys do not count), or all are repaired; 3 some differ and were not
    /// repaired; 1 the comparison could not be finished.
    Verify {
        /// Push links that are missing or different, and delete keys of links that were deleted
        #[arg(long)]
        repair: bool,
        /// Delete foreign keys, such as links that the Worker's own form has made
        #[arg(long)]
        delete_foreign: bool,
        /// Do not ask before deleting foreign keys
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        client: ClientArgs,
    },
}

/// Names one link, or none.
#[derive(Args, Clone, Debug)]
pub(crate) struct SomeLink {
    /// The link's id, its slug, or its short URL
    #[arg(value_name = "ID-OR-SLUG")]
    pub(crate) link: Option<String>,
    /// The host that the slug is on [default: the default domain]
    #[arg(long, value_name = "HOST", requires = "link")]
    pub(crate) domain: Option<String>,
}
