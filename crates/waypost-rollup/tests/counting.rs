//! Roll-ups as values: the same content has the same bytes, however it came together.
#![allow(clippy::unwrap_used)]

mod support;

use proptest::prelude::*;
use support::{HOUR, Raw, raws, rollup};
use waypost_core::Timestamp;
use waypost_rollup::{ClickFacts, DayRollup, LinksRollup, Vocabulary};

fn quick() -> ProptestConfig {
    ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() }
}

/// The block with its checksum made right.
fn resealed(mut block: Vec<u8>) -> Vec<u8> {
    let end = block.len() - 4;
    let checksum = xxhash_rust::xxh3::xxh3_64(&block[..end]) as u32;
    block[end..].copy_from_slice(&checksum.to_le_bytes());
    block
}

proptest! {
    #![proptest_config(quick())]

    #[test]
    fn what_was_encoded_is_decoded(clicks in raws(0..24, 200)) {
        let one = rollup(&clicks);
        let bytes = one.encode();
        let again = DayRollup::decode(&bytes).unwrap();
        prop_assert_eq!(again.clicks(), clicks.len() as u64);
        prop_assert_eq!(again.encode(), bytes);
    }

    #[test]
    fn order_and_grouping_do_not_matter(clicks in raws(0..24, 200), cuts in (0..200_usize, 0..200_usize)) {
        let whole = rollup(&clicks).encode();
        let mut backwards = clicks.clone();
        backwards.reverse();
        prop_assert_eq!(&rollup(&backwards).encode(), &whole);
        let first = cuts.0.min(clicks.len());
        let second = cuts.1.clamp(first, clicks.len().max(first));
        let [a, b, c] = [&clicks[..first], &clicks[first..second], &clicks[second..]].map(rollup);
        let stored = |rollup: &DayRollup| DayRollup::decode(&rollup.encode()).unwrap();
        let mut left = stored(&a);
        left.merge(&b);
        left = stored(&left);
        left.merge(&c);
        let mut right = c.clone();
        right.merge(&b);
        right.merge(&stored(&a));
        prop_assert_eq!(&left.encode(), &whole);
        prop_assert_eq!(&right.encode(), &whole);
    }

    #[test]
    fn a_batch_counts_the_same(clicks in raws(0..24, 200), cut in 0..200_usize) {
        let (stored, new) = clicks.split_at(cut.min(clicks.len()));
        let mut vocabulary = Vocabulary::new();
        let mut before = Vec::new();
        let mut delta = Vec::new();
        stored.iter().for_each(|click| before.push(vocabulary.key(&click.facts())));
        new.iter().for_each(|click| delta.push(vocabulary.key(&click.facts())));
        let bytes = vocabulary.merge(&before, None).unwrap();
        prop_assert_eq!(&bytes, &rollup(stored).encode());
        let bytes = vocabulary.merge(&delta, Some(&bytes)).unwrap();
        prop_assert_eq!(bytes, rollup(&clicks).encode());
    }

    #[test]
    fn few_clicks_count_the_same(clicks in raws(0..24, 90), cut in 0..40_usize, visitors in 1..30_u64) {
        // Few visitors, so that some are seen more often than is kept.
        let mut clicks = clicks;
        clicks.iter_mut().for_each(|click| click.visitor = click.visitor.map(|key| (key % visitors) << 40));
        let (stored, new) = clicks.split_at(cut.min(clicks.len()));
        let mut general = rollup(stored);
        let stored = general.encode();
        general = DayRollup::decode(&stored).unwrap();
        let mut vocabulary = Vocabulary::new();
        let mut delta = Vec::new();
        for click in new {
            general.add(&click.facts());
            delta.push(vocabulary.key(&click.facts()));
        }
        prop_assert_eq!(vocabulary.merge(&delta, Some(&stored)).unwrap(), general.encode());
    }

    #[test]
    fn few_clicks_are_counted_on_damage(clicks in raws(0..24, 20), at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let mut damaged = rollup(&clicks).encode();
        let at = at.index(damaged.len());
        damaged[at] ^= flip;
        let damaged = resealed(damaged);
        let mut vocabulary = Vocabulary::new();
        let key = vocabulary.key(&one_click());
        let general = DayRollup::decode(&damaged).map(|mut general| {
            general.add(&one_click());
            general.encode()
        });
        prop_assert_eq!(vocabulary.merge(&[key], Some(&damaged)), general);
    }

    #[test]
    fn one_click_counts_the_same(clicks in raws(0..24, 40)) {
        // The vocabulary knows more than the click says.
        let mut vocabulary = Vocabulary::new();
        let keys: Vec<_> = clicks.iter().map(|click| vocabulary.key(&click.facts())).collect();
        for (click, key) in clicks.iter().zip(keys) {
            let bytes = vocabulary.merge(&[key], None).unwrap();
            prop_assert_eq!(bytes, rollup(std::slice::from_ref(click)).encode());
        }
    }

    #[test]
    fn taking_back_is_as_if_never_counted(clicks in raws(0..24, 200), cut in 0..200_usize) {
        let cut = cut.min(clicks.len());
        // Visitors of the part that goes are not in the one that stays.
        let (mut gone, stays) = (clicks[..cut].to_vec(), &clicks[cut..]);
        gone.iter_mut().for_each(|click| click.visitor = click.visitor.map(|key| !key));
        let mut all = rollup(&gone);
        all.merge(&rollup(stays));
        let mut all = DayRollup::decode(&all.encode()).unwrap();
        all.subtract(&rollup(&gone));
        prop_assert_eq!(all.encode(), rollup(stays).encode());
    }

    #[test]
    fn links_are_counted_likewise(clicks in raws(0..24, 200), numbers in prop::collection::vec(0..40_u32, 200)) {
        let count = |clicks: &mut dyn Iterator<Item = (&Raw, &u32)>| {
            let mut links = LinksRollup::default();
            clicks.for_each(|(click, number)| links.add(*number * 1_000, &click.facts()));
            links
        };
        let numbered = || clicks.iter().zip(&numbers);
        let whole = count(&mut numbered());
        let bytes = whole.encode();
        prop_assert_eq!(LinksRollup::decode(&bytes).unwrap().encode(), bytes.clone());
        let odd = count(&mut numbered().filter(|(_, number)| *number % 2 == 1));
        let mut other = LinksRollup::decode(&count(&mut numbered().filter(|(_, n)| *n % 2 == 0)).encode()).unwrap();
        let even = other.encode();
        other.merge(&odd);
        prop_assert_eq!(&other.encode(), &bytes);
        other.subtract(&odd);
        prop_assert_eq!(&other.encode(), &even);
        (0..40).filter(|number| number % 2 == 0).for_each(|number| other.remove(number * 1_000));
        prop_assert_eq!(other.encode(), LinksRollup::default().encode());
        prop_assert!((0..bytes.len()).step_by(bytes.len() / 64 + 1).all(|end| LinksRollup::decode(&bytes[..end]).is_err()));
    }

    #[test]
    fn damage_is_found(clicks in raws(0..24, 60), at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let bytes = rollup(&clicks).encode();
        prop_assert!((0..bytes.len()).step_by(bytes.len() / 64 + 1).all(|end| DayRollup::decode(&bytes[..end]).is_err()));
        let mut damaged = bytes.clone();
        let at = at.index(bytes.len());
        damaged[at] ^= flip;
        prop_assert!(DayRollup::decode(&damaged).is_err());
        // Also where the checksum was made to fit: refused, or another roll-up that has these bytes and no others.
        let damaged = resealed(damaged);
        if let Ok(read) = DayRollup::decode(&damaged) {
            prop_assert_eq!(read.encode(), damaged);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 5..300), format in prop::sample::select(vec![0x11, 0x21])) {
        bytes[0] = format;
        let bytes = resealed(bytes);
        let _ = DayRollup::decode(&bytes);
        let _ = LinksRollup::decode(&bytes);
    }
}

fn one_click() -> ClickFacts<'static> {
    Raw { hour: 13, values: [0, 1, 1, 0, 2, 2, 1, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0], visitor: Some(u64::MAX / 3) }.facts()
}

#[test]
fn one_click_is_small() {
    let mut rollup = DayRollup::default();
    assert!(rollup.encode().len() < 30);
    rollup.add(&one_click());
    assert!(rollup.encode().len() < 80, "{}", rollup.encode().len());
    let mut links = LinksRollup::default();
    links.add(70_000, &one_click());
    assert!(links.encode().len() <= 14, "{}", links.encode().len());
}

#[test]
fn made_up_values_have_a_limit() {
    let mut rollup = DayRollup::default();
    let texts: Vec<String> = (0..45_000).map(|number| format!("value-{number:05}")).collect();
    for (number, text) in texts.iter().enumerate() {
        let mut click = one_click();
        let other = &texts[number / 50];
        click.clicked_at = Timestamp::from_micros(number as i64 % 24 * HOUR);
        (click.language, click.browser) = (text, other);
        click.utm = [text, other, &texts[number % 7], &texts[number % 1_000], text];
        click.referrer_host = &texts[number % 900];
        click.visitor = Some((number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        rollup.add(&click);
    }
    let bytes = rollup.encode();
    assert!(bytes.len() < 1 << 20, "{}", bytes.len());
    let mut decoded = DayRollup::decode(&bytes).unwrap();
    assert_eq!(decoded.clicks(), 45_000);
    // Merging beyond the limits loses no click either, and what was counted can be taken back whole.
    let mut one = DayRollup::default();
    let mut click = one_click();
    click.language = "never-seen";
    one.add(&click);
    decoded.merge(&one);
    assert_eq!(decoded.clicks(), 45_001);
    decoded.subtract(&one);
    assert_eq!(decoded.clicks(), 45_000);
    decoded.subtract(&rollup);
    assert_eq!(decoded.clicks(), 0);
}
