//! `waypost link qr` and `waypost link qr-logo`.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, ensure};
use http::Method;
use waypost_api::qr::QrLogo;

use crate::api_path::{component, with_query};
use crate::cli::{ClientArgs, LinkChoice, QrArgs};
use crate::client::{Call, Client};
use crate::command::link_find::{PATH, find};
use crate::command::with_client;
use crate::print;

/// Where the logo is in the API.
const LOGO_PATH: &str = "/api/v1/account/qr-logo";
/// Black on white, whatever the colors of the terminal are.
const DARK_ON_LIGHT: &str = "\u{1b}[38;5;16;48;5;231m";
const PLAIN: &str = "\u{1b}[0m";

/// Prints the QR code of a link, or writes it to a file.
///
/// # Errors
/// Where there is no such link, the instance refuses or cannot be reached, or the file cannot be written.
pub(crate) async fn print_qr(args: &ClientArgs, choice: &LinkChoice, qr: &QrArgs) -> anyhow::Result<()> {
    ensure!(!args.json, "an image is not JSON: leave --json out");
    let format = format_of(qr);
    let to_terminal = qr.output.is_none() && io::stdout().is_terminal();
    ensure!(format != "png" || !to_terminal, "a terminal shows no PNG: give --output FILE, or leave --format out");
    let numbers = (qr.size.map(|size| size.to_string()), qr.margin.map(|margin| margin.to_string()));
    let pairs = [
        ("format", Some(format)),
        ("size", numbers.0.as_deref()),
        ("margin", numbers.1.as_deref()),
        ("color", qr.color.as_deref()),
        ("background", qr.background.as_deref()),
        ("error_correction", qr.error_correction.as_deref()),
        ("logo", qr.no_logo.then_some("false")),
        ("mark", qr.no_mark.then_some("false")),
    ];
    let client = Client::connect(args).await?;
    let (short_url, image) = with_client(client, async |client| {
        let link = find(client, choice).await?.value;
        let path = with_query(&format!("{PATH}/{}/qr", component(link.id.as_str())), &pairs);
        Ok((link.short_url, client.bytes(Call::new(Method::GET, path)).await?))
    })
    .await?;
    match &qr.output {
        Some(path) => write_new(path, &image)?,
        None if format == "text" && to_terminal => return print_text(&String::from_utf8_lossy(&image), &short_url),
        None => {
            let mut output = io::stdout().lock();
            output.write_all(&image)?;
            output.flush()?;
            return Ok(());
        }
    }
    print::note(&format!(
        "The QR code of {short_url} is in {}",
        qr.output.as_deref().unwrap_or(Path::new("")).display()
    ));
    Ok(())
}

/// Stores the logo of the account, or deletes it where there is no file.
///
/// # Errors
/// Where the file cannot be read, or the instance refuses or cannot be reached.
pub(crate) async fn store_logo(args: &ClientArgs, file: Option<&Path>) -> anyhow::Result<()> {
    let call = match file {
        Some(path) => {
            let image = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
            Call::new(Method::PUT, LOGO_PATH).file("image/png", image)
        }
        None => Call::new(Method::DELETE, LOGO_PATH),
    };
    let reply = with_client(Client::connect(args).await?, async |client| client.call(call).await).await?;
    match file {
        _ if args.json => reply.print(),
        Some(_) => {
            let QrLogo { width, height, .. } = reply.read()?;
            Ok(print::line(&format!(
                "The QR codes of all links now have this logo, kept with {width} x {height} pixels."
            ))?)
        }
        None => Ok(print::line("The QR codes of all links have no logo any more.")?),
    }
}

fn format_of(qr: &QrArgs) -> &str {
    let of_name = qr.output.as_deref().map(|path| match path.extension().and_then(|ending| ending.to_str()) {
        Some(ending) if ending.eq_ignore_ascii_case("png") => "png",
        Some(ending) if ending.eq_ignore_ascii_case("txt") => "text",
        _ => "svg",
    });
    qr.format.as_deref().or(of_name).unwrap_or("text")
}

fn write_new(path: &Path, image: &[u8]) -> anyhow::Result<()> {
    let file = File::create_new(path);
    let written = file.and_then(|mut file| file.write_all(image).and_then(|()| file.sync_all()));
    written.with_context(|| format!("{} cannot be written", path.display()))
}

fn print_text(code: &str, short_url: &str) -> anyhow::Result<()> {
    let lines: Vec<String> = code.lines().map(|line| format!("{DARK_ON_LIGHT}{line}{PLAIN}")).collect();
    print::line(&lines.join("\n"))?;
    Ok(print::line(short_url)?)
}
