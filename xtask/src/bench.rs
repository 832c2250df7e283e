//! `bench`: measures the speed of the product, and compares each figure with its budget.
//!
//! Without the name of a group all groups run in turn, and a table of all budgets follows. `cargo xtask worker bench`
//! measures the Worker, which needs other tools.

mod beside;
mod clicks;
mod create;
mod figures;
mod fixed_rate;
mod growth;
mod idle;
mod instructions;
mod latency;
mod load;
mod open_loop;
mod options;
mod peers;
mod ratio;
mod redirect;
mod schedule;
mod stage;
mod start;
mod writer;

use anyhow::{bail, ensure};
use serde_json::json;

use figures::{Budget, Figure, Verdicts, table, to_json};
use options::Options;
use stage::{Stage, machine, write_report};

/// Figures that belong together.
struct Group {
    name: &'static str,
    measure: Measure,
}

/// How a group is measured.
#[derive(Clone, Copy)]
enum Measure {
    /// Beside other servers, on pinned cores.
    OnStage(fn(&Stage) -> anyhow::Result<Vec<Figure>>),
    Alone(fn(&Options) -> anyhow::Result<Vec<Figure>>),
}

/// All groups in the order in which they run, as a table.
const GROUPS: &[Group] = &[
    Group { name: "redirect", measure: Measure::OnStage(redirect::bench) },
    Group { name: "beside", measure: Measure::OnStage(beside::bench) },
    Group { name: "latency", measure: Measure::OnStage(fixed_rate::bench) },
    Group { name: "idle", measure: Measure::OnStage(idle::bench) },
    Group { name: "growth", measure: Measure::OnStage(growth::bench) },
    Group { name: "start", measure: Measure::OnStage(start::bench) },
    Group { name: "create", measure: Measure::Alone(create::bench) },
    Group { name: "clicks", measure: Measure::Alone(clicks::bench) },
    Group { name: "instructions", measure: Measure::Alone(instructions::bench) },
];

/// Measures one group, or all.
pub(crate) fn bench(arguments: &[String]) -> anyhow::Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["instructions", "--bless"] => instructions::bless(),
        // Not for people: the process that `latency` starts.
        ["open-loop", rest @ ..] => open_loop::main(rest),
        [name, rest @ ..] if !name.starts_with("--") => {
            let Some(group) = GROUPS.iter().find(|group| group.name == *name) else {
                bail!("no such group: {name}; say nothing for all, or one of {}", group_names());
            };
            measure(&[group], &Options::parse(rest)?)
        }
        words => {
            let options = Options::parse(words)?;
            let chosen: Vec<&Group> = GROUPS.iter().filter(|group| group.name.contains(&options.only)).collect();
            ensure!(!chosen.is_empty(), "no group has {:?} in its name; there are {}", options.only, group_names());
            // What is chosen here are groups, not parts of them.
            measure(&chosen, &options.of_all())
        }
    }
}

fn group_names() -> String {
    GROUPS.iter().map(|group| group.name).collect::<Vec<_>>().join(", ")
}

/// Runs the groups and prints what became of the budgets. A budget that is not kept is no error; a group that cannot be
/// measured is one, after the others.
fn measure(groups: &[&Group], options: &Options) -> anyhow::Result<()> {
    let verdicts = if options.quick { Verdicts::Left } else { Verdicts::Given };
    let mut stage = None;
    let mut figures = Vec::new();
    let mut failures = Vec::new();
    for group in groups {
        println!("\n== {}", group.name);
        let outcome = match group.measure {
            Measure::OnStage(bench) => {
                if stage.is_none() {
                    stage = Some(Stage::prepare(options.clone())?);
                }
                stage.as_ref().and_then(Option::as_ref).map_or_else(|| Ok(Vec::new()), bench)
            }
            Measure::Alone(bench) => bench(options),
        };
        match outcome {
            Ok(measured) => figures.extend(measured),
            Err(error) => failures.push(format!("{}: {error:#}", group.name)),
        }
    }
    figures.retain(|figure| figure.budget != Budget::None);
    println!("\n== budgets\n{}", table(&figures, verdicts));
    if options.quick {
        println!("a quick run: programs as tests have them, tiny sizes; these figures say nothing of the budgets");
    }
    println!("what the Worker promises: cargo xtask worker bench");
    write_report("budgets", &json!({ "machine": machine()?, "quick": options.quick, "budgets": to_json(&figures) }))?;
    ensure!(failures.is_empty(), "could not be measured: {}", failures.join("; "));
    Ok(())
}
