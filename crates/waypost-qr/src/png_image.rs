//! A code as PNG. Without a logo a pixel takes one bit. With one it takes three bytes, and rows are written as they are drawn, so
//! that a large image takes little memory.

use std::io::Write as _;

use png::{BitDepth, ColorType, Compression, Encoder, EncodingError, Filter};

use crate::code::Code;
use crate::logo::{Logo, Pixels};
use crate::style::{MODULE_PIXELS_MIN, Style, StyleError};

/// Where the modules are in the image, in pixels.
struct Layout {
    size: usize,
    /// Of a module, on each side.
    scale: usize,
    /// Where the first module begins, on both axes.
    start: usize,
}

impl Layout {
    fn of(code: &Code, style: &Style) -> Result<Self, StyleError> {
        let modules = code.width as u32 + 2 * style.margin;
        let scale = style.size / modules;
        if scale < MODULE_PIXELS_MIN {
            return Err(StyleError::TooSmall { modules, least: modules * MODULE_PIXELS_MIN });
        }
        let (size, scale) = (style.size as usize, scale as usize);
        // What is left over widens the margin.
        Ok(Self { size, scale, start: (size - scale * code.width) / 2 })
    }
}

pub(crate) fn draw(code: &Code, style: &Style, logo: Option<&Logo>) -> Result<Vec<u8>, StyleError> {
    let layout = Layout::of(code, style)?;
    let mut image = Vec::new();
    let written = match (logo, code.hole) {
        (Some(logo), Some((start, side))) => {
            // Half a module of background on each side.
            let place = layout.start + start * layout.scale + layout.scale / 2;
            let pixels = logo.scaled((side - 1) * layout.scale);
            with_logo(code, style, &layout, (&pixels, place), &mut image)
        }
        (_, _) => plain(code, style, &layout, &mut image),
    };
    written.expect("memory takes every byte, and the image has the size that it was announced with");
    Ok(image)
}

fn plain(code: &Code, style: &Style, layout: &Layout, image: &mut Vec<u8>) -> Result<(), EncodingError> {
    let mut encoder = Encoder::new(image, layout.size as u32, layout.size as u32);
    encoder.set_color(ColorType::Indexed);
    encoder.set_depth(BitDepth::One);
    encoder.set_palette([style.background.rgb, style.color.rgb].concat());
    encoder.set_compression(Compression::Balanced);
    encoder.set_filter(Filter::NoFilter);
    let mut writer = encoder.write_header()?;
    let mut rows = writer.stream_writer()?;
    let mut bits = vec![0; layout.size.div_ceil(8)];
    for y in 0..layout.size {
        bits.fill(0);
        for x in dark_pixels(code, layout, y) {
            bits[x / 8] |= 128 >> (x % 8);
        }
        rows.write_all(&bits)?;
    }
    rows.finish()?;
    writer.finish()
}

fn with_logo(
    code: &Code,
    style: &Style,
    layout: &Layout,
    (logo, place): (&Pixels, usize),
    image: &mut Vec<u8>,
) -> Result<(), EncodingError> {
    let mut encoder = Encoder::new(image, layout.size as u32, layout.size as u32);
    encoder.set_color(ColorType::Rgb);
    encoder.set_compression(Compression::Fast);
    let mut writer = encoder.write_header()?;
    let mut rows = writer.stream_writer()?;
    let mut row = vec![style.background.rgb; layout.size];
    for y in 0..layout.size {
        row.fill(style.background.rgb);
        for x in dark_pixels(code, layout, y) {
            row[x] = style.color.rgb;
        }
        if let Some(pixels) = y.checked_sub(place).and_then(|y| logo.row(y)) {
            for (under, [red, green, blue, alpha]) in row[place..].iter_mut().zip(pixels) {
                let alpha = u32::from(*alpha);
                let mix = |over: u8, under: u8| {
                    ((u32::from(over) * alpha + u32::from(under) * (255 - alpha) + 127) / 255) as u8
                };
                *under = [mix(*red, under[0]), mix(*green, under[1]), mix(*blue, under[2])];
            }
        }
        rows.write_all(row.as_flattened())?;
    }
    rows.finish()?;
    writer.finish()
}

/// The dark pixels of a row of the image.
fn dark_pixels<'a>(code: &'a Code, layout: &'a Layout, y: usize) -> impl Iterator<Item = usize> + 'a {
    let row = y.checked_sub(layout.start).map(|y| y / layout.scale).filter(|row| *row < code.width);
    let modules = row.map_or(&[][..], |row| code.row(row));
    let dark = modules.iter().enumerate().filter(|(_, is_dark)| **is_dark);
    dark.flat_map(|(column, _)| {
        let from = layout.start + column * layout.scale;
        from..from + layout.scale
    })
}
