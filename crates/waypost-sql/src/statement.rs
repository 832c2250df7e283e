//! A statement with its parameters: the one place where a text becomes SQL.
//!
//! Texts here are constants of our crates, at most put together from constants; what comes from outside travels as a
//! parameter, always.

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;

use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, Arguments, AssertSqlSafe, Encode, Type};

/// Who looks at the text of every statement of this process.
static WATCH: OnceLock<fn(&str)> = OnceLock::new();

/// Calls this with the text of every statement that is run from now on, in its thread. For tests, which look at the
/// plans of statements; the first call decides.
pub fn watch_statements(watch: fn(&str)) {
    WATCH.get_or_init(|| watch);
}

/// A statement that is ready to run.
pub struct Statement {
    text: Cow<'static, str>,
    arguments: AnyArguments,
    is_kept: bool,
}

impl Statement {
    /// A statement that connections keep prepared for the next time.
    pub fn new(text: impl Into<Cow<'static, str>>) -> Self {
        Self { text: text.into(), arguments: AnyArguments::default(), is_kept: true }
    }

    /// A statement of a shape that hardly comes again.
    pub fn once(text: impl Into<Cow<'static, str>>) -> Self {
        Self { is_kept: false, ..Self::new(text) }
    }

    /// Gives the next parameter its value.
    pub fn bind<'v, T: Encode<'v, Any> + Type<Any>>(mut self, value: T) -> Self {
        self.arguments.add(value).expect("texts, numbers and bytes can always be encoded");
        self
    }

    pub(crate) fn into_query(self) -> Query<'static, Any, AnyArguments> {
        if let Some(watch) = WATCH.get() {
            watch(&self.text);
        }
        // A constant stays one, so that the driver copies nothing.
        let query = match self.text {
            Cow::Borrowed(text) => sqlx::query_with(text, self.arguments),
            Cow::Owned(text) => sqlx::query_with(AssertSqlSafe(text), self.arguments),
        };
        query.persistent(self.is_kept)
    }
}

impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
