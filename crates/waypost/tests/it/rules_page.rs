//! The page on rules says what the server does: each link on it is made, each visit on it made.

use std::collections::HashMap;
use std::fs;

use waypost_testkit::http::request;

use crate::support::{Folder, repository_file};

/// The words of a line of shell: quotes of both kinds, and variables in double ones.
fn words(line: &str, variables: &HashMap<&str, &str>) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for letter in line.chars().chain([' ']) {
        match (quote, letter) {
            (None, '\'' | '"') => quote = Some(letter),
            (Some(open), _) if open == letter => quote = None,
            (None, ' ') => words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty())),
            (_, letter) => word.push(letter),
        }
    }
    let value = |word: String| word.strip_prefix('$').map_or(word.clone(), |name| variables[name].to_owned());
    words.into_iter().map(value).collect()
}

#[test]
fn the_page_says_what_the_server_does() {
    let page = fs::read_to_string(repository_file("docs/rules.md")).unwrap();
    let assigned = page.lines().filter_map(|line| line.strip_suffix('\'')?.split_once("='"));
    let variables: HashMap<&str, &str> = assigned.collect();
    let folder = Folder::new();
    let database = repository_file("testdata/mmdb/GeoLite2-City-Test.mmdb");
    let places = ["--country-header", "cf-ipcountry", "--country-database", database.to_str().unwrap()];
    let server = folder.serve(&[&["--trusted-proxies", "127.0.0.0/8"][..], &places].concat());
    let key = folder.run(&["key", "create"]).text().to_owned();
    let authorization = format!("Bearer {key}");
    let (mut links, mut visits) = (0, 0);
    for block in page.split("```").skip(1).step_by(2) {
        if let Some(json) = block.strip_prefix("json\n") {
            let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
            let made = request(server.address(), "POST /api/v1/links", &headers, json.as_bytes()).unwrap();
            assert_eq!(made.status, 201, "{json}: {}", made.text());
            assert!(!made.text().contains("warnings"), "{}", made.text());
            links += 1;
        }
        let Some(console) = block.strip_prefix("console\n") else { continue };
        let lines: Vec<&str> = console.lines().collect();
        for pair in lines.chunks(2) {
            let words = words(pair[0].strip_prefix("$ visit ").unwrap(), &variables);
            let mut headers = vec![("user-agent", "curl/8.5.0")];
            for flag in words[1..].chunks(2) {
                match flag[0].as_str() {
                    "-A" => headers[0].1 = &flag[1],
                    "-e" => headers.push(("referer", &flag[1])),
                    "-H" => headers.push(flag[1].split_once(": ").unwrap()),
                    other => panic!("{other}"),
                }
            }
            let answer = request(server.address(), &format!("GET /{}", words[0]), &headers, b"").unwrap();
            let found = format!("{} {}", answer.status, answer.header("location").unwrap_or_default());
            assert_eq!(found, pair[1], "{}", pair[0]);
            visits += 1;
        }
    }
    assert!(links >= 22 && visits >= 46, "{links} links, {visits} visits");
}
