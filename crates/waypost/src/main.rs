//! The `waypost` program: reads the command line and runs the command. It has no logic of links and clicks itself; that
//! is in the other crates.

mod api_path;
mod cli;
mod client;
mod clock;
mod command;
mod config;
mod data_dir;
mod decide;
mod fault;
mod instance;
mod lines;
mod print;
mod problem;
mod reply;
mod serve;
mod transfer;
mod visitor_salts;

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser as _};
use tracing_subscriber::EnvFilter;
use waypost_core::SchemePolicy;

use crate::cli::{Cli, Command, ConfigArgs, DecideArgs};
use crate::config::flags::ServeFlags;
use crate::config::load::{Loaded, load};
use crate::decide::{DecideOptions, decide_lines};

/// Some lines of an import were refused.
const EXIT_SOME_REFUSED: u8 = 3;
/// Threads of commands other than `serve`: one for the command, one for what it waits for.
const COMMAND_THREADS: usize = 2;

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(exit_code) => exit_code,
        // The reader of our output has closed the pipe: that is not an error.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            print::note(&format!("waypost: {}", fault::describe(&error)));
            ExitCode::from(fault::exit_status(&error))
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    kind == Some(io::ErrorKind::BrokenPipe)
}

fn run(command: Option<Command>) -> anyhow::Result<ExitCode> {
    match command.unwrap_or_else(|| Command::Serve(ServeFlags::default())) {
        Command::Serve(flags) => {
            let Loaded { config, .. } = load(&flags.0, std::env::vars_os())?;
            start_logging(config.log.as_str());
            serve::serve(&config)?;
        }
        Command::Decide(args) => decide(&args)?,
        Command::Config(args) => show_config(&args)?,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "waypost", &mut script);
            print::line(String::from_utf8(script).context("the script is not UTF-8")?.trim_end())?;
        }
        Command::Audit(args) => block_on(command::run_audit(&args))?,
        Command::Key(command) => block_on(command::run_key(&command))?,
        Command::Link(command) => block_on(command::run_link(command))?,
        Command::Domain(command) => block_on(command::run_domain(&command))?,
        Command::Report(args) => block_on(command::run_report(&args))?,
        Command::Clicks(command) => return block_on(command::run_clicks(&command)),
        Command::Sync(command) => return block_on(command::run_sync(&command)),
        Command::Export(args) => block_on(transfer::export::export(&args))?,
        Command::Import(args) => {
            let summary = block_on(transfer::import::import(&args))?;
            return Ok(if summary.refused > 0 { ExitCode::from(EXIT_SOME_REFUSED) } else { ExitCode::SUCCESS });
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    // Commands print their own errors; the log is for everything else.
    start_logging(&std::env::var("WAYPOST_LOG").unwrap_or_else(|_| "error".to_owned()));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(COMMAND_THREADS).enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(work)
}

fn start_logging(filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let is_terminal = io::stderr().is_terminal();
    // A line that cannot be written, as on a full disk, is dropped: reporting that would panic the thread that logs.
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(is_terminal);
    subscriber.log_internal_errors(false).init();
}

fn decide(args: &DecideArgs) -> anyhow::Result<()> {
    let schemes: Vec<&str> = args.schemes.iter().map(String::as_str).collect();
    let schemes = SchemePolicy::with(&schemes).context("--scheme")?;
    let options = DecideOptions { schemes, with_trace: args.trace };
    Ok(decide_lines(io::stdin().lock(), io::stdout().lock(), &options)?)
}

fn show_config(args: &ConfigArgs) -> anyhow::Result<()> {
    let loaded = load(&args.settings.0, std::env::vars_os())?;
    if args.json {
        return Ok(print::json(&config::show::to_json(&loaded))?);
    }
    let mut text = Vec::new();
    config::show::write_toml(&loaded, &mut text)?;
    Ok(print::line(String::from_utf8(text)?.trim())?)
}
