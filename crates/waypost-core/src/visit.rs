//! A visit: the facts of one request, as far as they are known. They are borrowed, and parsed only when a condition
//! needs them.

use std::net::IpAddr;

use crate::time::Timestamp;

/// The request method, as far as a decision cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Method {
    /// `GET`
    #[default]
    Get,
    /// `HEAD`
    Head,
    /// `POST`, which only the unlock form of a password link takes.
    Post,
    /// Anything else.
    Other,
}

impl Method {
    /// Reads a method name, in any letter case.
    pub fn from_name(name: &str) -> Self {
        match name {
            _ if name.eq_ignore_ascii_case("GET") => Self::Get,
            _ if name.eq_ignore_ascii_case("HEAD") => Self::Head,
            _ if name.eq_ignore_ascii_case("POST") => Self::Post,
            _ => Self::Other,
        }
    }
}

/// What the visitor has shown of a link's password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Unlock {
    /// Nothing.
    #[default]
    None,
    /// A valid grant for this link.
    Granted,
    /// A wrong password, with this request.
    Refused,
}

/// The facts of one request. All but the time may be unknown.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'a> {
    /// When it happens.
    pub now: Timestamp,
    /// The method of the request.
    pub method: Method,
    /// The requested host.
    pub host: Option<&'a str>,
    /// The requested path, as sent.
    pub path: Option<&'a str>,
    /// The query as sent, without `?`.
    pub query: Option<&'a str>,
    /// The visitor's address.
    pub ip: Option<IpAddr>,
    /// The visitor's country, ISO 3166-1 alpha-2, in any letter case.
    pub country: Option<&'a str>,
    /// The visitor's region, an ISO 3166-2 code such as `DE-BY`, in any letter case.
    pub region: Option<&'a str>,
    /// The English name of the visitor's city.
    pub city: Option<&'a str>,
    /// The `User-Agent` header; empty if a real request had none.
    pub user_agent: Option<&'a str>,
    /// The `Referer` header.
    pub referrer: Option<&'a str>,
    /// The `Accept-Language` header.
    pub accept_language: Option<&'a str>,
    /// A stable id of the visitor, if one is known.
    pub visitor_id: Option<&'a str>,
    /// The `Sec-Purpose`, `Purpose` or `X-Moz` header.
    pub purpose: Option<&'a str>,
    /// What the visitor has shown of the password.
    pub unlock: Unlock,
}

impl Visit<'_> {
    /// A `GET` of which nothing but the time is known.
    pub const fn at(now: Timestamp) -> Self {
        Self {
            now,
            method: Method::Get,
            host: None,
            path: None,
            query: None,
            ip: None,
            country: None,
            region: None,
            city: None,
            user_agent: None,
            referrer: None,
            accept_language: None,
            visitor_id: None,
            purpose: None,
            unlock: Unlock::None,
        }
    }
}
