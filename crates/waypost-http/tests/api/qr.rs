//! QR codes: in the API and at public addresses, read back by a decoder; logos; and scans in reports.

use png::{ColorType, Decoder, Encoder, Transformations};
use serde_json::{Value, json};
use waypost_core::channel::Channel;
use waypost_core::{LinkRecord, Slug};
use waypost_rollup::ClickFacts;
use waypost_store::{NewLink, SlugChoice};

use crate::harness::{Reply, TestApp, on_both_databases};
use crate::made_clicks::{click, count};

on_both_databases!(a_code_says_the_short_url, a_logo_is_kept_for_the_account, scans_are_a_channel_of_reports);

/// What a PNG with a QR code says.
#[track_caller]
fn decode(png: &[u8]) -> String {
    let mut decoder = Decoder::new(std::io::Cursor::new(png));
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let width = reader.next_frame(&mut bytes).unwrap().width as usize;
    let gray = |x: usize, y: usize| bytes[(y * width + x) * 3 + 1];
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, width, gray);
    image.detect_grids()[0].decode().unwrap().1
}

fn png_logo(width: u32, height: u32) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, width, height);
    encoder.set_color(ColorType::Rgb);
    let pixels = vec![90; (width * height * 3) as usize];
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    file
}

fn qr_path(link: &Value, query: &str) -> String {
    format!("/api/v1/links/{}/qr{query}", link["id"].as_str().unwrap())
}

async fn a_code_says_the_short_url(app: &TestApp) {
    let record = json!({"destination_url": "https://example.com/secret", "slug": "größe", "password": "open sesame"});
    let link = app.create_link(record).await;
    let short_url = link["short_url"].as_str().unwrap();
    let png = app.operator("GET", &qr_path(&link, "?format=png&size=200&margin=2&color=00306e")).send().await;
    assert_eq!((png.status.as_u16(), png.header("content-type")), (200, Some("image/png")));
    assert_eq!(decode(&png.body), format!("{short_url}?qr=1"));
    let unmarked = app.operator("GET", &qr_path(&link, "?format=png&size=200&mark=false")).send().await;
    assert_eq!(decode(&unmarked.body), short_url);

    let svg = app.operator("GET", &qr_path(&link, "")).send().await;
    assert_eq!(svg.header("content-type"), Some("image/svg+xml"));
    assert_eq!(svg.header("cache-control"), Some("private, no-cache"));
    assert!(svg.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    assert!(svg.text().starts_with("<svg ") && !svg.text().contains("secret"));
    let again = app.operator("GET", &qr_path(&link, "")).send().await;
    assert_eq!((&again.body, again.header("etag")), (&svg.body, svg.header("etag")), "always the same");
    let tag = svg.header("etag").unwrap();
    for tags in [tag.to_owned(), format!("\"x\", W/{tag}"), "*".to_owned()] {
        let kept = app.operator("GET", &qr_path(&link, "")).header("if-none-match", &tags).send().await;
        assert_eq!((kept.status.as_u16(), kept.body.len(), kept.header("etag")), (304, 0, Some(tag)));
    }
    let other = app.operator("GET", &qr_path(&link, "?size=100")).header("if-none-match", tag).send().await;
    assert_eq!(other.status, 200);
    let text = app.operator("GET", &qr_path(&link, "?format=text")).send().await;
    assert_eq!(text.header("content-type"), Some("text/plain; charset=utf-8"));
    app.operator("GET", "/api/v1/links/link_1/qr").send().await.assert_problem(404, "not_found");
}

#[tokio::test]
async fn what_scanners_could_not_read_is_refused_with_advice() {
    let app = TestApp::new().await;
    let link = app.create_link(json!({"destination_url": "https://example.com/", "slug": "a"})).await;
    for (query, field, advice) in [
        ("color=999", "color", "choose a darker color"),
        ("color=fff&background=000", "color", "swap color and background"),
        ("size=40&format=png", "size", "ask for a size of"),
        ("size=5000", "size", "from 32 to 2048"),
        ("logo=true", "logo", "PUT /api/v1/account/qr-logo"),
        ("format=jpeg", "format", "svg, png, text"),
    ] {
        for reply in [
            app.operator("GET", &qr_path(&link, &format!("?{query}"))).send().await,
            app.call("GET", &format!("/a.qr?{query}")).send().await,
        ] {
            reply.assert_problem(422, "invalid_field");
            assert_eq!(reply.errors(), [(field.to_owned(), "invalid_field".to_owned())], "{query}");
            assert!(reply.json()["errors"][0]["detail"].as_str().unwrap().contains(advice), "{}", reply.text());
        }
    }
    app.operator("GET", &qr_path(&link, "?colour=000")).send().await.assert_problem(400, "bad_request");
}

#[tokio::test]
async fn every_link_has_its_code_at_a_public_address() {
    let app = TestApp::new().await;
    app.operator("POST", "/api/v1/domains").json(&json!({"host": "other.example"})).await;
    app.create_link(json!({"destination_url": "https://example.com/", "slug": "menu/day"})).await;
    app.create_link(json!({"destination_url": "https://example.com/", "slug": "x", "domain": "other.example"})).await;
    let locked = json!({"destination_url": "https://example.com/", "slug": "locked", "password": "open sesame"});
    app.create_link(locked).await;
    app.create_link(json!({"destination_url": "https://example.com/", "slug": "off", "enabled": false})).await;
    let gone = json!({"destination_url": "https://example.com/", "slug": "gone", "expires_at": "2020-01-01T00:00:00Z"});
    app.create_link(gone).await;
    let get = |path: &'static str| app.call("GET", path).send();

    let png = get("/menu/day.qr.png?size=256").await;
    assert_eq!((png.status.as_u16(), png.header("content-type")), (200, Some("image/png")));
    assert_eq!(png.header("cache-control"), Some("public, max-age=3600"));
    assert_eq!(decode(&png.body), "https://go.example/menu/day?qr=1");
    let kept = app.call("GET", "/menu/day.qr.png?size=256").header("if-none-match", png.header("etag").unwrap());
    assert_eq!(kept.send().await.status, 304);
    for (path, media_type) in [
        ("/menu/day.qr", "image/svg+xml"),
        ("/menu/day.QR.svg", "image/svg+xml"),
        ("/menu/day.qr?format=png", "image/png"),
        ("/locked.qr", "image/svg+xml"),
    ] {
        let reply = get(path).await;
        assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, Some(media_type)), "{path}");
        let head = app.call("HEAD", path).send().await;
        assert_eq!((head.status, head.header("etag")), (reply.status, reply.header("etag")), "{path}");
    }
    assert_eq!(decode(&get("http://other.example/x.qr.png").await.body), "https://other.example/x?qr=1");
    assert_eq!(get("/menu/day.qr.png?format=svg").await.status, 422);
    for (path, status) in [("/none.qr", 404), ("/x.qr", 404), ("/off.qr", 404), ("/.qr", 404), ("/gone.qr", 410)] {
        assert_eq!(get(path).await.status, status, "{path}");
    }
    let json = app.call("GET", "/none.qr").header("accept", "application/json").send().await;
    json.assert_problem(404, "not_found");
    assert_eq!(app.call("DELETE", "/menu/day.qr").send().await.status, 405);
}

/// No new slug ends as the address of a code does. A link that was made before that rule keeps its path.
#[tokio::test]
async fn slugs_no_longer_end_as_codes_do() {
    let app = TestApp::new().await;
    for slug in ["a.qr", "a.QR", "x/y.qr.svg", "a.qr.png"] {
        let link = json!({"destination_url": "https://example.com/", "slug": slug});
        let refused = app.operator("POST", "/api/v1/links").json(&link).await;
        refused.assert_problem(422, "slug_reserved");
        let bulk = app.operator("POST", "/api/v1/links/bulk").json(&json!({"links": [link]})).await.json();
        assert_eq!(bulk["results"][0]["problem"]["code"], "slug_reserved", "{bulk}");
    }
    let made = app.create_link(json!({"destination_url": "https://example.com/", "slug": "menu"})).await;
    let old = NewLink {
        account_id: made["account_id"].as_str().unwrap().parse().unwrap(),
        domain_id: app.operator("GET", "/api/v1/domains").send().await.json()["domains"][0]["id"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap(),
        slug: SlugChoice::Chosen(Slug::parse("menu.qr").unwrap()),
        record: LinkRecord::from_url("https://example.com/old"),
        dedupe_key: None,
        created_at: None,
    };
    let mut tx = app.store.begin("test").await.unwrap();
    tx.create_links(&[old], None).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(app.call("GET", "/menu.qr").send().await.status, 404, "the edge redirects this path");
    let code = app.call("GET", "/menu.qr.png").send().await;
    assert_eq!(decode(&code.body), "https://go.example/menu?qr=1", "no link has this slug");
}

async fn a_logo_is_kept_for_the_account(app: &TestApp) {
    const PATH: &str = "/api/v1/account/qr-logo";
    let link = app.create_link(json!({"destination_url": "https://example.com/", "slug": "a"})).await;
    let plain = app.operator("GET", &qr_path(&link, "")).send().await;
    app.operator("GET", PATH).send().await.assert_problem(404, "not_found");
    app.operator("DELETE", PATH).send().await.assert_problem(404, "not_found");

    let stored = app.operator("PUT", PATH).header("content-type", "image/png").body(png_logo(900, 600)).await;
    assert_eq!(stored.status, 200, "{}", stored.text());
    assert_eq!((&stored.json()["width"], &stored.json()["height"]), (&json!(400), &json!(267)));
    let kept = app.operator("GET", PATH).send().await;
    assert_eq!((kept.header("content-type"), kept.body.starts_with(b"\x89PNG")), (Some("image/png"), true));
    assert_eq!(stored.json()["bytes"], kept.body.len());

    let svg = app.operator("GET", &qr_path(&link, "")).send().await;
    assert!(svg.text().contains("data:image/png;base64,") && svg.header("etag") != plain.header("etag"));
    let png = app.operator("GET", &qr_path(&link, "?format=png&size=300&logo=true")).send().await;
    assert_eq!(decode(&png.body), "https://go.example/a?qr=1");
    assert_eq!(app.operator("GET", &qr_path(&link, "?logo=false")).send().await.body, plain.body);
    let low = app.operator("GET", &qr_path(&link, "?error_correction=q")).send().await;
    low.assert_problem(422, "invalid_field");
    assert!(low.text().contains("leave error_correction out"), "{}", low.text());

    // Another one takes its place; other accounts have none.
    assert_eq!(app.operator("PUT", PATH).body(png_logo(10, 10)).await.status, 200);
    let key = app.operator("POST", "/api/v1/keys").json(&json!({"name": "k"})).await.json();
    assert_eq!(app.with_key(key["key"].as_str().unwrap(), "GET", PATH).send().await.status, 200);
    let foreign = app.operator("GET", PATH).header("waypost-account", "anonymous").send().await;
    foreign.assert_problem(404, "not_found");

    refused(&app.operator("PUT", PATH).body("<svg xmlns=\"http://www.w3.org/2000/svg\"/>").await, 422, "invalid_field");
    // A header that promises 3.6 billion pixels.
    let mut bomb = png_logo(8, 8);
    bomb[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    refused(&app.operator("PUT", PATH).body(bomb).await, 422, "invalid_field");
    refused(&app.operator("PUT", PATH).body(vec![0; (1 << 20) + 1]).await, 413, "body_too_large");
    assert_eq!(app.operator("GET", PATH).send().await.status, 200, "what was refused changed nothing");
    assert_eq!(app.operator("DELETE", PATH).send().await.status, 204);
    assert_eq!(app.operator("GET", &qr_path(&link, "")).send().await.body, plain.body);
}

#[track_caller]
fn refused(reply: &Reply, status: u16, code: &str) {
    reply.assert_problem(status, code);
}

async fn scans_are_a_channel_of_reports(app: &TestApp) {
    let link = app.create_link(json!({"destination_url": "https://example.com/", "slug": "a"})).await;
    let clicks = [Channel::Direct, Channel::Qr, Channel::Qr, Channel::Search]
        .map(|channel| ClickFacts { channel, ..click(&link, 60) });
    count(&app.clicks, 1, clicks).await;
    let report = async |query: &str| {
        let path = format!("/api/v1/reports?from=2026-03-01&to=2026-03-02&{query}");
        app.operator("GET", &path).send().await.json()
    };
    assert_eq!(report("channel=qr").await["clicks"], 2);
    let rows = report("group_by=channel").await["rows"].clone();
    assert_eq!((&rows[0]["group"], &rows[0]["clicks"]), (&json!("qr"), &json!(2)), "{rows}");
    assert_eq!(report("channel=qr&group_by=country").await["rows"][0]["group"], "DE");
    assert_eq!(report("channel=qr&group_by=utm_source").await["clicks"], 2);
    let raw = app.operator("GET", "/api/v1/clicks?format=csv").send().await.text();
    assert_eq!(raw.lines().filter(|line| line.ends_with(",qr")).count(), 2, "{raw}");
}
