//! What a database of ours is described by: its migrations, and what tells it apart from others.

/// What one kind of database of ours holds, and what tells it apart.
#[derive(Debug)]
pub struct Schema {
    /// Its steps, in the order of their versions, which count from 1.
    pub migrations: &'static [Migration],
    /// The table that says which migrations a database has.
    pub migrations_table: &'static str,
    /// The other kinds of databases of ours: on PostgreSQL they may be side by side in one database, and a file of
    /// theirs is told from one of another program.
    pub others: &'static [OtherSchema],
    /// The advisory lock that a PostgreSQL transaction holds while it writes: a number no other program should use.
    pub write_lock: i64,
    /// Its file on SQLite.
    pub file: FileSettings,
}

/// What another kind of database of ours is recognised by.
#[derive(Debug)]
pub struct OtherSchema {
    /// Its [`Schema::migrations_table`].
    pub migrations_table: &'static str,
    /// Its [`FileSettings::application_id`].
    pub application_id: u32,
}

/// A step of a schema. A migration that was released is never edited.
#[derive(Debug)]
pub struct Migration {
    /// Its number.
    pub version: i64,
    /// Its name.
    pub name: &'static str,
    /// The SQL text that makes the step; types that differ between the engines are in braces.
    pub forward: &'static str,
    /// The SQL text that takes it back.
    pub back: &'static str,
}

/// The migrations of files `NAME.sql` and `NAME.back.sql` in a folder, which is named as seen from the file that uses
/// this.
#[macro_export]
macro_rules! migrations {
    ($folder:literal: $($version:literal $name:literal,)*) => {
        &[$($crate::Migration {
            version: $version,
            name: $name,
            forward: include_str!(concat!($folder, "/", $name, ".sql")),
            back: include_str!(concat!($folder, "/", $name, ".back.sql")),
        }),*]
    };
}

/// How an SQLite file of ours is marked and kept.
#[derive(Debug)]
pub struct FileSettings {
    /// Marks it as ours, in bytes 68 to 71 of its header.
    pub application_id: u32,
    /// The size of its pages, chosen when it is made.
    pub page_bytes: u32,
    /// Pages in the write-ahead log between checkpoints.
    pub log_pages: u32,
    /// What the connection that writes may keep of it in memory.
    pub writer_cache_kb: u32,
    /// Whether what is deleted is overwritten.
    pub secure_delete: bool,
}
