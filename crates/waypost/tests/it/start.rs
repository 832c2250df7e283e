//! Starts that must fail: with one clear line and nothing changed. The exit status is 2 where a person has to change
//! something.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::{Folder, command, finish, get, location_of, run};

/// A free port that stays taken while the listener lives.
fn taken_port() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

#[test]
fn a_port_in_use_is_named() {
    let folder = Folder::new();
    let (_listener, address) = taken_port();
    let run = folder.run(&["serve", "--listen", &address]);
    let said = run.fault(1);
    assert!(said.starts_with(&format!("waypost: {address} is already in use: stop the program")), "{said}");
    assert!(said.contains("such as --listen 127.0.0.1:") && said.lines().count() == 1, "{said}");
    assert_eq!(run.stdout, "");
    assert!(!folder.data_dir().exists());
}

#[test]
fn a_second_server_shares_neither_port_nor_folder() {
    let folder = Folder::new();
    let server = folder.serve(&[]);
    let run = folder.run(&["serve", "--listen", "127.0.0.1:0"]);
    let path = folder.data_dir().canonicalize().unwrap();
    let expect = format!(
        "waypost: the data folder {} is in use by another instance (process {}): stop that one first, or choose another folder \
         with --data-dir",
        path.display(),
        server.process_id()
    );
    assert_eq!(run.fault(1), expect);
    let other = Folder::new();
    let run = other.run(&["serve", "--listen", &server.address().to_string()]);
    assert!(run.fault(1).starts_with(&format!("waypost: {} is already in use: stop", server.address())), "{run:?}");
    let run = folder.run(&["serve", "--listen", &server.address().to_string()]);
    let expect =
        format!("is already in use: Waypost (process {}) already runs on the data folder", server.process_id());
    assert!(run.fault(1).contains(&expect), "{run:?}");
}

/// A server that died, as one does whose spool is cut short under it, is told of by the next start and by no other.
#[test]
fn a_start_after_a_death_says_so() {
    let folder = Folder::new();
    let says_so = |server: &waypost_testkit::server::Server| server.output().contains("did not end by itself");
    let mut server = folder.serve(&[]);
    let first = server.process_id();
    server.kill().unwrap();
    let mut server = folder.serve(&[]);
    assert!(says_so(&server) && server.output().contains(&first.to_string()), "{}", server.output());
    assert!(server.terminate().unwrap().success());
    folder.run(&["link", "list"]);
    let mut server = folder.serve(&[]);
    assert!(!says_so(&server), "{}", server.output());
    assert!(server.terminate().unwrap().success());
}

#[test]
fn every_fault_of_the_configuration_is_listed() {
    let folder = Folder::new();
    let file =
        folder.write("waypost.toml", "listenn = [\"127.0.0.1:1\"]\nthreads = 0\n[limits]\nidle_timeout_s = \"7\"\n");
    let mut command = command(&["serve", "--config", &file, "--listen", "nowhere"]);
    let run =
        finish(command.env("WAYPOST_PUBLIC_ULR", "x").env("WAYPOST_THREADS", "many").env("WAYPOST_TEST_X", "fine"));
    let text = run.fault(2).replace(&file, "FILE");
    let expect = [
        "waypost: the configuration has 6 errors:",
        "  WAYPOST_PUBLIC_ULR: unknown setting; did you mean WAYPOST_PUBLIC_URL?",
        "  FILE:1: listenn: unknown setting; did you mean listen?",
        "  FILE:4: limits.idle_timeout_s: give a whole number, without quotes",
        "  FILE:2: threads: give a number from 1 to 256",
        "  WAYPOST_THREADS: give a number from 1 to 256",
        "  --listen: \"nowhere\" is not an address and port such as 127.0.0.1:8080 or [::]:80",
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), expect);
    assert_eq!(run.stdout, "");
}

#[test]
fn an_unknown_flag_is_wrong_usage() {
    assert!(run(&["serve", "--lissten", "x"]).fault(2).contains("--listen"));
    assert!(run(&["linc"]).fault(2).contains("link"));
}

#[test]
fn foreign_and_damaged_databases_are_left_alone() {
    let folder = Folder::new();
    folder.run(&["link", "create", "https://example.com/", "--slug", "one"]).text();
    let database = folder.data_dir().join("waypost.db");
    let good = fs::read(&database).unwrap();
    let bad: [(&str, Vec<u8>); 4] = [
        ("text", b"these are my notes, not a database\n".repeat(100)),
        ("cut", good[..good.len() / 2].to_vec()),
        ("short", good[..50].to_vec()),
        ("garbled", good.iter().enumerate().map(|(at, byte)| if at < 100 { byte ^ 0x55 } else { *byte }).collect()),
    ];
    for (what, bytes) in bad {
        fs::write(&database, &bytes).unwrap();
        for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &["link", "list"][..]] {
            let run = folder.run(arguments);
            let text = run.fault(2);
            assert!(text.contains("waypost.db") && text.lines().count() == 1, "{what}: {text}");
            assert!(fs::read(&database).unwrap() == bytes, "{what}: the file was changed");
        }
    }
    fs::write(&database, &good).unwrap();
    assert_eq!(folder.run(&["link", "list", "--json"]).json_lines().len(), 1);
}

#[test]
fn a_foreign_table_is_left_alone() {
    let folder = Folder::new();
    fs::create_dir_all(folder.data_dir().join("table")).unwrap();
    let file = folder.data_dir().join("table/CURRENT");
    fs::write(&file, "my notes").unwrap();
    let run = folder.run(&["serve", "--listen", "127.0.0.1:0"]);
    let fault = run.fault(2).lines().last().unwrap();
    assert!(fault.starts_with("waypost: ") && fault.contains("CURRENT is not a link table"), "{fault}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "my notes");
}

/// Asks for this slug from the start on, until it is followed; never may it be said to be missing.
fn follow_from_the_start(folder: &Folder, slug: &str, what: &str) {
    let server = folder.serve_at_once();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let response = get(&server, &format!("/{slug}"));
        match response.status {
            302 => return,
            503 => assert_eq!(response.header("retry-after"), Some("1"), "{what}"),
            other => panic!("{what}: {other}"),
        }
        assert!(std::time::Instant::now() < deadline, "{what}: not followed in time\n{}", server.output());
    }
}

#[test]
fn a_table_that_is_gone_foreign_or_of_another_format_is_filled_by_itself() {
    let (folder, other) = (Folder::new(), Folder::new());
    for (folder, first) in [(&folder, 0), (&other, 3_000)] {
        let row = |index| format!("{{\"slug\":\"s{index}\",\"destination_url\":\"https://example.com/{index}\"}}\n");
        let file = folder.write("links.jsonl", (first..first + 3_000).map(row).collect::<String>());
        folder.run(&["import", &file]).text();
    }
    let table = folder.data_dir().join("table");

    fs::remove_dir_all(&table).unwrap();
    follow_from_the_start(&folder, "s2999", "a lost table");

    fs::write(table.join("CURRENT"), "waypost-table 99\ngen-000001\n").unwrap();
    follow_from_the_start(&folder, "s2999", "a table of another format");

    let data =
        fs::read_dir(&table).unwrap().map(|item| item.unwrap().path().join("data.mdb")).find(|path| path.exists());
    fs::write(data.unwrap(), "these are my notes").unwrap();
    follow_from_the_start(&folder, "s2999", "a table that is no table");

    fs::rename(&table, folder.data_dir().join("old")).unwrap();
    fs::rename(other.data_dir().join("table"), &table).unwrap();
    follow_from_the_start(&folder, "s2999", "the table of another data folder");
    let server = folder.serve(&[]);
    assert_eq!(get(&server, "/s3000").status, 404, "a link of the other data folder");
}

#[test]
fn a_flipped_bit_of_the_table_ends_no_start_and_hides_no_link() {
    const LINKS: u64 = 1_500;
    let folder = Folder::new();
    let row = |index| format!("{{\"slug\":\"s{index:04}\",\"destination_url\":\"https://example.com/{index}\"}}\n");
    let file = folder.write("links.jsonl", (0..LINKS).map(row).collect::<String>());
    folder.run(&["import", &file]).text();
    let live_file = || {
        let current = fs::read_to_string(folder.data_dir().join("table/CURRENT")).unwrap();
        folder.data_dir().join("table").join(current.lines().nth(1).unwrap()).join("data.mdb")
    };
    let leaf_of = |bytes: &[u8], slug: &str| {
        let key = [b"\0", slug.as_bytes()].concat();
        bytes.windows(key.len()).rposition(|window| window == key).unwrap()
    };
    for (what, byte_of) in [
        ("a page's bounds", &(|at: usize| at / 4_096 * 4_096 + 13) as &dyn Fn(usize) -> usize),
        ("a key", &|at| at + 3),
        ("a length", &|at| at - 1),
        ("the list of roots", &|_| 4_096 + 129),
    ] {
        let path = live_file();
        let mut bytes = fs::read(&path).unwrap();
        let byte = byte_of(leaf_of(&bytes, "s0700"));
        bytes[byte] ^= 0x10;
        fs::write(&path, bytes).unwrap();
        let mut server = folder.serve_at_once();
        for index in 0..LINKS {
            let status = get(&server, &format!("/s{index:04}")).status;
            assert!(matches!(status, 302 | 503), "{what}: s{index:04} answers {status}");
        }
        server.wait_ready().unwrap();
        for index in 0..LINKS {
            let location = location_of(&server, &format!("/s{index:04}"));
            assert_eq!(location, Some(format!("https://example.com/{index}")), "{what}");
        }
        assert!(server.terminate().unwrap().success(), "{what}");
    }
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let folder = Folder::new();
    let file = folder.write("data", "a file where the folder should be");
    let run = folder.run(&["serve", "--listen", "127.0.0.1:0"]);
    let fault = run.fault(2);
    assert!(fault.contains(&format!("the data folder {file} cannot be used")), "{run:?}");
    assert_eq!(fault.matches("os error").count(), 1, "the reason is said once: {fault}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "a file where the folder should be");
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = Folder::new();
    fs::create_dir(folder.data_dir()).unwrap();
    fs::set_permissions(folder.data_dir(), fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(folder.data_dir().join("probe"), "").is_ok() {
        // The superuser may write everywhere: there is no such folder for it.
        return;
    }
    let run = folder.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert!(run.fault(2).contains("cannot be used"), "{run:?}");
}

#[test]
fn without_a_home_a_folder_is_asked_for() {
    let run = finish(command(&["link", "list"]).env_remove("HOME"));
    assert!(run.fault(2).contains("--data-dir"), "{run:?}");
}

#[test]
fn settings_in_force_are_shown_without_secrets() {
    let mut command = command(&["config", "--threads", "3"]);
    let run = finish(command.env("WAYPOST_DATABASE_URL", "postgres://u:planted@h/d"));
    let text = run.text();
    assert!(text.contains("threads = 3  # --threads") && text.contains("u:***@h/d"), "{text}");
    assert!(!text.contains("planted"));
}

#[test]
fn the_default_folder_is_the_users_own() {
    let data_dir = |command: &mut std::process::Command| {
        finish(command).json()["data_dir"].as_str().unwrap_or_default().to_owned()
    };
    let config = || command(&["config", "--json"]);
    assert_eq!(data_dir(config().env("XDG_DATA_HOME", "/x/data")), "/x/data/waypost");
    assert_eq!(data_dir(config().env("HOME", "/x/home")), "/x/home/.local/share/waypost");
    assert_eq!(data_dir(config().env("XDG_DATA_HOME", "relative").env("HOME", "/x")), "/x/.local/share/waypost");
}

#[test]
fn every_address_is_listened_on() {
    let folder = Folder::new();
    let server = folder.serve(&["--listen", "[::1]:0"]);
    let output = server.output();
    assert!(output.contains("http://127.0.0.1:") && output.contains("http://[::1]:"), "{output}");
    let second = output.lines().find_map(|line| line.strip_prefix("Listening on      http://[")).unwrap();
    let address = format!("[{second}").parse().unwrap();
    assert_eq!(waypost_testkit::http::get(address, "/healthz").unwrap().status, 200);
}

#[test]
fn a_database_that_may_not_be_written_is_named() {
    let folder = Folder::new();
    folder.make();
    for name in ["waypost.db", "clicks.db"] {
        let file = folder.data_dir().join(name);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
        if fs::OpenOptions::new().write(true).open(&file).is_ok() {
            // Nothing is kept from root.
            return;
        }
        for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &["link", "create", "https://example.com/"]] {
            let run = folder.run(arguments);
            let said = run.fault(2);
            assert!(said.contains(&format!("{name} is refused: it cannot be written")), "{said}");
        }
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }
}
