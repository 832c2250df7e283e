//! The arguments of `waypost report` and `waypost clicks`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};

use super::{ClientArgs, ExportFormat};

/// Formats of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// Aligned columns, with bars on a terminal
    Table,
    /// Comma-separated values, the first line names the columns
    Csv,
    /// The response of the API
    Json,
}

#[derive(Args, Debug)]
pub(crate) struct ReportArgs {
    #[command(flatten)]
    pub(crate) link: LinkFilter,
    #[command(flatten)]
    pub(crate) range: RangeArgs,
    /// The interval of a row [default: day, or none with --by]
    #[arg(long, value_name = "INTERVAL", value_parser = ["none", "hour", "day", "week", "month", "year"])]
    pub(crate) interval: Option<String>,
    /// Classes to count: human, prefetch, preview, bot, head, or all [default: human]
    #[arg(long, value_name = "CLASS", value_delimiter = ',')]
    pub(crate) class: Vec<String>,
    /// One row for each value of this: country, device, os, browser, channel, language, referrer_host, source, rule,
    /// ab_test, variant, utm_source, utm_medium, utm_campaign, utm_term, utm_content, class, or link
    #[arg(long, value_name = "DIMENSION")]
    pub(crate) by: Option<String>,
    /// Count only clicks with one of these values, such as country=DE,AT; may be given for several dimensions.
    /// `unknown` means that the value is not known
    #[arg(long = "filter", value_name = "DIMENSION=VALUE,...", value_parser = read_filter)]
    pub(crate) filters: Vec<(String, String)>,
    /// How many groups to show at most, those with the most clicks
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// The format of the report [default: table]
    #[arg(long, value_enum, help_heading = "Output", conflicts_with = "json")]
    pub(crate) format: Option<ReportFormat>,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

/// Selects clicks: of a link, of a domain, or of all links.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct LinkFilter {
    /// Only clicks of this link, by its id, slug or short URL
    #[arg(long, value_name = "ID-OR-SLUG")]
    pub(crate) link: Option<String>,
    /// Only clicks on this host; with --link, the host that its slug is on
    #[arg(long, value_name = "HOST")]
    pub(crate) domain: Option<String>,
}

/// A range of time.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct RangeArgs {
    /// Start of the range: a date, a time, `today`, or how long ago, such as 7d, 24h or 12w
    #[arg(long, value_name = "WHEN")]
    pub(crate) from: Option<String>,
    /// End of the range: a date (inclusive), a time, or `now`
    #[arg(long, value_name = "WHEN")]
    pub(crate) to: Option<String>,
    /// The time zone of dates and intervals, such as Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE")]
    pub(crate) time_zone: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClicksCommand {
    /// Write raw clicks as NDJSON or CSV, as far back as they are kept
    ///
    /// Examples:
    ///   waypost clicks export --link promo --from 7d -o promo.csv
    ///   waypost clicks export --from 2026-03-01 --to 2026-03-31 | jq -r .referrer
    #[command(verbatim_doc_comment)]
    Export {
        #[command(flatten)]
        link: LinkId,
        #[command(flatten)]
        range: RangeArgs,
        /// The format [default: by the file's name, else ndjson]
        #[arg(long, value_enum)]
        format: Option<ExportFormat>,
        /// The file to write; it must not exist [default: standard output]
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Show clicks as they are counted, until interrupted; --json prints each as JSON
    Tail {
        #[command(flatten)]
        link: LinkId,
        /// Only these classes: human, prefetch, preview, bot, head [default: all]
        #[arg(long, value_name = "CLASS", value_delimiter = ',')]
        class: Vec<String>,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Prove that every click is accounted for
    ///
    /// Edges number their clicks without gaps. For each edge and each run of its writer (epoch) this shows the range
    /// that was received, what is missing from it, and what was declared lost. The last line is the sum: answered =
    /// stored + lost + waiting.
    ///
    /// Exit status: 0 every click is accounted for, 1 some are not.
    Audit {
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Show events of other edges that were not counted, newest first
    ///
    /// Shows the time of each event, the edge it names, and why it was refused; --json prints the events themselves.
    /// The last 10,000 of the last month are kept, without anything that identifies the visitor.
    Refused {
        /// How many events to show at most
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        /// The `next_cursor` of the previous page
        #[arg(long, value_name = "CURSOR")]
        cursor: Option<String>,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Erase the clicks of a link or of a visitor, from the raw clicks and from all totals
    ///
    /// Deleting a link keeps its clicks; this command erases them, before or after. Erased clicks cannot be restored,
    /// so the command asks first; without a terminal it does nothing unless --yes is given.
    #[command(group = ArgGroup::new("whose").required(true).args(["link", "visitor"]))]
    Erase {
        #[command(flatten)]
        link: LinkId,
        /// The visitor key: 16 hexadecimal digits, as raw clicks have it in `visitor`
        #[arg(long, value_name = "KEY")]
        visitor: Option<String>,
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Show or set for how many days raw clicks are kept; totals are kept for ever
    Retention {
        /// Days, or `default` for the setting of the instance
        #[arg(value_name = "DAYS|default")]
        days: Option<String>,
        #[command(flatten)]
        client: ClientArgs,
    },
}

/// Names one link, or none.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct LinkId {
    /// The link, by its id, slug or short URL
    #[arg(long, value_name = "ID-OR-SLUG")]
    pub(crate) link: Option<String>,
    /// The host that its slug is on
    #[arg(long, value_name = "HOST", requires = "link")]
    pub(crate) domain: Option<String>,
}

fn read_filter(text: &str) -> Result<(String, String), String> {
    let (name, values) = text.split_once('=').ok_or("write DIMENSION=VALUE, such as country=DE,AT")?;
    Ok((name.trim().to_owned(), values.to_owned()))
}
