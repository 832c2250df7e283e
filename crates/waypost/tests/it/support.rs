//! Running the program, and reading test data.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use waypost_testkit::http::{Response, request};
use waypost_testkit::server::{Server, ServerOptions};

pub(crate) const WAYPOST: &str = env!("CARGO_BIN_EXE_waypost");

/// What a run of the program came to.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// Standard output without the line end, of a run that must have gone well.
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        assert_eq!(self.status, 0, "{self:?}");
        self.stdout.trim_end()
    }

    /// Standard output as one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.text()).unwrap()
    }

    /// Standard output as JSON lines.
    #[track_caller]
    pub(crate) fn json_lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Standard error of a run that must have ended with this status.
    #[track_caller]
    pub(crate) fn fault(&self, status: i32) -> &str {
        assert_eq!(self.status, status, "{self:?}");
        self.stderr.trim_end()
    }
}

/// The program with nothing of this environment that could reach it.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(WAYPOST);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"WAYPOST_")) {
        command.env_remove(name);
    }
    command.env("HOME", "/nonexistent").env_remove("XDG_DATA_HOME").args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the program to its end.
pub(crate) fn run(arguments: &[&str]) -> Run {
    finish(&mut command(arguments))
}

/// Runs a prepared program to its end.
pub(crate) fn finish(command: &mut Command) -> Run {
    let output = command.output().unwrap();
    Run {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs the program with this on its standard input.
pub(crate) fn run_with_input(arguments: &[&str], input: &[u8]) -> Run {
    let mut child = command(arguments).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A program that ends early closes its input; that is its answer, not a fault of the test.
    let feeding = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    feeding.join().unwrap();
    Run {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A data folder for commands, with or without a server.
pub(crate) struct Folder {
    folder: TempDir,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// The data folder; not made yet.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Makes the data folder, as the first command does that makes something.
    pub(crate) fn make(&self) {
        self.run(&["key", "create"]).text();
    }

    /// A path for a file of the test.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file of the test with this text.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path = self.file(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Runs a command on the data folder.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        run(&self.arguments(arguments))
    }

    fn arguments<'a>(&self, arguments: &[&'a str]) -> Vec<&'a str> {
        let data_dir: &'static str = self.data_dir().to_str().unwrap().to_owned().leak();
        arguments.iter().copied().chain(["--data-dir", data_dir]).collect()
    }

    /// Starts a server on the data folder.
    pub(crate) fn serve(&self, arguments: &[&str]) -> Server {
        Server::start(&self.server_options(arguments)).unwrap()
    }

    /// Starts a server on the data folder and waits only until it listens.
    pub(crate) fn serve_at_once(&self) -> Server {
        let mut server = Server::launch(&self.server_options(&[])).unwrap();
        server.wait_listening().unwrap();
        server
    }

    /// Options of a server on the data folder, with these variables.
    pub(crate) fn options_with(&self, environment: &[(String, String)]) -> ServerOptions {
        ServerOptions { environment: environment.to_vec(), ..self.server_options(&[]) }
    }

    fn server_options(&self, arguments: &[&str]) -> ServerOptions {
        ServerOptions {
            data_dir: Some(self.data_dir()),
            arguments: arguments.iter().map(|text| (*text).to_owned()).collect(),
            ..ServerOptions::new(WAYPOST)
        }
    }
}

/// Where a GET of this target on the server leads.
#[track_caller]
pub(crate) fn location_of(server: &Server, target: &str) -> Option<String> {
    get(server, target).header("location").map(str::to_owned)
}

pub(crate) fn get(server: &Server, target: &str) -> Response {
    waypost_testkit::http::get(server.address(), target).unwrap()
}

/// Makes a link as the landing page does.
#[track_caller]
pub(crate) fn shorten(server: &Server, url: &str) -> Value {
    let body = serde_json::json!({ "originalUrl": url }).to_string();
    let response = request(server.address(), "POST /api/url", &[], body.as_bytes()).unwrap();
    assert_eq!(response.status, 200, "{}", response.text());
    serde_json::from_slice(&response.body).unwrap()
}

/// The path of a URL, with its leading `/`.
pub(crate) fn path_of(url: &str) -> &str {
    let authority_and_path = url.split_once("://").map_or(url, |(_, rest)| rest);
    authority_and_path.find('/').map_or("/", |start| &authority_and_path[start..])
}

/// A file of the project's test data; `None` where it is not there.
pub(crate) fn repository_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}
