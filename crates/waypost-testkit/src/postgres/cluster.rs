//! One private PostgreSQL cluster in a temporary folder, for the length of a test run.
//!
//! The server's parent is a small shell that holds the reading end of a pipe from this process. When the pipe closes,
//! because [`Cluster`] was dropped or because this process ended in any other way (a signal, `kill -9`), the shell
//! stops the server and removes the folder. Nothing is left to a signal handler that might not run.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use data_encoding::HEXLOWER;

use super::Programs;
use crate::port::ReservedPort;
use crate::wait_until;

/// Users that may run the server when the caller is root, whom PostgreSQL refuses.
const SERVER_USERS: [&str; 2] = ["postgres", "nobody"];

/// Limit on making the cluster and one start of the server.
const START_DEADLINE: Duration = Duration::from_secs(30);

/// `$1` is the folder, `$2` that of the programs, `$3` the port, `$4` whether commits wait for the log; the rest is a
/// command that runs another as the server's user. Tests need neither durability against power loss nor a large cache.
///
/// The loop in the middle takes orders, and ends when the pipe on standard input closes. The pid file is removed when
/// the server has ended, which an immediate shutdown leaves undone, so that its absence tells. SIGQUIT is the server's
/// immediate shutdown (its data is removed anyway); it is repeated because it does nothing while `initdb` runs.
const SUPERVISOR: &str = r#"
folder=$1 programs=$2 port=$3 synchronous_commit=$4
shift 4
cd /
serve() {
    exec "$@" "$programs/postgres" -D "$folder/data" -p "$port" -c listen_addresses=127.0.0.1 \
        -c unix_socket_directories= -c fsync=off -c synchronous_commit="$synchronous_commit" -c full_page_writes=off \
        -c max_connections=200
}
(
    "$@" "$programs/initdb" -D "$folder/data" --pwfile="$folder/password" --username=postgres --auth=scram-sha-256 \
        --encoding=UTF8 --no-locale --no-sync || { echo 'FATAL: initdb failed'; exit 1; }
    serve "$@"
) </dev/null >"$folder/log" 2>&1 &
server=$!
trap '' HUP INT TERM
while read -r order; do
    case $order in
        INT | QUIT) kill -s "$order" "$server"; wait "$server"; rm -f "$folder/data/postmaster.pid" ;;
        start) (serve "$@") </dev/null >>"$folder/log" 2>&1 & server=$! ;;
    esac
done
while kill -QUIT "$server" 2>/dev/null; do sleep 0.05; done
rm -rf "$folder"
"#;

/// A running cluster. Dropping it stops the server and removes its folder.
#[derive(Debug)]
pub struct Cluster {
    url: String,
    folder: PathBuf,
    supervisor: Child,
    /// Held for its drop: keeps the port while the server is stopped.
    _port: ReservedPort,
}

/// What a commit survives. Power loss takes everything either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Nothing: fastest, for a server that nobody stops.
    None,
    /// The end of the server, however it ends.
    ServerEnd,
}

/// How the server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Transactions are rolled back, connections closed.
    Fast,
    /// As a crash: the next start recovers.
    Immediate,
}

impl Cluster {
    /// Makes a cluster in a new temporary folder and waits until it accepts connections, a second or two.
    ///
    /// As root the server runs as the user `postgres` or `nobody`.
    ///
    /// # Errors
    /// When `initdb` or the server fails, with what they printed.
    pub fn start(programs: &Programs) -> anyhow::Result<Self> {
        Self::start_with(programs, Durability::None)
    }

    /// As [`Cluster::start`], with a choice of what commits survive.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub fn start_with(programs: &Programs, durability: Durability) -> anyhow::Result<Self> {
        let owner = Owner::for_server()?;
        Self::start_as(programs, owner.as_ref(), durability).context("start a private PostgreSQL cluster")
    }

    /// `postgres://user:password@127.0.0.1:PORT/postgres`; the user may create databases.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Stops the server and waits for its end; the data stays.
    ///
    /// # Errors
    /// When it does not end within 30 seconds.
    pub fn stop(&mut self, shutdown: Shutdown) -> anyhow::Result<()> {
        self.order(match shutdown {
            Shutdown::Fast => "INT",
            Shutdown::Immediate => "QUIT",
        })?;
        let pid_file = self.folder.join("data/postmaster.pid");
        wait_until(START_DEADLINE, "PostgreSQL's end", || !pid_file.exists())
    }

    /// Starts the server that was stopped, at the same address, and waits until it accepts connections.
    ///
    /// # Errors
    /// When it does not within 30 seconds, with its log.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        self.order("start")?;
        // A `FATAL` line is not a sign of failure here: a client that connects during the start leaves one.
        wait_until(START_DEADLINE, "PostgreSQL", || self.is_ready()).with_context(|| self.read("log"))
    }

    fn order(&mut self, order: &str) -> anyhow::Result<()> {
        let orders = self.supervisor.stdin.as_mut().context("the supervisor takes orders")?;
        writeln!(orders, "{order}").context("give the supervisor an order")
    }

    /// The temporary folder, gone after the drop.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn start_as(programs: &Programs, owner: Option<&Owner>, durability: Durability) -> anyhow::Result<Self> {
        let temporary = tempfile::Builder::new().prefix("waypost-postgres-").tempdir()?;
        let password = random_password()?;
        let password_file = temporary.path().join("password");
        fs::write(&password_file, &password)?;
        let reserved = ReservedPort::new()?;
        let port = reserved.address().port();
        let mut supervisor = Command::new("sh");
        supervisor.args(["-c", SUPERVISOR, "sh"]).arg(temporary.path()).arg(programs.folder()).arg(port.to_string());
        supervisor.arg(if durability == Durability::None { "off" } else { "on" });
        if let Some(owner) = owner {
            chown(temporary.path(), Some(owner.user), Some(owner.group))?;
            chown(&password_file, Some(owner.user), Some(owner.group))?;
            // Unlike su and runuser, setpriv becomes the program that it starts.
            supervisor.arg("setpriv").arg(format!("--reuid={}", owner.user)).arg(format!("--regid={}", owner.group));
            supervisor.arg("--clear-groups");
        }
        supervisor.env_remove("LD_LIBRARY_PATH").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // A process group of its own keeps the terminal's Ctrl-C away from it.
        let supervisor = supervisor.process_group(0).spawn().context("start sh")?;
        // From here on the supervisor removes the folder.
        let folder = temporary.keep();
        let url = format!("postgres://postgres:{password}@127.0.0.1:{port}/postgres");
        let cluster = Self { url, folder, supervisor, _port: reserved };
        cluster.wait_ready()?;
        Ok(cluster)
    }

    /// The server writes `ready` into its pid file; a start that failed leaves a `FATAL` line in the log.
    fn wait_ready(&self) -> anyhow::Result<()> {
        let mut is_ready = false;
        let waited = wait_until(START_DEADLINE, "PostgreSQL", || {
            is_ready = self.is_ready();
            is_ready || self.read("log").contains("FATAL")
        });
        waited.with_context(|| self.read("log"))?;
        ensure!(is_ready, "PostgreSQL did not start:\n{}", self.read("log"));
        Ok(())
    }

    fn is_ready(&self) -> bool {
        self.read("data/postmaster.pid").lines().nth(7).is_some_and(|line| line.trim() == "ready")
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        // A failure to wait leaves nothing to do: the supervisor ends by itself.
        let _ = self.supervisor.wait();
    }
}

/// The user that runs the server in place of root.
#[derive(Debug)]
struct Owner {
    user: u32,
    group: u32,
}

impl Owner {
    /// `None` when the caller is not root and can run the server itself.
    fn for_server() -> anyhow::Result<Option<Self>> {
        let id = Command::new("id").arg("-u").output().context("run id")?;
        if String::from_utf8_lossy(&id.stdout).trim() != "0" {
            return Ok(None);
        }
        let passwd = fs::read_to_string("/etc/passwd").context("read /etc/passwd")?;
        let owner = SERVER_USERS.iter().find_map(|name| Self::parse(&passwd, name));
        owner.map(Some).context("PostgreSQL does not run as root, and there is no user `postgres` or `nobody`")
    }

    fn parse(passwd: &str, name: &str) -> Option<Self> {
        let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some(Self { user: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()? })
    }
}

/// 128 random bits in hexadecimal: other users of the machine reach the port, too.
fn random_password() -> anyhow::Result<String> {
    let mut bytes = [0_u8; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(HEXLOWER.encode(&bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn owner_is_read_from_passwd() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65533:n:/:/bin/false\n";
        let owner = Owner::parse(passwd, "nobody").unwrap();
        assert_eq!((owner.user, owner.group), (65534, 65533));
        assert!(Owner::parse(passwd, "postgres").is_none());
    }

    #[test]
    fn passwords_differ() {
        let password = random_password().unwrap();
        assert_eq!(password.len(), 32);
        assert_ne!(password, random_password().unwrap());
    }
}
