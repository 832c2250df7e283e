//! Every endpoint of the API, for its document: what it is for, what it is asked, and what it answers.

use serde_json::{Value, json};
use waypost_api::link::{BulkResults, CreateLinkBody, Link, LinkPage, UpdateLinkBody, VersionPage};
use waypost_api::{api_key, audit, clicks, domain, lint, qr, report, sync};
use waypost_control::Operation;

use super::document::{Answer, Body, Endpoint, Parameter, integer, query, text};

const LINK_ID: &str = "link_019b0000000070008000000000000001";

pub(crate) fn endpoints() -> Vec<Endpoint> {
    [links(), qr_codes(), decisions(), reports(), counted_clicks(), keys(), domains(), edges()].concat()
}

fn page() -> [Parameter; 2] {
    [integer("limit", "The most items of the page.", 1, 1_000), text("cursor", "`next_cursor` of the page before.")]
}

fn link_body() -> Value {
    json!({ "destination_url": "https://example.com/spring", "slug": "spring" })
}

fn links() -> Vec<Endpoint> {
    let [limit, cursor] = page();
    vec![
        Endpoint::get("/api/v1/links", "listLinks", Operation::ReadLinks, "List links, newest first")
            .taking([
                limit,
                cursor,
                text("domain", "Only links of the domain with this host."),
                text("slug", "Only links with exactly this slug."),
                text("slug_prefix", "Only links whose slug begins with this; ordered by host, then by slug."),
            ])
            .answering(Answer::json::<LinkPage>("A page of links")),
        Endpoint::post("/api/v1/links", "createLink", Operation::CreateLink, "Create a link")
            .with_body(Body::json::<CreateLinkBody>(link_body()))
            .answering(Answer::json::<Link>("The link, which every edge of this process has already").status(201))
            .refusing(&[409, 413, 422]),
        Endpoint::post("/api/v1/links/bulk", "createLinks", Operation::CreateLink, "Create up to 1,000 links")
            .about("Each link has its own result; those that can be created are, in one transaction.")
            .with_body(Body::of_value(
                json!({
                    "type": "object",
                    "required": ["links"],
                    "properties": {
                        "links": { "type": "array", "maxItems": 1_000, "items": { "$ref": "#/components/schemas/CreateLinkBody" } },
                        "dry_run": { "type": ["boolean", "null"], "description": "Whether to undo it all at the end." },
                        "if_exists": {
                            "type": ["string", "null"],
                            "enum": ["error", "skip", "update", null],
                            "description": "What to do with a link that is already there."
                        }
                    }
                }),
                json!({ "links": [link_body()], "dry_run": true }),
            ))
            .answering(Answer::json::<BulkResults>("One result for each link, in their order"))
            .refusing(&[409, 413, 422]),
        Endpoint::get("/api/v1/links/{id}", "getLink", Operation::ReadLinks, "Read a link")
            .answering(Answer::json::<Link>("The link").tagged())
            .refusing(&[404]),
        Endpoint::patch("/api/v1/links/{id}", "updateLink", Operation::UpdateLink, "Change a link")
            .about("A JSON merge patch (RFC 7396). `If-Match` with the version makes sure that nobody's change is lost.")
            .if_match()
            .with_body(Body::json::<UpdateLinkBody>(json!({ "destination_url": "https://example.com/summer" })))
            .answering(Answer::json::<Link>("The link as it is now").tagged())
            .refusing(&[404, 409, 412, 413, 422]),
        Endpoint::delete("/api/v1/links/{id}", "deleteLink", Operation::DeleteLink, "Delete a link")
            .if_match()
            .answering(Answer::empty("It is deleted"))
            .refusing(&[404, 412]),
        Endpoint::get("/api/v1/links/{id}/versions", "listVersions", Operation::ReadLinks, "List the versions of a link, newest first")
            .taking([integer("before", "Only versions before this one.", 0, u64::MAX), integer("limit", "The most versions.", 1, 1_000)])
            .answering(Answer::json::<VersionPage>("A page of versions"))
            .refusing(&[404]),
    ]
}

fn qr_codes() -> Vec<Endpoint> {
    let one_of = |name, about, values: &[&str]| query(name, about, json!({ "type": "string", "enum": values }));
    let style = [
        one_of("format", "The kind of image; `svg` if absent.", &["svg", "png", "text"]),
        integer("size", "Pixels on each side.", 32, 2_048),
        integer("margin", "Modules of background around the code.", 0, 32),
        text("color", "The color of the code, such as 000 or #112233."),
        text("background", "The color behind it; the contrast must be at least 4 to 1."),
        one_of("error_correction", "How much of the code may be unreadable.", &["l", "m", "q", "h"]),
        one_of(
            "logo",
            "Whether the account's logo is in the middle; absent for yes if there is one.",
            &["true", "false"],
        ),
        one_of("mark", "Whether scans are counted apart; `true` if absent.", &["true", "false"]),
    ];
    vec![
        Endpoint::get("/api/v1/links/{id}/qr", "getLinkQr", Operation::ReadLinks, "Draw the QR code of a link")
            .taking(style)
            .answering(Answer::image("The image, the same for the same request"))
            .refusing(&[404, 422]),
        Endpoint::get(
            "/api/v1/account/qr-logo",
            "getQrLogo",
            Operation::ReadLinks,
            "Read the logo in the QR codes of the account",
        )
        .answering(Answer::stream("image/png", "The logo"))
        .refusing(&[404]),
        Endpoint::put(
            "/api/v1/account/qr-logo",
            "setQrLogo",
            Operation::SetQrLogo,
            "Set the logo in the QR codes of the account",
        )
        .about("A PNG of at most 1 MiB and 4 million pixels; its pixels are written again.")
        .with_body(Body::file("image/png"))
        .answering(Answer::json::<qr::QrLogo>("The logo as it is kept"))
        .refusing(&[413, 422]),
        Endpoint::delete(
            "/api/v1/account/qr-logo",
            "deleteQrLogo",
            Operation::DeleteQrLogo,
            "Delete the logo in the QR codes of the account",
        )
        .answering(Answer::empty("It is deleted"))
        .refusing(&[404]),
    ]
}

/// A decision, as every edge gives it: `waypost_core::wire` writes it.
fn decision() -> Value {
    let name = || json!({ "type": ["string", "integer", "null"] });
    json!({
        "type": "object",
        "required": ["action", "status", "class"],
        "properties": {
            "action": { "type": "string", "enum": ["redirect", "not_found", "gone", "unlock"] },
            "status": { "type": "integer" },
            "location": { "type": ["string", "null"] },
            "source": { "type": ["string", "null"] },
            "rule_id": name(),
            "ab_test_id": name(),
            "variant_id": name(),
            "cache_policy": { "type": "string" },
            "class": { "type": "string" },
            "trace": { "type": ["array", "null"], "items": { "type": "object" } }
        }
    })
}

fn decisions() -> Vec<Endpoint> {
    let visit = json!({ "country": "DE", "accept_language": "de" });
    let asked = |record: Option<Value>| {
        let mut properties = json!({
            "visit": { "type": ["object", "null"], "description": "The facts of a visit, all optional: country, user_agent, referrer, now, …" },
            "trace": { "type": ["boolean", "null"], "description": "Whether to say how the decision came about." }
        });
        if let Some(record) = record {
            properties["record"] = record;
        }
        properties
    };
    let record = || json!({ "description": "A record, or a URL for a link with only that destination.", "type": ["object", "string"] });
    vec![
        Endpoint::post(
            "/api/v1/links/{id}/decide",
            "decideLink",
            Operation::Decide,
            "See where a visit to a link would go",
        )
        .with_body(Body::of_value(
            json!({ "type": "object", "properties": asked(None) }),
            json!({ "visit": visit, "trace": true }),
        ))
        .answering(Answer::of_value("The decision of every edge", decision()))
        .refusing(&[404, 409, 413, 422]),
        Endpoint::post("/api/v1/decide", "decideRecord", Operation::Decide, "See where a visit would go, by a record")
            .with_body(Body::of_value(
                json!({ "type": "object", "required": ["record"], "properties": asked(Some(record())) }),
                json!({ "record": "https://example.com/", "visit": {} }),
            ))
            .answering(Answer::of_value("The decision of every edge", decision()))
            .refusing(&[409, 413, 422]),
        Endpoint::post("/api/v1/links/{id}/lint", "lintLink", Operation::Lint, "Look for what is odd about a link")
            .answering(Answer::json::<lint::Findings>("Rules that never apply or hide others, loops, and more"))
            .refusing(&[404, 409]),
        Endpoint::post("/api/v1/lint", "lintRecord", Operation::Lint, "Look for what is odd about a record")
            .with_body(Body::of_value(
                json!({ "type": "object", "required": ["record"], "properties": { "record": record() } }),
                json!({ "record": "http://example.com/" }),
            ))
            .answering(Answer::json::<lint::Findings>("Rules that never apply or hide others, loops, and more"))
            .refusing(&[409, 413, 422]),
    ]
}

/// The range of time of clicks.
fn range() -> [Parameter; 3] {
    [
        text("from", "Where the range begins: a time, a date, `today`, `yesterday`, or a span such as 7d."),
        text("to", "Where it ends; a date includes the whole day."),
        text("time_zone", "The IANA name of the time zone of dates; UTC if absent."),
    ]
}

fn reports() -> Vec<Endpoint> {
    let link = || text("link_id", "Only clicks of the link with this id.");
    let class = || text("class", "The classes that count, separated by commas; `all` for all.");
    let report = [
        text("link_id", "The link that the report is about."),
        text("domain", "The host of the domain that the report is about."),
        query(
            "interval",
            "What the range is divided into.",
            json!({ "type": "string", "enum": ["none", "hour", "day", "week", "month"] }),
        ),
        text("group_by", "The dimension to group by."),
        class(),
        integer("limit", "The most groups.", 1, 1_000),
        query("format", "The form of the answer.", json!({ "type": "string", "enum": ["json", "csv"] })),
    ];
    let list = [
        link(),
        text("cursor", "`next_cursor` of the page before."),
        integer("limit", "The most clicks.", 1, u64::MAX),
        query(
            "format",
            "`csv` and `ndjson` give all clicks at once.",
            json!({ "type": "string", "enum": ["json", "csv", "ndjson"] }),
        ),
    ];
    vec![
        Endpoint::get("/api/v1/reports", "getReport", Operation::ReadClicks, "Count clicks and visitors")
            .about("Every dimension of clicks is a parameter, too: `country=DE,AT` counts only these.")
            .taking(range())
            .taking(report)
            .answering(Answer::json::<report::Report>("The report").or_csv())
            .refusing(&[404, 422]),
        Endpoint::get("/api/v1/clicks", "listClicks", Operation::ReadClicks, "List raw clicks, newest first")
            .taking(range())
            .taking(list)
            .answering(Answer::json::<clicks::ClickPage>("A page of clicks").or_csv())
            .refusing(&[404, 422]),
        Endpoint::get(
            "/api/v1/clicks/live",
            "followClicks",
            Operation::ReadClicks,
            "Follow clicks as they are counted",
        )
        .taking([link(), class()])
        .answering(Answer::stream("text/event-stream", "Server-sent events, each with a click"))
        .refusing(&[404, 422, 503]),
    ]
}

fn counted_clicks() -> Vec<Endpoint> {
    let [limit, cursor] = page();
    vec![
        Endpoint::get(
            "/api/v1/clicks/audit",
            "auditClicks",
            Operation::AuditClicks,
            "Account for every click of every edge",
        )
        .answering(Answer::json::<clicks::ClickAudit>("The audit")),
        Endpoint::get(
            "/api/v1/clicks/refused",
            "listRefusedClicks",
            Operation::AuditClicks,
            "List events of other edges that were refused",
        )
        .taking([limit, cursor])
        .answering(Answer::json::<clicks::RefusedPage>("A page of events"))
        .refusing(&[422]),
        Endpoint::get(
            "/api/v1/clicks/retention",
            "getRetention",
            Operation::ReadRetention,
            "See how long raw clicks are kept",
        )
        .answering(Answer::json::<clicks::Retention>("The retention")),
        Endpoint::put(
            "/api/v1/clicks/retention",
            "setRetention",
            Operation::SetRetention,
            "Choose how long raw clicks are kept",
        )
        .with_body(Body::json::<clicks::SetRetention>(json!({ "days": 90 })))
        .answering(Answer::json::<clicks::Retention>("The retention as it is now"))
        .refusing(&[413, 422]),
        Endpoint::delete(
            "/api/v1/links/{id}/clicks",
            "eraseLinkClicks",
            Operation::EraseClicks,
            "Erase the clicks of a link",
        )
        .answering(Answer::json::<clicks::Erased>("How many raw clicks were deleted"))
        .refusing(&[404]),
        Endpoint::delete(
            "/api/v1/visitors/{key}/clicks",
            "eraseVisitorClicks",
            Operation::EraseClicks,
            "Erase the clicks of a visitor key",
        )
        .answering(Answer::json::<clicks::Erased>("How many raw clicks were deleted"))
        .refusing(&[404]),
    ]
}

fn keys() -> Vec<Endpoint> {
    let [limit, cursor] = page();
    vec![
        Endpoint::get("/api/v1/keys", "listApiKeys", Operation::ReadApiKeys, "List API keys, newest first")
            .answering(Answer::json::<api_key::ApiKeyList>("The keys, without their secrets")),
        Endpoint::post("/api/v1/keys", "createApiKey", Operation::CreateApiKey, "Create an API key")
            .about("The answer is the only one that ever has the key itself.")
            .with_body(Body::json::<api_key::CreateApiKey>(
                json!({ "name": "shop", "scopes": ["links:read", "links:write"] }),
            ))
            .answering(Answer::json::<api_key::ApiKey>("The key, with its secret").status(201))
            .refusing(&[409, 413, 422]),
        Endpoint::delete("/api/v1/keys/{id}", "revokeApiKey", Operation::RevokeApiKey, "Revoke an API key, for good")
            .answering(Answer::empty("It is revoked"))
            .refusing(&[404]),
        Endpoint::get("/api/v1/audit", "listAuditLog", Operation::ReadAuditLog, "List changes, newest first")
            .taking([
                limit,
                cursor,
                text("actor", "Only changes by this actor."),
                text("action", "Only this action (`link.create`), or all on one kind of object (`link`)."),
                text("object_id", "Only changes of the object with this id."),
                text("from", "Only changes from this time on."),
                text("to", "Only changes before this time."),
            ])
            .answering(Answer::json::<audit::AuditPage>("A page of entries"))
            .refusing(&[422]),
    ]
}

fn domains() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/api/v1/domains", "listDomains", Operation::ReadDomains, "List domains")
            .answering(Answer::json::<domain::DomainList>("The domains, by host")),
        Endpoint::post("/api/v1/domains", "createDomain", Operation::CreateDomain, "Create a domain")
            .with_body(Body::json::<domain::CreateDomain>(json!({ "host": "go.example" })))
            .answering(Answer::json::<domain::Domain>("The domain").status(201))
            .refusing(&[409, 413, 422]),
        Endpoint::patch("/api/v1/domains/{id}", "updateDomain", Operation::UpdateDomain, "Change a domain")
            .with_body(Body::json::<domain::UpdateDomain>(json!({ "root_url": "https://example.com/" })))
            .answering(Answer::json::<domain::Domain>("The domain as it is now"))
            .refusing(&[404, 409, 413, 422]),
        Endpoint::delete(
            "/api/v1/domains/{id}",
            "deleteDomain",
            Operation::DeleteDomain,
            "Delete a domain without links",
        )
        .answering(Answer::empty("It is deleted"))
        .refusing(&[404, 409]),
    ]
}

fn edges() -> Vec<Endpoint> {
    let [limit, cursor] = page();
    let retry = json!({
        "type": "object",
        "properties": {
            "target": { "type": ["string", "null"], "enum": ["cloudflare_kv", null] },
            "status": { "type": ["string", "null"], "enum": ["failed", null], "description": "What is tried again now." },
            "refill": { "type": ["boolean", "null"], "description": "Whether to push every link again." }
        }
    });
    vec![
        Endpoint::get(
            "/api/v1/links/{id}/sync",
            "getLinkSync",
            Operation::ReadLinkSync,
            "See how far each edge is with a link",
        )
        .answering(Answer::json::<sync::LinkSync>("One state for each target"))
        .refusing(&[404]),
        Endpoint::post("/api/v1/links/{id}/sync", "retryLinkSync", Operation::RetryLinkSync, "Push a link again, now")
            .answering(Answer::json::<sync::LinkSync>("One state for each target").status(202))
            .refusing(&[404, 409]),
        Endpoint::get("/api/v1/sync", "getSync", Operation::ReadSync, "See how far each edge is with all links")
            .taking([query(
                "synced",
                "Whether to count synced links, too, which takes time.",
                json!({ "type": "boolean" }),
            )])
            .answering(Answer::json::<sync::SyncOverview>("One overview for each target"))
            .refusing(&[422]),
        Endpoint::post("/api/v1/sync", "retrySync", Operation::RetryLinkSync, "Push what failed again, or everything")
            .with_body(Body::of_value(retry, json!({ "status": "failed" })))
            .answering(Answer::json::<sync::Retried>("How many links are pushed again").status(202))
            .refusing(&[409, 413, 422]),
        Endpoint::get(
            "/api/v1/sync/links",
            "listLinksBehind",
            Operation::ReadLinkSync,
            "List links that a target is behind with",
        )
        .taking([limit, cursor])
        .taking([
            query("target", "The target.", json!({ "type": "string", "enum": ["cloudflare_kv"] })),
            query(
                "status",
                "Only links with this status.",
                json!({ "type": "string", "enum": ["failed", "syncing", "pending"] }),
            ),
        ])
        .answering(Answer::json::<sync::BehindPage>("A page of links"))
        .refusing(&[409, 422]),
        Endpoint::post(
            "/api/v1/sync/verify",
            "verifySync",
            Operation::ChangeSync,
            "Compare every link with what Workers KV contains",
        )
        .with_body(Body::json::<sync::VerifySync>(json!({ "repair": false })))
        .answering(Answer::stream(
            "application/x-ndjson",
            "One JSON document a line: progress, differences, and the summary",
        ))
        .refusing(&[409, 413, 422]),
    ]
}

/// An id that examples of paths use.
pub(crate) const fn example_id() -> &'static str {
    LINK_ID
}
