//! Generates `docs/configuration.md` from the list of settings; a test checks that it is current.

#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::path::Path;

use crate::config::settings::SETTINGS;

const HEAD: &str = "\
# Configuration

Everything works without configuration. A setting can be given in a TOML file (`waypost serve --config FILE`, or
`WAYPOST_CONFIG=FILE`), in the environment, or as a flag. Flags override the environment, the environment overrides the
file, and the file overrides the default. In the environment the items of a list are separated by commas.

An unknown key, an unknown variable that begins with `WAYPOST_`, or an invalid value stops the start, and all errors are
listed at once. `waypost config` prints the settings in force and where each came from, with secrets masked. Its output
can be used as a configuration file.

Other commands read `data_dir`, `public_url` and `database_url` in the same way, and two variables of their own:
`WAYPOST_SERVER` (the URL of the server to use, as `--server`) and `WAYPOST_KEY` (the API key for it, as `--key`). They
log only errors, unless `WAYPOST_LOG` says otherwise.

This page is generated from the code: run `cargo xtask bless` after changing a setting.
";

fn render() -> String {
    let mut page = HEAD.to_owned();
    let mut section = Some("");
    for setting in SETTINGS {
        if setting.section() != section {
            section = setting.section();
            match section {
                None => page.push_str("\n## Settings\n\n"),
                Some(name) => write!(page, "\n## Section `[{name}]`\n\n").unwrap(),
            }
            page.push_str("| key | environment | flag | default | meaning |\n| --- | --- | --- | --- | --- |\n");
        }
        let name = setting.key.rsplit('.').next().unwrap();
        let default = setting.default_text().unwrap_or_else(|| "none".to_owned());
        let (variable, flag, value) = (setting.variable(), setting.flag(), setting.value_name);
        writeln!(page, "| `{name}` | `{variable}` | `{flag} {value}` | {default} | {} |", setting.meaning).unwrap();
    }
    page
}

#[test]
fn the_reference_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    if std::env::var_os("INSTA_UPDATE").is_some_and(|value| value == "always") {
        std::fs::write(&path, render()).unwrap();
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(page == render(), "docs/configuration.md is not current: run `cargo xtask bless`");
}
