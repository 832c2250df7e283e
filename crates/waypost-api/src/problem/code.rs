//! The catalogue of problems: every error the API answers, once. A long table.
//!
//! `docs/problems.md` and the page at `/docs/problems` are made from it.

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
        "The body is empty, cut short, nested too deeply, or not a JSON object; or an object in it has a name twice, and `detail` says which. Nothing was done.";
    BadRequest = "bad_request", 400, "The request cannot be understood",
        "It is not one that HTTP allows, or could be read in two ways: two `Content-Length`, one beside a `Transfer-Encoding`, lines that do not end in CR LF, not exactly one `Host`. Or a header or a query parameter has a value of another form than it must have: a cursor that this list did not hand out, a limit that is no number, an `If-Match` that is neither `*` nor a list of entity tags.";
    UrlInvalid = "url_invalid", 400, "The URL cannot be shortened",
        "`originalUrl` is missing, not a string, not an absolute `http` or `https` URL, too long, carries a user name or password, or is itself one of our short links. `errors` says which.";
    Unauthorized = "unauthorized", 401, "An API key is needed",
        "There is no `Authorization: Bearer` header, or its key opens nothing: unknown, mistyped, expired and revoked keys look alike.";
    SignatureInvalid = "signature_invalid", 401, "The delivery is not signed",
        "A webhook carries `webhook-id`, `webhook-timestamp` and `webhook-signature` as the Standard Webhooks specification says, each once. Its secret is not one of `webhooks.secrets`, its body is another than was signed, or its timestamp is more than 300 seconds from the clock here. Nothing was read of it; send it again once secret and clock are right.";
    Forbidden = "forbidden", 403, "Not allowed with this key",
        "The key is good, but this takes the operator of the instance: whoever runs the command `waypost` on the server's machine, or asks the local socket of its data folder.";
    AnonymousLinksOff = "anonymous_links_off", 403, "Links need an API key here",
        "This instance makes links only for holders of an API key. Use `POST /api/v1/links`.";
    CrossSite = "cross_site", 403, "Another site has sent this form",
        "Browsers say that a page of another site has sent the form. Nothing was done: open the address itself, and send it from there.";
    NotFound = "not_found", 404, "There is no such thing",
        "The address leads nowhere, or to a thing that is not there or not yours.";
    MethodNotAllowed = "method_not_allowed", 405, "The address does not take this method",
        "`Allow` lists the methods it takes.";
    RequestTimeout = "request_timeout", 408, "The request came too slowly",
        "A body has 15 seconds to come, and longer while it comes at 64 KiB a second or more; the head of a request has 10. Nothing of it was kept; send it again.";
    SlugTaken = "slug_taken", 409, "The slug is taken",
        "Another live link of the domain has it. Choose another, or leave `slug` out and get one.";
    DomainTaken = "domain_taken", 409, "The domain is taken",
        "The instance has this domain already.";
    DomainInUse = "domain_in_use", 409, "The domain has links",
        "A domain can be deleted only while it has no links; `detail` says how many it has. Whether letter case counts can only be changed while a domain has never had a link.";
    DomainIsDefault = "domain_is_default", 409, "The domain is the default domain",
        "Links that name no domain live on it, so it cannot be deleted. `public_url` gives it another host.";
    IdempotencyMismatch = "idempotency_mismatch", 409, "The idempotency key belongs to another request",
        "Within 24 hours an `Idempotency-Key` stands for one method, address and body. Nothing was done. Only POST takes one. On PATCH, PUT and DELETE the header has no effect and none is needed: sent twice, they leave what they leave when sent once (a PATCH that changes nothing makes no version, but one with a `password` sets it anew; the second DELETE answers 404). `If-Match` keeps a late repetition of a PATCH from undoing an edit that came between.";
    SecretShownOnce = "secret_shown_once", 409, "The key was made, and its secret is shown once only",
        "The same request with this `Idempotency-Key` has made an API key already. Its secret was in that answer and is stored nowhere. `detail` names the key's id: where the answer got lost, revoke the key and make another under a new `Idempotency-Key`.";
    NoSyncTarget = "no_sync_target", 409, "Links are pushed nowhere",
        "No target outside this server is configured: `cloudflare.account_id`, `cloudflare.kv_namespace_id` and `cloudflare.api_token` name one.";
    VerifyRunning = "verify_running", 409, "A comparison is running already",
        "This server compares its links with the target for somebody else. Wait for its end.";
    Gone = "gone", 410, "The link has expired",
        "It no longer leads anywhere.";
    StaleVersion = "stale_version", 412, "The link has changed meanwhile",
        "`If-Match` does not name the version that the link has. Read it again, and decide again.";
    BodyTooLarge = "body_too_large", 413, "The body is too large",
        "It has more bytes, or more parts, than a body here can have. Nothing was done. `detail` names the limit.";
    TooManyEvents = "too_many_events", 413, "The delivery has too many events",
        "Nothing of it was counted. `detail` names the limit; send it in parts.";
    TargetTooLong = "target_too_long", 414, "The address is too long",
        "Path and query together are over `limits.target_bytes_max`.";
    UnsupportedMediaType = "unsupported_media_type", 415, "The body must be JSON",
        "Send `Content-Type: application/json` (for PATCH also `application/merge-patch+json`), or none. Forms are taken by the landing page and by locked links only.";
    NotEvents = "not_events", 422, "The delivery holds no events",
        "`POST /webhooks/analytics` takes a click event or an array of them, and nothing in the body can be read as one. Nothing was counted or kept.";
    InvalidField = "invalid_field", 422, "A field has a value it cannot have",
        "`errors` names each field and what is wrong with it. Nothing was changed.";
    UnknownField = "unknown_field", 422, "There is no such field",
        "`errors` lists the fields that mean nothing here, perhaps for a spelling mistake. Nothing was changed.";
    ImmutableField = "immutable_field", 422, "The field cannot be changed",
        "Slug, domain and what the server itself writes stay as they are. Make a new link instead.";
    SlugInvalid = "slug_invalid", 422, "The text cannot be a slug",
        "A slug has 1 to 100 letters, digits, emoji, `-`, `_`, `.` and inner `/`, and each part between those has letters of one script, or of scripts that are written together.";
    SlugReserved = "slug_reserved", 422, "The slug is reserved",
        "Slugs cannot start with a path segment that the product answers itself, nor on the default domain with the host of another domain: the copies of links at the edge could not tell such a slug from a slug of that domain.";
    DomainUnknown = "domain_unknown", 422, "There is no such domain",
        "Links can be made on the domains that `GET /api/v1/domains` lists.";
    DestinationInvalid = "destination_invalid", 422, "The destination is not a URL",
        "A destination is an absolute URL without control characters.";
    DestinationScheme = "destination_scheme", 422, "The destination's scheme is not allowed",
        "`http` and `https` are; the operator may allow more. Schemes that run code never are.";
    DestinationUserinfo = "destination_userinfo", 422, "The destination carries credentials",
        "A user name or password before the host misleads readers. Leave it out.";
    DestinationLoop = "destination_loop", 422, "The destination is one of our own hosts",
        "A short link cannot lead to a host of this instance, on any port.";
    DestinationHost = "destination_host", 422, "The destination's host is not allowed",
        "Links made without a key cannot lead to bare addresses or names of a private network such as `localhost`, unless the operator allows it.";
    DestinationLength = "destination_length", 422, "The destination is too long",
        "A destination has at most 8,192 bytes, as given and as the URL standard writes it.";
    RangeInvalid = "range_invalid", 422, "The range of time cannot be reported",
        "`from` or `to` is no instant, date or span, the range is reversed or too long, or the interval would divide it into too many rows. `detail` says what to ask instead.";
    TimeZoneUnknown = "time_zone_unknown", 422, "There is no such time zone",
        "`time_zone` is an IANA name such as `Europe/Berlin`. `detail` offers a near one.";
    FilterInvalid = "filter_invalid", 422, "The filter or group is none",
        "There is no such dimension, or none of its values is this one. `detail` lists what there is.";
    NotCombined = "not_combined", 422, "These cannot be combined in one report",
        "Totals are counted for sets of dimensions that belong together. `detail` says what can be asked instead; raw clicks can be combined in any way.";
    RateLimited = "rate_limited", 429, "Too many requests",
        "`Retry-After` says in how many seconds there is room again.";
    HeadTooLarge = "head_too_large", 431, "The headers are too large",
        "Request line and headers are over `limits.head_bytes_max`, or there are more than 100 headers.";
    TooManyListeners = "too_many_listeners", 429, "Too many live feeds are open",
        "An account, and the instance, can have so many at once. Close one, or try again after `Retry-After` seconds.";
    Internal = "internal", 500, "Something broke here",
        "The fault is on this side and has been logged.";
    Busy = "busy", 503, "The server is busy",
        "Other requests take all the memory that there is for requests, or all the turns of previews. Nothing was done: send it again after `Retry-After` seconds.";
    Unavailable = "unavailable", 503, "The database cannot be reached",
        "The `detail` says that nothing was changed, or that it is not known: send the request again, with the same `Idempotency-Key`, or look first.";
    WebhooksOff = "webhooks_off", 503, "Deliveries are not taken here",
        "`webhooks.secrets` is not set, so nobody's signature could be right. Senders that keep what was not taken lose nothing until it is.";
    NotAtEdge = "not_at_edge", 503, "Saved, but the edge has not taken it yet",
        "The change is durable, and will reach the redirect server by itself. Do not send it again without looking.";
}

/// The catalogue as `docs/problems.md`.
pub fn problems_markdown() -> String {
    let mut text = String::from(
        "# Problems\n\n<!-- Made from the catalogue in crates/waypost-api/src/problem/code.rs. -->\n\n\
         Errors are answered as `application/problem+json` (RFC 9457): `type`, `title`, `status`, `code`, `detail` and,\n\
         where fields are at fault, `errors` with the `field`, `code` and `detail` of each. Programs go by `code`.\n\n\
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
