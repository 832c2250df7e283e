//! A code as SVG: one path, in units of modules. A logo is a PNG inside it, made from pixels by this crate.

use std::fmt::Write as _;

use data_encoding::BASE64;

use crate::code::Code;
use crate::logo::Logo;
use crate::style::Style;

pub(crate) fn draw(text: &str, code: &Code, style: &Style, logo: Option<&Logo>) -> Vec<u8> {
    let Style { size, color, background, .. } = *style;
    let margin = style.margin as usize;
    let modules = code.width + 2 * margin;
    let mut svg = String::with_capacity(16 << 10);
    // Writing to a `String` cannot fail.
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{size}\" height=\"{size}\" viewBox=\"0 0 {modules} {modules}\" \
         role=\"img\" shape-rendering=\"crispEdges\"><title>{}</title><path fill=\"{background}\" d=\"M0 0h{modules}v{modules}H0z\"/>\
         <path fill=\"{color}\" d=\"",
        escaped(text)
    );
    for row in 0..code.width {
        let mut column = 0;
        for run in code.row(row).chunk_by(|one, two| one == two) {
            if run[0] {
                let _ = write!(svg, "M{} {}h{}v1h-{}z", column + margin, row + margin, run.len(), run.len());
            }
            column += run.len();
        }
    }
    svg.push_str("\"/>");
    if let (Some(logo), Some((start, side))) = (logo, code.hole) {
        // Half a module of background on each side.
        let (place, side) = (start as f64 + margin as f64 + 0.5, side - 1);
        let _ = write!(
            svg,
            "<image x=\"{place}\" y=\"{place}\" width=\"{side}\" height=\"{side}\" href=\"data:image/png;base64,{}\"/>",
            BASE64.encode(&logo.to_png())
        );
    }
    svg.push_str("</svg>\n");
    svg.into_bytes()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
