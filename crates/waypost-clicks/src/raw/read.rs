//! Reading blocks of raw clicks. Any bytes are read or refused; nothing here panics on what was stored.

use std::net::IpAddr;

use waypost_core::Source;
use waypost_core::Timestamp;
use waypost_core::class::Class;
use waypost_core::click::event_id;
use waypost_core::device::{Device, Os};
use waypost_rollup::{Channel, ClickFacts};
use xxhash_rust::xxh3::xxh3_64;

use super::bits::{column_bytes, get_bits, get_difference};
use super::{BLOCK_CLICKS_MAX, CHECKSUM_BYTES, DICTIONARIES, DICTIONARY_BYTES_MAX, FORMAT, IPV6_MARK, NO_ADDRESS};

/// Bytes that are not a block: damaged, cut short, or of another format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a block of raw clicks is damaged or of another format")]
pub(crate) struct CorruptBlock;

/// A block whose bytes were checked and whose texts were unpacked.
#[derive(Debug)]
pub(crate) struct Unpacked {
    clicks: usize,
    places: Vec<u32>,
    texts: Vec<u8>,
    columns: Vec<u8>,
}

/// A block that is ready to give its clicks.
#[derive(Debug)]
pub(crate) struct Block<'a> {
    links: &'a [u32],
    slugs: Vec<&'a str>,
    agents: Vec<(Device, Os, &'a str, &'a str)>,
    verdicts: Vec<(Class, u16, &'a str)>,
    origins: Vec<(Channel, &'a str, &'a str)>,
    routes: Vec<(u16, Source, [&'a str; 3])>,
    campaigns: Vec<[&'a str; 5]>,
    locales: Vec<(Option<[u8; 2]>, &'a str)>,
    writers: Vec<(u64, &'a str)>,
    columns: [Vec<u32>; DICTIONARIES],
    visitors: Vec<Option<u64>>,
    event_ids: Vec<Option<[u8; 16]>>,
    times: Vec<i64>,
    sequences: Vec<u64>,
    addresses: Vec<Option<IpAddr>>,
    /// Places among the clicks of the account's day, from that of the first click.
    ordinals: Vec<u64>,
}

impl Unpacked {
    /// Checks and unpacks stored bytes.
    pub(crate) fn new(bytes: &[u8]) -> Result<Self, CorruptBlock> {
        let (body, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(CorruptBlock)?;
        if xxh3_64(body) != u64::from_le_bytes(*checksum) {
            return Err(CorruptBlock);
        }
        let mut reader = Reader { rest: body };
        if reader.array::<1>()? != [FORMAT] {
            return Err(CorruptBlock);
        }
        let clicks = reader.length(BLOCK_CLICKS_MAX)?;
        let places = reader.length(BLOCK_CLICKS_MAX)?;
        let places = (0..places).map(|_| reader.array().map(u32::from_le_bytes)).collect::<Result<_, _>>()?;
        let texts_length = reader.length(DICTIONARY_BYTES_MAX)?;
        let texts = match reader.length(DICTIONARY_BYTES_MAX)? {
            0 => reader.take(texts_length)?.to_vec(),
            compressed => {
                let compressed = reader.take(compressed)?;
                // LZ4 makes at most 255 bytes of one.
                if texts_length > compressed.len().saturating_mul(255) {
                    return Err(CorruptBlock);
                }
                lz4_flex::block::decompress(compressed, texts_length).map_err(|_| CorruptBlock)?
            }
        };
        Ok(Self { clicks, places, texts, columns: reader.rest.to_vec() })
    }

    /// The scope numbers of the links that its clicks have.
    pub(crate) fn links(&self) -> &[u32] {
        &self.places
    }

    /// Reads texts and columns.
    pub(crate) fn read(&self) -> Result<Block<'_>, CorruptBlock> {
        let mut texts = Reader { rest: &self.texts };
        let slugs = texts.entries(Reader::text)?;
        let agents = texts.entries(|entry| {
            let [device, os] = entry.array()?;
            let (_, device) = *Device::NAMES.get(usize::from(device)).ok_or(CorruptBlock)?;
            let (_, os) = *Os::NAMES.get(usize::from(os)).ok_or(CorruptBlock)?;
            Ok((device, os, entry.text()?, entry.text()?))
        })?;
        let verdicts = texts.entries(|entry| {
            let class = entry.coded(Class::from_code)?;
            Ok((class, u16::from_le_bytes(entry.array()?), entry.text()?))
        })?;
        let origins = texts.entries(|entry| Ok((entry.coded(Channel::from_code)?, entry.text()?, entry.text()?)))?;
        let routes = texts.entries(|entry| {
            let status = u16::from_le_bytes(entry.array()?);
            Ok((status, entry.coded(Source::from_code)?, [entry.text()?, entry.text()?, entry.text()?]))
        })?;
        let campaigns =
            texts.entries(|entry| Ok([entry.text()?, entry.text()?, entry.text()?, entry.text()?, entry.text()?]))?;
        let locales = texts.entries(|entry| {
            let country = entry.array::<2>()?;
            Ok(((country != [0; 2]).then_some(country), entry.text()?))
        })?;
        let writers = texts.entries(|entry| Ok((u64::from_le_bytes(entry.array()?), entry.text()?)))?;
        if !texts.rest.is_empty() || slugs.len() != self.places.len() {
            return Err(CorruptBlock);
        }
        let lengths = [
            slugs.len(),
            agents.len(),
            verdicts.len(),
            origins.len(),
            routes.len(),
            campaigns.len(),
            locales.len(),
            writers.len(),
        ];
        let mut reader = Reader { rest: &self.columns };
        let columns = reader.columns(lengths, self.clicks)?;
        let visitors = reader.marked(self.clicks)?.map(|values| values.map(u64::from_le_bytes)).collect();
        let event_ids = reader.marked(self.clicks)?.collect();
        let block = Block {
            links: &self.places,
            slugs,
            agents,
            verdicts,
            origins,
            routes,
            campaigns,
            locales,
            writers,
            columns,
            visitors,
            event_ids,
            times: reader.differences(self.clicks)?.into_iter().map(|micros| micros as i64).collect(),
            sequences: reader.differences(self.clicks)?,
            addresses: reader.addresses(self.clicks)?,
            ordinals: reader.ordinals(self.clicks)?,
        };
        if reader.rest.is_empty() { Ok(block) } else { Err(CorruptBlock) }
    }
}

impl<'a> Block<'a> {
    pub(crate) fn clicks(&self) -> usize {
        self.times.len()
    }

    /// The scope number of a click's link.
    pub(crate) fn link(&self, index: usize) -> u32 {
        self.links[self.columns[0][index] as usize]
    }

    /// When a click was answered, in microseconds.
    pub(crate) fn micros(&self, index: usize) -> i64 {
        self.times[index]
    }

    /// A click's visitor key.
    pub(crate) fn visitor(&self, index: usize) -> Option<u64> {
        self.visitors[index]
    }

    /// How far a click's ordinal is from that of the block's first.
    pub(crate) fn ordinal(&self, index: usize) -> u64 {
        self.ordinals[index]
    }

    /// A click, but for account, domain and link, which are told by the link's scope number.
    pub(crate) fn click(&self, index: usize) -> ClickFacts<'a> {
        let at = |dictionary: usize| self.columns[dictionary][index] as usize;
        let (device, os, browser, user_agent) = self.agents[at(1)];
        let (class, classifier, class_reason) = self.verdicts[at(2)];
        let (channel, referrer_host, referrer) = self.origins[at(3)];
        let (status, source, [rule_id, ab_test_id, variant_id]) = self.routes[at(4)];
        let (country, language) = self.locales[at(6)];
        let (epoch, edge_id) = self.writers[at(7)];
        let clicked_at = Timestamp::from_micros(self.times[index]);
        let sequence = self.sequences[index];
        let event_id = self.event_ids[index].unwrap_or_else(|| event_id(edge_id, epoch, sequence, clicked_at));
        ClickFacts {
            event_id,
            edge_id,
            epoch,
            sequence,
            clicked_at,
            link_id: "",
            account_id: "",
            domain: "",
            slug: self.slugs[at(0)],
            status,
            class,
            class_reason,
            classifier,
            country,
            device,
            os,
            browser,
            channel,
            referrer_host,
            referrer,
            user_agent,
            language,
            source,
            rule_id,
            ab_test_id,
            variant_id,
            utm: self.campaigns[at(5)],
            visitor: self.visitors[index],
            address: self.addresses[index],
        }
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], CorruptBlock> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(CorruptBlock)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CorruptBlock> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(CorruptBlock)?;
        self.rest = rest;
        Ok(*array)
    }

    fn length(&mut self, max: usize) -> Result<usize, CorruptBlock> {
        let length = u32::from_le_bytes(self.array()?) as usize;
        if length <= max { Ok(length) } else { Err(CorruptBlock) }
    }

    fn coded<T>(&mut self, from_code: impl FnOnce(u8) -> Option<T>) -> Result<T, CorruptBlock> {
        let [code] = self.array()?;
        from_code(code).ok_or(CorruptBlock)
    }

    fn text(&mut self) -> Result<&'a str, CorruptBlock> {
        let length = u16::from_le_bytes(self.array()?);
        str::from_utf8(self.take(length.into())?).map_err(|_| CorruptBlock)
    }

    fn entries<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, CorruptBlock>,
    ) -> Result<Vec<T>, CorruptBlock> {
        let count = self.length(BLOCK_CLICKS_MAX)?;
        (0..count).map(|_| read(self)).collect()
    }

    fn columns(
        &mut self,
        lengths: [usize; DICTIONARIES],
        clicks: usize,
    ) -> Result<[Vec<u32>; DICTIONARIES], CorruptBlock> {
        let mut columns = [const { Vec::new() }; DICTIONARIES];
        for (column, length) in columns.iter_mut().zip(lengths) {
            *column = get_bits(self.take(column_bytes(length, clicks))?, length, clicks);
            if column.iter().any(|&place| place as usize >= length) {
                return Err(CorruptBlock);
            }
        }
        Ok(columns)
    }

    /// Values that some clicks have.
    fn marked<const N: usize>(
        &mut self,
        clicks: usize,
    ) -> Result<impl Iterator<Item = Option<[u8; N]>> + use<'a, N>, CorruptBlock> {
        let marks = self.take(clicks.div_ceil(8))?;
        let count: u32 = marks.iter().map(|mark| mark.count_ones()).sum();
        let (values, _) = self.take(count as usize * N)?.as_chunks::<N>();
        let mut values = values.iter();
        let is_marked = move |index: usize| marks[index / 8] & 1 << (index % 8) != 0;
        Ok((0..clicks).map(move |index| if is_marked(index) { values.next().copied() } else { None }))
    }

    fn stream(&mut self) -> Result<&'a [u8], CorruptBlock> {
        let length = self.length(DICTIONARY_BYTES_MAX)?;
        self.take(length)
    }

    fn differences(&mut self, clicks: usize) -> Result<Vec<u64>, CorruptBlock> {
        let mut stream = self.stream()?;
        let mut last = 0;
        let mut numbers = Vec::with_capacity(clicks);
        for _ in 0..clicks {
            last = get_difference(&mut stream, last).ok_or(CorruptBlock)?;
            numbers.push(last);
        }
        if stream.is_empty() { Ok(numbers) } else { Err(CorruptBlock) }
    }

    fn addresses(&mut self, clicks: usize) -> Result<Vec<Option<IpAddr>>, CorruptBlock> {
        let mut stream = Reader { rest: self.stream()? };
        if stream.rest.is_empty() {
            return Ok(vec![None; clicks]);
        }
        let addresses = (0..clicks).map(|_| stream.address()).collect::<Result<_, _>>()?;
        if stream.rest.is_empty() { Ok(addresses) } else { Err(CorruptBlock) }
    }

    fn address(&mut self) -> Result<Option<IpAddr>, CorruptBlock> {
        let [head] = self.array()?;
        if head == NO_ADDRESS {
            return Ok(None);
        }
        let octets = self.take(usize::from(head & !IPV6_MARK))?;
        let address = match head & IPV6_MARK {
            0 => IpAddr::from(padded::<4>(octets)?),
            _ => IpAddr::from(padded::<16>(octets)?),
        };
        Ok(Some(address))
    }

    fn ordinals(&mut self, clicks: usize) -> Result<Vec<u64>, CorruptBlock> {
        let mut stream = self.stream()?;
        if stream.is_empty() {
            return Ok((0..clicks as u64).collect());
        }
        let mut ordinals = Vec::with_capacity(clicks);
        let mut last = 0;
        for index in 0..clicks {
            if index > 0 {
                let next = get_difference(&mut stream, last + 1).ok_or(CorruptBlock)?;
                if next <= last || next >= u64::from(u32::MAX) * 2 {
                    return Err(CorruptBlock);
                }
                last = next;
            }
            ordinals.push(last);
        }
        if stream.is_empty() { Ok(ordinals) } else { Err(CorruptBlock) }
    }
}

fn padded<const N: usize>(octets: &[u8]) -> Result<[u8; N], CorruptBlock> {
    let mut padded = [0; N];
    padded.get_mut(..octets.len()).ok_or(CorruptBlock)?.copy_from_slice(octets);
    Ok(padded)
}
