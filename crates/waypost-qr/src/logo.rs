//! A logo: read from bytes that nobody trusts, and kept as pixels only.
//!
//! The limits hold before anything is unpacked: bytes of the file, pixels by its header, and memory while it is read. The pixels are
//! scaled to at most [`LOGO_SIDE_MAX`] on each side and written anew, so nothing else of the file is ever passed on.

use std::io::Cursor;

use png::{BitDepth, ColorType, Decoder, DecodingError, Encoder, EncodingError, Limits, Transformations};

/// The most bytes of a file with a logo.
pub const LOGO_BYTES_MAX: usize = 1 << 20;
/// The most pixels on each side of a file with a logo.
const FILE_SIDE_MAX: u32 = 4_096;
/// The most pixels of a file with a logo: two times 16 MB of memory while it is read.
const FILE_PIXELS_MAX: u64 = 1 << 22;
/// The most memory that unpacking takes beside the pixels, in bytes.
const UNPACKING_BYTES_MAX: usize = 4 << 20;
/// The most pixels on each side that are kept.
const LOGO_SIDE_MAX: usize = 400;

/// Why bytes are not a logo.
#[derive(Debug, thiserror::Error)]
pub enum LogoError {
    /// Too many bytes.
    #[error("the image has more than {LOGO_BYTES_MAX} bytes: save it smaller")]
    TooManyBytes,
    /// Too many pixels.
    #[error(
        "the image has {width} × {height} pixels; a logo has at most {FILE_SIDE_MAX} on a side and {FILE_PIXELS_MAX} in all: save it smaller"
    )]
    TooManyPixels {
        /// By its header.
        width: u32,
        /// By its header.
        height: u32,
    },
    /// No PNG, or a damaged one.
    #[error("the image cannot be read as PNG ({0}): save it as PNG again")]
    NotPng(#[from] DecodingError),
    /// Nothing to be seen.
    #[error("the image is transparent everywhere")]
    Empty,
}

/// A logo for the middle of codes.
#[derive(Clone, PartialEq, Eq)]
pub struct Logo {
    pixels: Pixels,
}

/// Pixels with red, green, blue and alpha.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Pixels {
    width: usize,
    rgba: Vec<[u8; 4]>,
}

impl std::fmt::Debug for Logo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Logo({} x {})", self.width(), self.height())
    }
}

impl Logo {
    /// Reads a PNG. Takes up to a tenth of a second.
    ///
    /// # Errors
    /// [`LogoError`], which says what to do.
    pub fn read(file: &[u8]) -> Result<Self, LogoError> {
        if file.len() > LOGO_BYTES_MAX {
            return Err(LogoError::TooManyBytes);
        }
        let mut decoder = Decoder::new_with_limits(Cursor::new(file), Limits { bytes: UNPACKING_BYTES_MAX });
        decoder.set_transformations(Transformations::normalize_to_color8());
        decoder.set_ignore_text_chunk(true);
        decoder.set_ignore_iccp_chunk(true);
        let header = decoder.read_header_info()?;
        let (width, height) = (header.width, header.height);
        if width.max(height) > FILE_SIDE_MAX || u64::from(width) * u64::from(height) > FILE_PIXELS_MAX {
            return Err(LogoError::TooManyPixels { width, height });
        }
        let mut reader = decoder.read_info()?;
        let too_many = || LogoError::TooManyPixels { width, height };
        let mut bytes = vec![0; reader.output_buffer_size().ok_or_else(too_many)?];
        let frame = reader.next_frame(&mut bytes)?;
        bytes.truncate(frame.buffer_size());
        let rgba: Vec<[u8; 4]> = match frame.color_type {
            ColorType::Rgba => bytes.as_chunks().0.to_vec(),
            ColorType::Rgb => bytes.as_chunks().0.iter().map(|&[r, g, b]| [r, g, b, 255]).collect(),
            ColorType::GrayscaleAlpha => bytes.as_chunks().0.iter().map(|&[v, a]| [v, v, v, a]).collect(),
            ColorType::Grayscale | ColorType::Indexed => bytes.iter().map(|&v| [v, v, v, 255]).collect(),
        };
        if rgba.iter().all(|[.., alpha]| *alpha == 0) {
            return Err(LogoError::Empty);
        }
        let read = Self { pixels: Pixels { width: frame.width as usize, rgba } };
        let side = read.width().max(read.height());
        Ok(if side > LOGO_SIDE_MAX { Self { pixels: read.fitted(LOGO_SIDE_MAX) } } else { read })
    }

    /// Pixels from left to right.
    pub fn width(&self) -> usize {
        self.pixels.width
    }

    /// Pixels from top to bottom.
    pub fn height(&self) -> usize {
        self.pixels.height()
    }

    /// The logo as PNG, with nothing in it but pixels.
    pub fn to_png(&self) -> Vec<u8> {
        let mut file = Vec::new();
        self.write_png(&mut file).expect("memory takes every byte, and there are as many pixels as announced");
        file
    }

    fn write_png(&self, file: &mut Vec<u8>) -> Result<(), EncodingError> {
        let mut encoder = Encoder::new(file, self.width() as u32, self.height() as u32);
        encoder.set_color(ColorType::Rgba);
        encoder.set_depth(BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(self.pixels.rgba.as_flattened())?;
        writer.finish()
    }

    /// The pixels in a square of this side, centered, with nothing around them.
    pub(crate) fn scaled(&self, side: usize) -> Pixels {
        let fitted = self.fitted(side);
        let mut square = Pixels { width: side, rgba: vec![[0; 4]; side * side] };
        let (left, top) = ((side - fitted.width) / 2, (side - fitted.height()) / 2);
        for y in 0..fitted.height() {
            let Some(row) = fitted.row(y) else { break };
            square.rgba[(top + y) * side + left..][..row.len()].copy_from_slice(row);
        }
        square
    }

    /// The pixels, scaled so that the longer side has this length.
    fn fitted(&self, side: usize) -> Pixels {
        let longer = self.width().max(self.height());
        let scaled = |length: usize| ((length * side + longer / 2) / longer).clamp(1, side);
        let (width, height) = (scaled(self.width()), scaled(self.height()));
        let mut rgba = Vec::with_capacity(width * height);
        for y in 0..height {
            let rows = part(y, height, self.height());
            rgba.extend((0..width).map(|x| self.pixels.mean(part(x, width, self.width()), rows.clone())));
        }
        Pixels { width, rgba }
    }
}

/// Which of `from` pixels make the pixel `at` of `to`; one at least.
fn part(at: usize, to: usize, from: usize) -> std::ops::Range<usize> {
    let start = at * from / to;
    start..((at + 1) * from / to).max(start + 1)
}

impl Pixels {
    fn height(&self) -> usize {
        self.rgba.len() / self.width
    }

    /// The pixels of a row, if there is one.
    pub(crate) fn row(&self, row: usize) -> Option<&[[u8; 4]]> {
        self.rgba.chunks_exact(self.width).nth(row)
    }

    /// The mean of these pixels. Colors weigh as much as they are seen.
    fn mean(&self, columns: std::ops::Range<usize>, rows: std::ops::Range<usize>) -> [u8; 4] {
        let count = (columns.len() * rows.len()) as u64;
        let (mut sums, mut alphas) = ([0_u64; 3], 0_u64);
        for row in rows {
            for &[red, green, blue, alpha] in &self.rgba[row * self.width..][columns.clone()] {
                for (sum, part) in sums.iter_mut().zip([red, green, blue]) {
                    *sum += u64::from(part) * u64::from(alpha);
                }
                alphas += u64::from(alpha);
            }
        }
        let [red, green, blue] = sums.map(|sum| ((sum + alphas / 2) / alphas.max(1)) as u8);
        [red, green, blue, ((alphas + count / 2) / count) as u8]
    }
}
