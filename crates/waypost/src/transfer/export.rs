//! `waypost export`: writes all links, page by page, to a file or to standard output.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use http::Method;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use waypost_api::link::{LinkPage, PAGE_LINKS_MAX};

use crate::api_path::with_query;
use crate::cli::{ExportArgs, ExportFormat};
use crate::client::{Call, Client};
use crate::print::{self, counted, grouped};
use crate::transfer::csv::CsvWriter;
use crate::transfer::progress::Progress;

const LINKS_PATH: &str = "/api/v1/links";
/// About how many of the links that an export leaves out are counted at most.
const LEFT_OUT_COUNTED_MAX: u64 = 20_000;

/// Runs the command.
///
/// # Errors
/// If the instance refuses or cannot be reached, or the file exists or cannot be written.
pub(crate) async fn export(args: &ExportArgs) -> anyhow::Result<()> {
    let client = Client::connect(&args.client).await?;
    let written = write_all(&client, args).await;
    client.close().await;
    written
}

async fn write_all(client: &Client, args: &ExportArgs) -> anyhow::Result<()> {
    let format = match (args.format, args.output.as_deref()) {
        (Some(format), _) => format,
        (None, Some(path)) if path.extension().is_some() => format_of(path).with_context(|| {
            format!(
                "the format is not clear from the name {}: end it in .csv or .ndjson, or give --format csv or ndjson",
                path.display()
            )
        })?,
        (None, _) => ExportFormat::Csv,
    };
    let target = Target::create(args.output.as_deref())?;
    let mut writer = LinkWriter::new(format, target.writer()?)?;
    let mut progress = Progress::start(None);
    let mut count = 0;
    let mut cursor: Option<String> = None;
    loop {
        let page = client.call_patiently(next_page(args, cursor.as_deref())).await?;
        // Unchanged, with fields that are not known here.
        let page: LinkPage<Map<String, Value>> = page.read()?;
        page.links.iter().try_for_each(|link| writer.write_link(link))?;
        count += page.links.len() as u64;
        progress.advance(count, 0);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    writer.finish()?;
    target.keep()?;
    progress.finish();
    if args.output.is_some() {
        progress.say(&format!(
            "{} written in {:.1} s ({}/s)",
            counted(count, "link"),
            progress.seconds(),
            progress.rate(count)
        ));
    }
    if let Some(note) = left_out(client, args).await? {
        print::note(&note);
    }
    Ok(())
}

/// The request for the page at this cursor, with the most links that a page can have.
fn next_page(args: &ExportArgs, cursor: Option<&str>) -> Call {
    let limit = PAGE_LINKS_MAX.to_string();
    let pairs = [("limit", Some(limit.as_str())), ("domain", args.domain.as_deref()), ("cursor", cursor)];
    Call::new(Method::GET, with_query(LINKS_PATH, &pairs))
}

/// A note about the anonymous links, which an export of the others leaves out. Only the operator can see them.
async fn left_out(client: &Client, args: &ExportArgs) -> anyhow::Result<Option<String>> {
    if client.is_anonymous() || !client.is_operator() {
        return Ok(None);
    }
    let (mut count, mut cursor) = (0, None::<String>);
    loop {
        let page = client.call_as_anonymous(next_page(args, cursor.as_deref())).await?;
        let page: LinkPage<IgnoredAny> = page.read()?;
        count += page.links.len() as u64;
        cursor = page.next_cursor;
        if cursor.is_none() || count >= LEFT_OUT_COUNTED_MAX {
            break;
        }
    }
    let links = match cursor {
        Some(_) => format!("more than {} links", grouped(count)),
        None => counted(count, "link"),
    };
    let is_or_are = if count == 1 { "is" } else { "are" };
    Ok((count > 0).then(|| {
        format!(
            "Note: {links} created without an account (on the landing page or by /api/url) {is_or_are} not in it: write {} to a second file with \
             `waypost export --anonymous`, which `waypost import --anonymous` reads",
            if count == 1 { "it" } else { "them" }
        )
    }))
}

/// The format that a file's name says.
pub(crate) fn format_of(path: &Path) -> Option<ExportFormat> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "csv" => Some(ExportFormat::Csv),
        "ndjson" | "jsonl" => Some(ExportFormat::Ndjson),
        _ => None,
    }
}

/// Where an export goes. A file gets its name when it is complete, and never replaces another.
pub(crate) enum Target {
    Stdout,
    File { path: PathBuf, partial: PathBuf },
}

impl Target {
    /// Checks that the file can be created.
    ///
    /// # Errors
    /// If the file already exists.
    pub(crate) fn create(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self::Stdout) };
        anyhow::ensure!(!path.exists(), "{} already exists", path.display());
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        Ok(Self::File { path: path.to_owned(), partial: partial.into() })
    }

    /// The file or standard output, to write to.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub(crate) fn writer(&self) -> anyhow::Result<Box<dyn Write>> {
        Ok(match self {
            Self::Stdout => Box::new(BufWriter::new(io::stdout())),
            Self::File { partial, .. } => {
                let file = File::create(partial).with_context(|| format!("cannot write {}", partial.display()))?;
                Box::new(BufWriter::new(file))
            }
        })
    }

    /// Gives a complete file its name.
    ///
    /// # Errors
    /// If a file has got that name meanwhile.
    pub(crate) fn keep(&self) -> anyhow::Result<()> {
        let Self::File { path, partial } = self else { return Ok(()) };
        // A hard link, unlike a rename, fails if a file has got that name meanwhile.
        fs::hard_link(partial, path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(fs::remove_file(partial)?)
    }
}

enum LinkWriter {
    Csv(CsvWriter<Box<dyn Write>>),
    Ndjson(Box<dyn Write>),
}

impl LinkWriter {
    fn new(format: ExportFormat, output: Box<dyn Write>) -> io::Result<Self> {
        Ok(match format {
            ExportFormat::Csv => Self::Csv(CsvWriter::new(output)?),
            ExportFormat::Ndjson => Self::Ndjson(output),
        })
    }

    fn write_link(&mut self, link: &Map<String, Value>) -> anyhow::Result<()> {
        match self {
            Self::Csv(writer) => writer.write_link(link)?,
            Self::Ndjson(output) => {
                serde_json::to_writer(&mut *output, link).map_err(io::Error::from)?;
                output.write_all(b"\n")?;
            }
        }
        Ok(())
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Csv(writer) => writer.into_inner().flush(),
            Self::Ndjson(mut output) => output.flush(),
        }
    }
}
