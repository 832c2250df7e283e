//! Reads server-sent events, the format of the live feed: lines of `field: value`; an event ends with an empty line.

/// The most bytes of an event; a click has a few kilobytes.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// An event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServerEvent {
    /// Its type; empty if the sender gives none.
    pub(crate) kind: String,
    /// Its data, with the lines joined.
    pub(crate) data: String,
}

/// Builds events from pieces of bytes.
#[derive(Debug, Default)]
pub(crate) struct EventReader {
    /// The rest of the last piece: an incomplete line.
    rest: Vec<u8>,
    event: ServerEvent,
}

impl EventReader {
    /// Adds a piece, and returns the events that it completes.
    ///
    /// # Errors
    /// If an event is longer than the live feed ever sends.
    pub(crate) fn push(&mut self, piece: &[u8]) -> anyhow::Result<Vec<ServerEvent>> {
        self.rest.extend_from_slice(piece);
        let taken = std::mem::take(&mut self.rest);
        let (lines, rest) = taken.split_at(taken.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
        self.rest = rest.to_vec();
        let mut events = Vec::new();
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            self.take_line(String::from_utf8_lossy(line).trim_end_matches(['\n', '\r']), &mut events);
        }
        anyhow::ensure!(self.rest.len() + self.event.data.len() <= EVENT_BYTES_MAX, "the response is not a live feed");
        Ok(events)
    }

    fn take_line(&mut self, line: &str, events: &mut Vec<ServerEvent>) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" if line.is_empty() => {
                let event = std::mem::take(&mut self.event);
                if !event.data.is_empty() {
                    events.push(event);
                }
            }
            "event" => value.clone_into(&mut self.event.kind),
            "data" if self.event.data.is_empty() => value.clone_into(&mut self.event.data),
            "data" => {
                self.event.data.push('\n');
                self.event.data.push_str(value);
            }
            // Comments, ids and other fields are not needed.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn events_come_in_pieces() {
        let text = ": hello\n\nevent: click\nid: 1\ndata: {\"a\":\"ä\"}\n\n:\n\nevent: missed\r\ndata:1\r\ndata: 2\r\n\r\nevent: x\n\n";
        let event = |kind: &str, data: &str| ServerEvent { kind: kind.into(), data: data.into() };
        let expect = [event("click", "{\"a\":\"ä\"}"), event("missed", "1\n2")];
        for size in [1, 2, 3, 7, 1_000] {
            let mut reader = EventReader::default();
            let found: Vec<_> = text.as_bytes().chunks(size).flat_map(|piece| reader.push(piece).unwrap()).collect();
            assert_eq!(found, expect, "{size}");
        }
    }

    #[test]
    fn endless_lines_are_refused() {
        let mut reader = EventReader::default();
        assert!((0..2_000).any(|_| reader.push(&[b'x'; 1_024]).is_err()));
    }
}
