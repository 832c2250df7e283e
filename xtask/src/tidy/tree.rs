//! The project's own text files, as git knows them.

use std::fs;

use crate::run::{program, read, root};

/// One text file.
#[derive(Debug)]
pub(super) struct File {
    /// The path below the root, with `/`.
    pub(super) path: String,
    pub(super) text: String,
}

impl File {
    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

/// All text files that are committed or could be: ignored ones are left out.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) files: Vec<File>,
}

impl Tree {
    /// Reads the working tree. Files that are not UTF-8 are no text and are left out.
    pub(super) fn read() -> anyhow::Result<Self> {
        let root = root()?;
        let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let listing = read(program("git", arguments).current_dir(&root))?;
        let paths = listing.split('\0').filter(|path| !path.is_empty());
        // A committed file may have been removed in the working tree.
        let files = paths.filter_map(|path| {
            let text = fs::read_to_string(root.join(path)).ok()?;
            Some(File { path: path.to_owned(), text })
        });
        Ok(Self { files: files.collect() })
    }

    pub(super) fn text_of(&self, path: &str) -> Option<&str> {
        self.files.iter().find(|file| file.path == path).map(|file| file.text.as_str())
    }
}
