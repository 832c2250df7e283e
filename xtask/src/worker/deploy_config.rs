//! `worker deploy-config`: writes the `wrangler.toml` that deploys what `worker build` made.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};

use crate::run::target_folder;

/// The date whose behaviour of the platform the Worker is tested with.
const COMPATIBILITY_DATE: &str = "2026-04-01";

/// What may be set. Everything but the namespace has a default.
#[derive(Debug, Default)]
struct Options {
    name: Option<String>,
    kv_id: Option<String>,
    domain: Option<String>,
    control_url: Option<String>,
    queue: Option<String>,
    rate_per_minute: Option<String>,
    out: Option<String>,
}

const USAGE: &str = "deploy-config --kv-id ID [--name NAME] [--domain HOST] [--control-url URL] [--queue NAME] \
     [--rate-per-minute COUNT] [--out FILE]";

/// Writes the file, beside the build unless told where.
pub(super) fn write(arguments: &[String]) -> anyhow::Result<()> {
    let options = Options::read(arguments)?;
    let folder = target_folder()?.join("worker");
    let path = options.out.as_ref().map_or_else(|| folder.join("wrangler.toml"), PathBuf::from);
    let build = if options.out.is_some() { folder.display().to_string() } else { ".".to_owned() };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(&path, options.toml(&build)?).with_context(|| format!("write {}", path.display()))?;
    println!("wrote {}; deploy with `npx wrangler deploy --config` and its path", path.display());
    Ok(())
}

impl Options {
    fn read(arguments: &[String]) -> anyhow::Result<Self> {
        let mut options = Self::default();
        let mut rest = arguments.iter();
        while let Some(flag) = rest.next() {
            let place = match flag.as_str() {
                "--name" => &mut options.name,
                "--kv-id" => &mut options.kv_id,
                "--domain" => &mut options.domain,
                "--control-url" => &mut options.control_url,
                "--queue" => &mut options.queue,
                "--rate-per-minute" => &mut options.rate_per_minute,
                "--out" => &mut options.out,
                other => bail!("unknown {other}; {USAGE}"),
            };
            *place = Some(rest.next().with_context(|| format!("{flag} needs a value; {USAGE}"))?.clone());
        }
        ensure!(options.kv_id.is_some(), "the id of the KV namespace is needed; {USAGE}");
        ensure!(
            options.queue.is_none() || options.control_url.is_some(),
            "clicks leave the queue only with --control-url"
        );
        Ok(options)
    }

    /// The file; `build` is the folder of the build as seen from it.
    fn toml(&self, build: &str) -> anyhow::Result<String> {
        let mut toml = String::new();
        writeln!(toml, "# Made by `cargo xtask worker deploy-config`. What each setting means: docs/cloudflare.md.")?;
        writeln!(toml, "name = {}", quoted(self.name.as_deref().unwrap_or("waypost")))?;
        writeln!(toml, "main = {}", quoted(&format!("{build}/worker.mjs")))?;
        writeln!(toml, "compatibility_date = {}", quoted(COMPATIBILITY_DATE))?;
        writeln!(toml, "no_bundle = true\nworkers_dev = {}", self.domain.is_none())?;
        writeln!(toml, "find_additional_modules = true\nbase_dir = {}", quoted(build))?;
        writeln!(toml, "rules = [{{ type = \"CompiledWasm\", globs = [\"waypost.wasm\"], fallthrough = false }}]")?;
        if let Some(domain) = &self.domain {
            writeln!(toml, "routes = [{{ pattern = {}, custom_domain = true }}]", quoted(domain))?;
        }
        writeln!(toml, "\n[observability]\nenabled = true")?;
        writeln!(toml, "\n[[kv_namespaces]]\nbinding = \"LINKS\"")?;
        writeln!(toml, "id = {}", quoted(self.kv_id.as_deref().unwrap_or_default()))?;
        writeln!(toml, "\n[vars]")?;
        for (name, value) in [("DEFAULT_DOMAIN", &self.domain), ("CONTROL_URL", &self.control_url)] {
            if let Some(value) = value {
                writeln!(toml, "{name} = {}", quoted(value))?;
            }
        }
        if let Some(queue) = &self.queue {
            let queue_name = quoted(queue);
            let dead = quoted(&format!("{queue}-refused"));
            writeln!(toml, "\n[[queues.producers]]\nbinding = \"CLICKS\"\nqueue = {queue_name}")?;
            writeln!(
                toml,
                "\n[[queues.consumers]]\nqueue = {queue_name}\nmax_batch_size = 100\nmax_batch_timeout = 5"
            )?;
            writeln!(toml, "max_retries = 100\ndead_letter_queue = {dead}")?;
        }
        if let Some(count) = &self.rate_per_minute {
            let count: u32 = count.parse().context("--rate-per-minute is a number")?;
            for (id, name) in [(1001, "ANONYMOUS_RATE"), (1002, "UNLOCK_RATE")] {
                writeln!(toml, "\n[[ratelimits]]\nname = \"{name}\"\nnamespace_id = \"{id}\"")?;
                writeln!(toml, "simple = {{ limit = {count}, period = 60 }}")?;
            }
        }
        Ok(toml)
    }
}

/// A text as a basic string of TOML.
fn quoted(text: &str) -> String {
    // JSON's escapes are all TOML's too.
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn toml(line: &str) -> anyhow::Result<String> {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Options::read(&arguments)?.toml(".")
    }

    #[test]
    fn what_is_asked_for_is_bound() {
        let alone = toml("--kv-id abc").unwrap();
        assert!(alone.contains("id = \"abc\"") && alone.contains("workers_dev = true"), "{alone}");
        assert!(
            !alone.contains("queues") && !alone.contains("ratelimits") && !alone.contains("CONTROL_URL"),
            "{alone}"
        );
        let all =
            toml("--kv-id abc --domain go.example --control-url https://c.example --queue clicks --rate-per-minute 10");
        let all = all.unwrap();
        for part in ["custom_domain = true", "DEFAULT_DOMAIN = \"go.example\"", "queue = \"clicks\"", "limit = 10"] {
            assert!(all.contains(part), "{part} in {all}");
        }
    }

    #[test]
    fn half_a_setup_is_refused() {
        for bad in ["", "--kv-id", "--kv-id a --queue q", "--kv-id a --nmae x", "--kv-id a --rate-per-minute x"] {
            assert!(toml(bad).is_err(), "{bad}");
        }
    }
}
