//! Import and export: every line has an answer, and what goes out comes back the same.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Folder, location_of, run, run_with_input, shorten};

/// Links with every field that an export carries.
fn rich_links() -> String {
    let links = [
        json!({ "slug": "plain", "destination_url": "https://example.com/", "created_at": "2020-01-31T10:30:00Z" }),
        json!({ "slug": "empty", "destination_url": "https://example.com/", "rules": [], "geo_rules": null, "ab_test": null,
            "link_utms": {}, "expired_url": "" }),
        json!({ "slug": "blank", "destination_url": "https://example.com/", "link_utms": { "utm_source": "", "utm_term": null } }),
        json!({ "slug": "everyone", "destination_url": "https://example.com/", "rules": [{ "to": { "url": "https://example.com/r" } }],
            "link_utms": { "utm_source": "a", "utm_medium": "" } }),
        json!({ "slug": "-dash", "destination_url": "https://example.com/?q=a,b\"c" }),
        json!({ "slug": "größe/klein", "destination_url": "https://bücher.example/", "redirect_status": 308, "forward_query": true }),
        json!({ "slug": "timed", "destination_url": "https://example.com/t", "starts_at": "2026-01-01T00:00:00Z",
            "expires_at": "2096-01-01T00:00:00.5Z", "expired_url": "https://example.com/over", "enabled": false }),
        json!({ "slug": "ruled", "destination_url": "https://example.com/r",
            "rules": [{ "id": "r1", "when": { "countries": ["DE"], "query": { "ref": "mail" } }, "to": { "url": "https://example.de/" } }],
            "evolution_rules": [{ "id": "ev1", "priority": 10, "starts_at": "2026-02-01T00:00:00Z", "destination_url": "https://example.com/e" }],
            "geo_rules": [{ "country_code": "GB", "destination_url": "https://example.co.uk/" }],
            "ab_test": { "id": 42, "status": "active", "variants": [
                { "id": "v1", "name": "=Control", "destination_url": "https://example.com/a", "weight": 50 },
                { "id": "v2", "destination_url": "https://example.com/b", "weight": 50 }] },
            "link_utms": { "utm_campaign": "=spring" },
            "utm_templates": [{ "platform_domains": ["t.co"], "utm_source": "twitter" }] }),
    ];
    links.map(|link| link.to_string() + "\n").concat()
}

/// What an import must bring back of each link, in the order of slugs.
fn essence(export: &str) -> Vec<Value> {
    let mut links: Vec<Value> = export.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for link in &mut links {
        let link = link.as_object_mut().unwrap();
        for given in ["id", "account_id", "version", "updated_at", "short_url"] {
            assert!(link.remove(given).is_some(), "{given}");
        }
    }
    links.sort_by_key(|link| link["slug"].as_str().unwrap().to_owned());
    links
}

#[test]
fn what_goes_out_comes_back_the_same() {
    let first = Folder::new();
    let file = first.write("links.ndjson", rich_links());
    let import = first.run(&["import", &file, "--json"]).json();
    assert_eq!((&import["taken"], &import["refused"]), (&json!(8), &json!(0)));
    let wanted = essence(first.run(&["export", "--format", "ndjson"]).text());
    assert_eq!(wanted.len(), 8);

    for format in ["csv", "ndjson"] {
        let export = first.file(&format!("export.{format}"));
        first.run(&["export", "--output", export.to_str().unwrap()]).text();
        let second = Folder::new();
        second.run(&["import", export.to_str().unwrap()]).text();
        assert_eq!(essence(second.run(&["export", "--format", "ndjson"]).text()), wanted, "{format}");
        for folder in [&first, &second] {
            let again = folder.run(&["import", export.to_str().unwrap(), "--json"]).json();
            assert_eq!((&again["there"], &again["kept"]), (&json!(8), &json!(0)), "{format}");
        }
        let text = fs::read_to_string(&export).unwrap();
        assert!(!text.contains("\n-dash") && !text.contains(",-dash"), "{text}");
        let again = first.run(&["export", "--output", export.to_str().unwrap()]);
        assert!(again.fault(1).contains("already exists"), "{again:?}");
    }
}

#[test]
fn an_export_says_what_it_leaves_out() {
    let folder = Folder::new();
    let server = folder.serve(&[]);
    folder.run(&["link", "create", "https://example.com/own", "--slug", "own"]).text();
    assert_eq!(folder.run(&["export"]).stderr, "");
    for url in ["https://example.com/1", "https://example.com/2"] {
        shorten(&server, url);
    }
    let run = folder.run(&["export"]);
    assert_eq!(run.text().lines().count(), 2);
    assert!(run.stderr.starts_with("Note: 2 links created without an account"), "{run:?}");
    assert!(run.stderr.contains("`waypost export --anonymous`"), "{run:?}");
    let run = folder.run(&["export", "--anonymous"]);
    assert_eq!((run.text().lines().count(), run.stderr.as_str()), (3, ""));
}

#[test]
fn slugs_are_never_lost_without_a_word() {
    let folder = Folder::new();
    let file = folder.write("yourls.csv", "keyword,url,title\nabc,https://example.com/,A\n");
    let refused = folder.run(&["import", &file]);
    assert!(refused.fault(1).contains("--slug-column keyword"), "{refused:?}");
    assert!(!folder.data_dir().exists(), "nothing was made");
    folder.run(&["import", &file, "--slug-column", "Keyword"]).text();
    assert_eq!(folder.run(&["link", "show", "abc", "--json"]).json()["destination_url"], "https://example.com/");
    folder.run(&["import", &file, "--draw-slugs"]).text();
    assert_eq!(folder.run(&["link", "list", "--json"]).json_lines().len(), 2);
}

#[test]
fn an_export_has_every_link() {
    let folder = Folder::new();
    let urls: String = (0..2_500).map(|number| format!("https://example.com/{number}\n")).collect();
    let file = folder.write("urls.txt", &urls);
    folder.run(&["import", &file]).text();
    let mut found: Vec<String> = folder
        .run(&["export", "--format", "ndjson"])
        .json_lines()
        .iter()
        .map(|link| link["destination_url"].as_str().unwrap().to_owned() + "\n")
        .collect();
    let mut wanted: Vec<String> = urls.lines().map(|line| format!("{line}\n")).collect();
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted);
    assert_eq!(folder.run(&["link", "list", "--all", "--json"]).json_lines().len(), 2_500);
    assert_eq!(folder.run(&["link", "list", "--limit", "7", "--json"]).json_lines().len(), 7);
}

#[test]
fn refused_lines_are_named_and_stop_nothing() {
    let folder = Folder::new();
    let text = b"slug,long_url,redirect_status\n\
        good,https://example.com/,301\n\
        bad,javascript:alert(1),\n\
        \n\
        api,https://example.com/,\n\
        good,https://example.com/,\n\
        odd,https://example.com/,999\n\
        short\n\
        invalid,https://example.com/\xff,\n\
        last,https://example.com/,\n";
    let file = folder.write("links.csv", text);
    let dry = folder.run(&["import", &file, "--dry-run", "--json", "--if-exists", "error"]);
    assert_eq!((dry.status, dry.stdout.contains("\"taken\":2")), (3, true), "{dry:?}");
    assert_eq!(folder.run(&["link", "list", "--json"]).text(), "");

    let report = folder.file("refused.csv");
    let run = folder.run(&["import", &file, "--report", report.to_str().unwrap(), "--if-exists", "error"]);
    assert_eq!(run.status, 3, "{run:?}");
    assert!(run.stdout.starts_with("2 links created, 6 lines refused"), "{run:?}");
    let mut reader = csv::Reader::from_path(&report).unwrap();
    let lines: Vec<(u64, String)> = reader
        .records()
        .map(|record| record.unwrap())
        .map(|record| (record[0].parse().unwrap(), record[1].to_owned()))
        .collect();
    let expect = [
        (3, "destination_scheme"),
        (5, "slug_reserved"),
        (6, "slug_taken"),
        (7, "invalid_field"),
        (8, "csv"),
        (9, "utf8"),
    ];
    assert_eq!(lines, expect.map(|(line, code)| (line, code.to_owned())));

    let again = folder.run(&["import", &file, "--if-exists", "error"]);
    assert!(again.fault(3).contains("line 2: ") && again.stderr.contains("slug_taken"), "{again:?}");
    let tail = folder.run(&["import", &file, "--from-line", "10", "--if-exists", "error"]);
    assert!(tail.fault(3).starts_with("line 10: "), "{tail:?}");
}

#[test]
fn a_file_that_is_none_of_ours_is_a_fault() {
    let folder = Folder::new();
    for (name, text, expect) in [
        ("a.dat", "x", "--format"),
        ("a.csv", "slug,title\n", "destination_url"),
        ("b.csv", "", "empty"),
        ("missing.csv", "", "cannot read"),
    ] {
        let file = if name == "missing.csv" { "/nonexistent/missing.csv".to_owned() } else { folder.write(name, text) };
        let run = folder.run(&["import", &file]);
        assert!(run.fault(1).contains(expect), "{run:?}");
    }
    assert!(!folder.data_dir().exists(), "a file that cannot be read makes no data folder");
}

#[test]
fn standard_input_and_a_domain_for_all() {
    let folder = Folder::new();
    folder.run(&["domain", "create", "other.example"]).text();
    let data_dir = folder.data_dir();
    let arguments =
        ["import", "-", "--format", "ndjson", "--domain", "other.example", "--data-dir", data_dir.to_str().unwrap()];
    run_with_input(&arguments, br#"{"destination_url":"https://example.com/","slug":"a","domain":"third.example"}"#)
        .text();
    let links = folder.run(&["link", "list", "--domain", "other.example", "--json"]).json_lines();
    assert_eq!((links.len(), links[0]["domain"].as_str().unwrap()), (1, "other.example"));
}

#[test]
fn a_protected_link_is_not_opened_by_a_round_trip() {
    let folder = Folder::new();
    let data_dir = folder.data_dir();
    let create = [
        "link",
        "create",
        "https://example.com/secret",
        "--slug",
        "locked",
        "--password-stdin",
        "--data-dir",
        data_dir.to_str().unwrap(),
    ];
    run_with_input(&create, b"open sesame\n").text();
    let export = folder.file("export.csv");
    folder.run(&["export", "--output", export.to_str().unwrap()]).text();
    assert!(!fs::read_to_string(&export).unwrap().contains("argon2"));
    let second = Folder::new();
    let run = second.run(&["import", export.to_str().unwrap()]);
    assert!(run.fault(3).contains("password_missing"), "{run:?}");
}

#[test]
fn through_a_running_server() {
    let folder = Folder::new();
    let server = folder.serve(&[]);
    let lines: String = (0..1_500)
        .map(|number| format!("{{\"slug\":\"n{number}\",\"destination_url\":\"https://example.com/{number}\"}}\n"))
        .collect();
    let file = folder.write("links.ndjson", lines);
    let key = folder.run(&["key", "create"]).text().to_owned();
    run(&["import", &file, "--server", &server.url(""), "--key", &key]).text();
    for number in [0, 999, 1_000, 1_499] {
        assert_eq!(location_of(&server, &format!("/n{number}")).unwrap(), format!("https://example.com/{number}"));
    }
}

/// What a spreadsheet of another tool may look like: its own columns, semicolons, rows of nothing, line ends within
/// cells.
const OF_ANOTHER_TOOL: &str = "\u{feff}Title;Long URL;Clicks;Slug;Expires at\r\n\
    \"A; \"\"quoted\"\"\r\ntitle\";https://example.com/a;7;a;2096-01-15\r\n\
    ;;;;\r\n\
    B;https://example.com/b;8;;\r\n\
    C;https://example.com/c;8;c;2096-01-15 10:30\r\n\
    ;;;;\r\n";

#[test]
fn a_file_of_another_tool_is_taken_and_twice_makes_nothing_twice() {
    for separator in [";", ",", "\t"] {
        let folder = Folder::new();
        let file = folder.write("links.csv", OF_ANOTHER_TOOL.replace(';', separator));
        let run = folder.run(&["import", &file]);
        assert!(run.text().starts_with("3 links created, 0 lines refused"), "{run:?}");
        assert!(run.stderr.contains("2 columns ignored") && run.stderr.contains("title, clicks"), "{run:?}");
        let export = folder.run(&["export", "--format", "ndjson"]).json_lines();
        let mut found: Vec<(&str, &Value)> =
            export.iter().map(|link| (link["destination_url"].as_str().unwrap(), &link["expires_at"])).collect();
        found.sort_by_key(|(url, _)| *url);
        let (day, hour) = (json!("2096-01-15T00:00:00Z"), json!("2096-01-15T10:30:00Z"));
        let expect = [
            ("https://example.com/a", &day),
            ("https://example.com/b", &Value::Null),
            ("https://example.com/c", &hour),
        ];
        assert_eq!(found, expect, "{separator:?}");
        for dry_run in [true, false] {
            let arguments = ["import", &file, "--json", if dry_run { "--dry-run" } else { "--from-line=1" }];
            let again = folder.run(&arguments).json();
            assert_eq!((&again["taken"], &again["there"], &again["refused"]), (&json!(0), &json!(3), &json!(0)));
        }
        assert_eq!(folder.run(&["export", "--format", "ndjson"]).json_lines().len(), 3);
    }
}

#[test]
fn a_link_that_is_there_and_differs_is_said_kept_or_updated() {
    let folder = Folder::new();
    let first = folder.write("first.csv", "url,slug\nhttps://example.com/1,a\nhttps://example.com/2,b\n");
    folder.run(&["import", &first]).text();
    let second = folder.write("second.csv", "url,slug\nhttps://example.com/1,a\nhttps://example.com/3,b\n");
    let destination = || folder.run(&["link", "show", "b", "--json"]).json()["destination_url"].clone();
    let kept = folder.run(&["import", &second]);
    assert!(
        kept.text().starts_with("0 links created, 1 already existed, 1 already existed, differs and was left as it is"),
        "{kept:?}"
    );
    assert!(kept.stderr.contains("line 3: note: http") && kept.stderr.contains("/b already exists"), "{kept:?}");
    assert_eq!(destination(), "https://example.com/2");
    let dry = folder.run(&["import", &second, "--if-exists", "update", "--dry-run"]);
    assert!(dry.text().contains("1 can be updated"), "{dry:?}");
    let updated = folder.run(&["import", &second, "--if-exists", "update"]);
    assert!(
        updated.text().starts_with("0 links created, 1 updated, 1 already existed, 0 lines refused"),
        "{updated:?}"
    );
    assert_eq!(destination(), "https://example.com/3");
}

#[test]
fn what_is_doubtful_is_said_and_taken() {
    let folder = Folder::new();
    let long = format!("https://example.com/{}", "x".repeat(3_600));
    let made = folder.run(&["link", "create", &long, "--slug", "long"]);
    assert!(made.text().ends_with("/long") && made.stderr.contains("proxy_buffer_size"), "{made:?}");
    let made = folder.run(&["link", "create", "https://example.com/", "--expires-at", "2020-01-01"]);
    assert!(made.text().starts_with("http") && made.stderr.contains("2020-01-01T00:00:00Z is in the past"), "{made:?}");
    let file = folder.write("links.csv", format!("url,expires_at\n{long},\nhttps://example.com/,2020-01-01 10:30\n"));
    let run = folder.run(&["import", &file]);
    assert!(run.text().starts_with("2 links created, 0 lines refused"), "{run:?}");
    assert!(run.stderr.contains("line 2: note: destination_url: of 3620 bytes"), "{run:?}");
    assert!(run.stderr.contains("line 3: note: expires_at: 2020-01-01T10:30:00Z is in the past"), "{run:?}");
    let quoted = folder
        .write("quoted.csv", "url,redirect_status\nhttps://example.com/,\"it's \"\"x\"\"\"\nsay \"\"\"it's\"\"\",\n");
    let refused = folder.run(&["import", &quoted]);
    assert!(!refused.fault(3).contains('\\'), "{refused:?}");
}

#[test]
fn a_domain_that_is_not_there_is_named_once_and_can_be_mapped() {
    let first = Folder::new();
    let urls: String = (0..30).map(|number| format!("https://example.com/{number}\n")).collect();
    let list = first.write("urls.txt", &urls);
    let old = [("WAYPOST_PUBLIC_URL".to_owned(), "https://old.example".to_owned())];
    let server = waypost_testkit::server::Server::start(&first.options_with(&old)).unwrap();
    first.run(&["import", &list]).text();
    let file = first.file("links.ndjson");
    let file = file.to_str().unwrap();
    first.run(&["export", "-o", file]).text();
    drop(server);

    let second = Folder::new();
    second.make();
    let run = second.run(&["import", file]);
    assert!(run.stdout.starts_with("0 links created, 30 lines refused"), "{run:?}");
    let said = run.fault(3);
    assert!(said.starts_with("line 1: domain: there is no domain old.example for links"), "{said}");
    assert!(
        said.contains("29 lines are refused for the same reason as line 1: 2, 3, 4, 5, 6 and 24 more (domain_unknown)"),
        "{said}"
    );
    assert!(said.contains("waypost domain create HOST") && said.contains("--domain-map OLD=NEW"), "{said}");
    assert_eq!(said.lines().count(), 3, "{said}");

    second.run(&["import", file, "--domain-map", "OLD.example=localhost"]).text();
    let links = second.run(&["link", "list", "--all", "--json"]).json_lines();
    assert_eq!((links.len(), &links[0]["domain"]), (30, &json!("localhost")));
    let bad = second.run(&["import", file, "--domain-map", "old.example"]);
    assert!(bad.fault(2).contains("old.example=go.example"), "{bad:?}");
}

#[test]
fn lines_that_differ_only_in_what_is_passed_over_are_said() {
    let folder = Folder::new();
    let file = folder.write(
        "links.csv",
        "url,title\nhttps://example.com/,A\nhttps://example.com/,B\nhttps://example.com/other,C\nhttps://example.com/,D\n",
    );
    let run = folder.run(&["import", &file]);
    assert!(run.text().starts_with("2 links created, 2 already existed"), "{run:?}");
    assert!(run.stderr.contains("2 lines have the same fields as an earlier line"), "{run:?}");
    assert!(run.stderr.contains("3, 5. Ignored columns"), "{run:?}");
    let distinct = folder.write("distinct.csv", "url,slug,title\nhttps://example.com/,a,A\nhttps://example.com/,b,A\n");
    let run = folder.run(&["import", &distinct]);
    assert!(run.text().starts_with("2 links created") && !run.stderr.contains("earlier line"), "{run:?}");
}

#[test]
fn an_export_under_a_name_of_no_known_form_is_refused() {
    let folder = Folder::new();
    folder.make();
    for name in ["links.xml", "links.xlsx", "links.txt"] {
        let path = folder.file(name);
        let run = folder.run(&["export", "-o", path.to_str().unwrap()]);
        assert!(run.fault(1).contains("end it in .csv or .ndjson"), "{run:?}");
        assert!(!path.exists());
    }
    for name in ["links", "links.CSV"] {
        folder.run(&["export", "-o", folder.file(name).to_str().unwrap()]).text();
        assert!(fs::read_to_string(folder.file(name)).unwrap().starts_with("domain,slug"));
    }
}

#[test]
fn short_links_under_any_heading_are_not_lost() {
    let folder = Folder::new();
    let text = "Lien court;url;Titre\nhttps://sho.rt/abc;https://example.com/1;A\nhttps://sho.rt/abd;https://example.com/2;B\n";
    let file = folder.write("links.csv", text);
    let refused = folder.run(&["import", &file]);
    assert!(refused.fault(1).contains("--slug-column lien_court"), "{refused:?}");
    folder.run(&["import", &file, "--slug-column", "Lien court"]).text();
    assert_eq!(folder.run(&["link", "show", "abd", "--json"]).json()["destination_url"], "https://example.com/2");
    // Letters of Windows in a column that is passed over do no harm, and elsewhere are named.
    let file = folder
        .write("windows.csv", b"url,slug,title\nhttps://example.com/,w1,\xe9t\xe9\nhttps://example.com/,\xe9t\xe9,B\n");
    let run = folder.run(&["import", &file]);
    assert!(run.stdout.starts_with("1 link created, 1 line refused"), "{run:?}");
    assert!(run.fault(3).contains("line 3: slug: not UTF-8: save the file as UTF-8"), "{run:?}");
}
