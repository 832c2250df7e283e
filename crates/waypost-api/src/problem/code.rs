//! The catalogue of problems: every error of the API. A long table.
//!
//! `docs/problems.md` and the page at `/docs/problems` are generated from it.

use std::fmt::Write as _;

macro_rules! problems {
    ($($(#[$meta:meta])* $variant:ident = $name:literal, $status:literal, $title:literal, $meaning:literal;)+) => {
        /// What kind of problem it is. Names never change their meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ProblemCode {
            $(#[doc = $title] $variant,)+
        }

        impl ProblemCode {
            /// Every problem, in the order of the catalogue.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The stable name, as in `code` and at the end of `type`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The HTTP status it is answered with.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)+ }
            }

            /// The same for every occurrence.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }

            /// What it means and what to do, in Markdown.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)+ }
            }
        }
    };
}

problems! {
    BadJson = "bad_json", 400, "The body is not JSON",
        "The body is empty, truncated, nested too deeply, or not a JSON object; or an object in it has a duplicate name, and `detail` says which. Nothing was changed.";
    BadRequest = "bad_request", 400, "The request is malformed",
        "It is not valid HTTP, or is ambiguous: two `Content-Length` headers, one beside a `Transfer-Encoding`, lines that do not end in CR LF, not exactly one `Host`. Or a header or a query parameter is malformed: a cursor that this list did not return, a limit that is not a number, an `If-Match` that is neither `*` nor a list of entity tags.";
    UrlInvalid = "url_invalid", 400, "The URL cannot be shortened",
        "`originalUrl` is missing, not a string, not an absolute `http` or `https` URL, too long, carries a user name or password, or is itself one of our short links. `errors` says which.";
    Unauthorized = "unauthorized", 401, "An API key is needed",
        "There is no `Authorization: Bearer` header, or its key is not valid. Unknown, mistyped, expired and revoked keys get the same answer.";
    SignatureInvalid = "signature_invalid", 401, "The signature is not valid",
        "A webhook needs the headers `webhook-id`, `webhook-timestamp` and `webhook-signature` of the Standard Webhooks specification, each once. One is missing, the secret is not one of `webhooks.secrets`, the body differs from what was signed, or the timestamp is more than 300 seconds from this server's clock. The body was not read; send it again once secret and clock are right.";
    Forbidden = "forbidden", 403, "Not allowed with this key",
        "The key is valid, but only the operator of the instance may do this: with the command `waypost` on the server's machine, or over the local socket in its data folder.";
    AnonymousLinksOff = "anonymous_links_off", 403, "Links need an API key here",
        "This instance creates links only for requests with an API key. Use `POST /api/v1/links`.";
    CrossSite = "cross_site", 403, "The form was sent by another site",
        "The browser reports that a page of another site sent the form. Nothing was changed: open the short link itself, and send the form from there.";
    NotFound = "not_found", 404, "Not found",
        "The path is not one of the API, or what it names does not exist or is not yours.";
    MethodNotAllowed = "method_not_allowed", 405, "Method not allowed",
        "`Allow` lists the methods that this path allows.";
    RequestTimeout = "request_timeout", 408, "The request was too slow",
        "The headers of a request must arrive within 10 seconds and its body within 15, or longer while it arrives at 64 KiB a second or more. Nothing was changed; send it again.";
    SlugTaken = "slug_taken", 409, "The slug is taken",
        "Another link of the domain has it. Choose another, or leave out `slug` to get a random one.";
    DomainTaken = "domain_taken", 409, "The domain is taken",
        "The domain already exists on this instance.";
    DomainInUse = "domain_in_use", 409, "The domain has links",
        "A domain can be deleted only while it has no links; `detail` says how many it has. `case_insensitive` can only be changed while a domain has never had a link.";
    DomainIsDefault = "domain_is_default", 409, "The domain is the default domain",
        "Links that name no domain live on it, so it cannot be deleted. `public_url` gives it another host.";
    IdempotencyMismatch = "idempotency_mismatch", 409, "The idempotency key belongs to another request",
        "For 24 hours an `Idempotency-Key` belongs to one method, path and body. Nothing was changed. Only POST uses the header. PATCH, PUT and DELETE ignore it and do not need it: sent twice, they have the effect of being sent once (a PATCH that changes nothing creates no version, but one with a `password` sets it again; the second DELETE answers 404). `If-Match` prevents a PATCH that is repeated late from undoing an edit made in between.";
    SecretShownOnce = "secret_shown_once", 409, "The key was created, and its secret is shown only once",
        "The same request with this `Idempotency-Key` has already created an API key. Its secret was in that answer and is not stored. `detail` names the key's id: if the answer was lost, revoke the key and create another with a new `Idempotency-Key`.";
    NoSyncTarget = "no_sync_target", 409, "Links are pushed nowhere",
        "No target outside this server is configured: `cloudflare.account_id`, `cloudflare.kv_namespace_id` and `cloudflare.api_token` name one.";
    VerifyRunning = "verify_running", 409, "A comparison is already running",
        "This server is comparing its links with the target for another request. Wait until it has finished.";
    Gone = "gone", 410, "The link has expired",
        "It no longer redirects.";
    StaleVersion = "stale_version", 412, "The link has changed",
        "`If-Match` does not name the current version of the link. Read the link again, then decide whether to send the change again.";
    BodyTooLarge = "body_too_large", 413, "The body is too large",
        "It has more bytes, or more elements, than the limit that `detail` names. Nothing was changed.";
    TooManyEvents = "too_many_events", 413, "The delivery has too many events",
        "No event of it was counted. `detail` names the limit; split the delivery.";
    TargetTooLong = "target_too_long", 414, "The URL is too long",
        "Path and query together are longer than `limits.target_bytes_max`.";
    UnsupportedMediaType = "unsupported_media_type", 415, "The body must be JSON",
        "Send `Content-Type: application/json` (for PATCH also `application/merge-patch+json`), or none. Only the landing page and links with a password accept forms.";
    NotEvents = "not_events", 422, "The delivery contains no events",
        "`POST /webhooks/analytics` accepts a click event or an array of them; the body is neither. Nothing was counted or stored.";
    InvalidField = "invalid_field", 422, "A field is not valid",
        "`errors` names each field and what is wrong with it. Nothing was changed.";
    UnknownField = "unknown_field", 422, "Unknown field",
        "`errors` lists the fields that do not exist; check their spelling. Nothing was changed.";
    ImmutableField = "immutable_field", 422, "The field cannot be changed",
        "Slug, domain and the fields that the server sets cannot be changed. Create a new link instead.";
    SlugInvalid = "slug_invalid", 422, "The slug is not valid",
        "A slug has 1 to 100 letters, digits, emoji, `-`, `_`, `.` and inner `/`. Each part between slashes has letters of one script, or of scripts that are written together.";
    SlugReserved = "slug_reserved", 422, "The slug is reserved",
        "A slug cannot start with a path segment that Waypost itself uses, or end in `.qr`, `.qr.svg` or `.qr.png`: these are the addresses of QR codes. On the default domain it also cannot start with the host of another domain, because the keys of links in Workers KV could not tell it from a slug of that domain.";
    DomainUnknown = "domain_unknown", 422, "Unknown domain",
        "Links can be created on the domains that `GET /api/v1/domains` lists.";
    DestinationInvalid = "destination_invalid", 422, "The destination is not a valid URL",
        "A destination is an absolute URL without control characters.";
    DestinationScheme = "destination_scheme", 422, "The destination's scheme is not allowed",
        "`http` and `https` are; the operator may allow more. Schemes that run code never are.";
    DestinationUserinfo = "destination_userinfo", 422, "The destination contains credentials",
        "A user name or password before the host is misleading. Leave it out.";
    DestinationLoop = "destination_loop", 422, "The destination is a host of this instance",
        "A short link cannot lead to a host of this instance, on any port.";
    DestinationHost = "destination_host", 422, "The destination's host is not allowed",
        "Links created without an API key cannot lead to IP addresses or names of a private network such as `localhost`, unless the operator allows it.";
    DestinationLength = "destination_length", 422, "The destination is too long",
        "A destination has at most 8,192 bytes, both as given and as the URL standard serialises it.";
    RangeInvalid = "range_invalid", 422, "The time range is not valid",
        "`from` or `to` is not a time, date or span, the range is reversed or too long, or the interval would give too many rows. `detail` says what to use instead.";
    TimeZoneUnknown = "time_zone_unknown", 422, "Unknown time zone",
        "`time_zone` is an IANA name such as `Europe/Berlin`. `detail` suggests a similar one.";
    FilterInvalid = "filter_invalid", 422, "The filter or group is not valid",
        "The dimension does not exist, or does not have this value. `detail` lists what exists.";
    NotCombined = "not_combined", 422, "These cannot be combined in one report",
        "Totals are counted for fixed sets of dimensions. `detail` says which combine; raw clicks can be combined in any way.";
    RateLimited = "rate_limited", 429, "Too many requests",
        "Send it again after `Retry-After` seconds.";
    HeadTooLarge = "head_too_large", 431, "The headers are too large",
        "Request line and headers are longer than `limits.head_bytes_max`, or there are more than 100 headers.";
    TooManyListeners = "too_many_listeners", 429, "Too many live feeds are open",
        "The number of open feeds is limited for each account and for the instance. Close one, or try again after `Retry-After` seconds.";
    Internal = "internal", 500, "Internal error",
        "The error is on the server's side and has been logged.";
    Busy = "busy", 503, "The server is busy",
        "Other requests use all the memory for requests, or too many previews or QR codes are in progress. Nothing was changed: send it again after `Retry-After` seconds.";
    Unavailable = "unavailable", 503, "The database cannot be reached",
        "`detail` says that nothing was changed, or that this is not known. Send the request again with the same `Idempotency-Key`, or first check whether the change was made.";
    WebhooksOff = "webhooks_off", 503, "Webhooks are not configured",
        "`webhooks.secrets` is not set, so no signature can be valid. Senders that keep a refused delivery and send it again lose nothing.";
    NotAtEdge = "not_at_edge", 503, "Saved, but not yet at the edge",
        "The change is stored, and will reach the redirect server by itself. Check before you send it again.";
}

/// The catalogue as `docs/problems.md`.
pub fn problems_markdown() -> String {
    let mut text = String::from(
        "# Problems\n\n<!-- Made from the catalogue in crates/waypost-api/src/problem/code.rs. -->\n\n\
         Errors are answered as `application/problem+json` (RFC 9457): `type`, `title`, `status`, `code`, `detail` and,\n\
         where fields are at fault, `errors` with the `field`, `code` and `detail` of each. Programs should rely on `code`.\n\n\
         | status | code | title |\n|---|---|---|\n",
    );
    for code in ProblemCode::ALL {
        let (status, name, title) = (code.status(), code.name(), code.title());
        writeln!(text, "| {status} | [`{name}`](#{name}) | {title} |").expect("writing to a String cannot fail");
    }
    for code in ProblemCode::ALL {
        let (status, name, title, meaning) = (code.status(), code.name(), code.title(), code.meaning());
        write!(text, "\n## {name}\n\n{status}: {title}. {meaning}\n").expect("writing to a String cannot fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_plain() {
        let mut names: Vec<_> = ProblemCode::ALL.iter().map(|code| code.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ProblemCode::ALL.len());
        assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')));
    }

    #[test]
    fn the_page_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/problems.md");
        let wanted = problems_markdown();
        if std::env::var_os("INSTA_UPDATE").is_some_and(|value| value == "always") {
            std::fs::write(path, &wanted).expect("docs/problems.md is written");
        }
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert!(found == wanted, "docs/problems.md is not current: run `cargo xtask bless`");
    }
}
