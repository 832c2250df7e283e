//! Blocks of raw clicks: thousands of clicks of one account and one day (in UTC) as columns, what they have in common once.
//!
//! A block says everything that [`ClickFacts`] says. Account, domain and link it names by the link's scope number only, and
//! an event id only where it does not follow from the click's number ([`event_id`]). A damaged block is refused as a whole.
//!
//! Format 1, little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | format |
//! | 4 | clicks |
//! | 4 + 4 each | places: the scope numbers of their links |
//! | 4, 4, n | the dictionaries: length, compressed length (0: not compressed), bytes (LZ4 block) |
//! | n | 8 columns, one for each dictionary: places in it, in as few bits as its size needs |
//! | (clicks + 7) / 8, 8 each | visitor keys: who has one, then the keys |
//! | (clicks + 7) / 8, 16 each | event ids: who has one that does not follow, then the ids |
//! | 4 + n | times: differences in microseconds |
//! | 4 + n | sequences: differences |
//! | 4 + n | addresses: length (plus 128 for IPv6), then the address without its last zero bytes; empty where none has one |
//! | 4 + n | ordinals: differences less one; empty where they follow one another |
//! | 8 | checksum (XXH3) of all before |
//!
//! Differences are to the click before, folded to unsigned (0, -1, 1, -2, ...) and written seven bits a byte. A dictionary is the
//! count of its entries (4) and these one after another; a text has its length (2) before it. The dictionaries:
//!
//! | entry | fields |
//! |---|---|
//! | place | slug |
//! | agent | device (1), operating system (1), browser, user agent |
//! | verdict | class (1), classifier (2), reason |
//! | origin | channel (1), referrer's host, referrer |
//! | route | status (2), source (1), rule, split, variant |
//! | campaign | five UTM values |
//! | locale | country (2, or zeros), language |
//! | writer | epoch (8), edge id |

mod bits;
mod read;
#[cfg(test)]
mod tests;

use std::hash::BuildHasher;
use std::net::IpAddr;

use hashbrown::{DefaultHashBuilder, HashTable};
use waypost_core::click::event_id;
use waypost_rollup::ClickFacts;
use xxhash_rust::xxh3::xxh3_64;

use bits::{put_bits, put_difference};
pub(crate) use read::{Block, CorruptBlock, Unpacked};

/// The most clicks of a block.
pub(crate) const BLOCK_CLICKS_MAX: usize = 8_192;
/// A block whose dictionaries have so many bytes is full.
const DICTIONARY_BYTES_FULL: usize = 1 << 20;
/// The most bytes that the dictionaries of a block can have: a click adds at most 18 texts to full ones.
const DICTIONARY_BYTES_MAX: usize = DICTIONARY_BYTES_FULL + 32_768;
/// The most bytes of a text; longer than any that is kept (see `waypost_core::click`).
const TEXT_BYTES_MAX: usize = 1_024;

const FORMAT: u8 = 1;
const DICTIONARIES: usize = 8;
const CHECKSUM_BYTES: usize = 8;

/// A block that is finished but for the numbers of its links.
#[derive(Debug)]
pub(crate) struct FinishedBlock {
    /// The links of its places, as the writer was given them.
    places: Vec<u32>,
    rest: Vec<u8>,
    pub(crate) clicks: u32,
    /// The earliest and the latest click, in microseconds.
    pub(crate) times: (i64, i64),
    /// Of the first click.
    pub(crate) first_ordinal: u64,
}

impl FinishedBlock {
    /// The bytes to store; `number` gives each link its scope number.
    pub(crate) fn encode(&self, number: impl Fn(u32) -> u32) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(9 + 4 * self.places.len() + self.rest.len() + CHECKSUM_BYTES);
        bytes.push(FORMAT);
        bytes.extend_from_slice(&self.clicks.to_le_bytes());
        put_length(&mut bytes, self.places.len());
        for &place in &self.places {
            bytes.extend_from_slice(&number(place).to_le_bytes());
        }
        bytes.extend_from_slice(&self.rest);
        let checksum = xxh3_64(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// About how much memory it takes, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.places.capacity() * 4 + self.rest.capacity()
    }
}

/// Collects the clicks of a block.
#[derive(Debug, Default)]
pub(crate) struct BlockWriter {
    hasher: DefaultHashBuilder,
    /// In the order of the format; entries of places have the link's number (4) before the slug while they are collected.
    dictionaries: [Dictionary; DICTIONARIES],
    columns: [Vec<u32>; DICTIONARIES],
    /// An entry on its way into a dictionary.
    entry: Vec<u8>,
    visitors: Marked,
    event_ids: Marked,
    times: Vec<u8>,
    sequences: Vec<u8>,
    addresses: Vec<u8>,
    has_address: bool,
    ordinals: Vec<u8>,
    has_ordinal_gap: bool,
    last: Last,
    clicks: usize,
}

/// What differences are taken to, and the ends of what was seen.
#[derive(Debug, Default)]
struct Last {
    micros: i64,
    sequence: u64,
    ordinal: u64,
    first_ordinal: u64,
    times: Option<(i64, i64)>,
}

/// Values that some clicks have.
#[derive(Debug, Default)]
struct Marked {
    marks: Vec<u8>,
    values: Vec<u8>,
}

impl Marked {
    fn push(&mut self, index: usize, value: Option<&[u8]>) {
        if index.is_multiple_of(8) {
            self.marks.push(0);
        }
        let (Some(value), Some(mark)) = (value, self.marks.last_mut()) else { return };
        *mark |= 1 << (index % 8);
        self.values.extend_from_slice(value);
    }
}

/// Distinct entries, numbered in the order in which they came.
#[derive(Debug, Default)]
struct Dictionary {
    table: HashTable<u32>,
    ends: Vec<u32>,
    bytes: Vec<u8>,
    /// The one that was asked for last: of most dictionaries often the next one, too.
    last: u32,
}

impl Dictionary {
    fn index(&mut self, hasher: &DefaultHashBuilder, entry: &[u8]) -> u32 {
        let Self { table, ends, bytes, last } = self;
        if !ends.is_empty() && entry_at(ends, bytes, *last) == entry {
            return *last;
        }
        let hash = hasher.hash_one(entry);
        if let Some(&index) = table.find(hash, |&index| entry_at(ends, bytes, index) == entry) {
            *last = index;
            return index;
        }
        let index = ends.len() as u32;
        bytes.extend_from_slice(entry);
        ends.push(bytes.len() as u32);
        table.insert_unique(hash, index, |&index| hasher.hash_one(entry_at(ends, bytes, index)));
        *last = index;
        index
    }
}

fn entry_at<'b>(ends: &[u32], bytes: &'b [u8], index: u32) -> &'b [u8] {
    let index = index as usize;
    let start = if index == 0 { 0 } else { ends[index - 1] };
    &bytes[start as usize..ends[index] as usize]
}

impl BlockWriter {
    pub(crate) fn clicks(&self) -> usize {
        self.clicks
    }

    pub(crate) fn is_full(&self) -> bool {
        self.clicks >= BLOCK_CLICKS_MAX || self.has_full_dictionaries()
    }

    pub(crate) fn has_full_dictionaries(&self) -> bool {
        self.dictionaries.iter().map(|dictionary| dictionary.bytes.len()).sum::<usize>() >= DICTIONARY_BYTES_FULL
    }

    /// Adds a click of this link. Its ordinal is the next one.
    pub(crate) fn push(&mut self, link: u32, click: &ClickFacts<'_>) {
        let ordinal = if self.clicks == 0 { 0 } else { self.last.ordinal + 1 };
        self.push_with_ordinal(link, click, ordinal);
    }

    /// Adds a click with its place among the clicks of account and day; places grow from click to click.
    pub(crate) fn push_with_ordinal(&mut self, link: u32, click: &ClickFacts<'_>, ordinal: u64) {
        self.push_texts(link, click);
        let index = self.clicks;
        self.visitors.push(index, click.visitor.map(u64::to_le_bytes).as_ref().map(<[u8; 8]>::as_slice));
        let follows = event_id(click.edge_id, click.epoch, click.sequence, click.clicked_at) == click.event_id;
        self.event_ids.push(index, (!follows).then_some(click.event_id.as_slice()));
        let micros = click.clicked_at.as_micros();
        put_difference(&mut self.times, self.last.micros as u64, micros as u64);
        put_difference(&mut self.sequences, self.last.sequence, click.sequence);
        self.has_address |= click.address.is_some();
        put_address(&mut self.addresses, click.address);
        if index == 0 {
            self.last.first_ordinal = ordinal;
        } else {
            self.has_ordinal_gap |= ordinal != self.last.ordinal + 1;
            put_difference(&mut self.ordinals, self.last.ordinal + 1, ordinal);
        }
        self.last.micros = micros;
        self.last.sequence = click.sequence;
        self.last.ordinal = ordinal;
        let (first, last) = self.last.times.unwrap_or((micros, micros));
        self.last.times = Some((first.min(micros), last.max(micros)));
        self.clicks += 1;
    }

    fn push_texts(&mut self, link: u32, click: &ClickFacts<'_>) {
        let Self { hasher, dictionaries, columns, entry, .. } = self;
        let mut columns = dictionaries.iter_mut().zip(columns.iter_mut());
        let mut put = |numbers: &[u8], texts: &[&str]| {
            entry.clear();
            entry.extend_from_slice(numbers);
            for text in texts {
                put_text(entry, text);
            }
            if let Some((dictionary, column)) = columns.next() {
                column.push(dictionary.index(hasher, entry));
            }
        };
        let [c0, c1] = click.classifier.to_le_bytes();
        let [s0, s1] = click.status.to_le_bytes();
        put(&link.to_le_bytes(), &[click.slug]);
        put(&[click.device as u8, click.os as u8], &[click.browser, click.user_agent]);
        put(&[click.class.code(), c0, c1], &[click.class_reason]);
        put(&[click.channel.code()], &[click.referrer_host, click.referrer]);
        put(&[s0, s1, click.source.code()], &[click.rule_id, click.ab_test_id, click.variant_id]);
        put(&[], &click.utm);
        put(&click.country.unwrap_or_default(), &[click.language]);
        put(&click.epoch.to_le_bytes(), &[click.edge_id]);
    }

    /// What was collected as a block, if anything was. The writer is empty afterwards and keeps its memory for the next.
    pub(crate) fn finish(&mut self) -> Option<FinishedBlock> {
        let times = self.last.times?;
        let (places, rest) = self.body();
        let block =
            FinishedBlock { places, rest, clicks: self.clicks as u32, times, first_ordinal: self.last.first_ordinal };
        self.clear();
        Some(block)
    }

    fn clear(&mut self) {
        for dictionary in &mut self.dictionaries {
            dictionary.table.clear();
            dictionary.ends.clear();
            dictionary.bytes.clear();
            dictionary.last = 0;
        }
        self.columns.iter_mut().for_each(Vec::clear);
        for marked in [&mut self.visitors, &mut self.event_ids] {
            marked.marks.clear();
            marked.values.clear();
        }
        for stream in [&mut self.times, &mut self.sequences, &mut self.addresses, &mut self.ordinals] {
            stream.clear();
        }
        self.last = Last::default();
        (self.has_address, self.has_ordinal_gap, self.clicks) = (false, false, 0);
    }

    fn body(&self) -> (Vec<u32>, Vec<u8>) {
        let mut places = Vec::with_capacity(self.dictionaries[0].ends.len());
        let mut texts = Vec::with_capacity(self.dictionaries.iter().map(|dictionary| dictionary.bytes.len() + 4).sum());
        for (number, dictionary) in self.dictionaries.iter().enumerate() {
            put_length(&mut texts, dictionary.ends.len());
            if number > 0 {
                texts.extend_from_slice(&dictionary.bytes);
                continue;
            }
            for index in 0..dictionary.ends.len() {
                let entry = entry_at(&dictionary.ends, &dictionary.bytes, index as u32);
                let Some((link, slug)) = entry.split_first_chunk() else { continue };
                places.push(u32::from_le_bytes(*link));
                texts.extend_from_slice(slug);
            }
        }
        let mut rest = Vec::with_capacity(texts.len() / 2 + self.clicks * 24);
        put_compressed(&mut rest, &texts);
        for (dictionary, column) in self.dictionaries.iter().zip(&self.columns) {
            put_bits(&mut rest, dictionary.ends.len(), column);
        }
        for marked in [&self.visitors, &self.event_ids] {
            rest.extend_from_slice(&marked.marks);
            rest.extend_from_slice(&marked.values);
        }
        let empty = Vec::new();
        let addresses = if self.has_address { &self.addresses } else { &empty };
        let ordinals = if self.has_ordinal_gap { &self.ordinals } else { &empty };
        for stream in [&self.times, &self.sequences, addresses, ordinals] {
            put_length(&mut rest, stream.len());
            rest.extend_from_slice(stream);
        }
        rest.shrink_to_fit();
        (places, rest)
    }

    /// About how much memory it takes, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let dictionary = |dictionary: &Dictionary| {
            dictionary.bytes.capacity() + dictionary.ends.capacity() * 4 + dictionary.table.allocation_size()
        };
        let columns: usize = self.columns.iter().map(Vec::capacity).sum();
        let streams = [&self.times, &self.sequences, &self.addresses, &self.ordinals, &self.visitors.values];
        size_of::<Self>()
            + self.dictionaries.iter().map(dictionary).sum::<usize>()
            + columns * 4
            + streams.iter().map(|stream| stream.capacity()).sum::<usize>()
            + self.event_ids.values.capacity()
    }
}

/// A length or count; none here is beyond four bytes.
fn put_length(bytes: &mut Vec<u8>, length: usize) {
    bytes.extend_from_slice(&(length as u32).to_le_bytes());
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let text = waypost_core::click::cut(text, TEXT_BYTES_MAX);
    bytes.extend_from_slice(&(text.len() as u16).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn put_address(bytes: &mut Vec<u8>, address: Option<IpAddr>) {
    let mut put = |octets: &[u8], mark: u8| {
        let length = octets.iter().rposition(|&octet| octet != 0).map_or(0, |last| last + 1);
        bytes.push(length as u8 | mark);
        bytes.extend_from_slice(&octets[..length]);
    };
    match address {
        // No IPv4 address has this length.
        None => bytes.push(NO_ADDRESS),
        Some(IpAddr::V4(address)) => put(&address.octets(), 0),
        Some(IpAddr::V6(address)) => put(&address.octets(), IPV6_MARK),
    }
}

const NO_ADDRESS: u8 = 0x7f;
const IPV6_MARK: u8 = 0x80;

fn put_compressed(bytes: &mut Vec<u8>, texts: &[u8]) {
    let compressed = lz4_flex::block::compress(texts);
    put_length(bytes, texts.len());
    if compressed.len() < texts.len() {
        put_length(bytes, compressed.len());
        bytes.extend_from_slice(&compressed);
    } else {
        put_length(bytes, 0);
        bytes.extend_from_slice(texts);
    }
}
