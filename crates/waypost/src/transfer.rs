//! Import and export of links. Everything goes through the API, in bounded memory.

mod csv;
mod csv_records;
pub(crate) mod export;
pub(crate) mod import;
mod progress;
mod repeats;
mod report;
pub(crate) mod row;
mod slug_columns;
mod source;
