//! Blocks come back as they were, and nothing else is taken for one.

#![allow(clippy::unwrap_used)]

use waypost_core::Timestamp;
use waypost_core::device::{Device, Os};

use waypost_core::Source;
use waypost_core::class::Class;
use waypost_rollup::Channel;

use super::*;

const PLAIN: ClickFacts<'static> = ClickFacts {
    event_id: [0; 16],
    edge_id: "edge",
    epoch: 1,
    sequence: 0,
    clicked_at: Timestamp::from_micros(1_768_473_000_000_000),
    link_id: "",
    account_id: "",
    domain: "",
    slug: "slug",
    status: 302,
    class: Class::Human,
    class_reason: "none",
    classifier: 1,
    country: None,
    device: Device::Other,
    os: Os::Other,
    browser: "",
    channel: Channel::Direct,
    referrer_host: "",
    referrer: "",
    user_agent: "",
    language: "",
    source: Source::Default,
    rule_id: "",
    ab_test_id: "",
    variant_id: "",
    utm: [""; 5],
    visitor: None,
    address: None,
};

fn numbered(click: ClickFacts<'_>, sequence: u64) -> ClickFacts<'_> {
    let event_id = event_id(click.edge_id, click.epoch, sequence, click.clicked_at);
    ClickFacts { sequence, event_id, ..click }
}

/// Clicks that have every value of every list, and the ends of every number.
fn colourful() -> Vec<ClickFacts<'static>> {
    let addresses = ["0.0.0.0", "192.0.2.0", "255.255.255.255", "::", "2001:db8:1::", "ffff::1"];
    let mut clicks = vec![PLAIN, ClickFacts { event_id: [7; 16], ..PLAIN }];
    clicks.extend(Class::ALL.map(|class| ClickFacts { class, class_reason: "curl/", classifier: u16::MAX, ..PLAIN }));
    clicks.extend(Source::ALL.map(|source| ClickFacts { source, rule_id: "r", variant_id: "v", status: 308, ..PLAIN }));
    clicks.extend(Channel::ALL.map(|channel| ClickFacts {
        channel,
        referrer_host: "t.co",
        referrer: "https://t.co/",
        ..PLAIN
    }));
    clicks.extend(Device::NAMES.map(|(browser, device)| ClickFacts {
        device,
        browser,
        user_agent: "Mozilla/5.0",
        ..PLAIN
    }));
    clicks.extend(Os::NAMES.map(|(_, os)| ClickFacts { os, country: Some(*b"AT"), language: "größe", ..PLAIN }));
    clicks.extend(addresses.map(|address| ClickFacts {
        address: address.parse().ok(),
        visitor: Some(u64::MAX),
        ..PLAIN
    }));
    clicks.extend([i64::MIN, -1, 0, i64::MAX].map(|micros| ClickFacts {
        clicked_at: Timestamp::from_micros(micros),
        epoch: u64::MAX,
        utm: ["a", "b", "", "d", "é"],
        ..PLAIN
    }));
    let sequences = [1, u64::MAX, 2, 0, 5].into_iter().cycle();
    let id_follows = |click: &ClickFacts<'_>| click.event_id == [0; 16];
    clicks
        .into_iter()
        .zip(sequences)
        .map(|(click, sequence)| match id_follows(&click) {
            true => numbered(click, sequence),
            false => click,
        })
        .collect()
}

fn check(clicks: &[ClickFacts<'_>], bytes: &[u8]) {
    let unpacked = Unpacked::new(bytes).unwrap();
    let block = unpacked.read().unwrap();
    assert_eq!(block.clicks(), clicks.len());
    for (index, click) in clicks.iter().enumerate() {
        // Every field of it.
        assert_eq!(format!("{:?}", block.click(index)), format!("{click:?}"));
        assert_eq!(block.link(index), 1_000 + index as u32 % 3);
    }
}

fn block(clicks: &[ClickFacts<'_>]) -> Vec<u8> {
    let mut writer = BlockWriter::default();
    for (index, click) in clicks.iter().enumerate() {
        writer.push(index as u32 % 3, click);
    }
    let block = writer.finish().unwrap();
    assert!(writer.finish().is_none());
    block.encode(|link| 1_000 + link)
}

#[test]
fn clicks_come_back() {
    let clicks = colourful();
    check(&clicks, &block(&clicks));
    for click in &clicks {
        check(&[*click], &block(&[*click]));
    }
}

#[test]
fn a_writer_begins_anew() {
    let clicks = colourful();
    let mut writer = BlockWriter::default();
    for clicks in [&clicks[..], &clicks[..5], &clicks[20..]] {
        for (index, click) in clicks.iter().enumerate() {
            writer.push(index as u32 % 3, click);
        }
        check(clicks, &writer.finish().unwrap().encode(|link| 1_000 + link));
    }
}

#[test]
fn ordinals_come_back() {
    for ordinals in [[0_u64, 1, 2], [5, 6, 7], [5, 9, 1_000_000]] {
        let mut writer = BlockWriter::default();
        for ordinal in ordinals {
            writer.push_with_ordinal(0, &PLAIN, ordinal);
        }
        let block = writer.finish().unwrap();
        assert_eq!(block.first_ordinal, ordinals[0]);
        let unpacked = Unpacked::new(&block.encode(|link| link)).unwrap();
        let block = unpacked.read().unwrap();
        assert!((0..3).map(|index| ordinals[0] + block.ordinal(index)).eq(ordinals));
    }
}

#[test]
fn long_texts_fill_a_block_early() {
    let mut writer = BlockWriter::default();
    let mut clicks = 0;
    while !writer.is_full() {
        let user_agent = format!("{clicks:0>1000}");
        writer.push(0, &ClickFacts { user_agent: &user_agent, ..PLAIN });
        clicks += 1;
    }
    assert!(clicks < BLOCK_CLICKS_MAX / 4, "{clicks}");
    let bytes = writer.finish().unwrap().encode(|link| link);
    assert_eq!(Unpacked::new(&bytes).unwrap().read().unwrap().clicks(), clicks);
}

#[test]
fn the_format_stands_still() {
    let click = ClickFacts { user_agent: "u", visitor: Some(0x0123_4567_89ab_cdef), ..numbered(PLAIN, 3) };
    let hex = data_encoding::HEXLOWER.encode(&block(&[click]));
    insta::assert_snapshot!(hex);
}

#[test]
fn damage_is_refused() {
    let bytes = block(&colourful());
    for length in 0..bytes.len() {
        assert!(Unpacked::new(&bytes[..length]).is_err(), "cut at {length}");
    }
    for place in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[place] ^= 0x10;
        assert!(Unpacked::new(&bytes).is_err(), "byte {place}");
    }
}

/// Whatever carries the right checksum is read or refused: nothing panics, nothing asks for much memory.
#[test]
fn anything_under_a_checksum_is_read_or_refused() {
    let whole = block(&colourful());
    let body = &whole[..whole.len() - CHECKSUM_BYTES];
    let sealed = |body: &[u8]| [body, &xxh3_64(body).to_le_bytes()].concat();
    let read = |bytes: &[u8]| {
        let Ok(unpacked) = Unpacked::new(bytes) else { return };
        let Ok(block) = unpacked.read() else { return };
        for index in 0..block.clicks() {
            let _ = (block.click(index), block.link(index), block.ordinal(index));
        }
    };
    for length in 0..body.len() {
        read(&sealed(&body[..length]));
    }
    for place in 0..body.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut body = body.to_vec();
            body[place] = value;
            read(&sealed(&body));
        }
    }
}
