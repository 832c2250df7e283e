//! The modules of a code, with the hole for a logo.

use fast_qr::{ECL, QRBuilder};

use crate::style::{ErrorCorrection, Style, StyleError};

/// The modules of a code, without a margin.
pub(crate) struct Code {
    /// On each side.
    pub(crate) width: usize,
    dark: Vec<bool>,
    /// Where the logo's hole begins and how wide it is, in modules on both axes.
    pub(crate) hole: Option<(usize, usize)>,
}

/// How wide the hole is, in hundredths of the code: a twentieth of its area, of which a third may be unreadable.
const HOLE_PERCENT: usize = 22;

impl Code {
    pub(crate) fn of(text: &str, style: &Style, has_logo: bool) -> Result<Self, StyleError> {
        let level = match (style.error_correction, has_logo) {
            (None, true) => ErrorCorrection::High,
            (None, false) => ErrorCorrection::Medium,
            (Some(ErrorCorrection::Low | ErrorCorrection::Medium | ErrorCorrection::Quartile), true) => {
                return Err(StyleError::LogoNeedsHigh);
            }
            (Some(level), _) => level,
        };
        let level = match level {
            ErrorCorrection::Low => ECL::L,
            ErrorCorrection::Medium => ECL::M,
            ErrorCorrection::Quartile => ECL::Q,
            ErrorCorrection::High => ECL::H,
        };
        let drawn = QRBuilder::new(text).ecl(level).build().map_err(|_| StyleError::TooLong)?;
        let width = drawn.size;
        let mut code = Self { width, dark: Vec::with_capacity(width * width), hole: None };
        for row in 0..width {
            code.dark.extend(drawn[row].iter().take(width).map(|module| module.value()));
        }
        if has_logo {
            code.cut_hole();
        }
        Ok(code)
    }

    fn cut_hole(&mut self) {
        // Odd like the width of every code, so that it is in the middle.
        let side = (self.width * HOLE_PERCENT / 100) | 1;
        let start = (self.width - side) / 2;
        for row in start..start + side {
            self.dark[row * self.width + start..][..side].fill(false);
        }
        self.hole = Some((start, side));
    }

    /// The modules of a row, dark ones `true`.
    pub(crate) fn row(&self, row: usize) -> &[bool] {
        &self.dark[row * self.width..][..self.width]
    }
}
