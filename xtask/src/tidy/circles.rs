//! Finds files of one crate that import each other in a circle: none of them can be read, tested or moved alone.
//!
//! A file imports another one where its code, without its tests, has a path to it: `crate::`, `super::`, or the name of
//! a module that it declares. The root of a crate only hands out names and is left out, and a part of a module may use
//! what its module has. Two files may know each other; more may not.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use super::rust_text::{before_tests, code_only, is_word};
use super::tree::Tree;

/// The most files of a circle.
const FILES_MAX: usize = 2;

/// Circles that are there: the crate and the number of files. A number only goes down, and a line goes when it is
/// reached.
const KNOWN: &[(&str, usize)] = &[];

/// The path of a module in its crate.
type Module = Vec<String>;

/// Finds circles of more files than may be in one.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    check_against(tree, KNOWN)
}

fn check_against(tree: &Tree, known: &[(&str, usize)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, files) in crates(tree) {
        let mut allowed: Vec<usize> = known.iter().filter(|(of, _)| *of == name).map(|(_, files)| *files).collect();
        for circle in circles(&imports(&files)) {
            match allowed.iter().position(|files| *files == circle.len()) {
                Some(place) => drop(allowed.swap_remove(place)),
                None => findings.push(show(&name, &circle)),
            }
        }
        findings.extend(allowed.into_iter().map(|files| {
            format!(
                "xtask/src/tidy/circles.rs: {name} has no circle of {files} files any more; lower or remove its line"
            )
        }));
    }
    findings
}

fn show(name: &str, circle: &[Module]) -> Finding {
    let files: Vec<_> = circle.iter().map(|module| module.join("/")).collect();
    let (count, files) = (files.len(), files.join(", "));
    format!("{name}: {count} files import each other in a circle; take out what they share, or pass it in: {files}")
}

/// The modules of each crate by the crate's folder, with their code.
fn crates(tree: &Tree) -> BTreeMap<String, BTreeMap<Module, String>> {
    let mut crates: BTreeMap<String, BTreeMap<Module, String>> = BTreeMap::new();
    for file in tree.files.iter().filter(|file| file.is_rust()) {
        let Some((folder, path)) = file.path.strip_suffix(".rs").and_then(|path| path.split_once("/src/")) else {
            continue;
        };
        let module: Module = path.split('/').map(str::to_owned).collect();
        let is_test = module.iter().any(|part| part == "tests");
        if is_test || ["lib", "main"].contains(&path) {
            continue;
        }
        let name = folder.rsplit('/').next().unwrap_or(folder).to_owned();
        crates.entry(name).or_default().insert(module, code_only(before_tests(&file.text)));
    }
    crates
}

/// What each module imports of the others.
fn imports(files: &BTreeMap<Module, String>) -> BTreeMap<&Module, BTreeSet<&Module>> {
    let mut imports = BTreeMap::new();
    for (module, code) in files {
        let found = paths(module, code).into_iter().filter_map(|path| longest(files, &path));
        // The module itself, and what it is a part of.
        imports.insert(module, found.filter(|other| !module.starts_with(other)).collect());
    }
    imports
}

/// The module that the longest beginning of a path names.
fn longest<'a>(files: &'a BTreeMap<Module, String>, path: &[String]) -> Option<&'a Module> {
    (1..=path.len()).rev().find_map(|length| files.get_key_value(&path[..length])).map(|(module, _)| module)
}

/// The paths in the code of a module, from the root of its crate on.
fn paths(module: &Module, code: &str) -> Vec<Module> {
    let mut found = Vec::new();
    let words: Vec<(usize, &str)> = words(code).collect();
    let declared: BTreeSet<&str> = words.windows(2).filter(|pair| pair[0].1 == "mod").map(|pair| pair[1].1).collect();
    for (at, word) in words {
        let is_start = !code[..at].trim_end().ends_with("::");
        let after = &code[at + word.len()..];
        let (mut base, mut rest) = match word {
            "crate" if is_start => (Vec::new(), after),
            "super" if is_start => (module[..module.len() - 1].to_vec(), after),
            name if is_start && declared.contains(name) && after.starts_with("::") => {
                let mut base = module.clone();
                base.push(name.to_owned());
                (base, after)
            }
            _ => continue,
        };
        while let Some(upwards) = rest.strip_prefix("::super") {
            base.pop();
            rest = upwards;
        }
        tree_paths(&base, rest, &mut found);
    }
    found
}

/// Adds the paths of what follows a path: `::name`, `::{..}` or neither.
fn tree_paths(base: &[String], rest: &str, found: &mut Vec<Module>) {
    let Some(rest) = rest.strip_prefix("::") else {
        found.push(base.to_vec());
        return;
    };
    if let Some(list) = rest.strip_prefix('{') {
        for item in items(list) {
            let item = item.trim();
            let name = item.bytes().take_while(|byte| is_word(*byte)).count();
            let mut path = base.to_vec();
            path.push(item[..name].to_owned());
            tree_paths(&path, &item[name..], found);
        }
        return;
    }
    let name = rest.bytes().take_while(|byte| is_word(*byte)).count();
    let mut path = base.to_vec();
    path.push(rest[..name].to_owned());
    if name == 0 { found.push(base.to_vec()) } else { tree_paths(&path, &rest[name..], found) }
}

/// The items of a list in braces, whose opening brace has been read.
fn items(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut items) = (0_usize, 0, Vec::new());
    for (at, byte) in list.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => {
                items.push(&list[start..at]);
                break;
            }
            b'}' => depth -= 1,
            b',' if depth == 0 => {
                items.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    items
}

/// The words of some code with their places.
fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + code.as_bytes()[at..].iter().position(|byte| is_word(*byte))?;
        let length = code.as_bytes()[start..].iter().take_while(|byte| is_word(**byte)).count();
        at = start + length;
        Some((start, &code[start..at]))
    })
}

/// The sets of more than [`FILES_MAX`] modules that all reach each other.
fn circles(imports: &BTreeMap<&Module, BTreeSet<&Module>>) -> Vec<Vec<Module>> {
    let reached: BTreeMap<&Module, BTreeSet<&Module>> =
        imports.keys().map(|module| (*module, reach(imports, module))).collect();
    let mut circles = BTreeSet::new();
    for (module, others) in &reached {
        let together: Vec<Module> =
            others.iter().filter(|other| reached[*other].contains(*module)).map(|other| (*other).clone()).collect();
        if together.len() > FILES_MAX {
            circles.insert(together);
        }
    }
    circles.into_iter().collect()
}

/// What a module imports, and what that imports, and so on.
fn reach<'a>(imports: &BTreeMap<&'a Module, BTreeSet<&'a Module>>, module: &Module) -> BTreeSet<&'a Module> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&Module> = imports[module].iter().copied().collect();
    while let Some(next) = open.pop() {
        if reached.insert(next) {
            open.extend(imports[next].iter().copied());
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::super::tree::File;
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        let file = |(path, text): &(&str, &str)| File { path: (*path).to_owned(), text: (*text).to_owned() };
        Tree { files: files.iter().map(file).collect() }
    }

    #[track_caller]
    fn check_paths(module: &str, code: &str, expect: &[&str]) {
        let module: Module = module.split('/').map(str::to_owned).collect();
        let found: Vec<_> = paths(&module, code).iter().map(|path| path.join("/")).collect();
        assert_eq!(found, expect, "{code}");
    }

    #[test]
    fn paths_are_read() {
        check_paths("a", "use crate::b::{self, C, d::{E, F}};", &["b/self", "b/C", "b/d/E", "b/d/F"]);
        check_paths("a/b", "fn f(x: super::C) { crate::d::e() }", &["a/C", "d/e"]);
        check_paths("a/b", "use super::super::c::D;", &["c/D"]);
        check_paths("a", "mod b;\nuse b::C;\nlet x = other::b::D;", &["a/b/C"]);
        check_paths("a", "use std::fs; let supercrate = 1;", &[]);
    }

    #[test]
    fn a_circle_of_three_files_is_found() {
        let three = [
            ("crates/one/src/a.rs", "use crate::b::B;"),
            ("crates/one/src/b.rs", "use crate::c::{C, D};"),
            ("crates/one/src/c.rs", "fn f() { crate::a::g() }"),
        ];
        let found = check_against(&tree(&three), &[]);
        assert!(found.len() == 1 && found[0].starts_with("one: 3 files") && found[0].ends_with("a, b, c"), "{found:?}");
        assert!(check_against(&tree(&three), &[("one", 3)]).is_empty(), "known");
        let fewer = check_against(&tree(&three[..2]), &[("one", 3)]);
        assert!(fewer.len() == 1 && fewer[0].contains("lower or remove"), "{fewer:?}");
    }

    #[test]
    fn two_files_tests_and_the_root_are_no_circle() {
        let two = [
            ("crates/one/src/lib.rs", "mod a; mod b; use a::A;"),
            ("crates/one/src/a.rs", "mod part; use part::X;"),
            ("crates/one/src/a/part.rs", "use super::A; use crate::Root;"),
            ("crates/one/src/b.rs", "use crate::a::A;\n\n#[cfg(test)]\nmod tests { use crate::c::C; }\n"),
            ("crates/one/src/c.rs", "use crate::b::B; // use crate::a::A;"),
        ];
        assert_eq!(check_against(&tree(&two), &[]), [""; 0]);
    }
}
