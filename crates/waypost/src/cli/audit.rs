//! Arguments of `waypost audit`.

use clap::Args;

use super::ClientArgs;

#[derive(Args, Debug)]
pub(crate) struct AuditArgs {
    /// Only changes by this actor: `operator`, `anonymous`, or the id of a person or API key
    #[arg(long)]
    pub(crate) actor: Option<String>,
    /// Only this action, or all actions on one kind of object: link.create, link
    #[arg(long)]
    pub(crate) action: Option<String>,
    /// Only changes of the object with this id
    #[arg(long, value_name = "ID")]
    pub(crate) object: Option<String>,
    /// Only changes from this time on: 2026-01-15, 2026-01-15T10:30:00Z, or a span back from now such as 7d
    #[arg(long, value_name = "WHEN")]
    pub(crate) from: Option<String>,
    /// Only changes before this time; a date includes the whole day
    #[arg(long, value_name = "WHEN")]
    pub(crate) to: Option<String>,
    /// The most changes to print
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}
