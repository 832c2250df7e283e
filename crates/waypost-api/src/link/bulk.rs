//! Many links in one request, each with its own outcome.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use waypost_core::id::LinkId;

use super::bulk_parts::{BulkParts, Links};
use super::request::{CreateLink, UpdateLink};
use crate::problem::{FieldError, Invalid, ProblemDocument};
use crate::read::{Unweighed, json_weight, parse_object, repeated, too_heavy};

/// The most links of one request.
pub const LINKS_PER_CALL_MAX: usize = 1_000;
/// The most that one link of a request may weigh as a tree, in bytes.
const LINK_TREE_BYTES_MAX: usize = 16 << 20;
/// How much more than its text a whole request takes while it is worked on, besides the tree of one link at a time.
const WORK_PER_BYTE: usize = 3;

/// What to do with a link that already exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IfExists {
    /// Refuse the item.
    #[default]
    Error,
    /// Leave the link as it is.
    Skip,
    /// Give the link the fields of the item.
    Update,
}

impl IfExists {
    /// Every word for it, with what it stands for.
    pub const NAMES: [(&'static str, Self); 3] =
        [("error", Self::Error), ("skip", Self::Skip), ("update", Self::Update)];

    fn of_json(text: &str) -> Option<Self> {
        let name = text.strip_prefix('"')?.strip_suffix('"')?;
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// Links to be created: as JSON strings, so that no more than one of them is a tree at a time.
#[derive(Debug, Serialize)]
pub struct CreateLinks<'b> {
    /// In their order.
    pub links: Vec<BulkItem<'b>>,
    /// Whether to undo it all at the end.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// What to do with those that are there.
    pub if_exists: IfExists,
}

impl<'b> CreateLinks<'b> {
    /// Reads a body. Links are counted while they are read; nothing after the first that is too many is looked at.
    ///
    /// # Errors
    /// Where it is no JSON object, or its fields are none of ours.
    pub fn read(body: &'b [u8]) -> Result<Self, Invalid> {
        let parts = BulkParts::read(body)?;
        let mut errors = Vec::new();
        let wanted = || FieldError::invalid("links", &format!("a list of at most {LINKS_PER_CALL_MAX} links"));
        let links = match parts.links {
            Links::Listed(links) => links,
            Links::Other => {
                errors.push(wanted());
                Vec::new()
            }
            // The rest was not read, so nothing else is known.
            Links::TooMany => return Err(Invalid::of_fields(vec![wanted()])),
        };
        let dry_run = match parts.dry_run.map(RawValue::get) {
            None | Some("null" | "false") => false,
            Some("true") => true,
            Some(_) => {
                errors.push(FieldError::invalid("dry_run", "true or false"));
                false
            }
        };
        let if_exists = match parts.if_exists.map(RawValue::get) {
            None | Some("null") => Some(IfExists::Error),
            Some(text) => IfExists::of_json(text),
        };
        if if_exists.is_none() {
            errors.push(FieldError::invalid("if_exists", "error, skip or update"));
        }
        errors.extend(parts.strangers.into_iter().map(FieldError::unknown));
        let (links, if_exists) = (links.into_iter().map(BulkItem).collect(), if_exists.unwrap_or_default());
        if errors.is_empty() { Ok(Self { links, dry_run, if_exists }) } else { Err(Invalid::of_fields(errors)) }
    }

    /// What working on it takes, in bytes.
    pub fn work_bytes(&self) -> usize {
        let texts: usize = self.links.iter().map(|item| item.0.get().len()).sum();
        let tree = |item: &BulkItem<'_>| json_weight(item.0.get().as_bytes(), LINK_TREE_BYTES_MAX).unwrap_or(0);
        texts * WORK_PER_BYTE + self.links.iter().map(tree).max().unwrap_or(0)
    }
}

/// One of the links, as it came.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(transparent)]
pub struct BulkItem<'b>(&'b RawValue);

impl<'b> From<&'b RawValue> for BulkItem<'b> {
    fn from(json: &'b RawValue) -> Self {
        Self(json)
    }
}

impl BulkItem<'_> {
    /// The link that is asked for.
    ///
    /// # Errors
    /// As [`CreateLink::read`].
    pub fn read(self) -> Result<CreateLink, Invalid> {
        let text = self.0.get();
        if !text.starts_with('{') {
            return Err(Invalid::of_fields(vec![FieldError::invalid("", "an object")]));
        }
        match json_weight(text.as_bytes(), LINK_TREE_BYTES_MAX) {
            Ok(_) | Err(Unweighed::NotJson) => {}
            Err(Unweighed::TooHeavy) => return Err(too_heavy(LINK_TREE_BYTES_MAX)),
            Err(Unweighed::Repeated(name)) => return Err(repeated(&name)),
        }
        CreateLink::read(parse_object(text.as_bytes())?)
    }

    /// Its fields with their JSON, but for what only says where and when.
    pub fn fields(self) -> Vec<(String, String)> {
        self.object().into_iter().map(|(name, value)| (name, value.to_string())).collect()
    }

    /// The change that gives these fields to a link that is there.
    ///
    /// # Errors
    /// As [`UpdateLink::read`].
    pub fn as_update(self) -> Result<UpdateLink, Invalid> {
        UpdateLink::read(self.object())
    }

    fn object(self) -> Map<String, Value> {
        let mut object = parse_object(self.0.get().as_bytes()).unwrap_or_default();
        for field in ["slug", "domain", "created_at", "has_password"] {
            object.remove(field);
        }
        object
    }
}

/// What became of a link that was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ExistingOutcome {
    /// It is as the item wants it.
    Unchanged,
    /// It is another one, and was left so.
    Kept,
    /// It has the item's fields now.
    Updated,
}

/// What became of a bulk request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BulkResults {
    /// Links that were made.
    pub created: usize,
    /// Whether it was undone.
    pub dry_run: bool,
    /// Links that were there already, as they were asked for or not.
    pub existing: usize,
    /// Links that were not made.
    pub refused: usize,
    /// One for each link, in their order.
    pub results: Vec<BulkResult>,
}

/// What became of one link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum BulkResult {
    /// It was not made.
    Refused {
        /// Why.
        problem: ProblemDocument,
        /// The problem's.
        status: u16,
    },
    /// It is there, now or before.
    Link(LinkResult),
}

/// By the field that only one of them has, so that a fault is said of the field that has it.
impl<'de> Deserialize<'de> for BulkResult {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = Map::deserialize(deserializer)?;
        if object.get("problem").is_none_or(Value::is_null) {
            return LinkResult::deserialize(object).map(Self::Link).map_err(D::Error::custom);
        }
        let Refused { problem, status } = Refused::deserialize(object).map_err(D::Error::custom)?;
        Ok(Self::Refused { problem, status })
    }
}

#[derive(Deserialize)]
struct Refused {
    problem: ProblemDocument,
    status: u16,
}

/// A link that was made, or was there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LinkResult {
    /// Its id.
    pub id: LinkId,
    /// Where visitors find it.
    pub short_url: String,
    /// Its slug.
    pub slug: String,
    /// 201 where it was made, 200 where it was there.
    pub status: u16,
    /// Its version.
    pub version: u64,
    /// What became of it, where it was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<ExistingOutcome>,
    /// What is worth saying of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl BulkResults {
    /// The results with their numbers.
    pub fn new(results: Vec<BulkResult>, dry_run: bool) -> Self {
        let (mut created, mut existing, mut refused) = (0, 0, 0);
        for result in &results {
            *match result {
                BulkResult::Refused { .. } => &mut refused,
                BulkResult::Link(LinkResult { outcome: None, .. }) => &mut created,
                BulkResult::Link(LinkResult { outcome: Some(_), .. }) => &mut existing,
            } += 1;
        }
        Self { created, dry_run, existing, refused, results }
    }
}
