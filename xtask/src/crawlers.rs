//! `crawlers`: takes the lists of crawlers that Waypost keeps from the newest releases of two npm packages.
//!
//! `isbot` (Unlicense) gives words, written as tables that the core compiles in, and `crawler-user-agents` (MIT) gives
//! user agents to test with. So does the last release of `isbot` that carried its own examples, as far as the newest
//! one still says the same of them. A pattern that is neither a plain word nor one of [`SHAPES`] stops the task: the
//! core has to learn it first.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use crate::run::{program, read, root, run};

/// The last release whose package holds `crawlers.txt` and `browsers.txt`.
const ISBOT_WITH_EXAMPLES: &str = "isbot@2.2.2";
const WORDS: &str = "crates/waypost-core/src/class/words.rs";
const EXAMPLES: &str = "testdata/crawlers";

/// Patterns that are code in `crates/waypost-core/src/class/shapes.rs`.
const SHAPES: [&str; 22] = [
    r"(?:^|[^g])news(?!sapphire)",
    r"(?<! channel/|google/)google(?!(?:wv|app|/google| pixel))",
    r"(?<! cu)bots?(?:\b|_)",
    r"(?<!cam)scan",
    r"(?<!lib)http",
    r";\s\w+;$",
    r"@[a-z][\w-]+\.",
    r"\b\w+/1\.0;",
    r"^[<\(;]",
    r"^[\w \.\-\(?:\):%]+(?:/v?\d+(?:\.\d+)?(?:\.\d{1,10})*?)?(?:,|$)",
    r"^[\w\-]+/[\w]+$",
    r"^[^ ]{50,}$",
    r"^\d+\b",
    r"^\w*search\b",
    r"^\w+/[\w\(\)]*$",
    r"^\w+/\d\.\d\s\([\w@]+\)$",
    r"^dispatch/\d",
    r"^mozilla/\d\.\d\s[\w\.-]+$",
    r"^mozilla/\d\.\d\s\((?:compatible;)?(?:\s?[\w\d-.]+[\s/]\d+\.\d+)?\)$",
    r"^zdm/\d",
    r"java(?!;)",
    r"ptst[ /]\d",
];

/// Patterns that people's programs carry too: the in-app browsers of Alipay and Baidu write `|` between numbers, and
/// Sogou and TripAdvisor have browsers of their own. The core has a narrower word for the last two.
const LEFT_OUT: [&str; 3] = [r"\|", "sogou", "advisor"];

/// A plain word of a pattern, and where it may stand.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Word {
    text: String,
    at_start: bool,
    starts_word: bool,
    ends_word: bool,
}

/// Writes the tables and the examples again.
pub(crate) fn crawlers(arguments: &[String]) -> anyhow::Result<()> {
    crate::no_arguments(arguments)?;
    let folder = tempfile::tempdir()?;
    let isbot = unpacked(folder.path(), "isbot", "isbot")?;
    let listed = unpacked(folder.path(), "crawler-user-agents", "listed")?;
    let old = unpacked(folder.path(), ISBOT_WITH_EXAMPLES, "examples")?;
    let patterns = isbot_patterns(&folder.path().join("isbot/package/index.mjs"))?;
    fs::write(root()?.join(WORDS), words_file(&patterns, &isbot)?)?;

    let agents: Value =
        serde_json::from_str(&fs::read_to_string(folder.path().join("listed/package/crawler-user-agents.json"))?)?;
    let instances = agents.as_array().into_iter().flatten().flat_map(|entry| entry["instances"].as_array()).flatten();
    let instances = instances.filter_map(Value::as_str).map(str::to_owned).collect();
    write_examples("crawler-user-agents.txt", &listed, instances)?;
    for (name, is_crawler) in [("crawlers", true), ("browsers", false)] {
        let agreed = agreed(folder.path(), name, is_crawler)?;
        write_examples(&format!("isbot-{name}.txt"), &old, agreed)?;
    }
    run(crate::run::cargo(["fmt", "--package", "waypost-core"])?.current_dir(root()?))
}

/// Fetches and unpacks a package; gives its name and version.
fn unpacked(folder: &Path, package: &str, name: &str) -> anyhow::Result<String> {
    let folder = folder.join(name);
    fs::create_dir(&folder)?;
    let archive = read(program("npm", ["pack", "--silent", package]).current_dir(&folder))?;
    run(program("tar", ["xzf", archive.trim()]).current_dir(&folder))?;
    let manifest: Value = serde_json::from_str(&fs::read_to_string(folder.join("package/package.json"))?)?;
    let text = |field: &str| manifest[field].as_str().map(str::to_owned).context("the manifest names the package");
    Ok(format!("{} {} ({})", text("name")?, text("version")?, text("license")?))
}

fn isbot_patterns(module: &Path) -> anyhow::Result<Vec<String>> {
    let text = fs::read_to_string(module)?;
    let list = text.split_once("patterns_default = ").context("isbot's module has its patterns")?.1;
    let list = &list[..=list.find("];").context("the list of patterns ends")?];
    Ok(serde_json::from_str(list)?)
}

/// The examples of the old release that the newest one reads as the old one did.
fn agreed(folder: &Path, name: &str, is_crawler: bool) -> anyhow::Result<Vec<String>> {
    let script = format!(
        "import('./isbot/package/index.mjs').then(({{isbot}}) => console.log(JSON.stringify(require('fs')\
         .readFileSync('examples/package/{name}.txt', 'utf8').split('\\n')\
         .filter((line) => line.trim() && isbot(line) === {is_crawler}))))"
    );
    Ok(serde_json::from_str(&read(program("node", ["-e", &script]).current_dir(folder))?)?)
}

/// Writes examples, one a line. Of those that differ in digits only the first is kept.
fn write_examples(name: &str, source: &str, examples: Vec<String>) -> anyhow::Result<()> {
    let mut seen = HashSet::new();
    let mut text = format!("# From {source}. Written by `cargo xtask crawlers`.\n");
    for example in examples {
        let example = example.replace(['\r', '\n', '\t'], " ");
        let mut shape = example.clone();
        shape.retain(|character| !character.is_ascii_digit());
        if !example.trim().is_empty() && !example.starts_with('#') && seen.insert(shape) {
            writeln!(text, "{}", example.trim())?;
        }
    }
    let folder = root()?.join(EXAMPLES);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), text)?;
    Ok(())
}

fn words_file(patterns: &[String], source: &str) -> anyhow::Result<String> {
    let mut words = Vec::new();
    for pattern in patterns {
        if SHAPES.contains(&pattern.as_str()) || LEFT_OUT.contains(&pattern.as_str()) {
            continue;
        }
        words.extend(
            words_of(pattern).with_context(|| format!("the pattern {pattern:?} is new: add it to the shapes"))?,
        );
    }
    words.sort();
    let (starts, anywhere): (Vec<_>, Vec<_>) = words.into_iter().partition(|word| word.at_start);
    let mut text = format!(
        "//! Words of crawlers, in lower case. This file is a table, written by `cargo xtask crawlers`.\n//!\n\
         //! From {source}. How the words are used says `user_agent.rs`.\n\n\
         /// A user agent that begins with one of these is a program's.\n\
         pub(super) static STARTS: [&str; {}] = [\n",
        starts.len()
    );
    for word in &starts {
        ensure!(!word.ends_word, "{word:?}: a word at the start that must end is new");
        writeln!(text, "{:?},", word.text)?;
    }
    write!(
        text,
        "];\n\n/// A user agent with one of these anywhere is a program's.\npub(super) const ANYWHERE: [&str; {}] = [\n",
        anywhere.len()
    )?;
    for word in &anywhere {
        writeln!(text, "{:?},", word.text)?;
    }
    write!(
        text,
        "];\n\n/// Of [`ANYWHERE`], which must start a word (1), end one (2), or both (3).\npub(super) const BOUNDS: [u8; {}] = [\n",
        anywhere.len()
    )?;
    for word in &anywhere {
        writeln!(text, "{},", u8::from(word.starts_word) + 2 * u8::from(word.ends_word))?;
    }
    text.push_str("];\n");
    Ok(text)
}

/// The words of a plain pattern: letters with escaped marks, `^` or `\b` around them, and perhaps one choice such as `[
/// /]`.
fn words_of(pattern: &str) -> anyhow::Result<Vec<Word>> {
    let (rest, at_start) = pattern.strip_prefix('^').map_or((pattern, false), |rest| (rest, true));
    let (rest, starts_word) = rest.strip_prefix(r"\b").map_or((rest, false), |rest| (rest, true));
    let (rest, ends_word) = rest.strip_suffix(r"\b").map_or((rest, false), |rest| (rest, true));
    let mut texts = vec![String::new()];
    let mut characters = rest.chars();
    while let Some(character) = characters.next() {
        let choice: Vec<char> = match character {
            '\\' => match characters.next() {
                Some(escaped) if !escaped.is_alphanumeric() => vec![escaped],
                _ => bail!("an escape that is no plain character"),
            },
            '[' => characters.by_ref().take_while(|next| *next != ']').collect(),
            '(' | ')' | '{' | '}' | '*' | '+' | '?' | '|' | '.' | '^' | '$' => bail!("not a plain word"),
            plain => vec![plain],
        };
        ensure!((1..=2).contains(&choice.len()), "a choice of more than two");
        texts = texts.iter().flat_map(|text| choice.iter().map(move |one| format!("{text}{one}"))).collect();
    }
    Ok(texts.into_iter().map(|text| Word { text, at_start, starts_word, ends_word }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_patterns_become_words() {
        let word = |text: &str, at_start, starts_word, ends_word| Word {
            text: text.to_owned(),
            at_start,
            starts_word,
            ends_word,
        };
        let read = |pattern| words_of(pattern).ok();
        assert_eq!(
            read("^clamav[ /]"),
            Some(vec![word("clamav ", true, false, false), word("clamav/", true, false, false)])
        );
        assert_eq!(read(r"\bdlc\b"), Some(vec![word("dlc", false, true, true)]));
        assert_eq!(read(r"\.com\b"), Some(vec![word(".com", false, false, true)]));
        assert_eq!(read(r"\(\)"), Some(vec![word("()", false, false, false)]));
        for shape in SHAPES {
            assert_eq!(read(shape), None, "{shape}");
        }
    }
}
