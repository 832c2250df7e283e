//! The bytes of a day's roll-up.
//!
//! Format 0x11; numbers and the block around it are those of `wire`:
//!
//! | what | how |
//! |---|---|
//! | main family, sources family | each sized |
//! | visitors | twice the number of visitors, plus 1 where some were dropped; then the threshold in 6 bytes |
//! | keys | 6 bytes each, little-endian, in order |
//! | seen | their number, unless there are no visitors; then three columns |
//! | seen: hours | a byte each: the hour, plus 128 at a visitor's last |
//! | seen: main, sources | the number of the combination of the family, in as many bytes as its combinations need |
//!
//! A family:
//!
//! | what | how |
//! |---|---|
//! | which texts | a byte: a bit for each text dimension that has values beside the empty one |
//! | the texts | of each of those: how many; each with its length; in order. The empty one is 0, the first of these 1 |
//! | three parts | how many rows; of each row a number for each dimension, but for those without texts; in order |
//! | combinations | how many; where the first part has several rows: how many combinations each of them is in |
//! | combinations: second and third part | two columns of row numbers; in order |
//! | cells | those of `cell_bytes`, a row for each combination |
//!
//! A column has 0, 1 or 2 bytes an entry: as many as its largest possible value needs.

/// The first byte of a day's roll-up.
pub(crate) const FORMAT_DAY: u8 = 0x11;
/// Bytes of a visitor key.
pub(crate) const KEY_BYTES: usize = 6;

/// How many bytes a number below this takes in a column.
pub(crate) const fn width(numbers: usize) -> usize {
    match numbers {
        0 | 1 => 0,
        2..=0x100 => 1,
        _ => 2,
    }
}
