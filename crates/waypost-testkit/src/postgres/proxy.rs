//! A way to PostgreSQL that breaks: a proxy on loopback which cuts or silences a connection at the message that it is
//! told, lets nobody through, or swallows everything. It keeps its port, so that clients find the server again behind
//! the same address.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::Context as _;

/// The most bytes of a valid message.
const MESSAGE_BYTES_MAX: usize = 1 << 28;

/// What asks for encryption, by TLS or GSSAPI, in place of a protocol's version.
const ENCRYPTION_REQUESTS: [&[u8]; 2] = [&[4, 210, 22, 47], &[4, 210, 22, 48]];

/// How a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Before the server gets the message.
    Before,
    /// After the server got it, before the client gets an answer.
    After,
    /// Not at all: the server does not get the message nor what follows it, and nobody hears anything any more.
    Silence,
}

/// The proxy. Its threads end with their connections; dropping it lets nobody through any more.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    is_down: bool,
    is_silent: bool,
    /// Messages of clients since the last order.
    messages: u64,
    /// The message at which its connection is cut.
    cut: Option<(u64, Cut)>,
    has_cut: bool,
    /// Both ends of every connection.
    open: Vec<TcpStream>,
}

impl Proxy {
    /// A proxy to the server of this URL, and the URL that leads through it.
    ///
    /// # Errors
    /// If the URL names no address, or no port is free.
    pub fn start(url: &str) -> anyhow::Result<(Self, String)> {
        let after_user = url.rsplit_once('@').context("the URL has a user")?.1;
        let server = after_user.split('/').next().unwrap_or_default();
        let server: SocketAddr = server.parse().with_context(|| format!("the server's address {server:?}"))?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Mutex::new(Shared::default()));
        let proxy = Self { address, shared: Arc::clone(&shared) };
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A connection that cannot be made is one that is closed at once.
                let _ = connect(client, server, &shared);
            }
        });
        Ok((proxy, url.replacen(&server.to_string(), &address.to_string(), 1)))
    }

    /// The address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts the connection that sends the message of this number, counted from 1 on since this call over all
    /// connections.
    pub fn cut_at(&self, message: u64, cut: Cut) {
        let mut shared = lock(&self.shared);
        (shared.messages, shared.cut, shared.has_cut) = (0, Some((message, cut)), false);
    }

    /// Cuts nothing from now on.
    pub fn cut_nothing(&self) {
        lock(&self.shared).cut = None;
    }

    /// Whether the message that was to be cut has come.
    pub fn has_cut(&self) -> bool {
        lock(&self.shared).has_cut
    }

    /// Closes every connection and each new one, as a server that is down; or lets clients through again.
    pub fn set_down(&self, is_down: bool) {
        let mut shared = lock(&self.shared);
        shared.is_down = is_down;
        if is_down {
            shared.open.drain(..).for_each(|end| close(&end));
        }
    }

    /// Takes connections and bytes and passes none on, as a network that drops packets. A connection that has lost
    /// something stays silent afterwards; the others and new ones work again.
    pub fn set_silent(&self, is_silent: bool) {
        lock(&self.shared).is_silent = is_silent;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.set_down(true);
    }
}

fn connect(client: TcpStream, server: SocketAddr, shared: &Arc<Mutex<Shared>>) -> io::Result<()> {
    if lock(shared).is_down {
        return Ok(());
    }
    let server = TcpStream::connect(server)?;
    for end in [&client, &server] {
        end.set_nodelay(true)?;
    }
    {
        let mut shared = lock(shared);
        shared.open.extend([client.try_clone()?, server.try_clone()?]);
    }
    let (answers, to_client) = (server.try_clone()?, client.try_clone()?);
    let shared = Arc::clone(shared);
    let silence = Arc::clone(&shared);
    thread::spawn(move || {
        let _ = pass_on(&answers, &to_client, &silence);
        close(&to_client);
    });
    thread::spawn(move || {
        let _ = forward(&client, &server, &shared);
        close(&client);
        close(&server);
    });
    Ok(())
}

/// Passes on what the server says until the connection ends, or falls silent.
fn pass_on(mut server: &TcpStream, mut client: &TcpStream, shared: &Mutex<Shared>) -> io::Result<()> {
    let mut bytes = vec![0; 1 << 16];
    loop {
        let length = server.read(&mut bytes)?;
        if length == 0 {
            return Ok(());
        }
        if lock(shared).is_silent {
            return io::copy(&mut server, &mut io::sink()).map(drop);
        }
        client.write_all(&bytes[..length])?;
    }
}

/// Forwards message by message until the connection ends or is cut.
fn forward(mut client: &TcpStream, mut server: &TcpStream, shared: &Mutex<Shared>) -> io::Result<()> {
    // The first message has no type in front of its length.
    let mut type_bytes = 0;
    loop {
        let mut message = vec![0; type_bytes + 4];
        client.read_exact(&mut message)?;
        let length = message.last_chunk::<4>().map_or(0, |length| u32::from_be_bytes(*length) as usize);
        if !(4..MESSAGE_BYTES_MAX).contains(&length) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let head = message.len();
        message.resize(head + length - 4, 0);
        client.read_exact(&mut message[head..])?;
        // A client may first ask for encryption, which is answered by one byte; what follows has no type either.
        type_bytes = usize::from(!(head == 4 && ENCRYPTION_REQUESTS.contains(&message.as_slice().split_at(4).1)));
        let cut = lock(shared).next();
        match cut {
            None => server.write_all(&message)?,
            Some(Cut::Before) => return Ok(()),
            Some(Cut::Silence) => return io::copy(&mut client, &mut io::sink()).map(drop),
            Some(Cut::After) => {
                close_writing(client);
                server.write_all(&message)?;
                // What it says is read until it has done what it was sent, and passed on to nobody.
                server.shutdown(Shutdown::Write)?;
                return Ok(());
            }
        }
    }
}

impl Shared {
    /// Counts a message; returns how its connection is cut, if it is.
    fn next(&mut self) -> Option<Cut> {
        self.messages += 1;
        if self.is_silent {
            return Some(Cut::Silence);
        }
        let (at, cut) = self.cut?;
        let is_cut = self.messages == at;
        self.has_cut |= is_cut;
        is_cut.then_some(cut)
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn close(end: &TcpStream) {
    // Fails if it is already closed.
    let _ = end.shutdown(Shutdown::Both);
}

fn close_writing(end: &TcpStream) {
    let _ = end.shutdown(Shutdown::Write);
}
