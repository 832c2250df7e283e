//! A report as people read it: a heading with the query, aligned columns, on a terminal a bar for each count, and the
//! totals.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};

use waypost_api::report::{Report, ReportQuery, ReportRow};
use waypost_core::class::Class;

use crate::print::{self, counted, grouped};

/// Characters of the longest bar.
const BAR_CHARS: u64 = 30;
/// Characters of a group's name on a terminal.
const GROUP_CHARS_MAX: usize = 60;
/// How many rows without clicks are shown before the first row with clicks.
const QUIET_ROWS_MAX: usize = 1;
const GAP: &str = "  ";
const EIGHTHS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];

/// Prints a report of the API.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn show_report(report: &Report) -> anyhow::Result<()> {
    Ok(print::line(render(report, io::stdout().is_terminal()).trim_end())?)
}

/// One line of the table.
struct Row {
    time: String,
    group: String,
    clicks: u64,
    /// The count as it is shown, an estimate with `~`. `None` if visitors are not counted.
    visitors: Option<String>,
}

fn render(report: &Report, on_terminal: bool) -> String {
    let query = &report.query;
    let mut out = format!("{}\n", heading(query));
    if report.clicks == 0 {
        out.push_str("\nThere are no clicks.");
        if query.classes.len() < Class::ALL.len() {
            out.push_str(" Bots, previews and prefetches are counted, too: see --class all.");
        }
        return out + "\n";
    }
    let rows: Vec<Row> = report.rows.iter().map(|row| read_row(row, query, on_terminal)).collect();
    let quiet = rows.iter().take_while(|row| row.clicks == 0).count();
    // Days before a link was created need no rows; one row without clicks shows where they begin.
    let rows = if quiet > QUIET_ROWS_MAX { &rows[quiet..] } else { &rows[..] };
    if !rows.is_empty() {
        out.push('\n');
        write_table(&mut out, rows, query, on_terminal);
    }
    if let (true, Some(first)) = (quiet > QUIET_ROWS_MAX, rows.first()) {
        let _ = write!(out, "\nNo clicks before {}.", first.time);
    }
    let _ = write!(out, "\nTotal: {}", counted(report.clicks, "click"));
    let about = if report.visitors_estimated { "about " } else { "" };
    let _ = writeln!(out, ", {about}{}", counted(report.visitors, "visitor"));
    if report.other.groups > 0 {
        let (groups, clicks) = (counted(report.other.groups, "group"), counted(report.other.clicks, "click"));
        let _ = writeln!(out, "Not shown: {groups} with {clicks}; see --limit.");
    }
    out
}

fn heading(query: &ReportQuery) -> String {
    let about = match (query.scope.as_str(), &query.short_url) {
        ("link", Some(short_url)) => short_url.clone(),
        ("link", None) => format!("link {} (deleted)", query.link_id.as_deref().unwrap_or_default()),
        ("domain", _) => format!("domain {}", query.domain.as_deref().unwrap_or_default()),
        _ => "all links".to_owned(),
    };
    let has_all = query.classes.len() == Class::ALL.len();
    let classes = if has_all { "all classes".to_owned() } else { query.classes.join(", ") };
    let (from, to) = (short_time(&query.from), short_time(&query.to));
    let mut heading = format!("Clicks on {about}, {from} to {to} ({}), {classes}", query.time_zone);
    for (name, values) in &query.filters {
        let shown = |value: &String| if value.is_empty() { "unknown" } else { value.as_str() }.to_owned();
        let values: Vec<String> = values.iter().map(shown).collect();
        let _ = write!(heading, ", {name} {}", values.join(" or "));
    }
    print::plain(&heading)
}

/// `2026-03-01` for midnight, otherwise `2026-03-01 10:30`.
fn short_time(time: &str) -> String {
    match (time.get(..10), time.get(11..16)) {
        (Some(date), Some("00:00")) => date.to_owned(),
        (Some(date), Some(clock)) => format!("{date} {clock}"),
        _ => time.to_owned(),
    }
}

fn read_row(row: &ReportRow, query: &ReportQuery, on_terminal: bool) -> Row {
    let starts_at = row.starts_at.as_deref().unwrap_or_default();
    let time = match query.interval.as_str() {
        "none" => String::new(),
        "year" => starts_at.get(..4).unwrap_or(starts_at).to_owned(),
        "month" => starts_at.get(..7).unwrap_or(starts_at).to_owned(),
        "hour" => format!("{} {}", starts_at.get(..10).unwrap_or_default(), starts_at.get(11..16).unwrap_or_default()),
        _ => starts_at.get(..10).unwrap_or(starts_at).to_owned(),
    };
    let group_by = query.group_by.as_deref().unwrap_or_default();
    let group = match (row.group.as_deref(), &row.link) {
        (None, _) => String::new(),
        (Some(_), Some(link)) => link.short_url.clone(),
        (Some(""), None) => match group_by {
            "rule" => "(no rule)",
            "ab_test" => "(no test)",
            "variant" => "(no variant)",
            _ => "(unknown)",
        }
        .to_owned(),
        (Some(id), None) if group_by == "link" => format!("{id} (deleted)"),
        (Some(group), None) => group.to_owned(),
    };
    let mut group = print::plain(&group);
    if on_terminal && group.chars().count() > GROUP_CHARS_MAX {
        group = group.chars().take(GROUP_CHARS_MAX - 1).chain(['…']).collect();
    }
    let about = if row.visitors_estimated == Some(true) { "~" } else { "" };
    let visitors = row.visitors.map(|visitors| format!("{about}{}", grouped(visitors)));
    Row { time, group, clicks: row.clicks, visitors }
}

fn write_table(out: &mut String, rows: &[Row], query: &ReportQuery, on_terminal: bool) {
    let has_time = query.interval != "none";
    let group_heading = query.group_by.as_ref().map(|name| name.to_uppercase().replace('_', " "));
    let has_visitors = rows.iter().any(|row| row.visitors.is_some());
    let width = |heading: &str, cells: &dyn Fn(&Row) -> usize| {
        rows.iter().map(cells).max().unwrap_or(0).max(heading.chars().count())
    };
    let time_width = width("FROM", &|row| row.time.chars().count());
    let group_width = width(group_heading.as_deref().unwrap_or_default(), &|row| row.group.chars().count());
    let clicks_width = width("CLICKS", &|row| grouped(row.clicks).len());
    let visitors_width = width("VISITORS", &|row| row.visitors.as_ref().map_or(0, String::len));
    let most = rows.iter().map(|row| row.clicks).max().unwrap_or(0);
    let mut write_line = |time: &str, group: &str, clicks: &str, visitors: &str, bar: &str| {
        let mut line = String::new();
        if has_time {
            let _ = write!(line, "{time:time_width$}{GAP}");
        }
        if group_heading.is_some() {
            let _ = write!(line, "{group:group_width$}{GAP}");
        }
        let _ = write!(line, "{clicks:>clicks_width$}");
        if has_visitors {
            let _ = write!(line, "{GAP}{visitors:>visitors_width$}");
        }
        let _ = write!(line, "{GAP}{bar}");
        out.push_str(line.trim_end());
        out.push('\n');
    };
    write_line("FROM", group_heading.as_deref().unwrap_or_default(), "CLICKS", "VISITORS", "");
    let mut last_time = "";
    for row in rows {
        let time = if row.time == last_time { "" } else { row.time.as_str() };
        last_time = &row.time;
        let visitors = row.visitors.as_deref().unwrap_or_default();
        let bar = if on_terminal { bar(row.clicks, most) } else { String::new() };
        write_line(time, &row.group, &grouped(row.clicks), visitors, &bar);
    }
}

/// A bar whose length shows the count; every count above zero is visible.
fn bar(count: u64, most: u64) -> String {
    let eighths = u128::from(count) * u128::from(BAR_CHARS) * 8;
    let eighths = usize::try_from(eighths.div_ceil(u128::from(most.max(1)))).unwrap_or(0);
    let mut bar = "█".repeat(eighths / 8);
    if let Some(part) = (eighths % 8).checked_sub(1) {
        bar.push(EIGHTHS[part]);
    }
    bar
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn report(interval: &str, group_by: &str, rows: &Value) -> Report {
        let report = json!({
            "query": {"scope": "account", "from": "2026-03-01T00:00:00+01:00", "to": "2026-03-29T12:30:00+02:00",
                "time_zone": "Europe/Berlin", "interval": interval, "classes": ["human"],
                "filters": {"country": ["DE", ""]}, "group_by": (!group_by.is_empty()).then_some(group_by), "limit": 100},
            "clicks": 1234, "visitors": 999, "visitors_estimated": true, "rows": rows,
            "other": {"groups": 1, "clicks": 4}
        });
        serde_json::from_value(report).expect("a report")
    }

    #[test]
    fn days() {
        let rows = json!([{"starts_at": "2026-03-01T00:00:00+01:00", "clicks": 0, "visitors": 0},
            {"starts_at": "2026-03-02T00:00:00+01:00", "clicks": 1234, "visitors": 999, "visitors_estimated": true}]);
        let expect = "Clicks on all links, 2026-03-01 to 2026-03-29 12:30 (Europe/Berlin), human, country DE or unknown\n\n\
            FROM        CLICKS  VISITORS\n2026-03-01       0         0\n2026-03-02   1,234      ~999\n\n\
            Total: 1,234 clicks, about 999 visitors\nNot shown: 1 group with 4 clicks; see --limit.\n";
        assert_eq!(render(&report("day", "", &rows), false), expect);
    }

    #[test]
    fn days_before_the_first_click_are_one_line() {
        let day = |day: u32, clicks: u32| json!({"starts_at": format!("2026-03-{day:02}T00:00:00+01:00"), "clicks": clicks, "visitors": clicks});
        let days: Vec<Value> = (1..30).map(|number| day(number, u32::from(number >= 28))).collect();
        let mut of_a_new_link = report("day", "", &days.into());
        (of_a_new_link.clicks, of_a_new_link.visitors, of_a_new_link.visitors_estimated) = (2, 1, false);
        let text = render(&of_a_new_link, false);
        let (_, shown) = text.split_once("\n\n").unwrap_or_default();
        let expect = "FROM        CLICKS  VISITORS\n2026-03-28       1         1\n2026-03-29       1         1\n\n\
            No clicks before 2026-03-28.\nTotal: 2 clicks, 1 visitor\n";
        assert!(shown.starts_with(expect), "{text}");
    }

    #[test]
    fn groups() {
        let rows = json!([
            {"starts_at": "2026-03-01T00:00:00+01:00", "group": "link_1", "domain": "go.example", "slug": "a",
                "short_url": "https://go.example/a", "clicks": 8},
            {"starts_at": "2026-03-01T00:00:00+01:00", "group": "link_2", "clicks": 1}]);
        let text = render(&report("month", "link", &rows), true);
        let table: Vec<&str> = text.lines().skip(2).take(3).collect();
        let expect = [
            "FROM     LINK                  CLICKS",
            "2026-03  https://go.example/a       8  ██████████████████████████████",
            "         link_2 (deleted)           1  ███▊",
        ];
        assert_eq!(table, expect);
        let rows =
            json!([{"group": "", "clicks": 1, "visitors": 1}, {"group": "evil\u{1b}[2J", "clicks": 1, "visitors": 1}]);
        let text = render(&report("none", "utm_source", &rows), false);
        assert!(
            text.contains("\n\nUTM SOURCE  CLICKS  VISITORS\n(unknown)        1         1\nevil\u{fffd}[2J"),
            "{text}"
        );
    }

    #[test]
    fn nothing_is_said_to_be_nothing() {
        let mut empty = report("day", "", &json!([]));
        empty.clicks = 0;
        assert!(
            render(&empty, true).ends_with(
                "\n\nThere are no clicks. Bots, previews and prefetches are counted, too: see --class all.\n"
            )
        );
    }

    #[test]
    fn bars() {
        assert_eq!((bar(0, 10), bar(0, 0), bar(1, 1_000_000).as_str()), (String::new(), String::new(), "▏"));
        assert_eq!(bar(u64::MAX, u64::MAX).chars().count(), 30);
    }
}
