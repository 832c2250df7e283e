//! `waypost config`: the settings in force, as a configuration file or as JSON. Secrets are masked.

use std::fmt;
use std::io::{self, Write};

use serde_json::{Map, Value, json};

use crate::config::load::Loaded;
use crate::config::settings::{SETTINGS, Shown};

/// As a value in a TOML file.
impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(&quote(text)),
            Self::Number(number) => write!(f, "{number}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(|item| quote(item)).collect();
                write!(f, "[{}]", items.join(", "))
            }
        }
    }
}

/// A string in quotes. JSON's escapes are also TOML's.
fn quote(text: &str) -> String {
    Value::from(text).to_string()
}

impl Shown {
    fn to_json(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Number(number) => json!(number),
            Self::Flag(flag) => json!(flag),
            Self::List(items) => json!(items),
        }
    }
}

/// Writes the settings as a configuration file, each with its source.
///
/// # Errors
/// If writing fails.
pub(crate) fn write_toml(loaded: &Loaded, output: &mut impl Write) -> io::Result<()> {
    let mut section = None;
    for setting in SETTINGS {
        if setting.section() != section {
            section = setting.section();
            writeln!(output, "\n[{}]", section.unwrap_or_default())?;
        }
        let name = setting.key.rsplit('.').next().unwrap_or(setting.key);
        let source = loaded.sources.iter().rfind(|(key, _)| *key == setting.key);
        let source = source.map_or_else(|| "default".to_owned(), |(_, source)| source.to_string());
        match (setting.show)(&loaded.config) {
            Some(shown) => writeln!(output, "{name} = {shown}  # {source}")?,
            None => {
                let default = setting.default_text().unwrap_or_else(|| "none".to_owned()).replace('`', "");
                writeln!(output, "# {name} is not set: {default}")?;
            }
        }
    }
    Ok(())
}

/// The settings as one JSON object, keys with a section nested in it; `null` if nothing is set.
pub(crate) fn to_json(loaded: &Loaded) -> Value {
    let mut object = Map::new();
    for setting in SETTINGS {
        let value = (setting.show)(&loaded.config).map_or(Value::Null, |shown| shown.to_json());
        match setting.key.split_once('.') {
            None => object.insert(setting.key.to_owned(), value),
            Some((section, name)) => {
                let section = object.entry(section).or_insert_with(|| json!({}));
                section.as_object_mut().and_then(|section| section.insert(name.to_owned(), value))
            }
        };
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::config::flags::GivenFlags;
    use crate::config::load::load;

    #[test]
    fn a_token_is_shown_nowhere() {
        let environment = [
            ("WAYPOST_CLOUDFLARE_ACCOUNT_ID".into(), "a1".into()),
            ("WAYPOST_CLOUDFLARE_KV_NAMESPACE_ID".into(), "b2".into()),
            ("WAYPOST_CLOUDFLARE_API_TOKEN".into(), "t0ken".into()),
        ];
        let loaded = load(&GivenFlags::default(), environment).unwrap();
        let mut text = Vec::new();
        write_toml(&loaded, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("api_token = \"***\"  # WAYPOST_CLOUDFLARE_API_TOKEN"), "{text}");
        assert_eq!(to_json(&loaded)["cloudflare"]["api_token"], "***");
        for shown in [text.clone(), to_json(&loaded).to_string(), format!("{loaded:?}")] {
            assert!(!shown.contains("t0ken"), "{shown}");
        }
        // The placeholder of a token is not treated as a token.
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &text).unwrap();
        let again = load(&GivenFlags { file: Some(file.path().to_owned()), values: Vec::new() }, []);
        assert!(again.unwrap_err().to_string().contains("give the token itself"));
    }

    #[test]
    fn what_is_printed_can_be_read_back_and_hides_secrets() {
        let environment = [
            ("WAYPOST_DATABASE_URL".into(), "postgres://u:hunter2@h/d".into()),
            ("WAYPOST_THREADS".into(), "2".into()),
        ];
        let loaded = load(&GivenFlags::default(), environment).unwrap();
        let mut text = Vec::new();
        write_toml(&loaded, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("threads = 2  # WAYPOST_THREADS"), "{text}");
        assert!(!text.contains("hunter2") && !to_json(&loaded).to_string().contains("hunter2"));
        assert_eq!(to_json(&loaded)["limits"]["idle_timeout_s"], 60);

        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &text).unwrap();
        let again = load(&GivenFlags { file: Some(file.path().to_owned()), values: Vec::new() }, []).unwrap();
        assert_eq!(to_json(&again), to_json(&loaded));
    }

    #[test]
    fn webhook_secrets_are_counted_and_not_shown() {
        let secrets = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw, whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let given = |secrets: &str| load(&GivenFlags::default(), [("WAYPOST_WEBHOOKS_SECRETS".into(), secrets.into())]);
        let loaded = given(secrets).unwrap();
        assert_eq!(to_json(&loaded)["webhooks"]["secrets"], json!(["***", "***"]));
        assert!(!format!("{:?}", loaded.config).contains("MfKQ"));
        // What is shown is not a secret, and is not treated as one.
        for bad in ["***", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS"] {
            let fault = given(bad).unwrap_err().to_string();
            assert!(fault.contains("WAYPOST_WEBHOOKS_SECRETS") && !fault.contains("MfKQ"), "{fault}");
        }
    }
}
