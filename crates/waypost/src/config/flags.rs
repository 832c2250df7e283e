//! Settings as flags, generated from the list of settings. Values are only collected here: [`super::load`] reads them
//! together with those of the file and the environment, so that all errors are found at once.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};

use crate::config::settings::{SETTINGS, Setting, Shape};

/// The flag that names the file.
const CONFIG_FLAG: &str = "config";

/// The settings given on the command line.
#[derive(Clone, Default)]
pub(crate) struct GivenFlags {
    /// The configuration file.
    pub(crate) file: Option<PathBuf>,
    /// Settings and their values, in the order of the list.
    pub(crate) values: Vec<(&'static Setting, Vec<String>)>,
}

impl std::fmt::Debug for GivenFlags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Values may carry secrets.
        f.debug_set().entries(self.values.iter().map(|(setting, _)| setting.key)).finish()
    }
}

/// Flags of `serve`: every setting.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServeFlags(pub(crate) GivenFlags);

/// Flags of the other commands: the settings with which they find the data.
#[derive(Clone, Debug, Default)]
pub(crate) struct CommandFlags(pub(crate) GivenFlags);

fn is_any(_: &Setting) -> bool {
    true
}

fn is_for_commands(setting: &Setting) -> bool {
    setting.is_for_commands
}

fn add_flags(command: Command, is_shown: fn(&Setting) -> bool) -> Command {
    let file = Arg::new(CONFIG_FLAG)
        .long(CONFIG_FLAG)
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .help("TOML file with settings [env: WAYPOST_CONFIG]")
        .help_heading("Settings");
    SETTINGS.iter().filter(|setting| is_shown(setting)).fold(command.arg(file), |command, setting| {
        let flag = setting.flag().trim_start_matches("--").to_owned();
        let is_list = setting.shape == Shape::List;
        let heading = match setting.section() {
            None => "Settings",
            Some("clicks") => "Clicks",
            Some("cloudflare") => "Cloudflare",
            Some("webhooks") => "Webhooks",
            Some(_) => "Limits",
        };
        let default = setting.default_text().map(|text| format!(" [default: {text}]")).unwrap_or_default();
        let help = format!("{}{default} [env: {}]", setting.meaning, setting.variable()).replace('`', "");
        let arg = Arg::new(setting.key)
            .long(flag)
            .value_name(setting.value_name)
            .action(if is_list { ArgAction::Append } else { ArgAction::Set })
            .help(help)
            .help_heading(heading);
        command.arg(if is_list { arg.value_delimiter(',') } else { arg })
    })
}

fn read_flags(matches: &ArgMatches, is_shown: fn(&Setting) -> bool) -> GivenFlags {
    let values = |setting: &'static Setting| {
        let given = matches.get_many::<String>(setting.key)?.cloned().collect();
        Some((setting, given))
    };
    GivenFlags {
        file: matches.get_one::<PathBuf>(CONFIG_FLAG).cloned(),
        values: SETTINGS.iter().filter(|setting| is_shown(setting)).filter_map(values).collect(),
    }
}

macro_rules! flags {
    ($name:ident, $is_shown:expr) => {
        impl Args for $name {
            fn augment_args(command: Command) -> Command {
                add_flags(command, $is_shown)
            }

            fn augment_args_for_update(command: Command) -> Command {
                add_flags(command, $is_shown)
            }
        }

        impl FromArgMatches for $name {
            fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
                Ok(Self(read_flags(matches, $is_shown)))
            }

            fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
                *self = Self::from_arg_matches(matches)?;
                Ok(())
            }
        }
    };
}

flags!(ServeFlags, is_any);
flags!(CommandFlags, is_for_commands);
