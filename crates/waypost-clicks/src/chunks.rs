//! Lists cut into the rows of statements.

/// The most rows of one statement; its parameters stay within the limits of both engines.
const ROWS_MAX: usize = 512;

/// Cuts a list into parts of few different lengths, so that the statements made for them come again and stay prepared.
pub(crate) fn chunks<T>(list: &[T]) -> impl Iterator<Item = &[T]> {
    let mut rest = list;
    std::iter::from_fn(move || {
        let length = [ROWS_MAX, 64, 8, 1].into_iter().find(|&length| length <= rest.len())?;
        let (chunk, left) = rest.split_at(length);
        rest = left;
        Some(chunk)
    })
}
