//! Lists the dimensions that are counted together.
//!
//! A click is counted twice: in the *main* family by what is known about the visitor and the link's answer, and in the
//! *sources* family by where the visitor came from. Class and channel are in both. Within a family everything combines.
//!
//! A family's dimensions are divided into three parts of what goes together (country and language; device, system and
//! browser; ...). There are few distinct combinations within a part, and a combination of all is three small numbers.

use waypost_core::Source;
use waypost_core::channel::Channel;
use waypost_core::class::Class;
use waypost_core::device::{Device, Os};

use crate::{ClickFacts, Dimension};

/// The number of dimensions of a family whose values are strings.
pub(crate) const TEXTS: usize = 6;
/// Parts of a family.
pub(crate) const PARTS: usize = 3;

/// Where the value of a dimension comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// This text of the family.
    Text(usize),
    /// This of the dimensions with a fixed set of values.
    Plain(Plain),
}

/// Dimensions with a fixed set of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plain {
    Class,
    Channel,
    Device,
    Os,
    Source,
}

/// A family.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) parts: [&'static [(Dimension, Origin)]; PARTS],
    /// The strings that a visitor can invent, and that are dropped first if there are too many combinations.
    pub(crate) first_given_up: &'static [usize],
}

/// The values of a click in one family.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said<'a> {
    pub(crate) texts: [&'a str; TEXTS],
    pub(crate) plain: [u8; 5],
}

const CLASS: (Dimension, Origin) = (Dimension::Class, Origin::Plain(Plain::Class));
const CHANNEL: (Dimension, Origin) = (Dimension::Channel, Origin::Plain(Plain::Channel));

pub(crate) static MAIN: Schema = Schema {
    parts: [
        &[(Dimension::Country, Origin::Text(0)), (Dimension::Language, Origin::Text(1))],
        &[
            (Dimension::Device, Origin::Plain(Plain::Device)),
            (Dimension::Os, Origin::Plain(Plain::Os)),
            (Dimension::Browser, Origin::Text(2)),
        ],
        &[
            CLASS,
            CHANNEL,
            (Dimension::Source, Origin::Plain(Plain::Source)),
            (Dimension::Rule, Origin::Text(3)),
            (Dimension::AbTest, Origin::Text(4)),
            (Dimension::Variant, Origin::Text(5)),
        ],
    ],
    first_given_up: &[1, 2],
};

pub(crate) static SOURCES: Schema = Schema {
    parts: [
        &[(Dimension::ReferrerHost, Origin::Text(0))],
        &[
            (Dimension::UtmSource, Origin::Text(1)),
            (Dimension::UtmMedium, Origin::Text(2)),
            (Dimension::UtmCampaign, Origin::Text(3)),
            (Dimension::UtmTerm, Origin::Text(4)),
            (Dimension::UtmContent, Origin::Text(5)),
        ],
        &[CLASS, CHANNEL],
    ],
    first_given_up: &[3, 4, 5],
};

impl Schema {
    pub(crate) fn has(&self, dimension: Dimension) -> bool {
        self.parts.iter().any(|part| part.iter().any(|(known, _)| *known == dimension))
    }
}

impl<'a> Said<'a> {
    pub(crate) fn main(click: &'a ClickFacts<'_>) -> Self {
        let country = click.country.as_ref().and_then(|letters| str::from_utf8(letters).ok()).unwrap_or("");
        let texts = [country, click.language, click.browser, click.rule_id, click.ab_test_id, click.variant_id];
        Self { texts, plain: plain_of(click) }
    }

    pub(crate) fn sources(click: &'a ClickFacts<'_>) -> Self {
        let [source, medium, campaign, term, content] = click.utm;
        let texts = [click.referrer_host, source, medium, campaign, term, content];
        Self { texts, plain: plain_of(click) }
    }
}

/// In the order of [`Plain`].
fn plain_of(click: &ClickFacts<'_>) -> [u8; 5] {
    [click.class.code(), click.channel.code(), click.device.code(), click.os.code(), click.source.code()]
}

const fn names_of<const N: usize, T: Copy>(pairs: [(&'static str, T); N]) -> [&'static str; N] {
    let mut names = [""; N];
    let mut place = 0;
    while place < N {
        names[place] = pairs[place].0;
        place += 1;
    }
    names
}

impl Plain {
    /// Its values; a value's place is its number in stored bytes.
    pub(crate) const fn names(self) -> &'static [&'static str] {
        const CLASSES: [&str; Class::ALL.len()] = names_of(Class::NAMES);
        const CHANNELS: [&str; Channel::ALL.len()] = names_of(Channel::NAMES);
        const DEVICES: [&str; Device::ALL.len()] = names_of(Device::NAMES);
        const SYSTEMS: [&str; Os::ALL.len()] = names_of(Os::NAMES);
        const SOURCE_NAMES: [&str; Source::ALL.len()] = names_of(Source::NAMES);
        match self {
            Self::Class => &CLASSES,
            Self::Channel => &CHANNELS,
            Self::Device => &DEVICES,
            Self::Os => &SYSTEMS,
            Self::Source => &SOURCE_NAMES,
        }
    }

    /// Of a dimension, if it has a fixed set of values.
    pub(crate) const fn of(dimension: Dimension) -> Option<Self> {
        match dimension {
            Dimension::Class => Some(Self::Class),
            Dimension::Channel => Some(Self::Channel),
            Dimension::Device => Some(Self::Device),
            Dimension::Os => Some(Self::Os),
            Dimension::Source => Some(Self::Source),
            Dimension::Country
            | Dimension::Browser
            | Dimension::Language
            | Dimension::Rule
            | Dimension::AbTest
            | Dimension::Variant
            | Dimension::ReferrerHost
            | Dimension::UtmSource
            | Dimension::UtmMedium
            | Dimension::UtmCampaign
            | Dimension::UtmTerm
            | Dimension::UtmContent
            | Dimension::Link => None,
        }
    }
}
