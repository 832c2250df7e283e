//! The arguments of `waypost link qr`.

use std::path::PathBuf;

use clap::Args;

/// What a QR code looks like, and where it goes.
#[derive(Args, Clone, Debug)]
pub(crate) struct QrArgs {
    /// The file to write; it must not exist [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// The kind of image [default: what the file's name ends in, text without a file]
    #[arg(long, value_parser = ["svg", "png", "text"])]
    pub(crate) format: Option<String>,
    /// Pixels on each side [default: 512]
    #[arg(long, value_name = "N")]
    pub(crate) size: Option<u32>,
    /// The empty modules around the code [default: 4, which the standard demands]
    #[arg(long, value_name = "N")]
    pub(crate) margin: Option<u32>,
    /// The color of the code, such as 1a2b3c [default: black]
    #[arg(long, value_name = "HEX")]
    pub(crate) color: Option<String>,
    /// The color behind the code [default: white]
    #[arg(long, value_name = "HEX")]
    pub(crate) background: Option<String>,
    /// How much may be unreadable: l 7 %, m 15 %, q 25 %, h 30 % [default: m, with a logo h]
    #[arg(long, value_name = "LEVEL", value_parser = ["l", "m", "q", "h"])]
    pub(crate) error_correction: Option<String>,
    /// Leave the account's logo out
    #[arg(long)]
    pub(crate) no_logo: bool,
    /// Do not count scans apart
    #[arg(long)]
    pub(crate) no_mark: bool,
}
