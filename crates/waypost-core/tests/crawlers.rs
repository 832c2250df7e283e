//! The lists of crawlers and browsers in `testdata/crawlers` get the right class, except a few that are named here.

use waypost_core::class::{Class, classify};
use waypost_core::{Timestamp, Visit};

const CRAWLERS: [(&str, &str); 2] = [
    ("crawler-user-agents", include_str!("../../../testdata/crawlers/crawler-user-agents.txt")),
    ("isbot", include_str!("../../../testdata/crawlers/isbot-crawlers.txt")),
];
const BROWSERS: &str = include_str!("../../../testdata/crawlers/isbot-browsers.txt");

/// Crawlers of the lists that are counted as people, each with the reason.
const HUMAN: [(&str, &str); 5] = [
    ("Instagram 406.0.0.58.159 Android (", "Instagram's in-app browser: a person follows a link there"),
    (" MetaIAB Facebook", "Facebook's in-app browser"),
    (" Code/1.115.0 ", "an editor's built-in browser"),
    (" Trae/1.107.1 ", "an editor's built-in browser"),
    (" Fluid/0.9.6 ", "a browser for a single site, which isbot lists as one"),
];

/// Browsers of the list that are not, each with the reason.
const NOT_HUMAN: [(&str, &str); 1] =
    [("Microsoft Office/", "Office fetches what a document or a mail names, before or without a person")];

fn class(user_agent: &str) -> Class {
    classify(&Visit { user_agent: Some(user_agent), ..Visit::at(Timestamp::from_micros(0)) }).class
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().skip(1)
}

#[test]
fn at_most_two_crawlers_of_a_hundred_are_human_and_each_is_named() {
    for (name, list) in CRAWLERS {
        let all = lines(list).count();
        let human: Vec<&str> = lines(list).filter(|line| class(line) == Class::Human).collect();
        assert!(all > 1_500, "{name}: {all}");
        assert!(human.len() * 50 <= all, "{name}: {} of {all}", human.len());
        let unnamed: Vec<_> = human.iter().filter(|line| !HUMAN.iter().any(|(part, _)| line.contains(part))).collect();
        assert!(unnamed.is_empty(), "{name}: {unnamed:#?}");
    }
}

#[test]
fn at_most_one_browser_of_two_hundred_is_not_human_and_each_is_named() {
    let all = lines(BROWSERS).count();
    let other: Vec<&str> = lines(BROWSERS).filter(|line| class(line) != Class::Human).collect();
    assert!(all > 2_500, "{all}");
    assert!(other.len() * 200 <= all, "{} of {all}", other.len());
    let unnamed: Vec<_> = other.iter().filter(|line| !NOT_HUMAN.iter().any(|(part, _)| line.contains(part))).collect();
    assert!(unnamed.is_empty(), "{unnamed:#?}");
}

#[test]
fn named_exceptions_are_still_exceptions() {
    for (part, _) in HUMAN {
        assert!(
            CRAWLERS.iter().any(|(_, list)| lines(list).any(|line| line.contains(part) && class(line) == Class::Human)),
            "{part}"
        );
    }
    for (part, _) in NOT_HUMAN {
        assert!(lines(BROWSERS).any(|line| line.contains(part) && class(line) != Class::Human), "{part}");
    }
}
