//! `worker deploy-config`: writes the `wrangler.toml` that deploys the output of `worker build`.

use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context as _, anyhow, bail, ensure};
use waypost_core::Hostname;

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

/// Writes the file, beside the build unless a path is given.
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
            let value = rest.next().filter(|value| !value.is_empty() && !value.starts_with("--"));
            let value = value.with_context(|| format!("{flag} needs a value; {USAGE}"))?.clone();
            ensure!(place.is_none(), "{flag} is given twice{}", advice_for_twice(flag));
            *place = Some(value);
        }
        ensure!(options.kv_id.is_some(), "the id of the KV namespace is needed; {USAGE}");
        ensure!(
            options.queue.is_none() || options.control_url.is_some(),
            "clicks leave the queue only with --control-url"
        );
        options.check()?;
        Ok(options)
    }

    /// Checks what was given, and brings it into the form that the Worker compares with.
    fn check(&mut self) -> anyhow::Result<()> {
        for (flag, name) in [("--name", &self.name), ("--queue", &self.queue)] {
            ensure!(
                name.as_deref().is_none_or(is_name),
                "{flag} has small letters, digits and dashes within, at most 63: not {name:?}",
                name = name.as_deref().unwrap_or_default()
            );
        }
        let kv_id = self.kv_id.as_deref().unwrap_or_default();
        ensure!(
            kv_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'),
            "--kv-id is the id that `wrangler kv namespace create` prints, not {kv_id:?}"
        );
        if let Some(domain) = &mut self.domain {
            *domain = read_domain(domain)?;
        }
        if let Some(url) = &mut self.control_url {
            *url = read_control_url(url)?;
        }
        if let Some(count) = &self.rate_per_minute {
            let is_count = count.parse::<u32>().is_ok_and(|count| count > 0);
            ensure!(is_count, "--rate-per-minute is a whole number above 0, not {count:?}; leave it out for no limit");
        }
        Ok(())
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
            for (id, name) in [(1001, "ANONYMOUS_RATE"), (1002, "UNLOCK_RATE")] {
                writeln!(toml, "\n[[ratelimits]]\nname = \"{name}\"\nnamespace_id = \"{id}\"")?;
                writeln!(toml, "simple = {{ limit = {count}, period = 60 }}")?;
            }
        }
        Ok(toml)
    }
}

fn advice_for_twice(flag: &str) -> &'static str {
    match flag {
        "--domain" => {
            ": it names the default domain, of which there is one; give each other domain a route in the file, and an entry in the \
             variable DOMAINS where it differs (docs/cloudflare.md)"
        }
        _ => "",
    }
}

fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.len() <= 63 && name.bytes().all(fits) && !name.starts_with('-') && !name.ends_with('-')
}

/// A host in the form in which the Worker sees it: small letters, ASCII.
fn read_domain(text: &str) -> anyhow::Result<String> {
    let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
    let bare = bare.split(['/', ':', '?', '#']).next().unwrap_or_default();
    if bare != text {
        let meant = Hostname::parse(bare).map_or(String::new(), |host| format!("; did you mean {host}?"));
        bail!("--domain is a host alone, without scheme, port or path, not {text:?}{meant}");
    }
    let host = Hostname::parse(text).map_err(|error| anyhow!("--domain: {error}"))?;
    let is_public = host.as_str().contains('.') && host.as_str().parse::<IpAddr>().is_err();
    ensure!(is_public, "--domain is a domain that Cloudflare serves, such as go.example, not {text:?}");
    Ok(host.to_string())
}

/// The address of the control plane, without a closing `/`.
fn read_control_url(text: &str) -> anyhow::Result<String> {
    let meant = || if text.contains("://") { String::new() } else { format!("; did you mean https://{text}?") };
    let (scheme, rest) = text
        .split_once("://")
        .with_context(|| format!("--control-url is a URL such as https://control.example, not {text:?}{}", meant()))?;
    ensure!(matches!(scheme, "https" | "http"), "--control-url begins with https:// or http://, not {text:?}");
    let authority = rest.split('/').next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':').filter(|_| !authority.ends_with(']')) {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    ensure!(
        Hostname::parse(host).is_ok() && is_port && !text.contains(['?', '#', '@', ' ']),
        "--control-url has a host, perhaps a port and a path, and nothing else, not {text:?}"
    );
    Ok(text.trim_end_matches('/').to_owned())
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

    #[track_caller]
    fn refused(more: &str, reason: &str) {
        let error = toml(&format!("--kv-id abc {more}")).unwrap_err().to_string();
        assert!(error.contains(reason), "{more}: {error}");
    }

    #[test]
    fn what_cannot_be_is_refused_with_a_reason() {
        refused("--domain https://go.example/", "did you mean go.example?");
        refused("--domain go.example/", "a host alone");
        refused("--domain go.example:443", "did you mean go.example?");
        refused("--domain go_example.com", "host name");
        refused("--domain localhost", "a domain that Cloudflare serves");
        refused("--domain 192.0.2.1", "a domain that Cloudflare serves");
        refused("--domain go.example --domain b.example", "given twice: it names the default domain");
        refused("--name a --name b", "--name is given twice");
        refused("--control-url control.example", "did you mean https://control.example?");
        refused("--control-url ftp://control.example", "begins with https:// or http://");
        refused("--control-url https://", "has a host");
        refused("--control-url https://u:p@control.example", "nothing else");
        refused("--control-url https://control.example/?a=b", "nothing else");
        refused("--control-url https://control.example:0", "has a host");
        refused("--rate-per-minute 0", "above 0");
        refused("--rate-per-minute -1", "above 0");
        refused("--rate-per-minute 1.5", "above 0");
        refused("--name Way_post", "small letters");
        refused("--control-url https://c.example --queue -q", "small letters");
        refused("--name --domain", "needs a value");
        assert!(toml("--kv-id a\"b").is_err());
    }

    #[test]
    fn hosts_and_addresses_are_written_as_the_worker_sees_them() {
        let toml = toml("--kv-id abc --domain K\u{dc}RZ.example. --control-url https://control.example:8443/waypost/")
            .unwrap();
        for part in
            ["DEFAULT_DOMAIN = \"xn--krz-hoa.example\"", "CONTROL_URL = \"https://control.example:8443/waypost\""]
        {
            assert!(toml.contains(part), "{part} in {toml}");
        }
    }
}
