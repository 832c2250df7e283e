//! A code in half blocks, two rows of modules in a line. Dark modules are drawn, so it takes dark letters on light.

use crate::code::Code;
use crate::style::Style;

pub(crate) fn draw(code: &Code, style: &Style) -> Vec<u8> {
    let margin = style.margin as usize;
    let modules = code.width + 2 * margin;
    let is_dark = |row: usize, column: usize| {
        let inside = margin..margin + code.width;
        inside.contains(&row) && inside.contains(&column) && code.row(row - margin)[column - margin]
    };
    let mut text = String::new();
    for row in (0..modules).step_by(2) {
        text.extend((0..modules).map(|column| match (is_dark(row, column), is_dark(row + 1, column)) {
            (false, false) => ' ',
            (true, false) => '▀',
            (false, true) => '▄',
            (true, true) => '█',
        }));
        text.push('\n');
    }
    text.into_bytes()
}
