//! How a spool uses its folder, and why it can be full.

use std::time::Duration;

use crate::SpoolError;
use crate::format::RECORD_BYTES_MAX;

/// The smallest segment: it must hold the longest record.
const SEGMENT_BYTES_MIN: u64 = 2 * RECORD_BYTES_MAX as u64;
/// The largest segment: a start looks through the last one of each writer.
const SEGMENT_BYTES_MAX: u64 = 1 << 30;
/// Segments are whole pages.
const PAGE_BYTES: u64 = 4096;

/// How a spool uses its folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolOptions {
    /// Bytes of a segment: a multiple of 4096, from 8 KiB to 1 GiB. Default 8 MiB.
    pub segment_bytes: u64,
    /// Bytes of the first segment of each writer, as above and at most as many; default 256 KiB. Where it is smaller
    /// than the others, nothing is made ahead for a writer before half of it is used: a spool that nobody writes to
    /// stays small.
    pub first_segment_bytes: u64,
    /// Limit on the bytes of all segments in the folder, whether full, ready or damaged. Default 4 GiB.
    pub bytes_max: u64,
    /// The longest time from an append until it survives a power loss, but for the time a flush takes. Default 200 ms.
    pub flush_interval: Duration,
}

impl Default for SpoolOptions {
    fn default() -> SpoolOptions {
        SpoolOptions {
            segment_bytes: 8 << 20,
            first_segment_bytes: 256 << 10,
            bytes_max: 4 << 30,
            flush_interval: Duration::from_millis(200),
        }
    }
}

impl SpoolOptions {
    /// Bytes of a writer's segment with this number, counted from 1.
    pub(crate) fn bytes_of_segment(&self, number: u32) -> u64 {
        if number == 1 { self.first_segment_bytes.min(self.segment_bytes) } else { self.segment_bytes }
    }

    pub(crate) fn check(&self) -> Result<(), SpoolError> {
        let sizes = [
            ("segment_bytes", self.segment_bytes),
            ("first_segment_bytes", self.first_segment_bytes.min(self.segment_bytes)),
        ];
        for (name, bytes) in sizes {
            if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&bytes) || !bytes.is_multiple_of(PAGE_BYTES) {
                return Err(SpoolError::Options(format!(
                    "{name} is {bytes}; it must be a multiple of {PAGE_BYTES} from {SEGMENT_BYTES_MIN} to {SEGMENT_BYTES_MAX}"
                )));
            }
        }
        if self.flush_interval.is_zero() {
            return Err(SpoolError::Options("flush_interval is zero; it must be longer".to_owned()));
        }
        Ok(())
    }
}

/// Why there is no room for another segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoom {
    /// The spool has as many bytes as it may.
    Limit {
        /// [`SpoolOptions::bytes_max`].
        bytes_max: u64,
    },
    /// The disk has no room for a file of that size; the log says why.
    Disk,
}

impl std::fmt::Display for NoRoom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Limit { bytes_max } => write!(f, "the click spool is at its limit of {bytes_max} bytes"),
            Self::Disk => f.write_str("the disk has no room for the click spool"),
        }
    }
}
