//! A statement with its parameters: the one place where a text becomes SQL.
//!
//! Texts here are constants of this crate, at most put together from constants; what comes from outside travels as a
//! parameter, always.

use std::borrow::Cow;

use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, Arguments, AssertSqlSafe, Encode, Type};

/// A statement that is ready to run.
pub(crate) struct Statement {
    text: Cow<'static, str>,
    arguments: AnyArguments,
    is_kept: bool,
}

impl Statement {
    /// A statement that connections keep prepared for the next time.
    pub(crate) fn new(text: impl Into<Cow<'static, str>>) -> Self {
        Self { text: text.into(), arguments: AnyArguments::default(), is_kept: true }
    }

    /// A statement of a shape that hardly comes again.
    pub(crate) fn once(text: impl Into<Cow<'static, str>>) -> Self {
        Self { is_kept: false, ..Self::new(text) }
    }

    /// Gives the next parameter its value.
    pub(crate) fn bind<'v, T: Encode<'v, Any> + Type<Any>>(mut self, value: T) -> Self {
        self.arguments.add(value).expect("texts, numbers and bytes can always be encoded");
        self
    }

    pub(crate) fn into_query(self) -> Query<'static, Any, AnyArguments> {
        #[cfg(test)]
        crate::plans::record(&self.text);
        // A constant stays one, so that the driver copies nothing.
        let query = match self.text {
            Cow::Borrowed(text) => sqlx::query_with(text, self.arguments),
            Cow::Owned(text) => sqlx::query_with(AssertSqlSafe(text), self.arguments),
        };
        query.persistent(self.is_kept)
    }
}
