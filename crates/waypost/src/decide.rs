//! `waypost decide`: reads records and visits line by line, and writes a decision for each.
//!
//! It reads no configuration and no data folder, only the records and visits. `waypost_core::wire` decides.

use std::io::{self, BufReader, BufWriter, Read, Write};

use waypost_api::link::add_zone_rules;
use waypost_core::SchemePolicy;
use waypost_core::wire::{LINE_BYTES_MAX, decide_line_with};

use crate::lines::{Line, Lines};

const BUFFER_BYTES: usize = 64 * 1024;

/// Options that hold for every decision of a run.
pub(crate) struct DecideOptions {
    pub(crate) schemes: SchemePolicy,
    pub(crate) with_trace: bool,
}

/// Writes the decision for every line of `input` to `output`, in order. Output is buffered only while more input is
/// available, so that a person or a program that waits for each answer gets it.
///
/// # Errors
/// If reading or writing fails; a bad line is an answer, not an error.
pub(crate) fn decide_lines(input: impl Read, output: impl Write, options: &DecideOptions) -> io::Result<()> {
    let mut lines = Lines::new(BufReader::with_capacity(BUFFER_BYTES, input), LINE_BYTES_MAX);
    let mut output = BufWriter::with_capacity(BUFFER_BYTES, output);
    while let Some(line) = lines.next_line()? {
        let answer = match line {
            Line::Text { bytes, .. } if bytes.trim_ascii().is_empty() => None,
            Line::Text { bytes, .. } => {
                Some(decide_line_with(bytes, &options.schemes, options.with_trace, add_zone_rules))
            }
            Line::TooLong { .. } => Some(format!(r#"{{"error":"a line has at most {LINE_BYTES_MAX} bytes"}}"#)),
        };
        if let Some(answer) = answer {
            output.write_all(answer.as_bytes())?;
            output.write_all(b"\n")?;
        }
        if lines.is_drained() {
            output.flush()?;
        }
    }
    output.flush()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn run(input: impl Read) -> String {
        let options = DecideOptions { schemes: SchemePolicy::web(), with_trace: false };
        let mut output = Vec::new();
        decide_lines(input, &mut output, &options).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn every_line_that_is_not_empty_has_an_answer() {
        let good = r#"{"record":"https://example.com","visit":{"now":"2026-01-01T00:00:00Z"}}"#;
        let text = format!("{good}\n\n \r\nnonsense\n{good}\r\n\u{0}\n{good}");
        let output = run(text.as_bytes());
        let kinds: Vec<bool> = output.lines().map(|line| line.contains("error")).collect();
        assert_eq!(kinds, [false, true, false, true, false]);
        assert!(output.ends_with("\n"));
        assert_eq!(run(&b""[..]), "");
    }

    #[test]
    fn a_time_zone_needs_no_rule_here() {
        let rule = r#"{"when":{"schedule":{"hours":["09:00-17:00"],"time_zone":"Europe/Berlin"}},"to":{"url":"https://open.example/"}}"#;
        let record = format!(r#"{{"destination_url":"https://example.com/","rules":[{rule}]}}"#);
        let at =
            |time: &str| run(format!(r#"{{"record":{record},"visit":{{"now":"2026-07-01T{time}Z"}}}}"#).as_bytes());
        assert!(at("07:00:00").contains("https://open.example/"));
        assert!(at("06:59:59").contains("https://example.com/"));
    }

    #[test]
    fn a_line_without_end_is_answered_and_passed_over() {
        let long = vec![b'x'; LINE_BYTES_MAX + 1];
        let input = long.chain(&b"\n{}\n"[..]);
        let output = run(input);
        assert_eq!(output.lines().count(), 2);
        assert!(output.starts_with(r#"{"error":"a line has at most"#), "{output}");
    }
}
