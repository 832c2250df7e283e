//! `q` values of headers such as `Accept-Language` (RFC 9110 section 12.4.2).

/// A `q` value in thousandths; `None` if the string is not a decimal number. A value above 0 is at least 1.
///
/// Read with integers: a parser of floating-point numbers has large tables, which the Worker would carry.
pub(crate) fn thousandths(text: &str) -> Option<u32> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let digit = |byte: u8| u32::from(byte - b'0');
    let whole = whole.bytes().fold(0_u32, |value, byte| value.saturating_mul(10).saturating_add(digit(byte)));
    let thousandths = fraction.bytes().chain(*b"000").take(3).fold(0, |value, byte| value * 10 + digit(byte));
    let has_more = fraction.bytes().skip(3).any(|byte| byte != b'0');
    let value = whole.saturating_mul(1000).saturating_add(thousandths);
    Some(if value == 0 && has_more { 1 } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        for (text, expect) in [
            ("1", Some(1000)),
            ("0.8", Some(800)),
            ("0.29", Some(290)),
            (".5", Some(500)),
            ("1.000", Some(1000)),
            ("0.0004", Some(1)),
            ("0.0000", Some(0)),
            ("99999999999", Some(u32::MAX)),
            ("", None),
            (".", None),
            ("-1", None),
            ("1e3", None),
            ("nan", None),
            ("0,5", None),
        ] {
            assert_eq!(thousandths(text), expect, "{text:?}");
        }
    }
}
