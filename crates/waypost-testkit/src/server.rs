//! A real `waypost` process on a free port, with a data folder of its own.
//!
//! The process stays in the test's process group, so that a runner which ends the test ends the server, too. Its output
//! is collected, and is part of the error when it does not start.

use std::env;
use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tempfile::TempDir;

use crate::{http, wait_until};

/// Limit on the time from start to ready, and from a signal to the end.
const DEADLINE: Duration = Duration::from_secs(30);

/// How to start a server.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// The `waypost` program: `env!("CARGO_BIN_EXE_waypost")` in the tests of that crate, else [`waypost_binary`].
    pub binary: PathBuf,
    /// The data folder; `None` for a new one that goes when the server is dropped.
    pub data_dir: Option<PathBuf>,
    /// The listen address; port 0 takes a free one.
    pub listen: String,
    /// More arguments after `serve --data-dir DIR --listen ADDR`.
    pub arguments: Vec<String>,
    /// Environment variables on top of the test's own. Inherited `WAYPOST_...` variables are removed.
    pub environment: Vec<(String, String)>,
}

impl ServerOptions {
    /// The given program on a free loopback port with a new data folder.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        Self {
            binary: binary.into(),
            data_dir: None,
            listen: "127.0.0.1:0".to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
        }
    }
}

/// A running server. Dropping it kills the process with SIGKILL.
#[derive(Debug)]
pub struct Server {
    process: Child,
    address: SocketAddr,
    data_dir: PathBuf,
    output: Output,
    /// Held for its drop: removes a data folder that was made here.
    _temporary: Option<TempDir>,
}

impl Server {
    /// Starts the program and waits, at most 30 seconds, until it has printed `http://IP:PORT` on standard output and
    /// answers 200 on `/readyz`.
    ///
    /// # Errors
    /// When it ends or does not get ready, with everything that it printed.
    pub fn start(options: &ServerOptions) -> anyhow::Result<Self> {
        let mut server = Self::launch(options)?;
        server.wait_ready().with_context(|| format!("start {}", options.binary.display()))?;
        Ok(server)
    }

    /// Starts the program and does not wait for anything: its address is not known yet.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn launch(options: &ServerOptions) -> anyhow::Result<Self> {
        let temporary = match options.data_dir {
            None => Some(tempfile::Builder::new().prefix("waypost-data-").tempdir()?),
            Some(_) => None,
        };
        let own_folder = temporary.as_ref().map(|folder| folder.path().to_owned());
        let data_dir = options.data_dir.clone().or(own_folder).context("no data folder")?;
        let mut process = spawn(options, &data_dir)?;
        let output = Output::collect(&mut process)?;
        // The address is known once printed; until then the port is 0.
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Ok(Self { process, address, data_dir, output, _temporary: temporary })
    }

    /// The address on which the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://IP:PORT` followed by `path`, which begins with `/`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The data folder.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The operating system's id of the process.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// What the server printed so far: standard output and standard error, line by line as they came.
    pub fn output(&self) -> String {
        self.output.text()
    }

    /// Asks the server to end with SIGTERM and waits for it.
    ///
    /// # Errors
    /// When it has not ended after 30 seconds.
    pub fn terminate(&mut self) -> anyhow::Result<ExitStatus> {
        self.signal("TERM")?;
        self.wait()
    }

    /// Ends the server with SIGKILL, as a crash does, and waits for it.
    ///
    /// # Errors
    /// When the process cannot be waited for.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        self.output.join();
        Ok(())
    }

    /// Sends the signal of this name (`TERM`, `STOP`, `CONT`, ...).
    ///
    /// # Errors
    /// When the process has ended.
    pub fn signal(&mut self, name: &str) -> anyhow::Result<()> {
        ensure!(self.process.try_wait()?.is_none(), "the server has ended:\n{}", self.output());
        // The shell's own kill: a direct system call would need unsafe code or one more dependency.
        let process_id = self.process_id().to_string();
        let status = Command::new("sh").args(["-c", r#"kill -s "$1" "$2""#, "sh", name, &process_id]).status()?;
        ensure!(status.success(), "could not send SIG{name}");
        Ok(())
    }

    /// Waits until the server has ended by itself.
    ///
    /// # Errors
    /// When it has not after 30 seconds.
    pub fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        let mut status = None;
        wait_until(DEADLINE, "the server's end", || {
            status = self.process.try_wait().ok().flatten();
            status.is_some()
        })
        .with_context(|| self.output.text())?;
        self.output.join();
        status.context("the server's exit status")
    }

    /// Waits, at most 30 seconds, until it has printed its address, ready or not.
    ///
    /// # Errors
    /// When it ends or does not listen, with everything that it printed.
    pub fn wait_listening(&mut self) -> anyhow::Result<()> {
        let mut ended = None;
        let waited = wait_until(DEADLINE, "the server to listen", || {
            ended = self.process.try_wait().ok().flatten();
            ended.is_some() || self.output.address().is_some()
        });
        waited.with_context(|| self.output.text())?;
        if let Some(status) = ended {
            self.output.join();
            bail!("ended with {status}:\n{}", self.output.text());
        }
        self.address = self.output.address().context("the server's address")?;
        Ok(())
    }

    /// Waits, at most 30 seconds, until it has printed its address and answers 200 on `/readyz`.
    ///
    /// # Errors
    /// When it ends or does not get ready, with everything that it printed.
    pub fn wait_ready(&mut self) -> anyhow::Result<()> {
        let mut ended = None;
        let mut is_ready = false;
        let waited = wait_until(DEADLINE, "the server to get ready", || {
            ended = self.process.try_wait().ok().flatten();
            if let Some(address) = self.output.address() {
                self.address = address;
                is_ready = http::get(address, "/readyz").is_ok_and(|response| response.status == 200);
            }
            is_ready || ended.is_some()
        });
        waited.with_context(|| self.output.text())?;
        if let Some(status) = ended {
            self.output.join();
            bail!("ended with {status}:\n{}", self.output.text());
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when the process is already gone.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if thread::panicking() {
            eprintln!("--- output of the server\n{}---", self.output.text());
        }
    }
}

/// The `waypost` program beside the running test: tests lie in `target/PROFILE/deps`, programs in `target/PROFILE`.
///
/// # Errors
/// When it is not built; `cargo xtask test` builds it first.
pub fn waypost_binary() -> anyhow::Result<PathBuf> {
    let test = env::current_exe().context("find the running test")?;
    let candidates = test.ancestors().skip(1).take(2).map(|folder| folder.join("waypost"));
    candidates.into_iter().find(|path| path.is_file()).context("no `waypost` program: run `cargo xtask test`")
}

fn spawn(options: &ServerOptions, data_dir: &Path) -> anyhow::Result<Child> {
    let mut command = Command::new(&options.binary);
    command.arg("serve").arg("--data-dir").arg(data_dir).args(["--listen", &options.listen]).args(&options.arguments);
    for (name, _) in env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"WAYPOST_")) {
        command.env_remove(name);
    }
    command.envs(options.environment.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().with_context(|| format!("start {}", options.binary.display()))
}

/// What a process printed, and the address found in it.
#[derive(Debug, Default)]
struct Collected {
    text: String,
    address: Option<SocketAddr>,
}

/// The collected output and the threads that collect it, one for each stream.
#[derive(Debug)]
struct Output {
    /// A std mutex: held for a push, never across waiting.
    collected: Arc<Mutex<Collected>>,
    readers: Vec<JoinHandle<()>>,
}

impl Output {
    fn collect(process: &mut Child) -> anyhow::Result<Self> {
        let collected = Arc::new(Mutex::new(Collected::default()));
        let stdout = process.stdout.take().context("standard output")?;
        let stderr = process.stderr.take().context("standard error")?;
        let readers = vec![read_lines(stdout, &collected, listen_address), read_lines(stderr, &collected, |_| None)];
        Ok(Self { collected, readers })
    }

    fn text(&self) -> String {
        lock(&self.collected).text.clone()
    }

    fn address(&self) -> Option<SocketAddr> {
        lock(&self.collected).address
    }

    /// Waits for the last line; only after the process has ended.
    fn join(&mut self) {
        for reader in self.readers.drain(..) {
            // A reader that panicked has already printed why.
            let _ = reader.join();
        }
    }
}

fn read_lines(
    stream: impl Read + Send + 'static,
    collected: &Arc<Mutex<Collected>>,
    address_in: fn(&str) -> Option<SocketAddr>,
) -> JoinHandle<()> {
    let collected = Arc::clone(collected);
    thread::spawn(move || {
        let mut lines = BufReader::new(stream);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            let text = String::from_utf8_lossy(&line).into_owned();
            let mut collected = lock(&collected);
            collected.address = collected.address.or_else(|| address_in(&text));
            collected.text.push_str(&text);
            line.clear();
        }
    })
}

fn lock(collected: &Mutex<Collected>) -> MutexGuard<'_, Collected> {
    collected.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The socket address of the first `http://IP:PORT` in a line.
fn listen_address(line: &str) -> Option<SocketAddr> {
    line.split("http://").skip(1).find_map(|rest| {
        let end = rest.find(|letter: char| !letter.is_ascii_hexdigit() && !"[]:.".contains(letter));
        rest[..end.unwrap_or(rest.len())].trim_end_matches('.').parse().ok()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[track_caller]
    fn check(line: &str, expect: Option<&str>) {
        assert_eq!(listen_address(line), expect.map(|address| address.parse().unwrap()));
    }

    #[test]
    fn the_address_is_read_from_a_printed_line() {
        check("listening on http://127.0.0.1:8080\n", Some("127.0.0.1:8080"));
        check("Open http://[::1]:80/ now", Some("[::1]:80"));
        check("http://localhost:1 is http://127.0.0.1:2.", Some("127.0.0.1:2"));
        check("http://127.0.0.1", None);
        check("https://127.0.0.1:1", None);
        check("nothing", None);
    }
}
