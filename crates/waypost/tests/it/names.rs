//! How people name things on the command line: hosts in any form, slugs without their domain, folders with a typing
//! mistake.

use std::fs;

use serde_json::Value;

use crate::support::{Folder, run};

/// The host `kürz.example`, in all the forms that mean it.
const FORMS: [&str; 5] =
    ["kürz.example", "KÜRZ.Example", "kürz.example.", "xn--krz-hoa.example", "XN--KRZ-HOA.Example."];

#[test]
fn a_domain_has_one_name_in_every_form() {
    let folder = Folder::new();
    folder.run(&["domain", "create", "KÜRZ.example"]).text();
    folder.run(&["link", "create", "https://example.com/", "--slug", "a", "--domain", "kürz.example"]).text();
    let file = folder.write("links.csv", "url\nhttps://example.com/imported\n");
    for form in FORMS {
        let slug = |run: &crate::support::Run| run.json_lines().iter().any(|link| link["slug"] == "a");
        let with_domain = |arguments: &[&'static str]| folder.run(&[arguments, &["--domain", form]].concat());
        assert!(slug(&with_domain(&["link", "list", "--json"])), "{form}");
        assert_eq!(with_domain(&["link", "show", "a", "--json"]).json()["domain"], "xn--krz-hoa.example", "{form}");
        assert!(slug(&with_domain(&["export", "--format", "ndjson"])), "{form}");
        assert_eq!(with_domain(&["report", "--json"]).json()["query"]["domain"], "xn--krz-hoa.example", "{form}");
        with_domain(&["clicks", "export", "--link", "a"]).text();
        folder.run(&["import", &file, "--domain", form]).text();
        let root = format!("https://example.com/{}", FORMS.iter().position(|other| *other == form).unwrap());
        let updated = folder.run(&["domain", "update", form, "--root-url", &root, "--json"]).json();
        assert_eq!(updated["root_url"], root, "{form}");
    }
    assert_eq!(folder.run(&["link", "list", "--json"]).json_lines().len(), 2, "the file was imported once");
    let shown = folder.run(&["domain", "list"]);
    assert!(shown.text().contains("xn--krz-hoa.example (kürz.example)"), "{shown:?}");
    let wrong = folder.run(&["link", "list", "--domain", "https://kürz.example/"]);
    assert!(wrong.fault(1).contains("is not a host name such as go.example"), "{wrong:?}");
}

#[test]
fn a_slug_without_a_domain_is_one_of_the_default_domain() {
    let folder = Folder::new();
    folder.run(&["domain", "create", "shop.example"]).text();
    for slug in ["onlyshop", "both"] {
        folder.run(&["link", "create", "https://example.com/shop", "--slug", slug, "--domain", "shop.example"]).text();
    }
    folder.run(&["link", "create", "https://example.com/own", "--slug", "both"]).text();
    for command in [
        &["link", "delete", "onlyshop", "--yes"][..],
        &["link", "show", "onlyshop"],
        &["link", "update", "onlyshop", "--status", "301"],
        &["report", "--link", "onlyshop"],
        &["clicks", "export", "--link", "onlyshop"],
        &["clicks", "erase", "--link", "onlyshop", "--yes"],
        &["sync", "status", "onlyshop"],
    ] {
        let refused = folder.run(command);
        let expect = "the link onlyshop was not found on localhost; a link with this slug is on shop.example: give --domain shop.example";
        assert!(refused.fault(1).contains(expect), "{command:?}: {refused:?}");
    }
    assert_eq!(folder.run(&["link", "show", "both", "--json"]).json()["destination_url"], "https://example.com/own");
    folder.run(&["link", "delete", "both", "--yes"]).text();
    let left = folder.run(&["link", "list", "--json"]).json_lines();
    assert!(left.len() == 2 && left.iter().all(|link: &Value| link["domain"] == "shop.example"), "{left:?}");
    folder.run(&["link", "delete", "onlyshop", "--domain", "shop.example", "--yes"]).text();
}

#[test]
fn looking_makes_nothing() {
    let folder = Folder::new();
    let empty = folder.file("empty");
    fs::create_dir(&empty).unwrap();
    for command in [
        &["key", "list"][..],
        &["key", "revoke", "key_1"],
        &["link", "list"],
        &["link", "show", "a"],
        &["link", "update", "a", "--status", "301"],
        &["link", "delete", "a", "--yes"],
        &["domain", "list"],
        &["domain", "update", "a.example", "--root-url", "https://example.com/"],
        &["report"],
        &["clicks", "export"],
        &["clicks", "audit"],
        &["clicks", "tail"],
        &["clicks", "retention"],
        &["sync", "status"],
        &["sync", "retry", "--all"],
        &["export"],
    ] {
        let refused = folder.run(command);
        assert!(refused.fault(1).contains("nothing was created there: check --data-dir"), "{command:?}: {refused:?}");
        assert!(!folder.data_dir().exists(), "{command:?}");
        let refused = run(&[command, &["--data-dir", empty.to_str().unwrap()]].concat());
        assert!(refused.fault(1).contains("is not the data folder of an instance"), "{command:?}: {refused:?}");
        assert_eq!(fs::read_dir(&empty).unwrap().count(), 0, "{command:?}");
    }
    folder.run(&["link", "create", "https://example.com/"]).text();
    assert_eq!(folder.run(&["link", "list", "--json"]).json_lines().len(), 1);
}

#[test]
fn a_slug_stays() {
    let folder = Folder::new();
    folder.run(&["link", "create", "https://example.com/", "--slug", "a"]).text();
    let refused = folder.run(&["link", "update", "a", "--slug", "b"]);
    assert!(refused.fault(1).contains("a slug cannot change"), "{refused:?}");
    assert!(refused.stderr.contains("waypost link create URL --slug NEW"), "{refused:?}");
}

#[test]
fn a_time_is_the_same_in_every_form() {
    let folder = Folder::new();
    for time in
        ["2096-01-15T00:00:00Z", "2096-01-15T01:00+01:00", "2096-01-15 00:00", "2096-01-15T00:00:00", "2096-01-15"]
    {
        let link = folder.run(&["link", "create", "https://example.com/", "--expires-at", time, "--json"]).json();
        assert_eq!(link["expires_at"], "2096-01-15T00:00:00Z", "{time}");
        let key = folder.run(&["key", "create", "--expires", time, "--json"]).json();
        assert_eq!(key["expires_at"], "2096-01-15T00:00:00Z", "{time}");
        let report =
            folder.run(&["report", "--from", time, "--to", "2096-01-16", "--interval", "none", "--json"]).json();
        assert_eq!(report["query"]["from"], "2096-01-15T00:00:00Z", "{time}");
    }
    for (arguments, value) in [
        (&["link", "create", "https://example.com/", "--starts-at"][..], "31.12."),
        (&["key", "create", "--expires"], "so\"on"),
    ] {
        let refused = folder.run(&[arguments, &[value]].concat());
        let expect = format!("\"{value}\" is not a time: give a time such as 2026-01-15T10:30:00Z");
        assert!(refused.fault(1).contains(&expect) && refused.stderr.contains("90d"), "{refused:?}");
    }
}

#[test]
fn a_short_url_stands_for_its_link() {
    let folder = Folder::new();
    folder.run(&["domain", "create", "shop.example"]).text();
    let own = folder.run(&["link", "create", "https://example.com/", "--slug", "größe/a"]).text().to_owned();
    let shop = folder.run(&["link", "create", "https://example.com/2", "--slug", "b", "--domain", "shop.example"]);
    for (url, slug) in [
        (own.as_str(), "größe/a"),
        ("http://127.0.0.1:8080/gr%C3%B6%C3%9Fe/a/", "größe/a"),
        (shop.text(), "b"),
        ("https://SHOP.example/b?x=1#y", "b"),
    ] {
        assert_eq!(folder.run(&["link", "show", url, "--json"]).json()["slug"], slug, "{url}");
    }
    folder.run(&["report", "--link", &own]).text();
    folder.run(&["link", "delete", shop.text(), "--yes"]).text();
    let gone = folder.run(&["link", "show", shop.text()]);
    assert!(gone.fault(1).contains("the link b was not found on shop.example"), "{gone:?}");
}

#[test]
fn refusals_name_the_setting_and_the_flag() {
    let folder = Folder::new();
    let refused = folder.run(&["link", "create", "ftp://example.com/"]);
    assert!(refused.fault(1).contains("the setting `schemes`"), "{refused:?}");
    let never = folder.run(&["link", "create", "javascript:alert(1)"]);
    assert!(!never.fault(1).contains("schemes"), "{never:?}");
    folder.run(&["link", "create", "https://example.com/", "--slug", "a"]).text();
    let asked = folder.run(&["clicks", "erase", "--link", "a"]);
    assert!(asked.fault(1).contains("give --yes") && asked.stderr.contains("nothing was done"), "{asked:?}");
}
