//! Real URLs, and the awkward ones: imported, followed through a running server, and compared with what the URL
//! Standard makes of them.

use std::fs;

use url::Url;
use waypost_testkit::http::Connection;
use waypost_testkit::postgres;
use waypost_testkit::server::Server;

use crate::support::{Folder, repository_file, run_with_input};

/// The texts of real and awkward URLs, each with the `Location` it must have.
fn urls() -> Vec<(String, String)> {
    let lines = |name: &str| {
        let text = fs::read_to_string(repository_file(name)).unwrap();
        let is_text = |line: &&str| !line.is_empty() && !line.starts_with('#');
        text.lines().filter(is_text).map(str::to_owned).collect::<Vec<_>>()
    };
    let homepages = lines("testdata/homepages.txt").into_iter().map(|text| {
        let location = Url::parse(&text).unwrap().to_string();
        (text, location)
    });
    let awkward = lines("testdata/awkward.txt").into_iter().map(|line| {
        let (text, location) = line.split_once('\t').unwrap();
        (text.to_owned(), location.to_owned())
    });
    homepages.chain(awkward).collect()
}

/// Follows every link on one connection.
fn check_locations(server: &Server, urls: &[(String, String)]) {
    let mut connection = Connection::open(server.address()).unwrap();
    for (number, (text, location)) in urls.iter().enumerate() {
        let request = format!("GET /u{number} HTTP/1.1\r\nHost: {}\r\n\r\n", server.address());
        connection.send(request.as_bytes()).unwrap();
        let response = connection.read_response().unwrap();
        assert_eq!((response.status, response.header("location")), (302, Some(location.as_str())), "{text:?}");
    }
}

fn write_csv(folder: &Folder, urls: &[(String, String)]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["slug", "original_url"]).unwrap();
    for (number, (text, _)) in urls.iter().enumerate() {
        writer.write_record([&format!("u{number}"), text]).unwrap();
    }
    folder.write("urls.csv", writer.into_inner().unwrap())
}

#[test]
fn real_and_awkward_urls_lead_where_they_should() {
    let urls = urls();
    assert!(urls.len() >= 600, "{}", urls.len());
    let folder = Folder::new();
    let file = write_csv(&folder, &urls);
    let server = folder.serve(&[]);
    let import = folder.run(&["import", &file]);
    assert!(import.text().starts_with(&format!("{} links created, 0 lines refused", urls.len())), "{import:?}");
    check_locations(&server, &urls);
}

#[test]
fn the_same_on_postgresql() {
    let Some(database) = postgres::test_database() else { return };
    let urls = urls();
    let folder = Folder::new();
    let file = write_csv(&folder, &urls);
    // Imported without a server, then served: the table comes from the database.
    folder.run(&["import", &file, "--database-url", database.url()]).text();
    let mut server = folder.serve(&["--database-url", database.url()]);
    check_locations(&server, &urls);
    assert!(server.terminate().unwrap().success());
    assert!(!folder.data_dir().join("waypost.db").exists());

    // Another folder on the same database is another edge with the same links.
    let second = Folder::new();
    let server = second.serve(&["--database-url", database.url()]);
    check_locations(&server, &urls);
}

#[test]
fn what_must_be_refused_is_refused() {
    let text = fs::read_to_string(repository_file("testdata/refused.txt")).unwrap();
    let cases = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    // Blanks around a pasted URL are left out before it is read.
    let is_pasted = |url: &str| url.starts_with("\"\\t") || url.ends_with("\\n\"");
    let cases = cases.map(|line| line.split_once('\t').unwrap()).filter(|(_, url)| !is_pasted(url));
    let cases: Vec<(&str, &str)> = cases.collect();
    let input: String = cases.iter().map(|(_, url)| format!("{{\"destination_url\":{url}}}\n")).collect();
    let folder = Folder::new();
    let (report, data_dir) = (folder.file("report.csv"), folder.data_dir());
    let arguments = ["import", "-", "--format", "ndjson", "--report", report.to_str().unwrap(), "--data-dir"];
    let run = run_with_input(&[&arguments[..], &[data_dir.to_str().unwrap()]].concat(), input.as_bytes());
    assert!(run.stdout.starts_with(&format!("0 links created, {} lines refused", cases.len())), "{run:?}");
    assert_eq!(run.status, 3);
    let mut reader = csv::Reader::from_path(&report).unwrap();
    let refused: Vec<(usize, String)> =
        reader.records().map(|line| line.unwrap()).map(|line| (line[0].parse().unwrap(), line[1].to_owned())).collect();
    // What looks like a web address with a slip is answered with what was meant, and not as a scheme.
    let slips = ["\"example.com:8080/path\"", "\"localhost:8080\"", "\"httpss://example.com/\""];
    let codes = |reason: &str, url: &str| match reason {
        "scheme" if slips.contains(&url) => "destination_invalid",
        "scheme" => "destination_scheme",
        "userinfo" => "destination_userinfo",
        "length" => "destination_length",
        _ => "destination_invalid",
    };
    let wanted: Vec<(usize, String)> =
        cases.iter().enumerate().map(|(index, (reason, url))| (index + 1, codes(reason, url).to_owned())).collect();
    assert_eq!(refused, wanted);
}
