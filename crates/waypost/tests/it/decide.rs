//! `waypost decide`: as a filter over files, and line by line for whoever waits.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{command, finish, run_with_input};

const LINE: &str = r#"{"record":"https://example.com","visit":{"now":"2026-01-01T00:00:00Z"}}"#;

#[test]
fn it_reads_neither_configuration_nor_data() {
    let mut with_faults = command(&["decide"]);
    let run = finish(with_faults.env("WAYPOST_LISTN", "x").env("WAYPOST_THREADS", "x").env_remove("HOME"));
    assert_eq!(run.text(), "");
}

#[test]
fn a_bad_line_does_not_stop_the_others() {
    let run = run_with_input(&["decide", "--trace"], format!("{LINE}\nnonsense\n\n{LINE}").as_bytes());
    let lines = run.json_lines();
    assert_eq!(lines.len(), 3);
    assert!(lines[0]["trace"].is_array() && lines[1]["error"].is_string() && lines[2]["location"].is_string());
}

#[test]
fn schemes_can_be_allowed() {
    let line = br#"{"record":"mailto:a@example.com","visit":{"now":"2026-01-01T00:00:00Z"}}"#;
    assert!(run_with_input(&["decide"], line).json()["error"].is_string());
    assert_eq!(run_with_input(&["decide", "--scheme", "mailto"], line).json()["location"], "mailto:a@example.com");
    assert!(run_with_input(&["decide", "--scheme", "javascript"], line).fault(1).contains("javascript"));
}

#[test]
fn whoever_waits_gets_each_answer() {
    let mut child = command(&["decide"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    for _ in 0..3 {
        input.write_all(format!("{LINE}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        output.read_line(&mut answer).unwrap();
        assert!(answer.contains("https://example.com/"), "{answer}");
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[test]
fn many_lines_are_quick() {
    let input = format!("{LINE}\n").repeat(100_000);
    let started_at = Instant::now();
    let run = run_with_input(&["decide"], input.as_bytes());
    assert_eq!(run.text().lines().count(), 100_000);
    // Far above what it takes even without optimisation: this only notices a flush or a syscall for each line.
    assert!(started_at.elapsed() < Duration::from_secs(60), "{:?}", started_at.elapsed());
}

#[test]
fn a_reader_that_has_enough_is_no_fault() {
    let mut child = command(&["decide"]).stdin(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut input = child.stdin.take().unwrap();
    let text = format!("{LINE}\n").repeat(10_000);
    // Fails once the program has ended, which is what is wanted.
    let _ = input.write_all(text.as_bytes());
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}
