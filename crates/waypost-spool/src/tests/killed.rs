//! A real process that is killed at any moment: all it said it had appended is there.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use fastrand::Rng;

use super::consumer::{Consumer, Fate, payload};
use crate::{Appended, Spool, SpoolOptions};

/// Names the folder for the child; without it the child's test does nothing.
const FOLDER: &str = "WAYPOST_SPOOL_CHILD_FOLDER";
const ROUNDS: u64 = 25;
/// What a line about an append starts with, to tell it from those of the test harness.
const MARK: &str = "appended";

fn options() -> SpoolOptions {
    let flush_interval = Duration::from_millis(1);
    SpoolOptions { segment_bytes: 16384, bytes_max: 20 * 16384, flush_interval, ..SpoolOptions::default() }
}

/// The child: appends for ever, and prints what became of each append.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let spool = Spool::open(folder.as_ref(), options()).unwrap();
    let mut writer = spool.writer().unwrap();
    let mut out = std::io::stdout().lock();
    for sequence in 1.. {
        let payload = payload(writer.epoch(), sequence, (sequence * 37 % 500) as usize);
        let (state, sequence) = match writer.append(&payload) {
            Appended::Stored { sequence } => ("stored", sequence),
            Appended::Lost { sequence } => ("lost", sequence),
        };
        if writeln!(out, "{MARK} {} {sequence} {state}", writer.epoch()).and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}

/// Runs the child until it has printed that many lines, and kills it. Returns its epoch and what it said.
fn run_child(folder: &std::path::Path, lines: usize) -> (u64, Vec<bool>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["tests::killed::child", "--exact", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut epoch = 0;
    let mut said = Vec::new();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap() > 0 {
        // A kill may cut the last line.
        if line.ends_with('\n')
            && let Some(at) = line.find(MARK)
        {
            let words: Vec<&str> = line[at..].split_whitespace().collect();
            epoch = words[1].parse().unwrap();
            assert_eq!(words[2].parse::<usize>().unwrap(), said.len() + 1);
            said.push(words[3] == "stored");
        }
        line.clear();
        if said.len() == lines {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    (epoch, said)
}

#[test]
fn what_a_killed_process_said_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Rng::with_seed(3);
    let mut consumer = Consumer::default();
    let mut last_epoch = 0;
    for round in 0..ROUNDS {
        let (epoch, said) = run_child(folder.path(), 1 + random.u64(..3000) as usize);
        assert!(epoch > last_epoch);
        last_epoch = epoch;
        // Now and then the backlog stays, so that the spool gets full.
        if round % 4 == 3 {
            continue;
        }
        let spool = Spool::open(folder.path(), options()).unwrap();
        let mut reader = spool.reader().unwrap();
        reader.start_at(&consumer.positions());
        consumer.drain(&mut reader);
        let got = consumer.of(epoch);
        assert!(got.len() >= said.len(), "epoch {epoch}: {} of {}", got.len(), said.len());
        for (index, (got, is_stored)) in got.iter().zip(&said).enumerate() {
            let sequence = index as u64 + 1;
            match got {
                Fate::Record(bytes) => {
                    assert!(*is_stored);
                    assert!(*bytes == payload(epoch, sequence, (sequence * 37 % 500) as usize));
                }
                Fate::Lost(cause) => assert!(!is_stored, "epoch {epoch}, sequence {sequence}: {cause:?}"),
            }
        }
        reader.release(&consumer.positions()).unwrap();
    }
}
