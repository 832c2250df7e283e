//! A small HTTP/1.1 client over one TCP connection, for conformance tests.
//!
//! It sends exactly the bytes it is given, well formed or not, one request or many at once, and reads the answers one
//! by one. It follows no redirect, adds no header and hides nothing of the head. Not for anything but loopback.

mod body;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

/// Limit on one read or write before the test fails.
const IO_TIMEOUT: Duration = Duration::from_secs(10);
/// Limit on status line and headers, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// One connection to a server.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// Bytes received and not yet handed out: the next answers of a pipeline.
    received: Vec<u8>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The three-digit status.
    pub status: u16,
    /// The status line and headers as received, with the empty line at their end.
    pub head: Vec<u8>,
    /// Header fields in the order received; names as written, values without surrounding blanks.
    pub headers: Vec<(String, String)>,
    /// The body, without chunk framing.
    pub body: Vec<u8>,
}

impl Connection {
    /// Connects; reads and writes time out after ten seconds.
    ///
    /// # Errors
    /// When nothing listens at `address`.
    pub fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream =
            TcpStream::connect_timeout(&address, IO_TIMEOUT).with_context(|| format!("connect to {address}"))?;
        stream.set_read_timeout(Some(IO_TIMEOUT))?;
        stream.set_write_timeout(Some(IO_TIMEOUT))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// Sends these bytes as they are.
    ///
    /// # Errors
    /// When the server has closed the connection or takes nothing for ten seconds.
    pub fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(bytes).context("send")
    }

    /// Says that nothing more will be sent.
    ///
    /// # Errors
    /// When the connection is already closed.
    pub fn finish_sending(&mut self) -> anyhow::Result<()> {
        self.stream.shutdown(Shutdown::Write).context("finish sending")
    }

    /// Reads the next answer to a request whose method has a body in its answer (any but HEAD).
    ///
    /// # Errors
    /// When the answer is malformed, cut short, or does not come within ten seconds.
    pub fn read_response(&mut self) -> anyhow::Result<Response> {
        let mut response = self.read_head()?;
        response.body = self.read_body(&response)?;
        Ok(response)
    }

    /// Reads the next answer to a HEAD request: headers as for GET, and never a body.
    ///
    /// # Errors
    /// As for [`Connection::read_response`].
    pub fn read_head(&mut self) -> anyhow::Result<Response> {
        loop {
            if let Some(end) = find(&self.received, b"\r\n\r\n") {
                let head: Vec<u8> = self.received.drain(..end + 4).collect();
                return Response::parse_head(head);
            }
            ensure!(self.received.len() <= HEAD_BYTES_MAX, "the head is over {HEAD_BYTES_MAX} bytes");
            ensure!(
                self.receive()?,
                "closed before the end of the head: {:?}",
                self.received.escape_ascii().to_string()
            );
        }
    }

    /// Whether the server closed the connection with nothing more to say. Waits for that up to ten seconds; a reset
    /// counts as closed.
    ///
    /// # Errors
    /// When the connection is still open after that time.
    pub fn is_closed(&mut self) -> anyhow::Result<bool> {
        Ok(self.received.is_empty() && !self.receive()?)
    }

    /// Everything that comes until the server closes, as raw bytes.
    ///
    /// # Errors
    /// When the server neither sends nor closes for ten seconds.
    pub fn read_to_close(&mut self) -> anyhow::Result<Vec<u8>> {
        while self.receive()? {}
        Ok(std::mem::take(&mut self.received))
    }

    /// Reads the bytes that have arrived; false when the server has closed.
    fn receive(&mut self) -> anyhow::Result<bool> {
        let mut chunk = [0_u8; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => Ok(false),
            Ok(count) => {
                self.received.extend_from_slice(&chunk[..count]);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(false),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                bail!("no bytes for {} s", IO_TIMEOUT.as_secs())
            }
            Err(error) => Err(error).context("receive"),
        }
    }
}

impl Response {
    /// The value of the only header field of this name, in any case. `None` when there is none, or more than one.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.header_values(name);
        values.next().filter(|_| values.next().is_none())
    }

    /// All values of this header field, in the order received.
    pub fn header_values(&self, name: &str) -> impl Iterator<Item = &str> {
        let is_named = move |field: &&(String, String)| field.0.eq_ignore_ascii_case(name);
        self.headers.iter().filter(is_named).map(|(_, value)| value.as_str())
    }

    /// The body as a string; bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn parse_head(head: Vec<u8>) -> anyhow::Result<Self> {
        let text = str::from_utf8(&head).context("the head is not UTF-8")?;
        let mut lines = text.trim_end_matches("\r\n").split("\r\n");
        let status_line = lines.next().unwrap_or_default();
        let status = status_line.strip_prefix("HTTP/1.1 ").or_else(|| status_line.strip_prefix("HTTP/1.0 "));
        let status = status.and_then(|rest| rest.get(..3)).and_then(|digits| digits.parse().ok());
        let status = status.with_context(|| format!("not a status line: {status_line:?}"))?;
        let mut headers = Vec::new();
        for line in lines {
            let (name, value) = line.split_once(':').with_context(|| format!("not a header field: {line:?}"))?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        Ok(Self { status, head, headers, body: Vec::new() })
    }
}

/// One request on a connection of its own, which asks the server to close it. `headers` come after `Host` and
/// `Connection: close`; a body brings its `Content-Length`.
///
/// # Errors
/// As for [`Connection::read_response`].
pub fn request(
    address: SocketAddr,
    method_and_target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> anyhow::Result<Response> {
    let mut head = format!("{method_and_target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    let mut connection = Connection::open(address)?;
    connection.send(&[head.as_bytes(), body].concat())?;
    if method_and_target.starts_with("HEAD ") { connection.read_head() } else { connection.read_response() }
}

/// GET `target` (path and query) on a connection of its own.
///
/// # Errors
/// As for [`Connection::read_response`].
pub fn get(address: SocketAddr, target: &str) -> anyhow::Result<Response> {
    request(address, &format!("GET {target}"), &[], b"")
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
