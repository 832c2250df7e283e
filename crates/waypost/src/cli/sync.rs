//! The arguments of `waypost sync`.

use clap::{ArgGroup, Args, Subcommand};

use super::ClientArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum SyncCommand {
    /// Show the sync status of all links, or of one link
    ///
    /// Without a link: for each target how many links are pending, syncing, synced or failed, since when the oldest one
    /// waits, and why the target cannot be reached, if so; then the links that failed. The link table of the server
    /// itself is a target like Cloudflare's Workers KV.
    ///
    /// Exit status: 0 every target is reached and nothing failed, 3 otherwise.
    Status {
        #[command(flatten)]
        link: SomeLink,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Push again now: one link, all links that failed, or all links
    ///
    /// After a network error Waypost tries again by itself; after a link was refused, when the link is changed.
    #[command(group = ArgGroup::new("what").required(true).args(["link", "failed", "all"]))]
    Retry {
        #[command(flatten)]
        link: SomeLink,
        /// Push all links that failed
        #[arg(long)]
        failed: bool,
        /// Push all links, including those that are synced
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Compare every link with what Workers KV contains
    ///
    /// Prints each difference: links that are missing in KV, values that differ from the link, keys of deleted links,
    /// and foreign keys, which this instance did not write and which belong to none of its links. Links that were
    /// pushed in the last minute are left out, because KV's lists are that much behind. With --json each difference is
    /// printed as JSON, as are progress and summary.
    ///
    /// Exit status: 0 no link differs (foreign keys do not count), or all are repaired; 3 some differ and were not
    /// repaired; 1 the comparison did not finish.
    Verify {
        /// Push links that are missing or different, and delete keys of deleted links
        #[arg(long)]
        repair: bool,
        /// Delete foreign keys, such as links created with the Worker's own form
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
