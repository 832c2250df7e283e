//! A comparison of every link with what Workers KV contains. Each finding is sent as soon as it is found, one JSON
//! document a line.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use waypost_core::Timestamp;
use waypost_core::id::LinkId;

use crate::problem::Invalid;
use crate::read::Fields;

/// What is to be done with differences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VerifySync {
    /// Whether links that are missing or different are pushed, and deleted ones deleted.
    pub repair: bool,
    /// Whether keys that belong to no link of ours are deleted.
    pub delete_foreign: bool,
}

impl VerifySync {
    /// Reads a request's body.
    ///
    /// # Errors
    /// Every field that is at fault.
    pub fn read(object: Map<String, Value>) -> Result<Self, Invalid> {
        let mut fields = Fields::of(object);
        let [repair, delete_foreign] = ["repair", "delete_foreign"].map(|field| fields.flag(field).unwrap_or(false));
        fields.finish().map(|()| Self { repair, delete_foreign })
    }
}

/// A line of a comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum VerifyLine {
    /// How far it is.
    Progress {
        /// How far.
        progress: VerifyProgress,
    },
    /// A key that is not as it should be.
    Difference(Difference),
    /// The last line of a comparison that came to its end.
    Summary {
        /// What came of it.
        summary: VerifySummary,
    },
    /// The last line of one that did not.
    Error {
        /// Why it did not.
        error: String,
    },
}

/// By the field that only one of them has, so that a fault is said of the field that has it.
impl<'de> Deserialize<'de> for VerifyLine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        fn read<T: DeserializeOwned, E: serde::de::Error>(value: Value) -> Result<T, E> {
            T::deserialize(value).map_err(E::custom)
        }
        let mut object = Map::deserialize(deserializer)?;
        if let Some(progress) = object.remove("progress") {
            return read(progress).map(|progress| Self::Progress { progress });
        }
        if let Some(summary) = object.remove("summary") {
            return read(summary).map(|summary| Self::Summary { summary });
        }
        if object.contains_key("difference") {
            return read(Value::Object(object)).map(Self::Difference);
        }
        let error = object.remove("error").ok_or_else(|| D::Error::custom("none of the lines of a comparison"))?;
        read(error).map(|error| Self::Error { error })
    }
}

/// How far a comparison is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "phase", rename_all = "lowercase")]
pub enum VerifyProgress {
    /// Keys are listed.
    Keys {
        /// So many so far.
        keys: u64,
    },
    /// Links are looked for.
    Links {
        /// So many so far.
        links: u64,
        /// Of so many.
        of: u64,
    },
    /// Repairs are waited for.
    Repair {
        /// Keys that are to be pushed.
        marked: u64,
        /// Those of them that were.
        synced: u64,
        /// Those of them that failed.
        failed: u64,
    },
    /// The target is waited for.
    Waiting {
        /// Why.
        reason: String,
        /// What the last call met.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// Until when.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
}

/// A way in which a key can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum DifferenceKind {
    /// A live link has no value.
    Missing,
    /// The value is not the link's.
    Different,
    /// We wrote the value, and there is no such link any more.
    Deleted,
    /// Others wrote the value, and there is no such link.
    Foreign,
    /// The link cannot be read from the database, so what its value should be is not known.
    Unreadable,
}

impl DifferenceKind {
    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Different => "different",
            Self::Deleted => "deleted",
            Self::Foreign => "foreign",
            Self::Unreadable => "unreadable",
        }
    }
}

/// A key that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Difference {
    /// In what way.
    pub difference: DifferenceKind,
    /// The key in KV.
    pub key: String,
    /// The slug that it belongs to.
    pub slug: Option<String>,
    /// The host of that slug's domain.
    pub domain: Option<String>,
    /// The link's id, where the link cannot be read; whatever else is to be known of it can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_id: Option<LinkId>,
    /// The version that KV should hold; `null` where there is no such link.
    pub version: Option<u64>,
    /// The version that it holds; `null` where nothing is there, or others wrote it.
    pub kv_version: Option<u64>,
}

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VerifyTally {
    /// Keys in KV.
    pub keys: u64,
    /// Live links that were looked for.
    pub links: u64,
    /// Keys that are as they should be.
    pub same: u64,
    /// Being pushed, or just pushed: nothing can be said of them.
    pub in_flight: u64,
    /// Live links without a value.
    pub missing: u64,
    /// Values that are not the link's.
    pub different: u64,
    /// Values of links that are deleted.
    pub deleted: u64,
    /// Keys that others wrote.
    pub foreign: u64,
    /// Links that cannot be read from the database.
    #[serde(default)]
    pub unreadable: u64,
    /// Those of them that were deleted.
    pub foreign_deleted: u64,
}

/// The last line of a comparison that came to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VerifySummary {
    /// Whether KV holds every link as it should, or does so now. Keys of nobody's do not count.
    pub ok: bool,
    /// What was found.
    #[serde(flatten)]
    pub tally: VerifyTally,
    /// What became of repairs; `null` where none were asked for.
    pub repaired: Option<Repaired>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// What became of repairs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Repaired {
    /// Pushed.
    pub synced: u64,
    /// Refused, or tried several times in vain: see the links that failed.
    pub failed: u64,
    /// Still to be pushed when it was not waited any longer. They are pushed all the same.
    pub unfinished: u64,
    /// Why it was not waited any longer.
    pub error: Option<String>,
}
