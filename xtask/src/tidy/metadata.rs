//! Reads cargo's metadata about the packages of the build.

use anyhow::Context as _;
use serde_json::Value;

use crate::run::{cargo, program, read};

/// When a dependency is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Dev,
    Build,
}

/// One entry of a manifest's dependencies.
#[derive(Debug)]
pub(super) struct Dependency {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// One package, of the workspace or from a registry.
#[derive(Debug)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    /// An SPDX expression.
    pub(super) license: Option<String>,
    pub(super) is_member: bool,
    pub(super) dependencies: Vec<Dependency>,
}

/// All packages that a build on this machine's platform takes in.
#[derive(Debug)]
pub(super) struct Metadata {
    pub(super) packages: Vec<Package>,
}

impl Metadata {
    /// Asks cargo, which downloads what it has not yet. The lock file stays as it is.
    pub(super) fn read() -> anyhow::Result<Self> {
        let host = read(&mut program("rustc", ["-vV"]))?;
        let host = host.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names its host")?;
        let arguments = ["metadata", "--locked", "--format-version", "1", "--filter-platform", host];
        Self::parse(&read(&mut cargo(arguments)?)?)
    }

    pub(super) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.is_member)
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let metadata: Value = serde_json::from_str(text).context("read cargo's metadata")?;
        // Without a platform filter `packages` is complete; the resolved graph holds what the filter leaves.
        let nodes = metadata["resolve"]["nodes"].as_array().context("cargo resolved the graph")?;
        let used: Vec<&str> = nodes.iter().filter_map(|node| node["id"].as_str()).collect();
        let packages = metadata["packages"].as_array().context("cargo lists the packages")?;
        let packages = packages.iter().filter(|package| package["id"].as_str().is_some_and(|id| used.contains(&id)));
        Ok(Self { packages: packages.map(Package::parse).collect::<anyhow::Result<_>>()? })
    }
}

impl Package {
    fn parse(package: &Value) -> anyhow::Result<Self> {
        let text = |field: &str| package[field].as_str().map(str::to_owned);
        let dependencies = package["dependencies"].as_array().context("a package lists its dependencies")?;
        Ok(Self {
            name: text("name").context("a package has a name")?,
            version: text("version").context("a package has a version")?,
            license: text("license"),
            is_member: package["source"].is_null(),
            dependencies: dependencies.iter().map(Dependency::parse).collect::<anyhow::Result<_>>()?,
        })
    }
}

impl Dependency {
    fn parse(dependency: &Value) -> anyhow::Result<Self> {
        let kind = match dependency["kind"].as_str() {
            None => Kind::Normal,
            Some("dev") => Kind::Dev,
            Some("build") => Kind::Build,
            Some(other) => anyhow::bail!("unknown kind of dependency `{other}`"),
        };
        Ok(Self { name: dependency["name"].as_str().context("a dependency has a name")?.to_owned(), kind })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn packages_of_other_platforms_are_left_out() {
        let text = r#"{
            "packages": [
                { "id": "a", "name": "waypost", "version": "0.1.0", "source": null, "license": "MIT",
                  "dependencies": [ { "name": "b", "kind": null }, { "name": "c", "kind": "dev" } ] },
                { "id": "b", "name": "b", "version": "1.0.0", "source": "registry", "license": null, "dependencies": [] },
                { "id": "w", "name": "windows", "version": "1.0.0", "source": "registry", "license": "MIT", "dependencies": [] }
            ],
            "resolve": { "nodes": [ { "id": "a" }, { "id": "b" } ] }
        }"#;
        let metadata = Metadata::parse(text).unwrap();
        let names: Vec<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["waypost", "b"]);
        assert_eq!(metadata.members().count(), 1);
        assert_eq!(metadata.packages[0].dependencies[1].kind, Kind::Dev);
        assert_eq!(metadata.packages[1].license, None);
    }
}
