//! The command line: its commands, arguments and help texts. What each command does is in `command`, `serve`, `decide`
//! and `transfer`. The settings that a flag can give are listed once, in `config::settings`.

mod audit;
mod clicks;
mod qr;
mod sync;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use waypost_core::Hostname;

pub(crate) use self::audit::AuditArgs;
pub(crate) use self::clicks::{ClicksCommand, LinkFilter, LinkId, RangeArgs, ReportArgs, ReportFormat};
pub(crate) use self::qr::QrArgs;
pub(crate) use self::sync::{SomeLink, SyncCommand};

use crate::config::flags::{CommandFlags, ServeFlags};
use crate::transfer::row::read_domain_map;

/// A link platform: short links that send each visitor to the right place.
///
/// Without a command, `waypost` serves with its default settings.
#[derive(Debug, Parser)]
#[command(name = "waypost", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server
    Serve(ServeFlags),
    /// Create, list and revoke API keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Create, list, show, update and delete links
    #[command(subcommand)]
    Link(LinkCommand),
    /// Create, list, update and delete the domains of links
    #[command(subcommand)]
    Domain(DomainCommand),
    /// Report clicks and visitors by time and by dimension
    ///
    /// Without arguments: clicks of people (not bots) on all links in the last 30 days, day by day.
    ///
    /// Examples:
    ///   waypost report --link promo --by country
    ///   waypost report --from 2026-03-01 --to 2026-03-31 --time-zone Europe/Berlin --by link
    ///   waypost report --from 24h --interval hour --filter country=DE,AT --class all
    ///   waypost report --interval month --from 52w --format csv
    #[command(verbatim_doc_comment)]
    Report(ReportArgs),
    /// Export, watch, audit and erase raw clicks
    #[command(subcommand)]
    Clicks(ClicksCommand),
    /// Show who changed what, when and from where: the newest changes first
    Audit(AuditArgs),
    /// Show whether the edges have all links, push links again, and compare
    #[command(subcommand)]
    Sync(SyncCommand),
    /// Create links from a CSV or NDJSON file, or a list of URLs
    ///
    /// The first line of a CSV file names its columns: `destination_url` (or `url`, `long_url`, `original_url`),
    /// `slug`, `domain` and any other field of a link; a cell with rules or another list contains JSON. Columns are
    /// separated by commas, semicolons or tabs; the first line decides which. Columns that are not a field of a link
    /// are ignored, with a note. A table without a column `slug` but with one like it (`keyword`, `slashtag`,
    /// `short_url`) is refused: see --slug-column. NDJSON has one link a line. A file named `.txt` has one URL a line.
    /// A line that is refused is reported and does not stop the others.
    ///
    /// Importing the same file again creates no link twice: see --if-exists. Dates and times are written as
    /// 2026-01-15T10:30:00Z, 2026-01-15 10:30 (UTC) or 2026-01-15.
    ///
    /// Exit status: 0 all links were imported, 3 some lines were refused, 1 the import stopped on an error.
    Import(ImportArgs),
    /// Write all links as CSV or NDJSON, in a format that `import` reads
    Export(ExportArgs),
    /// Decide visits without a server: reads lines of `{"record": ..., "visit": {...}}`, writes one decision a line
    ///
    /// The record is the JSON of a link, or a URL as a string. Of the visit only `now` is required; it may have
    /// `method`, `host`, `path`, `query`, `ip`, `country`, `user_agent`, `referrer`, `accept_language`, `visitor_id`,
    /// `purpose` and `unlocked`. A line that cannot be decided gives `{"error": "..."}`; empty lines are skipped.
    Decide(DecideArgs),
    /// Print the settings in force, with secrets masked
    Config(ConfigArgs),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Which server a command uses, and how it prints.
#[derive(Args, Clone, Debug)]
pub(crate) struct ClientArgs {
    /// Use the server at this URL instead of the data folder on this machine
    #[arg(long, value_name = "URL", env = "WAYPOST_SERVER", hide_env_values = true, help_heading = "Server")]
    pub(crate) server: Option<String>,
    /// The API key for --server
    #[arg(long, value_name = "KEY", env = "WAYPOST_KEY", hide_env_values = true, help_heading = "Server")]
    pub(crate) key: Option<String>,
    /// Use the links that were created without an account, on the landing page or by `POST /api/url`
    #[arg(long, conflicts_with = "server", help_heading = "Server")]
    pub(crate) anonymous: bool,
    #[command(flatten)]
    pub(crate) settings: CommandFlags,
    /// Print JSON
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Create an API key and print it; it is shown only once
    Create {
        /// A name for the key
        #[arg(long, default_value = "cli")]
        name: String,
        /// When it expires: a date or time such as 2027-01-31 or 2027-01-31T10:30:00Z (UTC if no zone is given), or
        /// a span from now such as 90d or 12h
        #[arg(long, value_name = "WHEN")]
        expires: Option<String>,
        /// What it may be used for: links:read, links:write, stats:read, conversions:write, sync:read, admin; several are
        /// separated by commas. Without it everything
        #[arg(long, value_name = "SCOPES", value_delimiter = ',')]
        scopes: Option<Vec<String>>,
        /// Only links of this domain; may be given several times
        #[arg(long, value_name = "HOST")]
        domain: Vec<String>,
        /// A key that pages contain, to send conversions from this origin; may be given several times
        #[arg(long, value_name = "ORIGIN")]
        publishable_for: Vec<String>,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// List the API keys, without their secrets
    List {
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Revoke an API key, immediately and permanently
    Revoke {
        /// Its id, as `key list` shows it
        id: String,
        #[command(flatten)]
        client: ClientArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum LinkCommand {
    /// Create a link and print its short URL
    Create {
        /// The destination; may be omitted if --record has it
        #[arg(value_name = "URL", required_unless_present = "record")]
        destination: Option<String>,
        /// The path of the short URL [default: 8 random characters]
        #[arg(long)]
        slug: Option<String>,
        /// The host of the short URL [default: the default domain]
        #[arg(long, value_name = "HOST")]
        domain: Option<String>,
        #[command(flatten)]
        fields: LinkFields,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// List links, newest first; on the server's machine also those created without an account
    List {
        /// How many links to list at most
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: u64,
        /// List all links
        #[arg(long, conflicts_with = "limit")]
        all: bool,
        /// Only links on this host
        #[arg(long, value_name = "HOST")]
        domain: Option<String>,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Show a link
    Show {
        #[command(flatten)]
        link: LinkChoice,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Update a link; fields that are not given stay as they are, and slug and domain cannot change
    Update {
        #[command(flatten)]
        link: LinkChoice,
        /// The destination
        #[arg(long, value_name = "URL")]
        destination: Option<String>,
        #[command(flatten)]
        fields: LinkFields,
        /// Fields to clear, such as expires_at or rules
        #[arg(long, value_name = "FIELD")]
        clear: Vec<String>,
        /// Update it only if it has this version
        #[arg(long, value_name = "N")]
        if_version: Option<u64>,
        /// Accepted only to explain that a slug cannot change
        #[arg(long, hide = true)]
        slug: Option<String>,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Print the QR code of a link in the terminal, or write it to a file
    ///
    /// Scans are counted apart, as the channel `qr` of reports. The code has the account's logo in the middle, if there is
    /// one: see `link qr-logo`. Each code is also at the short URL with `.qr` at its end.
    Qr {
        #[command(flatten)]
        link: LinkChoice,
        #[command(flatten)]
        qr: QrArgs,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Store the logo that the QR codes of all links of the account have in the middle
    QrLogo {
        /// A PNG with at most 1 MiB
        #[arg(value_name = "FILE", required_unless_present = "delete")]
        file: Option<PathBuf>,
        /// Delete the logo that is stored
        #[arg(long, conflicts_with = "file")]
        delete: bool,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Delete a link
    Delete {
        #[command(flatten)]
        link: LinkChoice,
        /// Delete it only if it has this version
        #[arg(long, value_name = "N")]
        if_version: Option<u64>,
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        client: ClientArgs,
    },
}

/// Names one link.
#[derive(Args, Clone, Debug)]
pub(crate) struct LinkChoice {
    /// The link's id, its slug, or its short URL
    #[arg(value_name = "ID-OR-SLUG")]
    pub(crate) link: String,
    /// The host that the slug is on [default: the default domain]
    #[arg(long, value_name = "HOST")]
    pub(crate) domain: Option<String>,
}

/// Fields that `create` and `update` share.
#[derive(Args, Clone, Debug)]
pub(crate) struct LinkFields {
    /// The HTTP status of the redirect
    #[arg(long, value_name = "STATUS", value_parser = ["301", "302", "303", "307", "308"])]
    pub(crate) status: Option<String>,
    /// Whether the visitor's query string is added to the destination
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub(crate) forward_query: Option<bool>,
    /// Whether the link redirects
    #[arg(long, value_name = "BOOL")]
    pub(crate) enabled: Option<bool>,
    /// When the link starts: a date or time (UTC if no zone is given), or a span from now such as 2h
    #[arg(long, value_name = "WHEN")]
    pub(crate) starts_at: Option<String>,
    /// When the link expires: a date or time (UTC if no zone is given), or a span from now such as 30d
    #[arg(long, value_name = "WHEN")]
    pub(crate) expires_at: Option<String>,
    /// The destination after the link has expired
    #[arg(long, value_name = "URL")]
    pub(crate) expired_url: Option<String>,
    /// Read a password for the link from standard input (one line)
    #[arg(long)]
    pub(crate) password_stdin: bool,
    /// Read further fields (rules, geo_rules, ab_test, ...) from this JSON file; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "password_stdin")]
    pub(crate) record: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DomainCommand {
    /// Create a domain
    Create {
        /// The host, such as go.example
        host: String,
        /// Store and look up slugs in lower case
        #[arg(long)]
        case_insensitive: bool,
        /// The destination of the empty path
        #[arg(long, value_name = "URL")]
        root_url: Option<String>,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// List the domains
    List {
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Update a domain
    Update {
        /// Its host, or its id
        domain: String,
        /// Whether slugs are stored and looked up in lower case
        #[arg(long, value_name = "BOOL")]
        case_insensitive: Option<bool>,
        /// The destination of the empty path; an empty value for the landing page
        #[arg(long, value_name = "URL")]
        root_url: Option<String>,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Delete a domain that has no links
    Delete {
        /// Its host, or its id
        domain: String,
        #[command(flatten)]
        client: ClientArgs,
    },
}

/// Formats of a file of links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Comma-separated values, the first line names the columns
    Csv,
    /// One JSON object a line
    Ndjson,
    /// One URL a line
    Urls,
}

/// What an import does with links that already exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum IfExists {
    /// Leave the link as it is, and report if it differs
    Skip,
    /// Update the link with the fields of the line
    Update,
    /// Refuse the line
    Error,
}

impl From<IfExists> for waypost_api::link::IfExists {
    fn from(if_exists: IfExists) -> Self {
        match if_exists {
            IfExists::Skip => Self::Skip,
            IfExists::Update => Self::Update,
            IfExists::Error => Self::Error,
        }
    }
}

/// Formats in which links are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// Comma-separated values, the first line names the columns
    Csv,
    /// One JSON object a line
    Ndjson,
}

#[derive(Args, Debug)]
pub(crate) struct ImportArgs {
    /// The file; `-` is standard input
    pub(crate) file: PathBuf,
    /// The file's format [default: by its name]
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    /// Check every line and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// What to do with a line whose slug is taken, or that has no slug and was imported before
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = IfExists::Skip)]
    pub(crate) if_exists: IfExists,
    /// Write refused lines and notes to this CSV file (line, code, reason) instead of standard error
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Put all links on this host, whatever the file says
    #[arg(long, value_name = "HOST", conflicts_with = "domain_map")]
    pub(crate) domain: Option<String>,
    /// Move the links of one host in the file to another, such as old.example=go.example; may be given more than once
    #[arg(long, value_name = "OLD=NEW", value_parser = read_domain_map)]
    pub(crate) domain_map: Vec<(Hostname, Hostname)>,
    /// Read the slugs from the column with this heading, such as keyword; of a URL in it, the path is the slug
    #[arg(long, value_name = "HEADING", conflicts_with = "draw_slugs")]
    pub(crate) slug_column: Option<String>,
    /// Give each link a random slug, although a column of the file seems to contain slugs
    #[arg(long)]
    pub(crate) draw_slugs: bool,
    /// Start at this line of the file, to continue after an error
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) from_line: u64,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ExportArgs {
    /// The format [default: by the file's name, else csv]
    #[arg(long, value_enum)]
    pub(crate) format: Option<ExportFormat>,
    /// The file to write; it must not exist [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Only links on this host
    #[arg(long, value_name = "HOST")]
    pub(crate) domain: Option<String>,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct DecideArgs {
    /// Add each step of the decision, and why it did or did not apply
    #[arg(long)]
    pub(crate) trace: bool,
    /// Allow destinations with this scheme besides http and https; may be given more than once
    #[arg(long = "scheme", value_name = "SCHEME")]
    pub(crate) schemes: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct ConfigArgs {
    #[command(flatten)]
    pub(crate) settings: ServeFlags,
    /// Print JSON
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}
