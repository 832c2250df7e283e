//! Help texts, as snapshots, and completions.

use crate::support::run;

#[test]
fn help_texts() {
    for command in [
        "",
        "serve",
        "key create",
        "key list",
        "key revoke",
        "link create",
        "link list",
        "link show",
        "link update",
        "link qr",
        "link qr-logo",
        "link delete",
        "domain create",
        "domain list",
        "domain update",
        "domain delete",
        "report",
        "clicks export",
        "clicks tail",
        "clicks audit",
        "clicks refused",
        "clicks erase",
        "clicks retention",
        "sync status",
        "sync retry",
        "sync verify",
        "import",
        "export",
        "decide",
        "config",
        "completions",
    ] {
        let arguments: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let name = if command.is_empty() { "waypost".to_owned() } else { command.replace(' ', "_") };
        insta::assert_snapshot!(name, run(&arguments).text());
    }
}

#[test]
fn help_is_a_command_too() {
    assert_eq!(run(&["help"]).text(), run(&["--help"]).text());
    assert_eq!(run(&["help", "link", "create"]).text(), run(&["link", "create", "--help"]).text());
    assert!(run(&["help", "nothing"]).fault(2).contains("nothing"));
}

#[test]
fn the_version_is_the_packages() {
    assert_eq!(run(&["--version"]).text(), concat!("waypost ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn shells_get_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(run(&["completions", shell]).text().contains("waypost"), "{shell}");
    }
}
