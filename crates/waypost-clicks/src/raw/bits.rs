//! Numbers in few bits: columns of small numbers side by side, and differences seven bits a byte.

/// The bits that a place in a list of this length needs.
pub(crate) const fn width(length: usize) -> u32 {
    match length {
        0 | 1 => 0,
        length => usize::BITS - (length - 1).leading_zeros(),
    }
}

/// The bytes that a column takes.
pub(crate) const fn column_bytes(length: usize, clicks: usize) -> usize {
    (width(length) as usize * clicks).div_ceil(8)
}

/// Writes a column of places in a list of this length, the lowest bits first.
pub(crate) fn put_bits(bytes: &mut Vec<u8>, length: usize, column: &[u32]) {
    let width = width(length);
    if width == 0 {
        return;
    }
    let (mut held, mut bits) = (0_u64, 0);
    for &place in column {
        held |= u64::from(place) << bits;
        bits += width;
        while bits >= 8 {
            bytes.push(held as u8);
            held >>= 8;
            bits -= 8;
        }
    }
    if bits > 0 {
        bytes.push(held as u8);
    }
}

/// Reads a column from the bytes that are its own.
pub(crate) fn get_bits(bytes: &[u8], length: usize, clicks: usize) -> Vec<u32> {
    let width = width(length);
    if width == 0 {
        return vec![0; clicks];
    }
    let (mut held, mut bits) = (0_u64, 0);
    let mut rest = bytes.iter();
    let mut column = Vec::with_capacity(clicks);
    for _ in 0..clicks {
        while bits < width {
            held |= u64::from(rest.next().copied().unwrap_or(0)) << bits;
            bits += 8;
        }
        column.push((held & ((1 << width) - 1)) as u32);
        held >>= width;
        bits -= width;
    }
    column
}

/// Writes how much a number differs from another. Any two numbers differ by something that has room.
pub(crate) fn put_difference(bytes: &mut Vec<u8>, from: u64, to: u64) {
    let difference = to.wrapping_sub(from) as i64;
    let mut folded = ((difference << 1) ^ (difference >> 63)) as u64;
    while folded >= 0x80 {
        bytes.push(folded as u8 | 0x80);
        folded >>= 7;
    }
    bytes.push(folded as u8);
}

/// Reads the number that differs so much from another; `None` where the bytes end before it does.
pub(crate) fn get_difference(rest: &mut &[u8], from: u64) -> Option<u64> {
    let mut folded = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, left) = rest.split_first()?;
        *rest = left;
        folded |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            let difference = (folded >> 1) as i64 ^ -((folded & 1) as i64);
            return Some(from.wrapping_add(difference as u64));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn columns_come_back() {
        for length in [0, 1, 2, 3, 256, 257, 8_192, 1 << 20] {
            let column: Vec<u32> = (0..1_001).map(|number| number * 7_919 % (length.max(1) as u32)).collect();
            let mut bytes = Vec::new();
            put_bits(&mut bytes, length, &column);
            assert_eq!(bytes.len(), column_bytes(length, column.len()), "{length}");
            assert_eq!(get_bits(&bytes, length, column.len()), column, "{length}");
        }
    }

    #[test]
    fn differences_come_back() {
        let numbers = [0, 1, u64::MAX, 5, i64::MAX as u64, i64::MIN as u64, 0];
        let mut bytes = Vec::new();
        let mut last = 0;
        for number in numbers {
            put_difference(&mut bytes, last, number);
            last = number;
        }
        let (mut rest, mut last) = (bytes.as_slice(), 0);
        for number in numbers {
            last = get_difference(&mut rest, last).unwrap();
            assert_eq!(last, number);
        }
        assert_eq!(get_difference(&mut rest, 0), None);
        assert_eq!(get_difference(&mut [0xff; 20].as_slice(), 0), None);
    }
}
