//! Runs every case of `vectors/*.json` through the JSON-lines form of `decide`, which people and other targets use.
//!
//! An `expect` names the fields it cares about; `error` is a part of the message.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use waypost_core::SchemePolicy;
use waypost_core::wire::decide_line;

fn cases() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
        .iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "json"))
        .flat_map(|file| {
            let stem = file.file_stem().unwrap().to_string_lossy().into_owned();
            let cases: Vec<Value> = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
            cases.into_iter().map(move |case| (format!("{stem}: {}", case["name"].as_str().unwrap()), case))
        })
        .collect()
}

/// What is wrong with the answer to one case, if anything.
fn fault(case: &Value, with_trace: bool) -> Option<String> {
    let line = serde_json::json!({ "record": case["record"], "visit": case["visit"] }).to_string();
    let answer: Value = serde_json::from_str(&decide_line(line.as_bytes(), &SchemePolicy::web(), with_trace)).unwrap();
    if let Some(part) = case["expect"]["error"].as_str() {
        let error = answer["error"].as_str().unwrap_or("");
        return (!error.contains(part)).then(|| format!("expected an error with {part:?}, got {answer}"));
    }
    let wrong: Vec<String> = case["expect"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(field, expected)| answer.get(field) != Some(expected))
        .map(|(field, expected)| format!("{field}: expected {expected}, got {}", answer[field]))
        .collect();
    (!wrong.is_empty()).then(|| wrong.join("; ") + &format!(" ({answer})"))
}

#[test]
fn every_vector_decides_as_written() {
    let cases = cases();
    let names: BTreeSet<_> = cases.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), cases.len(), "two cases have the same name");
    assert!(cases.len() >= 150, "{} cases", cases.len());
    let faults: Vec<_> =
        cases.iter().filter_map(|(name, case)| Some(format!("{name}: {}", fault(case, false)?))).collect();
    assert!(faults.is_empty(), "{} of {} cases:\n{}", faults.len(), cases.len(), faults.join("\n"));
}

#[test]
fn asking_for_the_trace_changes_nothing_else() {
    let faults: Vec<_> =
        cases().iter().filter_map(|(name, case)| Some(format!("{name}: {}", fault(case, true)?))).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_trace_ends_with_what_applied() {
    for (name, case) in cases() {
        if case["expect"].get("error").is_some() || case["expect"]["action"] != "redirect" {
            continue;
        }
        let line = serde_json::json!({ "record": case["record"], "visit": case["visit"] }).to_string();
        let answer: Value = serde_json::from_str(&decide_line(line.as_bytes(), &SchemePolicy::web(), true)).unwrap();
        let deciding = answer["trace"].as_array().unwrap().iter().find(|step| step["applied"] == true).unwrap();
        let step = if answer["source"] == "expired" { "expires_at" } else { answer["source"].as_str().unwrap() };
        assert_eq!(deciding["step"], step, "{name}: {answer}");
    }
}
