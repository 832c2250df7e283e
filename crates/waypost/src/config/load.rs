//! Merging: defaults, then the file, then the environment, then flags. All errors are found at once.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::Config;
use crate::config::flags::GivenFlags;
use crate::config::settings::{SETTINGS, Setting, Shape};

/// Variables that begin like settings and are not: the path of the file, and those of commands that use a server.
const OTHER_VARIABLES: [&str; 3] = ["WAYPOST_CONFIG", "WAYPOST_SERVER", "WAYPOST_KEY"];
/// Variables of tests, which are not settings.
const TEST_PREFIX: &str = "WAYPOST_TEST_";
const FILE_BYTES_MAX: u64 = 1 << 20;
/// How similar two names must be for one to be suggested for the other.
const LIKENESS_LEAST: f64 = 0.75;

/// A configuration, and where each setting that was given came from.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    /// Key and source of the settings that were given; the last one of a key is in force.
    pub(crate) sources: Vec<(&'static str, Source)>,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    File { path: PathBuf, line: usize },
    Environment(String),
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

/// Everything that is wrong, one line each.
#[derive(Debug, Default, PartialEq, Eq, thiserror::Error)]
pub(crate) struct Faults(Vec<String>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [fault] => write!(f, "the configuration has an error: {fault}"),
            faults => {
                write!(f, "the configuration has {} errors:", faults.len())?;
                faults.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
            }
        }
    }
}

/// A value on its way into the configuration.
struct Given {
    setting: &'static Setting,
    source: Source,
    values: Vec<String>,
}

/// Merges the flags with the file they or the environment name, and with the environment.
///
/// # Errors
/// Every setting that is unknown or has a bad value, in whichever source.
pub(crate) fn load(
    flags: &GivenFlags,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Loaded, Faults> {
    let mut faults = Faults::default();
    let mut from_environment = Vec::new();
    let mut file = None;
    for (name, value) in environment {
        read_variable(&name, value, &mut from_environment, &mut file, &mut faults);
    }
    let file = flags.file.clone().or(file);
    let mut given = file.map(|path| read_file(&path, &mut faults)).unwrap_or_default();
    // The environment has no order of its own; errors are listed in the order of the settings.
    from_environment.sort_by_key(|given: &Given| SETTINGS.iter().position(|setting| setting.key == given.setting.key));
    given.extend(from_environment);
    given.extend(flags.values.iter().map(|(setting, values)| Given {
        setting,
        source: Source::Flag(setting.flag()),
        values: values.clone(),
    }));
    let mut config = Config::default();
    let mut sources = Vec::new();
    for Given { setting, source, values } in given {
        match (setting.set)(&mut config, &values) {
            Ok(()) => sources.push((setting.key, source)),
            Err(reason) => faults.0.push(match &source {
                Source::File { .. } => format!("{source}: {}: {reason}", setting.key),
                Source::Environment(_) | Source::Flag(_) => format!("{source}: {reason}"),
            }),
        }
    }
    if !faults.0.is_empty() {
        return Err(faults);
    }
    // Only if all settings could be read: one that could not be read would be reported as missing, too.
    faults.0.extend(config.cloudflare.missing().into_iter().map(missing));
    if faults.0.is_empty() { Ok(Loaded { config, sources }) } else { Err(faults) }
}

/// The error for a missing setting that others need.
fn missing(key: &'static str) -> String {
    let section = key.split_once('.').map_or(key, |(section, _)| section);
    let variable = SETTINGS.iter().find(|setting| setting.key == key).map(Setting::variable).unwrap_or_default();
    format!("{key}: is missing, and the other settings of [{section}] need it (or give {variable})")
}

fn read_variable(
    name: &OsString,
    value: OsString,
    given: &mut Vec<Given>,
    file: &mut Option<PathBuf>,
    faults: &mut Faults,
) {
    let Some(name) = name.to_str().filter(|name| name.starts_with("WAYPOST_") && !name.starts_with(TEST_PREFIX)) else {
        return;
    };
    if name == "WAYPOST_CONFIG" {
        *file = Some(PathBuf::from(value));
        return;
    }
    if OTHER_VARIABLES.contains(&name) {
        return;
    }
    let Some(setting) = SETTINGS.iter().find(|setting| setting.variable() == name) else {
        let names = SETTINGS.iter().map(Setting::variable).chain(OTHER_VARIABLES.map(str::to_owned));
        faults.0.push(format!("{name}: unknown setting{}", suggest(name, names)));
        return;
    };
    let source = Source::Environment(name.to_owned());
    match value.into_string() {
        Ok(text) => given.push(Given { setting, source, values: split(setting, &text) }),
        Err(_) => faults.0.push(format!("{source}: the value is not UTF-8")),
    }
}

fn split(setting: &Setting, text: &str) -> Vec<String> {
    match setting.shape {
        Shape::List => text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect(),
        Shape::Text | Shape::Number | Shape::Flag => vec![text.to_owned()],
    }
}

fn read_file(path: &Path, faults: &mut Faults) -> Vec<Given> {
    let text = match read_text(path) {
        Ok(text) => text,
        Err(error) => {
            faults.0.push(format!("{}: the configuration file cannot be read: {error}", path.display()));
            return Vec::new();
        }
    };
    let (table, errors) = DeTable::parse_recoverable(&text);
    for error in &errors {
        let line = error.span().map_or(1, |span| line_of(&text, span.start));
        let message = error.message().trim().replace('\n', ", ");
        faults.0.push(format!("{}:{line}: {message}", path.display()));
    }
    let mut reader = FileReader { path, text: &text, given: Vec::new(), faults };
    // After a syntax error, messages about unknown keys would only confuse.
    if errors.is_empty() {
        reader.read_table(None, table.get_ref());
    }
    reader.given
}

fn read_text(path: &Path) -> io::Result<String> {
    let length = std::fs::metadata(path)?.len();
    if length > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    std::fs::read_to_string(path)
}

struct FileReader<'r> {
    path: &'r Path,
    text: &'r str,
    given: Vec<Given>,
    faults: &'r mut Faults,
}

impl FileReader<'_> {
    fn read_table(&mut self, section: Option<&str>, table: &DeTable<'_>) {
        // In the order of the file, not of the alphabet.
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            let key_text = match section {
                Some(section) => Cow::Owned(format!("{section}.{}", key.get_ref())),
                None => Cow::Borrowed(key.get_ref().as_ref()),
            };
            self.read_entry(&key_text, key.span().start, value);
        }
    }

    fn read_entry(&mut self, key: &str, offset: usize, value: &Spanned<DeValue<'_>>) {
        let is_section = SETTINGS.iter().any(|setting| setting.section() == Some(key));
        if let (true, DeValue::Table(table)) = (is_section, value.get_ref()) {
            self.read_table(Some(key), table);
            return;
        }
        let source = Source::File { path: self.path.to_owned(), line: line_of(self.text, offset) };
        let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else {
            let names = SETTINGS.iter().map(|setting| setting.key.to_owned());
            self.faults.0.push(format!("{source}: {key}: unknown setting{}", suggest(key, names)));
            return;
        };
        match texts(setting.shape, value.get_ref()) {
            Ok(values) => self.given.push(Given { setting, source, values }),
            Err(reason) => self.faults.0.push(format!("{source}: {key}: {reason}")),
        }
    }
}

/// A value of the file as the strings that flags and variables would give.
fn texts(shape: Shape, value: &DeValue<'_>) -> Result<Vec<String>, &'static str> {
    match (shape, value) {
        (Shape::Text, DeValue::String(text)) => Ok(vec![text.to_string()]),
        (Shape::Text, _) => Err("give a string in quotes"),
        (Shape::Number, DeValue::Integer(number)) => {
            let number = i64::from_str_radix(number.as_str(), number.radix()).map_err(|_| "the number is too large")?;
            Ok(vec![number.to_string()])
        }
        (Shape::Number, _) => Err("give a whole number, without quotes"),
        (Shape::Flag, DeValue::Boolean(flag)) => Ok(vec![flag.to_string()]),
        (Shape::Flag, _) => Err("give true or false, without quotes"),
        (Shape::List, DeValue::Array(items)) => {
            let text = |item: &Spanned<DeValue<'_>>| item.get_ref().as_str().map(str::to_owned);
            items.iter().map(text).collect::<Option<_>>().ok_or("give strings in quotes between [ and ]")
        }
        (Shape::List, _) => Err("give strings in quotes between [ and ]"),
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes()[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count()
}

/// `; did you mean ...?` if a known name is similar to this one.
fn suggest(name: &str, known: impl Iterator<Item = String>) -> String {
    let likeness = |known: String| (strsim::normalized_damerau_levenshtein(name, &known), known);
    let best = known.map(likeness).max_by(|(one, _), (other, _)| one.total_cmp(other));
    match best {
        Some((likeness, known)) if likeness >= LIKENESS_LEAST => format!("; did you mean {known}?"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn flags(file: Option<&Path>, values: &[(&str, &[&str])]) -> GivenFlags {
        let find = |key: &str| SETTINGS.iter().find(|setting| setting.key == key).unwrap();
        let own = |values: &[&str]| values.iter().map(|text| (*text).to_owned()).collect();
        let values = values.iter().map(|(key, values)| (find(key), own(values))).collect();
        GivenFlags { file: file.map(Path::to_owned), values }
    }

    fn variables(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    fn write_file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn flags_over_environment_over_file() {
        let file =
            write_file("threads = 3\nlisten = [\"127.0.0.1:1\"]\n[limits]\nidle_timeout_s = 7\nwrite_timeout_s=8");
        let environment = variables(&[
            ("WAYPOST_LISTEN", "127.0.0.1:2, [::1]:2"),
            ("WAYPOST_LIMITS_WRITE_TIMEOUT_S", "9"),
            ("WAYPOST_TEST_ANYTHING", "x"),
            ("WAYPOST_KEY", "x"),
            ("HOME", "/nowhere"),
        ]);
        let loaded = load(&flags(Some(file.path()), &[("listen", &["127.0.0.1:3"])]), environment).unwrap();
        assert_eq!(loaded.config.listen, ["127.0.0.1:3".parse().unwrap()]);
        assert_eq!(loaded.config.threads.unwrap().get(), 3);
        assert_eq!(loaded.config.limits.idle_timeout.as_secs(), 7);
        assert_eq!(loaded.config.limits.write_timeout.as_secs(), 9);
        assert_eq!(loaded.config.limits.head_read_timeout.as_secs(), 10);
        let of_listen: Vec<_> = loaded.sources.iter().filter(|(key, _)| *key == "listen").collect();
        assert_eq!(of_listen.len(), 3);
        assert_eq!(of_listen[2].1, Source::Flag("--listen".to_owned()));
        assert_eq!(of_listen[0].1, Source::File { path: file.path().to_owned(), line: 2 });
    }

    #[test]
    fn the_environment_may_name_the_file() {
        let file = write_file("threads = 3");
        let environment = variables(&[("WAYPOST_CONFIG", file.path().to_str().unwrap())]);
        assert_eq!(load(&GivenFlags::default(), environment).unwrap().config.threads.unwrap().get(), 3);
    }

    #[test]
    fn all_faults_are_listed_with_where_they_are() {
        let file = write_file(
            "lissten = [\"127.0.0.1:1\"]\nthreads = \"3\"\n\n[limits]\nidle_timeout = 7\nwrite_timeout_s = 0\n[other]\na = 1",
        );
        let environment =
            variables(&[("WAYPOST_LISTN", "x"), ("WAYPOST_PUBLIC_URL", "go.example"), ("WAYPOST_ZZZ", "")]);
        let given = flags(Some(file.path()), &[("listen", &["127.0.0.1"]), ("trusted_proxies", &["10.0.0.0/33"])]);
        let text = load(&given, environment).unwrap_err().to_string();
        let text = text.replace(file.path().to_str().unwrap(), "FILE");
        let expect = [
            "the configuration has 10 errors:",
            "  WAYPOST_LISTN: unknown setting; did you mean WAYPOST_LISTEN?",
            "  WAYPOST_ZZZ: unknown setting",
            "  FILE:1: lissten: unknown setting; did you mean listen?",
            "  FILE:2: threads: give a whole number, without quotes",
            "  FILE:5: limits.idle_timeout: unknown setting; did you mean limits.idle_timeout_s?",
            "  FILE:7: other: unknown setting",
            "  FILE:6: limits.write_timeout_s: give whole seconds, 1 to 86400",
            "  WAYPOST_PUBLIC_URL: \"go.example\" is not a public URL such as https://go.example (it is no absolute URL)",
            "  --listen: \"127.0.0.1\" is not an address and port such as 127.0.0.1:8080 or [::]:80",
            "  --trusted-proxies: \"10.0.0.0/33\" is not a network such as 10.0.0.0/8",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expect);
    }

    #[test]
    fn settings_that_belong_together_are_given_together() {
        #[track_caller]
        fn check(pairs: &[(&str, &str)], missing: &[&str]) {
            let outcome = load(&GivenFlags::default(), variables(pairs)).map(|_| ());
            let text = outcome.err().map(|faults| faults.to_string()).unwrap_or_default();
            assert_eq!(text.matches(": is missing").count(), missing.len(), "{text}");
            for name in missing {
                assert!(text.contains(&format!("cloudflare.{name}: is missing")), "{text}");
            }
        }
        const ACCOUNT: (&str, &str) = ("WAYPOST_CLOUDFLARE_ACCOUNT_ID", "a1");
        const NAMESPACE: (&str, &str) = ("WAYPOST_CLOUDFLARE_KV_NAMESPACE_ID", "b2");
        const TOKEN: (&str, &str) = ("WAYPOST_CLOUDFLARE_API_TOKEN", "t0ken");
        check(&[], &[]);
        check(&[ACCOUNT, NAMESPACE, TOKEN], &[]);
        check(&[ACCOUNT, TOKEN], &["kv_namespace_id"]);
        check(&[ACCOUNT], &["kv_namespace_id", "api_token"]);
        let elsewhere = ("WAYPOST_CLOUDFLARE_API_URL", "http://127.0.0.1:1");
        check(&[elsewhere], &["account_id", "kv_namespace_id", "api_token"]);
        check(&[elsewhere, ACCOUNT, NAMESPACE, TOKEN], &[]);
        for bad in ["", "se cret", "se\ncret", "*** "] {
            let given = [ACCOUNT, NAMESPACE, ("WAYPOST_CLOUDFLARE_API_TOKEN", bad)];
            let text = load(&GivenFlags::default(), variables(&given)).unwrap_err().to_string();
            assert!(text.contains("as it was shown") && !text.contains("cret"), "{text}");
        }
        let given = [("WAYPOST_CLOUDFLARE_ACCOUNT_ID", "a/../b"), NAMESPACE, TOKEN];
        assert!(load(&GivenFlags::default(), variables(&given)).unwrap_err().to_string().contains("32 hexadecimal"));
    }

    #[test]
    fn a_broken_or_missing_file_is_a_fault() {
        let file = write_file("threads = = 3\n");
        let text = load(&flags(Some(file.path()), &[]), variables(&[])).unwrap_err().to_string();
        assert!(text.contains(":1: "), "{text}");
        let text =
            load(&flags(Some(Path::new("/nonexistent/waypost.toml")), &[]), variables(&[])).unwrap_err().to_string();
        assert!(text.contains("/nonexistent/waypost.toml: the configuration file cannot be read"), "{text}");
    }
}
