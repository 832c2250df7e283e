//! What visitors of links get, through a real socket.
#![allow(clippy::unwrap_used)]

mod support;

use support::{KEY, Setup, TestEdge, location};
use waypost_core::Timestamp;
use waypost_edge::grant::{CookieScope, GrantedLink, subject};
use waypost_edge::{ANSWER_HEADERS, HostPolicy};

const EXPIRED: &str = r#"{"destination_url": "https://example.com/", "expires_at": "2020-01-01T00:00:00Z"}"#;
const FORWARDING: &str = r#"{"destination_url": "https://example.com/p?a=1#frag", "forward_query": true}"#;
const PROTECTED: &str = r#"{"link_id": "link_p", "version": 4, "destination_url": "https://example.com/secret",
                            "password_hash": "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo"}"#;
const BY_COUNTRY: &str = r#"{"destination_url": "https://example.com/world",
                             "geo_rules": [{"country_code": "DE", "destination_url": "https://example.de/"}]}"#;

#[test]
fn a_link_is_followed() {
    let edge = Setup::new().plain_link("abc").start();
    let reply = edge.get("/abc");
    assert_eq!(reply.status, 302);
    assert_eq!(location(&reply), Some("https://example.com/abc"));
    assert_eq!(reply.header("cache-control"), Some("private, no-store"));
    assert_eq!(reply.header("content-length"), Some("0"));
    assert!(reply.header("date").unwrap().ends_with(" GMT"));

    let head = edge.ask("HEAD /abc", &[]);
    assert_eq!((head.status, location(&head)), (302, Some("https://example.com/abc")));
    assert_eq!(location(&edge.get("/abc/")), Some("https://example.com/abc"), "one trailing slash is no difference");
    assert_eq!(location(&edge.get("/%61bc")), Some("https://example.com/abc"));
    assert_eq!(edge.get("/ABC").status, 404);
}

#[test]
fn a_connection_is_kept() {
    let edge = Setup::new().plain_link("abc").start();
    let mut connection = edge.connect();
    for number in 0..300 {
        let slug = if number % 3 == 0 { "nope" } else { "abc" };
        connection.send(format!("GET /{slug} HTTP/1.1\r\nHost: go.example\r\n\r\n").as_bytes()).unwrap();
        assert_eq!(connection.read_response().unwrap().status, if slug == "abc" { 302 } else { 404 });
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let mut setup = Setup::new();
    for number in 0..500 {
        setup = setup.plain_link(&format!("s{number}"));
    }
    let edge = setup.start();
    let mut requests = String::new();
    for number in 0..500 {
        requests.push_str(&match number % 10 {
            7 => format!("HEAD /s{number} HTTP/1.1\r\nHost: go.example\r\n\r\n"),
            8 => format!("POST /api/{number} HTTP/1.1\r\nHost: go.example\r\nContent-Length: 3\r\n\r\nabc"),
            9 => "GET /missing HTTP/1.1\r\nHost: go.example\r\n\r\n".to_owned(),
            _ => format!("GET /s{number} HTTP/1.1\r\nHost: go.example\r\n\r\n"),
        });
    }
    let mut connection = edge.connect();
    connection.send(requests.as_bytes()).unwrap();
    for number in 0..500 {
        let expect = format!("https://example.com/s{number}");
        match number % 10 {
            7 => assert_eq!(location(&connection.read_head().unwrap()), Some(&*expect)),
            8 => {
                let reply = connection.read_response().unwrap();
                assert_eq!(reply.header("x-asked"), Some(&*format!("POST /api/{number}")));
                assert_eq!(reply.body, b"abc");
            }
            9 => assert_eq!(connection.read_response().unwrap().status, 404),
            _ => assert_eq!(location(&connection.read_response().unwrap()), Some(&*expect)),
        }
    }
}

#[test]
fn links_take_get_and_head() {
    let edge = Setup::new().plain_link("abc").start();
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PURGE"] {
        for path in ["/abc", "/missing"] {
            let reply = edge.ask(&format!("{method} {path}"), &[]);
            assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD")), "{method} {path}");
        }
    }
    let reply = edge.ask("CONNECT go.example:443", &[]);
    assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD")));
}

#[test]
fn decisions_become_answers() {
    let permanent = r#"{"destination_url": "https://example.com/", "redirect_status": 308}"#;
    let later = r#"{"destination_url": "https://example.com/", "starts_at": "2999-01-01T00:00:00Z"}"#;
    let fallback = r#"{"destination_url": "https://example.com/", "expires_at": "2020-01-01T00:00:00Z",
                       "expired_url": "https://example.com/over"}"#;
    let edge = Setup::new()
        .link("permanent", permanent)
        .link("later", later)
        .link("expired", EXPIRED)
        .link("fallback", fallback)
        .link("off", r#"{"destination_url": "https://example.com/", "enabled": false}"#)
        .start();
    let reply = edge.get("/permanent");
    assert_eq!((reply.status, reply.header("cache-control")), (308, Some("private, max-age=60")));
    assert_eq!(edge.get("/later").status, 404);
    assert_eq!(edge.get("/off").status, 404);
    let reply = edge.get("/expired");
    assert_eq!((reply.status, reply.header("cache-control")), (410, Some("private, no-store")));
    let reply = edge.get("/fallback");
    assert_eq!((reply.status, location(&reply)), (302, Some("https://example.com/over")));
}

#[test]
fn pages_come_as_html_or_as_problems() {
    let edge = Setup::new().link("expired", EXPIRED).start();
    for (path, status) in [("/missing", 404), ("/expired", 410)] {
        let page = edge.ask(&format!("GET {path}"), &[("Accept", "text/html,*/*;q=0.8")]);
        assert_eq!((page.status, page.header("content-type")), (status, Some("text/html; charset=utf-8")));
        assert!(page.text().starts_with("<!doctype html>"));
        assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
        let problem = edge.ask(&format!("GET {path}"), &[("Accept", "application/json")]);
        assert_eq!((problem.status, problem.header("content-type")), (status, Some("application/problem+json")));
        let json: serde_json::Value = serde_json::from_slice(&problem.body).unwrap();
        assert_eq!(json["status"], status);
        for reply in [page, problem] {
            assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
            assert_eq!(reply.header("cache-control"), Some("private, no-store"));
        }
        let head = edge.ask(&format!("HEAD {path}"), &[]);
        assert_eq!(head.status, status);
        assert_ne!(head.header("content-length"), Some("0"));
    }
}

#[test]
fn no_header_is_sent_that_is_not_on_the_list() {
    let edge = Setup::new().plain_link("abc").link("expired", EXPIRED).link("locked", PROTECTED).start();
    let targets = ["GET /abc", "HEAD /abc", "GET /missing", "GET /expired", "GET /locked", "PUT /abc", "GET *"];
    for reply in targets.map(|target| edge.ask(target, &[("X-Forwarded-For", "1.2.3.4"), ("Cookie", "a=b")])) {
        for (name, _) in &reply.headers {
            assert!(ANSWER_HEADERS.contains(&name.as_str()), "{name} in a {}", reply.status);
        }
    }
}

#[test]
fn hosts_choose_the_domain() {
    let domains = |setup: Setup| {
        setup
            .domain(r#"{"host": "go.example", "is_default": true}"#)
            .domain(r#"{"host": "fold.example", "case_insensitive": true, "root_url": "https://example.com/root"}"#)
            .link("abc", r#"{"destination_url": "https://example.com/default"}"#)
            .link_on("fold.example", "abc", r#"{"destination_url": "https://example.com/fold"}"#)
    };
    let strict = domains(Setup::new()).config(|config| config.hosts = HostPolicy::Strict).start();
    let ask = |edge: &TestEdge, host: &str, target: &str| edge.ask(&format!("GET {target}"), &[("Host", host)]);
    for host in ["go.example", "GO.EXAMPLE:8080", "go.example.", "localhost:80", "127.0.0.1", "[::1]:80"] {
        assert_eq!(location(&ask(&strict, host, "/abc")), Some("https://example.com/default"), "{host}");
    }
    assert_eq!(location(&ask(&strict, "Fold.Example", "/AbC")), Some("https://example.com/fold"));
    assert_eq!(location(&ask(&strict, "fold.example", "/")), Some("https://example.com/root"));
    assert_eq!(ask(&strict, "go.example", "/ABC").status, 404);
    assert_eq!(ask(&strict, "go.example", "/").header("x-asked"), Some("GET /"), "no root redirect: control");

    for target in ["/abc", "/", "/api/x", "/healthz/x", "/abc+"] {
        let answer = ask(&strict, "other.example", target);
        assert_eq!((answer.status, answer.text().contains("has no links on this host")), (404, true), "{target}");
    }
    assert_eq!(ask(&strict, "other.example", "/healthz").status, 200);
    assert_eq!(ask(&strict, "other.example", "/readyz").status, 200);

    assert_eq!(ask(&strict, "fold.example", "/api/x").header("x-domain"), Some("fold.example"));
    assert_eq!(ask(&strict, "go.example", "/api/x").header("x-domain"), Some(""));

    let open = domains(Setup::new()).start();
    assert_eq!(location(&ask(&open, "other.example", "/abc")), Some("https://example.com/default"));
    assert_eq!(ask(&open, "other.example", "/api/x").status, 200);
}

#[test]
fn what_the_table_may_lack_is_not_said_to_be_missing() {
    let edge = Setup::new()
        .domain(r#"{"host": "go.example", "is_default": true}"#)
        .plain_link("abc")
        .config(|config| config.hosts = HostPolicy::Strict)
        .start();
    // The second header makes a request one for the HTTP engine.
    let ask = |host: &str, asked: &str| {
        let plain = edge.ask(asked, &[("Host", host)]);
        let other = edge.ask(asked, &[("Host", host), ("TE", "trailers")]);
        assert_eq!(plain.status, other.status, "{asked} on {host}");
        assert_eq!(plain.header("retry-after"), other.header("retry-after"), "{asked} on {host}");
        (plain.status, plain.header("retry-after").map(str::to_owned))
    };
    let later = (503, Some("1".to_owned()));
    edge.table.doubt();
    assert_eq!(ask("go.example", "GET /nope"), later);
    assert_eq!(ask("go.example", "POST /nope"), later);
    assert_eq!(ask("new.example", "GET /abc"), later, "its domain may not be in the table yet");
    assert_eq!(ask("go.example", "GET /abc").0, 302);
    assert_eq!(ask("go.example", "GET /%zz").0, 404, "no link can have that slug");
    edge.table.confirm().unwrap();
    assert_eq!(ask("go.example", "GET /nope"), (404, None));
    assert_eq!(ask("go.example", "POST /nope"), (405, None));
    assert_eq!(ask("new.example", "GET /abc"), (404, None));
}

#[test]
fn an_absolute_target_is_followed() {
    let edge = Setup::new()
        .domain(r#"{"host": "other.example"}"#)
        .link_on("other.example", "abc", r#"{"destination_url": "https://example.com/other"}"#)
        .start();
    let reply = edge.ask("GET http://other.example:8080/abc", &[("Host", "other.example")]);
    assert_eq!(location(&reply), Some("https://example.com/other"));
    let reply = edge.ask("GET http://other.example/abc", &[("Host", "go.example")]);
    assert_eq!(reply.status, 400, "target and Host contradict each other");
}

#[test]
fn control_gets_everything_else() {
    let edge = Setup::new().plain_link("abc").start();
    for asked in ["GET /", "POST /api/url", "GET /abc+", "GET /API/v1", "DELETE /api/v1/links/x?y=z", "GET /robots.txt"]
    {
        let reply = edge.ask(asked, &[]);
        assert_eq!((reply.status, reply.header("x-asked")), (200, Some(asked)));
        assert_eq!(reply.header("x-host"), Some("go.example"));
    }
}

#[test]
fn nothing_of_a_request_breaks_out_of_location() {
    let edge = Setup::new().plain_link("abc").link("fwd", FORWARDING).start();
    let reply = edge.get("/fwd?b=2&a=9&c=%0D%0ASet-Cookie:%20x=y");
    assert_eq!(location(&reply), Some("https://example.com/p?a=1&b=2&c=%0D%0ASet-Cookie:%20x=y#frag"));
    assert_eq!(reply.header("set-cookie"), None);
    for path in ["/abc%0d%0aSet-Cookie:x=y", "/abc%00", "/%0d%0a", "/abc%", "/%zz", "/%ff%fe", "/a%2Fb", "/..%2fabc"] {
        let reply = edge.get(path);
        assert_eq!((reply.status, location(&reply)), (404, None), "{path}");
    }
    for byte in 1..=255_u8 {
        let mut request = b"GET /fwd?x=".to_vec();
        request.push(byte);
        request.extend_from_slice(b"y HTTP/1.1\r\nHost: go.example\r\nConnection: close\r\n\r\n");
        let answer = edge.raw(&request);
        let head = answer.split("\r\n\r\n").next().unwrap_or_default();
        for line in head.split("\r\n").filter(|line| line.starts_with("location:")) {
            assert!(line.starts_with("location: https://example.com/p?a=1"), "{byte}: {line:?}");
            assert!(line.bytes().all(|byte| matches!(byte, 0x20..=0x7e)), "{byte}: {line:?}");
        }
        assert!(!head.contains('\u{fffd}'));
    }
}

#[test]
fn a_record_that_cannot_be_read_is_not_a_missing_link() {
    let record = serde_json::from_str(r#"{"destination_url": "https://example.com/"}"#).unwrap();
    let mut damaged = waypost_core::compact::compile(&record, &waypost_core::SchemePolicy::default()).unwrap();
    let last = damaged.len() - 3;
    damaged[last] ^= 1;
    let edge = Setup::new()
        .bytes_on("", "damaged", damaged)
        .bytes_on("", "foreign", b"https://example.com/".to_vec())
        .domain(r#"{"host": "bad.example", "root_url": "https://example.com/\r\nSet-Cookie: x=y"}"#)
        .start();
    for (host, path) in [("go.example", "/damaged"), ("go.example", "/foreign"), ("bad.example", "/")] {
        let reply = edge.ask(&format!("GET {path}"), &[("Host", host)]);
        assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")), "{host}{path}");
        assert_eq!(reply.header("set-cookie"), None);
    }
}

/// A link that the store cannot read: 503 for everyone, and no sign of a damaged table.
#[test]
fn a_link_whose_record_is_not_known_is_unavailable_and_no_damage() {
    let edge = Setup::new().bytes_on("", "unknown", waypost_core::compact::unreadable(1)).start();
    for method in ["GET", "HEAD"] {
        let reply = edge.ask(&format!("{method} /unknown"), &[]);
        assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")), "{method}");
    }
    assert_eq!(edge.ask("POST /unknown", &[]).header("x-asked"), Some("POST /unknown"), "control says what is wrong");
    assert_eq!(edge.ask("PUT /unknown", &[]).status, 405);
    assert_eq!(edge.table.damage(), None);
    edge.table.check(|| true).unwrap();
}

#[test]
fn a_password_is_asked_for_and_a_grant_opens() {
    let edge = Setup::new().link("locked", PROTECTED).start();
    let form = edge.get("/locked");
    assert_eq!((form.status, form.header("cache-control")), (200, Some("private, no-store")));
    assert!(form.text().contains("<form method=\"post\">"));
    assert!(!form.text().contains("secret"));
    assert_eq!(edge.ask("POST /locked", &[]).header("x-asked"), Some("POST /locked"), "the form goes to control");
    assert_eq!(edge.ask("PUT /locked", &[]).status, 405);

    let link = GrantedLink { subject: &subject(Some("link_p"), "", "locked"), version: 4 };
    let scope = CookieScope { path: "/locked", is_https: false };
    let now = Timestamp::from_micros(1_000_000 * unix_seconds());
    let cookie = |link, now| KEY.set_cookie(link, scope, now, 60).split(';').next().unwrap().to_owned();
    let granted = edge.ask("GET /locked", &[("Cookie", &format!("a=b; {}", cookie(link, now)))]);
    assert_eq!((granted.status, location(&granted)), (302, Some("https://example.com/secret")));
    let older = cookie(GrantedLink { version: 3, ..link }, now);
    let past = cookie(link, Timestamp::from_micros(0));
    for refused in [older, past] {
        let form = edge.ask("GET /locked", &[("Cookie", &refused)]);
        assert_eq!((form.status, location(&form)), (200, None));
    }
}

fn unix_seconds() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

#[test]
fn only_trusted_proxies_say_who_comes_from_where() {
    let country = |config: &mut waypost_edge::EdgeConfig| {
        config.country_header = Some(hyper::header::HeaderName::from_static("cf-ipcountry"));
    };
    let headers =
        [("CF-IPCountry", "de"), ("X-Forwarded-For", "203.0.113.9, 127.0.0.1"), ("X-Forwarded-Proto", "https")];
    let open = Setup::new().link("geo", BY_COUNTRY).config(country).start();
    assert_eq!(location(&open.ask("GET /geo", &headers)), Some("https://example.com/world"));
    let facts = open.ask("GET /api/x", &headers);
    assert_eq!((facts.header("x-address"), facts.header("x-country")), (Some("127.0.0.1"), Some("")));
    assert_eq!(facts.header("x-https"), Some("false"));

    let behind = Setup::new().link("geo", BY_COUNTRY).config(country).config(|config| {
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    });
    let behind = behind.start();
    assert_eq!(location(&behind.ask("GET /geo", &headers)), Some("https://example.de/"));
    let facts = behind.ask("GET /api/x", &headers);
    assert_eq!((facts.header("x-address"), facts.header("x-country")), (Some("203.0.113.9"), Some("DE")));
    assert_eq!(facts.header("x-https"), Some("true"));
}

#[test]
fn a_missing_user_agent_is_a_fact() {
    let rule = r#"{"destination_url": "https://example.com/", "rules": [
        {"when": {"devices": ["mobile"]}, "to": {"url": "https://example.com/mobile"}},
        {"when": {"devices": ["other"]}, "to": {"url": "https://example.com/other"}}]}"#;
    let edge = Setup::new().link("ua", rule).start();
    assert_eq!(location(&edge.get("/ua")), Some("https://example.com/other"));
    let iphone =
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1";
    let reply = edge.ask("GET /ua", &[("User-Agent", iphone)]);
    assert_eq!(location(&reply), Some("https://example.com/mobile"));
}

#[test]
fn a_mark_at_the_end_is_left_out_where_nothing_is_found_with_it() {
    let edge = Setup::new().plain_link("abc").plain_link("dot.").link("locked", PROTECTED).start();
    for path in
        ["/abc.", "/abc,", "/abc)", "/abc%20", "/abc%E2%80%8B", "/abc%E3%80%82", "/abc;?a=1", "/abc%22", "/abc-"]
    {
        assert_eq!(location(&edge.get(path)), Some("https://example.com/abc"), "{path}");
    }
    assert_eq!(location(&edge.get("/dot.")), Some("https://example.com/dot."), "never instead of a link that exists");
    assert_eq!(location(&edge.get("/dot.,")), Some("https://example.com/dot."));
    for path in ["/dot", "/abc..", "/abc.,", "/nothing.", "/.", "/%FF."] {
        assert_eq!(edge.get(path).status, 404, "{path}");
    }
    assert_eq!(edge.get("/locked.").status, 200, "the form");
    assert!(
        edge.ask("POST /locked.", &[("Content-Length", "0")]).header("x-asked").is_some(),
        "control takes its password"
    );
    // The HTTP engine's way is the same.
    let reply = edge.ask("GET /abc.", &[("Connection", "keep-alive, te")]);
    assert_eq!(location(&reply), Some("https://example.com/abc"));
}

#[test]
fn what_is_no_web_page_is_pressed_and_not_sent() {
    let schemes = waypost_core::SchemePolicy::with(&["tel", "intent"]).unwrap();
    let compiled = |url: &str| {
        let record =
            serde_json::json!({ "destination_url": url, "forward_query": true, "link_utms": {"utm_source": "x"} });
        waypost_core::compact::compile(&serde_json::from_value(record).unwrap(), &schemes).unwrap()
    };
    let intent = "intent://scan/#Intent;scheme=zxing;S.x=%3Cscript%3E'&end";
    let edge =
        Setup::new().bytes_on("", "call", compiled("tel:+4312345")).bytes_on("", "scan", compiled(intent)).start();
    for headers in [&[][..], &[("Connection", "keep-alive, te")]] {
        let reply = edge.ask("GET /call?a=1", headers);
        assert_eq!((reply.status, location(&reply)), (200, None));
        assert_eq!(reply.header("cache-control"), Some("private, no-store"));
        assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(reply.header("content-security-policy").is_some());
        let page = String::from_utf8(reply.body).unwrap();
        assert!(page.contains(r#"<a href="tel:+4312345" rel="nofollow noreferrer">"#), "{page}");
        let page = String::from_utf8(edge.ask("GET /scan", headers).body).unwrap();
        assert!(page.contains("S.x=%3Cscript%3E&#39;&amp;end\""), "{page}");
        assert_eq!(edge.ask("HEAD /call", headers).status, 200);
    }
}
