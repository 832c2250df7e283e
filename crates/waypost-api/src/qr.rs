//! QR codes: what a request asks of one, and what the API says of a logo.

use serde::{Deserialize, Serialize};
use waypost_qr::{Color, ErrorCorrection, MARGIN_MAX, SIZE_MAX, SIZE_MIN, Style};

pub use waypost_qr::{Format as QrFormat, LOGO_BYTES_MAX};

use crate::problem::{Invalid, ProblemCode};
use crate::read::{Parameters, QueryPairs};

const FLAGS: [(&str, bool); 2] = [("true", true), ("false", false)];

/// A QR code as it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GetQr {
    /// The kind of image.
    pub format: QrFormat,
    /// What it looks like.
    pub style: Style,
    /// Whether the account's logo is in the middle; `None` for yes if there is one.
    pub has_logo: Option<bool>,
    /// Whether scans are counted apart.
    pub is_marked: bool,
}

impl GetQr {
    /// Reads the parameters of a query. `of_path` is the format that the path names.
    ///
    /// # Errors
    /// Every parameter that is at fault, and colors that scanners cannot tell apart.
    pub fn read(pairs: QueryPairs, of_path: Option<QrFormat>) -> Result<Self, Invalid> {
        let mut parameters = Parameters::of(pairs);
        let format = parameters.one_of("format", &QrFormat::NAMES);
        if let (Some(format), Some(of_path)) = (format, of_path)
            && format != of_path
        {
            let detail = "is not the format that the path ends in: leave one of the two out";
            parameters.refuse("format", ProblemCode::InvalidField, detail);
        }
        let default = Style::default();
        let style = Style {
            size: parameters.number("size", SIZE_MIN, SIZE_MAX).unwrap_or(default.size),
            margin: parameters.number("margin", 0, MARGIN_MAX).unwrap_or(default.margin),
            color: parameters.color("color").unwrap_or(default.color),
            background: parameters.color("background").unwrap_or(default.background),
            error_correction: parameters.read("error_correction", ProblemCode::InvalidField, |text| {
                let level = ErrorCorrection::NAMES.iter().find(|(name, _)| text.eq_ignore_ascii_case(name));
                level.map(|(_, level)| *level).ok_or_else(|| {
                    "must be l, m, q or h: the most that may be unreadable is 7, 15, 25 or 30 %".to_owned()
                })
            }),
        };
        if let Err(error) = style.check_colors() {
            parameters.refuse(error.field(), ProblemCode::InvalidField, &error.to_string());
        }
        let asked = Self {
            format: format.or(of_path).unwrap_or(QrFormat::Svg),
            style,
            has_logo: parameters.one_of("logo", &FLAGS),
            is_marked: parameters.one_of("mark", &FLAGS).unwrap_or(true),
        };
        parameters.finish().map(|()| asked)
    }
}

impl Parameters {
    fn number(&mut self, name: &'static str, min: u32, max: u32) -> Option<u32> {
        self.read(name, ProblemCode::InvalidField, |text| {
            let number = text.parse().ok().filter(|number| (min..=max).contains(number));
            number.ok_or_else(|| format!("must be a number from {min} to {max}"))
        })
    }

    fn color(&mut self, name: &'static str) -> Option<Color> {
        self.read(name, ProblemCode::InvalidField, |text| text.parse().map_err(|error| format!("{error}")))
    }
}

/// A logo that was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct QrLogo {
    /// Pixels from left to right, as it is kept.
    pub width: usize,
    /// Pixels from top to bottom.
    pub height: usize,
    /// Of the PNG that is kept.
    pub bytes: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_and_every_error_is_named() {
        let read = |query: &str, of_path| GetQr::read(QueryPairs::of_query(query), of_path);
        let plain = read("", None).expect("nothing has to be said");
        assert_eq!((plain.format, plain.style, plain.is_marked), (QrFormat::Svg, Style::default(), true));
        let asked = read(
            "size=300&margin=0&color=%23123&background=ffe&error_correction=H&logo=false&mark=false",
            Some(QrFormat::Png),
        );
        let asked = asked.expect("all of it is right");
        assert_eq!(
            (asked.format, asked.style.size, asked.style.color.to_string()),
            (QrFormat::Png, 300, "#112233".to_owned())
        );
        assert_eq!(
            (asked.style.error_correction, asked.has_logo, asked.is_marked),
            (Some(ErrorCorrection::High), Some(false), false)
        );
        let errors = read(
            "size=9000&margin=-1&color=red&background=&error_correction=x&logo=1&mark=&format=gif&colour=000",
            None,
        );
        let fields: Vec<String> =
            errors.expect_err("none of it is right").errors.into_iter().map(|error| error.field).collect();
        assert_eq!(
            fields,
            ["format", "size", "margin", "color", "background", "error_correction", "logo", "mark", "colour"]
        );
        let errors = read("color=ccc", None).expect_err("too light").errors;
        assert_eq!((errors[0].field.as_str(), errors[0].code), ("color", ProblemCode::InvalidField));
        assert!(errors[0].detail.contains("choose a darker color"), "{}", errors[0].detail);
        assert!(read("format=svg", Some(QrFormat::Png)).is_err());
    }
}
