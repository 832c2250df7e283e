//! Colors as they are written in CSS, and how well two of them are told apart.

use std::fmt;
use std::str::FromStr;

/// An opaque color.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Color {
    /// Red, green and blue.
    pub rgb: [u8; 3],
}

/// A text that is not a color.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a color of six or three hexadecimal digits such as 1a2b3c, with or without # (in a query # is written %23)"
)]
pub struct ColorError;

impl Color {
    /// Black.
    pub const BLACK: Self = Self { rgb: [0; 3] };
    /// White.
    pub const WHITE: Self = Self { rgb: [255; 3] };

    /// The relative luminance of WCAG 2: from 0 for black to 1 for white.
    fn luminance(self) -> f64 {
        let [red, green, blue] = self.rgb.map(|part| {
            let part = f64::from(part) / 255.0;
            if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    /// Whether this is the darker of two colors.
    pub(crate) fn is_darker_than(self, other: Self) -> bool {
        self.luminance() < other.luminance()
    }

    /// The contrast of two colors as WCAG 2 defines it: from 1 to 21.
    pub(crate) fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance(), other.luminance());
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.rgb;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl FromStr for Color {
    type Err = ColorError;

    fn from_str(text: &str) -> Result<Self, ColorError> {
        let digits = text.strip_prefix('#').unwrap_or(text);
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ColorError);
        }
        let number = u32::from_str_radix(digits, 16).map_err(|_| ColorError)?;
        let [_, red, green, blue] = number.to_be_bytes();
        match digits.len() {
            6 => Ok(Self { rgb: [red, green, blue] }),
            3 => Ok(Self { rgb: [green & 15, blue >> 4, blue & 15].map(|digit| digit * 17) }),
            _ => Err(ColorError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_are_read_and_written() {
        for (text, expect) in [("#1a2B3c", "#1a2b3c"), ("fff", "#ffffff"), ("#8af", "#88aaff"), ("000000", "#000000")] {
            assert_eq!(text.parse::<Color>().map(|color| color.to_string()), Ok(expect.to_owned()), "{text}");
        }
        for text in ["", "#", "12345", "1234567", "red", "+12345", "##12345", "12345g", "ääx"] {
            assert_eq!(text.parse::<Color>(), Err(ColorError), "{text}");
        }
    }

    #[test]
    fn contrast_is_that_of_wcag() {
        assert!((Color::BLACK.contrast(Color::WHITE) - 21.0).abs() < 1e-9);
        assert!((Color::WHITE.contrast(Color::WHITE) - 1.0).abs() < 1e-9);
        let gray = Color { rgb: [0x76; 3] };
        assert!((gray.contrast(Color::WHITE) - 4.54).abs() < 0.01);
        assert!(gray.is_darker_than(Color::WHITE) && !gray.is_darker_than(Color::BLACK));
    }
}
