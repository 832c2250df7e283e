//! What a QR code looks like, and whether scanners can read that.

use crate::color::Color;

/// The smallest image, in pixels on each side.
pub const SIZE_MIN: u32 = 32;
/// The largest image, in pixels on each side.
pub const SIZE_MAX: u32 = 2_048;
/// The widest margin, in modules.
pub const MARGIN_MAX: u32 = 32;
/// The least contrast that scanners are sure to read in bad light, as WCAG 2 measures it.
const CONTRAST_MIN: f64 = 4.0;
/// The fewest pixels on each side of a module.
pub(crate) const MODULE_PIXELS_MIN: u32 = 2;

/// The kind of image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Scalable, for print and pages.
    Svg,
    /// Pixels.
    Png,
    /// Half blocks, for a terminal with dark letters on light.
    Text,
}

impl Format {
    /// Every format with its name.
    pub const NAMES: [(&str, Self); 3] = [("svg", Self::Svg), ("png", Self::Png), ("text", Self::Text)];
}

/// How much of a code may be unreadable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCorrection {
    /// 7 %.
    Low,
    /// 15 %.
    Medium,
    /// 25 %.
    Quartile,
    /// 30 %.
    High,
}

impl ErrorCorrection {
    /// Every level with the letter that the standard gives it.
    pub const NAMES: [(&str, Self); 4] =
        [("l", Self::Low), ("m", Self::Medium), ("q", Self::Quartile), ("h", Self::High)];
}

/// What a QR code looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Pixels on each side, with the margin: from [`SIZE_MIN`] to [`SIZE_MAX`].
    pub size: u32,
    /// Modules on each side of the code that stay empty, at most [`MARGIN_MAX`]. The standard demands 4.
    pub margin: u32,
    /// Of the dark modules.
    pub color: Color,
    /// Of everything else.
    pub background: Color,
    /// `None` for what fits: medium, and high under a logo.
    pub error_correction: Option<ErrorCorrection>,
}

impl Default for Style {
    fn default() -> Self {
        Self { size: 512, margin: 4, color: Color::BLACK, background: Color::WHITE, error_correction: None }
    }
}

/// Why scanners could not read a code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StyleError {
    /// The colors are too alike.
    #[error(
        "{color} on {background} has a contrast of {contrast} to 1, and scanners need {CONTRAST_MIN} to 1: choose a darker color or a lighter background"
    )]
    Contrast {
        /// Of the dark modules.
        color: Color,
        /// Of the rest.
        background: Color,
        /// With one digit behind the point.
        contrast: String,
    },
    /// Light on dark.
    #[error(
        "{color} is lighter than its background {background}, and many scanners read dark on light only: swap color and background"
    )]
    Inverted {
        /// Of the modules that should be dark.
        color: Color,
        /// Of the rest.
        background: Color,
    },
    /// Modules would be smaller than two pixels.
    #[error(
        "the code has {modules} modules on each side with its margin, and each takes two pixels: ask for a size of {least} or more, or for svg"
    )]
    TooSmall {
        /// On each side, with the margin.
        modules: u32,
        /// The smallest size.
        least: u32,
    },
    /// A logo, and not the highest error correction.
    #[error(
        "a logo covers part of the code, which takes error correction h: leave error_correction out, or the logo with logo=false"
    )]
    LogoNeedsHigh,
    /// No code holds the text.
    #[error("the short URL has too many bytes for this error correction: ask for a lower one (l), and no logo")]
    TooLong,
}

impl StyleError {
    /// The parameter to change.
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Contrast { .. } | Self::Inverted { .. } => "color",
            Self::TooSmall { .. } => "size",
            Self::LogoNeedsHigh | Self::TooLong => "error_correction",
        }
    }
}

impl Style {
    /// Checks that scanners can tell the colors apart.
    ///
    /// # Errors
    /// [`StyleError::Contrast`] or [`StyleError::Inverted`].
    pub fn check_colors(&self) -> Result<(), StyleError> {
        let Self { color, background, .. } = *self;
        let contrast = color.contrast(background);
        if contrast < CONTRAST_MIN {
            // Rounded down, so that it never reads as enough.
            let contrast = format!("{:.1}", (contrast * 10.0).floor() / 10.0);
            return Err(StyleError::Contrast { color, background, contrast });
        }
        if color.is_darker_than(background) { Ok(()) } else { Err(StyleError::Inverted { color, background }) }
    }
}
