//! Creates clicks: their ids, the visitor keys of the day, and the whole message to the control plane.

use waypost_core::click::event_id;
use waypost_core::visitor::{Salt, day_of, visitor_key};
use waypost_core::webhook::SignedMessage;

use crate::event::{Clicked, Told, write_event};
use crate::settings::{ClickPath, Settings};

/// What an isolate must remember so that its clicks differ.
#[derive(Debug, Default)]
pub(crate) struct Clicks {
    /// Clicks created here so far.
    count: u64,
    /// The last requested day, and its salt.
    salt: Option<(i64, Option<Salt>)>,
    /// The buffer for an event before it is signed.
    event: Vec<u8>,
}

/// How long the parts of a written click are, in the order in which they were written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lengths {
    /// Event id, timestamp and signatures with line breaks between; nothing for a queue.
    pub(crate) heading: usize,
    /// The event as JSON.
    pub(crate) event: usize,
}

impl Clicks {
    /// Writes a click to the end of `out`: its heading, then the event.
    pub(crate) fn write(&mut self, clicked: &Clicked<'_>, settings: &Settings, out: &mut Vec<u8>) -> Lengths {
        let visit = &clicked.facts.visit;
        self.count += 1;
        let id = uuid_text(event_id(&settings.nonce, 0, self.count, visit.now));
        let id = str::from_utf8(&id).unwrap_or_default();
        let salt = self.salt_of(day_of(visit.now.as_micros()), settings);
        let told = Told {
            event_id: id,
            edge_id: &settings.edge_id,
            address: visit.ip.and_then(|address| settings.address_policy.kept(address)),
            visitor: salt.zip(visit.ip).map(|(salt, address)| {
                visitor_key(&salt, clicked.facts.domain, address, visit.user_agent.unwrap_or_default())
            }),
        };
        let start = out.len();
        if settings.clicks == ClickPath::Queue {
            write_event(clicked, &told, out);
            return Lengths { heading: 0, event: out.len() - start };
        }
        // The heading covers the event and stands before it, so the event is written apart.
        let event = &mut self.event;
        event.clear();
        write_event(clicked, &told, event);
        out.extend_from_slice(id.as_bytes());
        write_signature(id, visit.now.as_micros(), event, settings, out);
        let heading = out.len() - start;
        out.extend_from_slice(event);
        Lengths { heading, event: event.len() }
    }

    fn salt_of(&mut self, day: i64, settings: &Settings) -> Option<Salt> {
        match self.salt {
            Some((known, salt)) if known == day => salt,
            Some(_) | None => {
                let salt = settings.secrets.salt_of(day);
                self.salt = Some((day, salt));
                salt
            }
        }
    }
}

/// Writes a line break, the timestamp in seconds, a line break and the signatures.
pub(crate) fn write_signature(id: &str, now_micros: i64, body: &[u8], settings: &Settings, out: &mut Vec<u8>) {
    let timestamp = now_micros.div_euclid(1_000_000).to_string();
    out.push(b'\n');
    out.extend_from_slice(timestamp.as_bytes());
    out.push(b'\n');
    settings.secrets.sign(SignedMessage { id, timestamp: &timestamp, body }, out);
}

/// A UUID as people write it.
fn uuid_text(id: [u8; 16]) -> [u8; 36] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'-'; 36];
    let mut at = 0;
    for (index, byte) in id.into_iter().enumerate() {
        at += usize::from(matches!(index, 4 | 6 | 8 | 10));
        text[at] = DIGITS[usize::from(byte >> 4)];
        text[at + 1] = DIGITS[usize::from(byte & 15)];
        at += 2;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_written_with_their_dashes() {
        let text =
            uuid_text([0x01, 0x9b, 0xc1, 0x34, 0x78, 0xbb, 0x71, 0xc8, 0xaa, 0x0b, 0x1a, 0xd9, 0x7f, 0x9e, 0x31, 0x2e]);
        assert_eq!(&text, b"019bc134-78bb-71c8-aa0b-1ad97f9e312e");
    }
}
