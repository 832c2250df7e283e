//! Rules about the text of files: headers, blanks, words, machine paths, size.

use super::Finding;
use super::rust_text::before_tests;
use super::tree::{File, Tree};

/// Limit on a Rust file, in lines.
const FILE_LINES_MAX: usize = 800;
/// A Rust file over this many lines before its tests is worth a note.
const FILE_LINES_USUAL: usize = 400;
/// Words in the header of a file that may be longer.
const TABLE_MARK: &str = "This file is a table";

/// Marks of unfinished work; each needs the number of an issue. Spelled apart so as not to be found here.
const MARKS: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Folders of one machine that mean nothing on another. Spelled apart so as not to be found here.
const MACHINE_FOLDERS: [&str; 4] =
    [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];

/// Every rule on one file.
pub(super) fn check(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    if file.is_rust() {
        findings.extend(check_header(file));
        findings.extend(check_length(file));
        findings.extend(by_line(file, "a tab", |line| line.contains('\t')));
        findings.extend(by_line(file, "blanks at the end of the line", |line| line.ends_with([' ', '\r'])));
    }
    findings.extend(by_line(file, "unfinished work without the number of an issue", has_bare_mark));
    findings.extend(by_line(file, "a folder of one machine", names_machine_folder));
    findings
}

/// Notes on Rust files that are longer than usual.
pub(super) fn long_files(tree: &Tree) -> Vec<String> {
    let mut notes = Vec::new();
    for file in tree.files.iter().filter(|file| file.is_rust() && !is_table(&file.text)) {
        let lines = before_tests(&file.text).lines().count();
        if lines > FILE_LINES_USUAL {
            notes.push(format!("{}: {lines} lines before its tests; about {FILE_LINES_USUAL} is usual", file.path));
        }
    }
    notes
}

fn check_header(file: &File) -> Option<Finding> {
    let has_header = file.text.starts_with("//!");
    (!has_header).then(|| format!("{}:1: open the file with a `//!` line that says what it is for", file.path))
}

fn check_length(file: &File) -> Option<Finding> {
    let lines = file.text.lines().count();
    let is_too_long = lines > FILE_LINES_MAX && !is_table(&file.text);
    let advice = format!("split it, or write `{TABLE_MARK}` in its header");
    is_too_long.then(|| format!("{}: {lines} lines, at most {FILE_LINES_MAX}: {advice}", file.path))
}

fn is_table(text: &str) -> bool {
    text.lines().take_while(|line| line.starts_with("//!")).any(|line| line.contains(TABLE_MARK))
}

fn by_line(file: &File, what: &str, is_wrong: fn(&str) -> bool) -> Vec<Finding> {
    let lines = file.text.split('\n').enumerate().filter(|(_, line)| is_wrong(line));
    lines.map(|(index, _)| format!("{}:{}: {what}", file.path, index + 1)).collect()
}

fn has_bare_mark(line: &str) -> bool {
    MARKS.iter().any(|mark| {
        line.match_indices(mark).any(|(at, _)| {
            let after = &line[at + mark.len()..];
            let is_inside_word =
                |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
            let stands_alone = !is_inside_word(line[..at].chars().next_back()) && !is_inside_word(after.chars().next());
            let number = after.trim_start_matches(['(', ' ', ':']).strip_prefix('#');
            stands_alone && !number.is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_digit()))
        })
    })
}

/// A folder counts where a path begins, not inside a URL such as `https://example.com/` with the same words after it.
fn names_machine_folder(line: &str) -> bool {
    MACHINE_FOLDERS.iter().any(|folder| {
        line.match_indices(folder).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            !before.is_some_and(|letter| letter.is_alphanumeric() || "._-~/%$}]>".contains(letter))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_file(path: &str, text: &str, expect: &[&str]) {
        assert_eq!(check(&File { path: path.to_owned(), text: text.to_owned() }), expect);
    }

    #[test]
    fn a_clean_file_passes() {
        check_file("a.rs", "//! What it is for.\n\nfn a() {}\n", &[]);
    }

    #[test]
    fn a_missing_header_is_found() {
        check_file("a.rs", "fn a() {}\n", &["a.rs:1: open the file with a `//!` line that says what it is for"]);
        check_file("a.md", "text\n", &[]);
    }

    #[test]
    fn tabs_and_blanks_are_found() {
        check_file("a.rs", "//! a\n\tb\nc \n", &["a.rs:2: a tab", "a.rs:3: blanks at the end of the line"]);
        check_file("a.rs", "//! a\r\n", &["a.rs:1: blanks at the end of the line"]);
        check_file("Makefile", "\tb \n", &[]);
    }

    #[test]
    fn unfinished_work_needs_an_issue() {
        let mark = MARKS[0];
        let finding = "a.md:1: unfinished work without the number of an issue";
        check_file("a.md", &format!("{mark}: later"), &[finding]);
        check_file("a.md", &format!("({mark})"), &[finding]);
        check_file("a.md", &format!("{mark}(me): #later"), &[finding]);
        check_file("a.md", &format!("{mark}(#12): later; {mark} #3; {mark}: #4"), &[]);
        check_file("a.md", &format!("{mark}S and MY_{mark}"), &[]);
    }

    #[test]
    fn machine_paths_are_found() {
        let folder = MACHINE_FOLDERS[2];
        check_file("a.toml", &format!("path = \"{folder}me\""), &["a.toml:1: a folder of one machine"]);
        check_file("a.toml", &format!("{folder}me"), &["a.toml:1: a folder of one machine"]);
        check_file("a.toml", &format!("https://example.com{folder}me ~{folder}x"), &[]);
    }

    #[test]
    fn a_very_long_file_is_found() {
        let long = format!("//! a\n{}", "b\n".repeat(800));
        check_file(
            "a.rs",
            &long,
            &["a.rs: 801 lines, at most 800: split it, or write `This file is a table` in its header"],
        );
        check_file("a.rs", &format!("//! {TABLE_MARK}.\n{long}"), &[]);
        let tree = |text: String| Tree { files: vec![File { path: "a.rs".to_owned(), text }] };
        assert_eq!(long_files(&tree(long)).len(), 1);
        assert!(long_files(&tree(format!("//! a\n#[cfg(test)]\nmod tests {{\n{}}}", "b\n".repeat(500)))).is_empty());
    }
}
