//! The parameters of a query, each read once by name.

use waypost_core::Quoted;
use waypost_core::class::Class;
use waypost_core::quoted::kept;
use waypost_rollup::{FILTER_VALUES_MAX, Filter};

use super::UNKNOWN_LISTED_MAX;
use crate::problem::{FieldError, Invalid, ProblemCode};

/// The most bytes of a value of a list; what is counted is cut at fewer.
const VALUE_BYTES_MAX: usize = 1_024;
/// How alike two names must be for one to be offered instead of the other, from 0 to 1.
pub(crate) const ALIKE: f64 = 0.75;

/// The parameters of a query, in their order.
#[derive(Debug)]
pub struct QueryPairs(Vec<(String, String)>);

impl QueryPairs {
    /// The parameters of this query, without its `?`.
    pub fn of_query(query: &str) -> Self {
        Self(url::form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }
}

/// The parameters that were not read yet, and what was wrong with those that were.
#[derive(Debug)]
pub struct Parameters {
    pairs: Vec<(String, String)>,
    errors: Vec<FieldError>,
    known: Vec<&'static str>,
}

impl Parameters {
    /// All of them, to be read.
    pub fn of(pairs: QueryPairs) -> Self {
        Self { pairs: pairs.0, errors: Vec::new(), known: Vec::new() }
    }

    /// A parameter that is given once or not at all.
    pub fn take(&mut self, name: &'static str) -> Option<String> {
        let mut values = self.take_all(name);
        if values.len() > 1 {
            self.refuse(name, ProblemCode::BadRequest, "is given more than once");
        }
        values.pop()
    }

    /// A parameter that is given once or not at all, as what it means.
    pub fn read<T>(
        &mut self,
        name: &'static str,
        code: ProblemCode,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.take(name)?;
        read(&text).map_err(|detail| self.refuse(name, code, &detail)).ok()
    }

    /// One of these words, as what it stands for.
    pub fn one_of<T: Copy>(&mut self, name: &'static str, names: &[(&str, T)]) -> Option<T> {
        self.read(name, ProblemCode::InvalidField, |text| one_of(name, text, names))
    }

    /// How many things a page has at the most.
    pub fn limit(&mut self, code: ProblemCode, max: u32) -> Option<u32> {
        self.read("limit", code, |text| {
            let limit = text.parse().ok().filter(|limit| (1..=max).contains(limit));
            limit.ok_or_else(|| format!("must be a number from 1 to {max}"))
        })
    }

    /// A text without NUL, which no database takes.
    pub fn text(&mut self, name: &'static str) -> Option<String> {
        let refuse = |text: &str| match text.contains('\0') {
            true => Err("cannot contain NUL".to_owned()),
            false => Ok(text.to_owned()),
        };
        self.read(name, ProblemCode::BadRequest, refuse)
    }

    /// Names a field that is at fault.
    pub fn refuse(&mut self, field: &str, code: ProblemCode, detail: &str) {
        self.errors.push(FieldError { field: field.to_owned(), code, detail: detail.to_owned() });
    }

    /// Refuses the parameters that nothing has read, and whatever was refused before.
    pub fn finish(mut self) -> Result<(), Invalid> {
        for (name, _) in std::mem::take(&mut self.pairs).into_iter().take(UNKNOWN_LISTED_MAX) {
            let shown = kept(&name);
            let near = self.known.iter().map(|known| (strsim::jaro_winkler(known, &shown), known));
            let near = near.filter(|(likeness, _)| *likeness >= ALIKE).max_by(|(a, _), (b, _)| a.total_cmp(b));
            let detail = match near {
                Some((_, near)) => format!("there is no query parameter {} here; did you mean {near}?", Quoted(&shown)),
                None => format!("there is no query parameter {} here", Quoted(&shown)),
            };
            self.refuse(&shown, ProblemCode::BadRequest, &detail);
        }
        if self.errors.is_empty() { Ok(()) } else { Err(Invalid::of_fields(self.errors)) }
    }

    fn take_all(&mut self, name: &'static str) -> Vec<String> {
        self.known.push(name);
        self.pairs.extract_if(.., |(found, _)| found == name).map(|(_, value)| value).collect()
    }

    /// The values of a list: commas divide, `\,` is a comma (as [`Filter`] reads them), and a parameter may come more
    /// than once.
    pub(crate) fn list(&mut self, name: &'static str) -> Option<Vec<String>> {
        let texts = self.take_all(name);
        let filters = texts.iter().filter_map(|text| format!("{name}={text}").parse::<Filter>().ok());
        let values: Vec<String> = filters.flat_map(|filter| filter.values).collect();
        if values.len() > FILTER_VALUES_MAX {
            self.refuse(name, ProblemCode::FilterInvalid, &format!("has more than {FILTER_VALUES_MAX} values"));
        }
        if values.iter().any(|value| value.len() > VALUE_BYTES_MAX || value.contains('\0')) {
            let detail = format!("has a value of more than {VALUE_BYTES_MAX} bytes, or one with NUL");
            self.refuse(name, ProblemCode::FilterInvalid, &detail);
        }
        (!texts.is_empty()).then_some(values)
    }

    /// The names of the classes in `class`; none for all, and where nothing is said.
    pub fn class_names(&mut self) -> Vec<&'static str> {
        let classes = self.named_classes().unwrap_or_default();
        classes.into_iter().map(Class::name).collect()
    }

    pub(crate) fn named_classes(&mut self) -> Option<Vec<Class>> {
        let names = self.list("class")?;
        if names == ["all"] {
            return Some(Vec::new());
        }
        let mut classes = Vec::new();
        for name in names {
            match Class::from_name(&name) {
                Some(class) => classes.push(class),
                None => {
                    let detail = format!(
                        "{} is not a valid class; there are {}, or all",
                        Quoted(&name),
                        names_of(&Class::NAMES)
                    );
                    self.refuse("class", ProblemCode::FilterInvalid, &detail);
                }
            }
        }
        Some(classes)
    }
}

pub(crate) fn one_of<T: Copy>(what: &str, text: &str, names: &[(&str, T)]) -> Result<T, String> {
    let found = names.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
    let shown = kept(text);
    found.ok_or_else(|| format!("{} is no {what}; there are {}", Quoted(&shown), names_of(names)))
}

fn names_of<T>(names: &[(&str, T)]) -> String {
    names.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_unknown_parameters_the_first_are_named() {
        let parameters = Parameters::of(QueryPairs::of_query(&"x&".repeat(4_000)));
        let errors = parameters.finish().expect_err("none of them is known").errors;
        assert_eq!(errors.len(), UNKNOWN_LISTED_MAX);
    }
}
