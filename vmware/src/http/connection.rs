//! A TLS connection and one exchange on it.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::answer::{Answer, Head, MAX_HEAD_BYTES, parse_head};
use super::dial::dial;
use super::framing::Framing;
use super::proxy::Proxy;
use crate::address::{authority, host_port};
use crate::error::{Error, Kind, Result};
use crate::tls::{Seen, handshake_error};

/// What is read from a source and encrypted in one go. It and its records stay in the processor's
/// cache, and the heap does not give memory back to the system after each piece: with 256 KiB an
/// upload takes a fifth longer.
const PIECE_BYTES: usize = 64 << 10;
/// How long `100 Continue` is waited for; many servers never send it.
const CONTINUE_WAIT: Duration = Duration::from_secs(1);
/// How often whoever sends is told while nothing moves, so that a session can be kept alive.
const TICK: Duration = Duration::from_millis(200);
/// How long an early answer is waited for once sending has failed.
const LAST_WORDS_WAIT: Duration = Duration::from_secs(5);

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// To reach one address.
    pub(crate) connect: Duration,
    /// From the end of a request to its answer.
    pub(crate) answer: Duration,
    /// Without a byte moving in the middle of a body.
    pub(crate) stall: Duration,
}

/// A request without its body.
pub(crate) struct Request<'a> {
    pub(crate) method: &'static str,
    /// Path and query, encoded.
    pub(crate) target: &'a str,
    /// Besides Host and the body's length.
    pub(crate) headers: &'a [(&'static str, &'a str)],
}

/// What a request carries.
pub(crate) enum Body<'a> {
    None,
    Bytes(&'a [u8]),
    Stream {
        /// Gives exactly `len_bytes`.
        reader: &'a mut dyn Read,
        len_bytes: u64,
        /// Told after each piece, and while nothing moves, how many bytes were sent so far; an
        /// error stops it.
        sent: &'a mut dyn FnMut(u64) -> Result<()>,
    },
}

/// An open connection.
pub(crate) struct Connection {
    socket: TcpStream,
    tls: ClientConnection,
    server: String,
    authority: String,
    times: Times,
    /// Decrypted and not yet used.
    received: Vec<u8>,
    /// The server sends no more.
    ended: Ended,
    /// Nothing more can be sent; there may still be something to read.
    deaf: bool,
    keep: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    No,
    /// It said so.
    Properly,
    /// It was cut.
    Cut,
}

impl Connection {
    /// Connects, through the proxy if there is one, and completes the TLS handshake.
    pub(crate) fn open(
        host: &str,
        port: u16,
        (config, seen): (Arc<ClientConfig>, Arc<Seen>),
        proxy: &Proxy,
        times: Times,
    ) -> Result<Connection> {
        let server = host_port(host, port);
        let socket = dial(host, port, proxy, times.connect)?;
        let io = |e: io::Error| network(&server, &e);
        socket.set_nodelay(true).map_err(io)?;
        socket.set_nonblocking(true).map_err(io)?;
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            Error::new(
                Kind::Input,
                format!("{host:?} is no host name that TLS knows"),
            )
        })?;
        let mut tls =
            ClientConnection::new(config, name).map_err(|e| handshake_error(&server, &e, &seen))?;
        tls.set_buffer_limit(None);
        let mut connection = Connection {
            socket,
            tls,
            authority: authority(host, port),
            server,
            times,
            received: Vec::new(),
            ended: Ended::No,
            deaf: false,
            keep: true,
        };
        let end = Instant::now() + times.connect;
        while connection.tls.is_handshaking() {
            if connection.ended != Ended::No {
                return Err(connection.error("the connection was closed in the TLS handshake"));
            }
            match connection.turn(end) {
                Ok(true) => {}
                Ok(false) => return Err(connection.timeout("TLS handshake", times.connect)),
                Err(Turn::Io(e)) => return Err(network(&connection.server, &e)),
                Err(Turn::Tls(e)) => return Err(handshake_error(&connection.server, &e, &seen)),
            }
        }
        Ok(connection)
    }

    /// Sends a request and reads the head of its answer, which may come before the body is sent.
    pub(crate) fn exchange(mut self, request: &Request<'_>, body: Body<'_>) -> Result<Answer> {
        let streams = matches!(body, Body::Stream { .. });
        // What the system has taken may still be on its way when the last byte is written.
        let wait = match streams {
            true => self.times.stall * 2,
            false => self.times.answer,
        };
        self.queue(request_head(request, &self.authority, &body).as_bytes())?;
        let head = match body {
            Body::None => self.final_head(wait, &mut || Ok(()))?,
            Body::Bytes(bytes) => {
                self.queue(bytes)?;
                self.final_head(wait, &mut || Ok(()))?
            }
            Body::Stream {
                reader,
                len_bytes,
                sent,
            } => match self.send(reader, len_bytes, sent)? {
                Some(head) => {
                    // The rest of the body was never sent.
                    self.keep = false;
                    head
                }
                None => self.final_head(wait, &mut || sent(len_bytes))?,
            },
        };
        if head.has_token("connection", "close") || (streams && head.status >= 400) {
            self.keep = false;
        }
        let framing = Framing::of(request.method, &head)?;
        if framing == Framing::Close {
            self.keep = false;
        }
        Ok(Answer::new(head, self, framing))
    }

    /// Sends the body; the head of an answer that comes before its end.
    fn send(
        &mut self,
        reader: &mut dyn Read,
        len_bytes: u64,
        sent: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Option<Head>> {
        if let Some(head) = self.await_continue()? {
            return Ok(Some(head));
        }
        let mut piece = vec![0; PIECE_BYTES];
        let mut done = 0;
        while done < len_bytes {
            let most =
                usize::try_from(len_bytes - done).map_or(PIECE_BYTES, |n| n.min(PIECE_BYTES));
            let piece = &mut piece[..most];
            reader
                .read_exact(piece)
                .map_err(|e| Error::source("what is to be sent", e))?;
            self.queue(piece)?;
            if let Some(head) = self.flush(done, &mut || sent(done))? {
                return Ok(Some(head));
            }
            done += most as u64;
            sent(done)?;
        }
        Ok(None)
    }

    /// Waits for leave to send the body; a final answer is one to the head alone.
    fn await_continue(&mut self) -> Result<Option<Head>> {
        let end = Instant::now() + CONTINUE_WAIT;
        loop {
            match self.take_head()? {
                Some(head) if head.status == 100 => return Ok(None),
                Some(head) if head.status < 200 => continue,
                Some(head) => return Ok(Some(head)),
                None => {}
            }
            if self.ended != Ended::No {
                return Err(self.error("the connection was closed before anything was sent"));
            }
            match self.turn(end) {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(turn) => return Err(self.turn_error(turn)),
            }
        }
    }

    /// Sends what is queued; the head of an answer that came meanwhile.
    fn flush(
        &mut self,
        sent_bytes: u64,
        tick: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Option<Head>> {
        while self.tls.wants_write() {
            let failed = match self.patient_turn(self.times.stall, tick)? {
                Ok(true) => self.ended != Ended::No,
                Ok(false) => {
                    let what = format!("sending (stalled after {sent_bytes} bytes)");
                    return Err(self.timeout(&what, self.times.stall));
                }
                Err(Turn::Io(_)) => true,
                Err(turn) => return Err(self.turn_error(turn)),
            };
            if let Some(head) = self.take_final_head()? {
                return Ok(Some(head));
            }
            if failed {
                // The server may have said why before it cut the connection.
                if let Ok(head) = self.final_head(LAST_WORDS_WAIT, &mut || Ok(())) {
                    return Ok(Some(head));
                }
                let message = format!("the connection was cut after {sent_bytes} bytes");
                return Err(self.error(&message));
            }
        }
        Ok(None)
    }

    /// The head of the answer, `100 Continue` and its like skipped.
    fn final_head(&mut self, wait: Duration, tick: &mut dyn FnMut() -> Result<()>) -> Result<Head> {
        let end = Instant::now() + wait;
        loop {
            if let Some(head) = self.take_final_head()? {
                return Ok(head);
            }
            if self.ended != Ended::No {
                return Err(self.error("the connection was closed before the answer"));
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.patient_turn(left, tick)? {
                Ok(true) => {}
                Ok(false) => return Err(self.timeout("the answer", wait)),
                // What can't be sent any more does not matter: the answer may be on its way.
                Err(Turn::Io(_)) if self.deaf && self.ended == Ended::No => {}
                Err(turn) => return Err(self.turn_error(turn)),
            }
        }
    }

    fn take_final_head(&mut self) -> Result<Option<Head>> {
        loop {
            match self.take_head()? {
                Some(head) if head.status < 200 => {}
                head => return Ok(head),
            }
        }
    }

    fn take_head(&mut self) -> Result<Option<Head>> {
        let most = self.received.len().min(MAX_HEAD_BYTES);
        let parsed = parse_head(&self.received[..most]).map_err(|e| e.context(&self.server))?;
        Ok(parsed.map(|(head, len)| {
            self.received.drain(..len);
            head
        }))
    }

    /// Bytes of the body; 0 at the end of the connection.
    pub(super) fn receive(&mut self, out: &mut [u8]) -> Result<usize> {
        while self.received.is_empty() && !out.is_empty() {
            match self.ended {
                Ended::No => {}
                Ended::Properly => return Ok(0),
                Ended::Cut => return Err(self.error("the answer was cut")),
            }
            match self.turn(Instant::now() + self.times.stall) {
                Ok(true) => {}
                Ok(false) => return Err(self.timeout("receiving", self.times.stall)),
                Err(turn) => return Err(self.turn_error(turn)),
            }
        }
        let n = out.len().min(self.received.len());
        out[..n].copy_from_slice(&self.received[..n]);
        if n == self.received.len() {
            self.received.clear();
        } else {
            self.received.drain(..n);
        }
        Ok(n)
    }

    /// Whether another exchange may follow.
    pub(super) fn reusable(&self) -> bool {
        self.keep && !self.deaf && self.ended == Ended::No && self.received.is_empty()
    }

    /// Whether the server has kept the connection open: to be asked before it is used again.
    pub(crate) fn is_alive(&mut self) -> bool {
        // Nothing may arrive between exchanges but TLS's own messages.
        let alive = self.turn(Instant::now()).is_ok();
        alive && self.reusable()
    }

    fn queue(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.tls.writer().write_all(bytes);
        written.map_err(|e| network(&self.server, &e))
    }

    /// As [`turn`](Self::turn) for so long, with `tick` called while nothing moves.
    fn patient_turn(
        &mut self,
        wait: Duration,
        tick: &mut dyn FnMut() -> Result<()>,
    ) -> Result<std::result::Result<bool, Turn>> {
        let end = Instant::now() + wait;
        loop {
            let soon = Instant::now() + TICK;
            match self.turn(end.min(soon)) {
                Ok(false) if Instant::now() < end => tick()?,
                turned => return Ok(turned),
            }
        }
    }

    /// Waits until something can move, and moves it; false if nothing could until `end`.
    fn turn(&mut self, end: Instant) -> std::result::Result<bool, Turn> {
        let mut flags = PollFlags::IN;
        if self.tls.wants_write() && !self.deaf {
            flags |= PollFlags::OUT;
        }
        let ready = {
            let mut fds = [PollFd::new(&self.socket, flags)];
            let left = end.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).unwrap_or(Timespec {
                tv_sec: 3600,
                tv_nsec: 0,
            });
            match poll(&mut fds, Some(&timeout)) {
                Ok(0) => return Ok(false),
                Ok(_) => fds[0].revents(),
                Err(rustix::io::Errno::INTR) => return Ok(true),
                Err(e) => return Err(Turn::Io(e.into())),
            }
        };
        if ready.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            self.read_some()?;
        }
        if ready.intersects(PollFlags::OUT) && !self.deaf {
            match self.tls.write_tls(&mut &self.socket) {
                Ok(_) => {}
                Err(e) if would_wait(&e) => {}
                Err(e) => {
                    self.deaf = true;
                    return Err(Turn::Io(e));
                }
            }
        }
        Ok(true)
    }

    fn read_some(&mut self) -> std::result::Result<(), Turn> {
        match self.tls.read_tls(&mut &self.socket) {
            Ok(0) if self.ended == Ended::No => self.ended = Ended::Cut,
            Ok(_) => {}
            Err(e) if would_wait(&e) => return Ok(()),
            Err(e) => {
                self.ended = Ended::Cut;
                return Err(Turn::Io(e));
            }
        }
        let state = self.tls.process_new_packets().map_err(Turn::Tls)?;
        let waiting = state.plaintext_bytes_to_read();
        if waiting > 0 {
            let start = self.received.len();
            self.received.resize(start + waiting, 0);
            let read = self.tls.reader().read_exact(&mut self.received[start..]);
            read.map_err(Turn::Io)?;
        }
        if state.peer_has_closed() {
            self.ended = Ended::Properly;
        }
        Ok(())
    }

    fn turn_error(&self, turn: Turn) -> Error {
        match turn {
            Turn::Io(e) => network(&self.server, &e),
            Turn::Tls(e) => self.error(&format!("TLS failed: {e}")),
        }
    }

    fn error(&self, message: &str) -> Error {
        Error::new(Kind::Network, format!("{}: {message}", self.server))
    }

    fn timeout(&self, what: &str, waited: Duration) -> Error {
        Error::new(
            Kind::Timeout,
            format!(
                "{}: {what}: nothing for {} s",
                self.server,
                waited.as_secs_f32()
            ),
        )
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.tls.send_close_notify();
        // Best effort: the socket does not block.
        let _ = self.tls.write_tls(&mut &self.socket);
    }
}

/// Why nothing could be moved.
enum Turn {
    Io(io::Error),
    Tls(rustls::Error),
}

pub(super) fn would_wait(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

pub(super) fn network(server: &str, error: &io::Error) -> Error {
    Error::new(Kind::Network, format!("{server}: {error}"))
}

fn request_head(request: &Request<'_>, authority: &str, body: &Body<'_>) -> String {
    let mut head = format!(
        "{} {} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: lkbuild/{}\r\n",
        request.method,
        request.target,
        env!("CARGO_PKG_VERSION")
    );
    for (name, value) in request.headers {
        // A line end in a value would start another header.
        let clean: String = value.chars().filter(|c| !c.is_control()).collect();
        head.push_str(&format!("{name}: {clean}\r\n"));
    }
    match body {
        Body::None => {}
        Body::Bytes(bytes) => head.push_str(&format!("Content-Length: {}\r\n", bytes.len())),
        Body::Stream { len_bytes, .. } => head.push_str(&format!(
            "Content-Length: {len_bytes}\r\nExpect: 100-continue\r\n"
        )),
    }
    head.push_str("\r\n");
    head
}
