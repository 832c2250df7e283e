//! Generated clicks that look like those of real visitors; the same seed gives the same clicks.
//!
//! Links are followed by Zipf's law. A visitor has an address, a user agent, a country and languages that fit it, comes
//! back (few often, most once), and comes by day rather than by night. Links have campaigns, rules and splits. Facts of
//! the world (user agents, countries, referrers) are tables beside this file; every number is made up, none measured.
//!
//! A click is made in well under a microsecond and borrows its strings from the [`ClickWorld`], so that making clicks
//! does not hide what taking them costs.

mod origins;
mod places;
mod request;

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use waypost_core::click::Click;
use waypost_core::id::{AccountId, LinkId};
use waypost_core::visitor::{AddressPolicy, Salt, day_of, visitor_key};
use waypost_core::{Source, Timestamp};

use self::origins::Origins;
use self::places::Places;
use crate::random::{Random, Weighted, mix};

pub use request::write_request;

const USER_AGENTS: &str = include_str!("../../../testdata/user-agents.tsv");

const HOUR_MICROS: i64 = 3_600_000_000;

/// How much of a day's traffic each hour of UTC has: the world sleeps little, but does.
const HOURS: [f64; 24] = [
    2.9, 2.6, 2.4, 2.3, 2.5, 2.9, 3.5, 4.1, 4.6, 4.8, 4.9, 5.0, 5.1, 5.2, 5.2, 5.2, 5.1, 5.0, 4.9, 5.0, 4.9, 4.5, 3.9,
    3.5,
];
/// The traffic of a weekend day, as a share of a working day's.
const WEEKEND: f64 = 0.72;

/// Options of the generated clicks.
#[derive(Clone, Debug)]
pub struct ClickWorldOptions {
    /// The same seed gives the same clicks.
    pub seed: u64,
    /// How many links there are; at least 1.
    pub links: usize,
    /// How many accounts share them; at least 1.
    pub accounts: usize,
    /// How many visitors there may be, most of whom come once; at least 1.
    pub visitors: u64,
    /// When the first click may come; a full hour.
    pub starts_at: Timestamp,
    /// Over how many days clicks come; at least 1.
    pub days: u32,
    /// How much of addresses is kept.
    pub address_policy: AddressPolicy,
}

impl Default for ClickWorldOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            links: 1_000,
            accounts: 1,
            visitors: 1_000_000,
            // 2026-06-01T00:00:00Z, a Monday.
            starts_at: Timestamp::from_micros(1_780_272_000_000_000),
            days: 30,
            address_policy: AddressPolicy::Truncated,
        }
    }
}

/// A link that clicks are on.
#[derive(Clone, Debug)]
pub struct MadeLink {
    /// Its id, of the form of real ones.
    pub link_id: String,
    /// The account it belongs to.
    pub account_id: String,
    /// Its slug.
    pub slug: String,
    /// Its campaign, if it has one.
    campaign: Option<u32>,
    kind: LinkKind,
    status: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LinkKind {
    Plain,
    Rules,
    Geo,
    Split,
}

/// Links, visitors and where they come from.
#[derive(Debug)]
pub struct ClickWorld {
    options: ClickWorldOptions,
    links: Vec<MadeLink>,
    popularity: Weighted,
    agents: Vec<&'static str>,
    agent_picks: Weighted,
    places: Places,
    origins: Origins,
    /// Each hour's share of all clicks, added up.
    rhythm: Vec<f64>,
    visitors_log: f64,
}

impl ClickWorld {
    /// Creates the world of these options.
    ///
    /// # Panics
    /// If an option that must be at least 1 is 0.
    pub fn new(options: ClickWorldOptions) -> Self {
        let random = Random::new(options.seed);
        let agents: Vec<(f64, &str)> = USER_AGENTS.lines().filter_map(read_agent).collect();
        let weights: Vec<f64> = agents.iter().map(|(weight, _)| *weight).collect();
        assert!(options.accounts > 0 && options.visitors > 0 && options.days > 0, "{options:?}");
        Self {
            links: create_links(&options, &mut random.fork("links")),
            popularity: Weighted::zipf(options.links),
            agents: agents.into_iter().map(|(_, agent)| agent).collect(),
            agent_picks: Weighted::new(&weights),
            places: Places::new(),
            origins: Origins::new(&mut random.fork("origins")),
            rhythm: rhythm(&options, &mut random.fork("rhythm")),
            visitors_log: (options.visitors as f64 + 1.0).ln(),
            options,
        }
    }

    /// The links, the most followed first.
    pub fn links(&self) -> &[MadeLink] {
        &self.links
    }

    /// How many user agents there are.
    pub fn user_agents(&self) -> usize {
        self.agents.len()
    }

    /// So many clicks over all the days, in the order of time.
    pub fn clicks(&self, count: u64) -> Clicks<'_> {
        let random = Random::new(self.options.seed).fork("clicks");
        Clicks { world: self, random, count, made: 0, hour: 0, hour_from: 0, hour_to: 0, salt: (i64::MIN, [0; 16]) }
    }

    /// One click by itself: the place of its link, and the click at the first time there is, with its whole address and
    /// without a visitor key.
    pub fn draw(&self, random: &mut Random) -> (usize, Click<'_>) {
        let place = self.popularity.place(random.bits());
        let link = &self.links[place];
        // Visitors by rank: the density falls as one divided by the rank, so some come often and most once.
        let visitor_number = (random.unit() * self.visitors_log).exp() as u64 - 1;
        let visitor = self.visitor(visitor_number);
        let outcome = outcome(link, &visitor, mix(visitor_number ^ place as u64));
        let bits = random.bits();
        // A few visitors bring parameters of their own.
        let utm = match (link.campaign, bits % 32) {
            (_, 0) => self.origins.campaigns[(bits >> 40) as usize % self.origins.campaigns.len()].as_str(),
            (Some(campaign), _) => self.origins.campaigns[campaign as usize].as_str(),
            (None, _) => "",
        };
        let click = Click {
            clicked_at: self.options.starts_at,
            status: link.status,
            is_head: (bits >> 8).is_multiple_of(128),
            is_scan: false,
            source: outcome.source,
            country: visitor.country,
            visitor: None,
            address: Some(visitor.address),
            is_cut: false,
            link_id: Cow::Borrowed(&link.link_id),
            account_id: Cow::Borrowed(&link.account_id),
            domain: Cow::Borrowed(""),
            slug: Cow::Borrowed(&link.slug),
            rule_id: Cow::Borrowed(outcome.rule_id),
            ab_test_id: Cow::Borrowed(outcome.ab_test_id),
            variant_id: Cow::Borrowed(outcome.variant_id),
            purpose: Cow::Borrowed(if (bits >> 16).is_multiple_of(150) { "prefetch" } else { "" }),
            user_agent: Cow::Borrowed(visitor.user_agent),
            referrer: Cow::Borrowed(self.origins.referrer(random.bits())),
            accept_language: Cow::Borrowed(visitor.language),
            utm: Cow::Borrowed(utm),
        };
        (place, click)
    }

    fn visitor(&self, number: u64) -> Visitor<'_> {
        let bits = mix(number ^ self.options.seed.rotate_left(32));
        let (country, languages) = self.places.pick(mix(bits ^ 1));
        let address = mix(bits ^ 2);
        Visitor {
            user_agent: self.agents[self.agent_picks.place(mix(bits ^ 3))],
            country,
            language: places::language(languages, bits ^ 4),
            address: if address.is_multiple_of(4) {
                // Global unicast, as far as it matters: nothing is sent there.
                IpAddr::V6(Ipv6Addr::from((0x2a00_u128 << 112) | (u128::from(address) << 48) | 1))
            } else {
                IpAddr::V4(Ipv4Addr::from((address >> 16) as u32 & 0x5fff_ffff | 0x0100_0000))
            },
        }
    }
}

/// An iterator of clicks, created by [`ClickWorld::clicks`].
#[derive(Clone, Debug)]
pub struct Clicks<'w> {
    world: &'w ClickWorld,
    random: Random,
    count: u64,
    made: u64,
    hour: usize,
    /// The clicks of the hour: the number of its first, and of the first after it.
    hour_from: u64,
    hour_to: u64,
    /// The day, and the salt of its visitor keys.
    salt: (i64, Salt),
}

impl<'w> Iterator for Clicks<'w> {
    type Item = Click<'w>;

    fn next(&mut self) -> Option<Click<'w>> {
        if self.made == self.count {
            return None;
        }
        let clicked_at = self.next_time();
        self.made += 1;
        let (_, mut click) = self.world.draw(&mut self.random);
        click.clicked_at = clicked_at;
        let address = click.address.expect("a drawn click has an address");
        click.visitor = Some(visitor_key(self.salt_of(day_of(clicked_at.as_micros())), "", address, &click.user_agent));
        click.address = self.world.options.address_policy.kept(address);
        Some(click)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.count - self.made).ok();
        (left.unwrap_or(usize::MAX), left)
    }
}

impl Clicks<'_> {
    /// Times rise: an hour's clicks are spread over it evenly, each moved a little.
    fn next_time(&mut self) -> Timestamp {
        while self.made >= self.hour_to {
            let share = self.world.rhythm[self.hour];
            self.hour += 1;
            self.hour_from = self.hour_to;
            let is_last = self.hour == self.world.rhythm.len();
            self.hour_to = if is_last { self.count } else { ((share * self.count as f64) as u64).min(self.count) };
        }
        let place = (self.made - self.hour_from) as f64 + self.random.unit();
        let within = place / (self.hour_to - self.hour_from) as f64 * HOUR_MICROS as f64;
        let hour_starts = self.world.options.starts_at.as_micros() + (self.hour as i64 - 1) * HOUR_MICROS;
        Timestamp::from_micros(hour_starts + (within as i64).min(HOUR_MICROS - 1))
    }

    fn salt_of(&mut self, day: i64) -> &Salt {
        if self.salt.0 != day {
            let half = mix(day as u64 ^ self.world.options.seed);
            let both = (u128::from(half) << 64) | u128::from(mix(half));
            self.salt = (day, both.to_le_bytes());
        }
        &self.salt.1
    }
}

struct Visitor<'w> {
    user_agent: &'w str,
    country: Option<[u8; 2]>,
    language: &'w str,
    address: IpAddr,
}

/// The decision on a click.
struct Outcome {
    source: Source,
    rule_id: &'static str,
    ab_test_id: &'static str,
    variant_id: &'static str,
}

fn outcome(link: &MadeLink, visitor: &Visitor<'_>, mixed: u64) -> Outcome {
    let plain = Outcome { source: Source::Default, rule_id: "", ab_test_id: "", variant_id: "" };
    match link.kind {
        LinkKind::Plain => plain,
        LinkKind::Rules => match mixed % 4 {
            0 => Outcome { source: Source::Rule, rule_id: "ios", ..plain },
            1 => Outcome { source: Source::Rule, rule_id: "android", ..plain },
            2 => Outcome { source: Source::Rule, rule_id: "evening", ..plain },
            _ => plain,
        },
        LinkKind::Geo => match visitor.country {
            Some([b'D', b'E'] | [b'F', b'R'] | [b'G', b'B']) => Outcome { source: Source::GeoRule, ..plain },
            Some(_) | None => plain,
        },
        LinkKind::Split => {
            let variant_id = ["a", "a", "b", "c"][(mixed % 4) as usize];
            Outcome { source: Source::AbTest, ab_test_id: "landing", variant_id, ..plain }
        }
    }
}

fn read_agent(line: &'static str) -> Option<(f64, &'static str)> {
    let mut columns = line.split('\t');
    let weight = columns.next().filter(|first| !first.starts_with('#'))?.parse().ok()?;
    Some((weight, columns.nth(1)?))
}

fn create_links(options: &ClickWorldOptions, random: &mut Random) -> Vec<MadeLink> {
    assert!(options.links > 0, "at least one link");
    let mut id = || {
        // The form of a version 7 UUID: links of the last year, in no order.
        let millis = options.starts_at.as_micros() as u64 / 1_000 - random.below(365 * 86_400_000);
        let bits = (u128::from(millis) << 80) | (u128::from(random.bits()) << 16) | u128::from(random.bits() as u16);
        let bits = bits & !(0xf << 76) & !(0b11 << 62) | (0x7 << 76) | (0b10 << 62);
        bits.to_be_bytes()
    };
    let accounts: Vec<String> =
        (0..options.accounts).map(|_| AccountId::from_uuid_bytes(id()).as_str().to_owned()).collect();
    let ids: Vec<String> = (0..options.links).map(|_| LinkId::from_uuid_bytes(id()).as_str().to_owned()).collect();
    let make = |(place, link_id): (usize, String)| MadeLink {
        link_id,
        account_id: accounts[random.below(options.accounts as u64) as usize].clone(),
        slug: slug(random.bits(), place),
        campaign: random.chance(0.55).then(|| random.below(160) as u32),
        kind: match random.below(100) {
            0..72 => LinkKind::Plain,
            72..84 => LinkKind::Rules,
            84..92 => LinkKind::Geo,
            _ => LinkKind::Split,
        },
        status: if random.chance(0.03) { 301 } else { 302 },
    };
    ids.into_iter().enumerate().map(make).collect()
}

/// Eight letters and digits; the place in them keeps slugs apart.
fn slug(bits: u64, place: usize) -> String {
    const LETTERS: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let letter = |rest: &mut u64| {
        let letter = LETTERS[(*rest % 62) as usize];
        *rest /= 62;
        char::from(letter)
    };
    let (mut bits, mut place) = (bits, place as u64);
    (0..8).map(|index| if index % 2 == 0 { letter(&mut place) } else { letter(&mut bits) }).collect()
}

fn rhythm(options: &ClickWorldOptions, random: &mut Random) -> Vec<f64> {
    let first_day = day_of(options.starts_at.as_micros());
    let mut shares = Vec::with_capacity(options.days as usize * 24);
    for day in 0..i64::from(options.days) {
        // 1970-01-01 was a Thursday.
        let is_weekend = matches!((first_day + day + 3).rem_euclid(7), 5 | 6);
        let of_day = if is_weekend { WEEKEND } else { 1.0 } * (0.85 + 0.3 * random.unit());
        shares.extend(HOURS.map(|hour| hour * of_day * (0.95 + 0.1 * random.unit())));
    }
    let total: f64 = shares.iter().sum();
    let mut sum = 0.0;
    for share in &mut shares {
        sum += *share / total;
        *share = sum;
    }
    shares
}

#[cfg(test)]
mod tests;
