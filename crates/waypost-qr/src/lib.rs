//! QR codes of links. Pure: a text and a [`Style`] in, an image out, and always the same bytes for the same input.
//!
//! [`draw`] draws a text as SVG, PNG or text. A [`Logo`] for the middle is read from bytes that nobody trusts, within limits, and is
//! kept as pixels only. What scanners could not read (colors too alike, modules too small) is refused with a [`StyleError`] that
//! says what to do.
//!
//! What it does not do: it knows no link, no account and no HTTP, and reads no file.

mod code;
mod color;
mod logo;
mod png_image;
mod style;
mod svg;
mod text;

pub use color::{Color, ColorError};
pub use logo::{LOGO_BYTES_MAX, Logo, LogoError};
pub use style::{ErrorCorrection, Format, MARGIN_MAX, SIZE_MAX, SIZE_MIN, Style, StyleError};

use crate::code::Code;

/// Draws `text` as a QR code.
///
/// # Errors
/// [`StyleError`] if scanners could not read the result, or the text does not fit.
pub fn draw(text: &str, format: Format, style: &Style, logo: Option<&Logo>) -> Result<Vec<u8>, StyleError> {
    style.check_colors()?;
    let code = Code::of(text, style, logo.is_some())?;
    match format {
        Format::Svg => Ok(svg::draw(text, &code, style, logo)),
        Format::Png => png_image::draw(&code, style, logo),
        // A logo has no form in letters, and the code is read the better without the hole.
        Format::Text => Ok(text::draw(&Code::of(text, style, false)?, style)),
    }
}
