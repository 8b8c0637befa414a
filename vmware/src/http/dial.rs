//! The way to a server: straight, or through a proxy's tunnel (CONNECT: RFC 9110, 9.3.6).

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::answer::{Head, MAX_HEAD_BYTES, parse_head};
use super::connection::{network, would_wait};
use super::proxy::{Proxy, Via};
use crate::address::host_port;
use crate::error::{Error, Kind, Result};

/// Connects to a server, each address of it (or the whole tunnel) within `wait`.
pub(super) fn dial(host: &str, port: u16, proxy: &Proxy, wait: Duration) -> Result<TcpStream> {
    match proxy.towards(host, port)? {
        None => connect(host, port, wait),
        Some(via) => tunnel(via, &host_port(host, port), wait),
    }
}

fn connect(host: &str, port: u16, wait: Duration) -> Result<TcpStream> {
    let server = host_port(host, port);
    let addresses = (host, port).to_socket_addrs().map_err(|e| {
        Error::new(
            Kind::Network,
            format!("{host} can't be found: {e}; check the name and this machine's DNS"),
        )
    })?;
    let mut failed = None;
    for address in addresses {
        match TcpStream::connect_timeout(&address, wait) {
            Ok(socket) => return Ok(socket),
            Err(e) => failed = Some((address, e)),
        }
    }
    Err(match failed {
        None => Error::new(Kind::Network, format!("{server} has no address")),
        Some((address, e)) => {
            let kind = match e.kind() {
                io::ErrorKind::TimedOut => Kind::Timeout,
                _ => Kind::Network,
            };
            Error::new(
                kind,
                format!("{server} ({}) can't be reached: {e}", address.ip()),
            )
        }
    })
}

/// Has the proxy connect to the server.
fn tunnel(via: &Via, server: &str, wait: Duration) -> Result<TcpStream> {
    let name = host_port(&via.host, via.port);
    let end = Instant::now() + wait;
    let mut socket = connect(&via.host, via.port, wait).map_err(|e| {
        e.context(format!(
            "the proxy of HTTPS_PROXY (NO_PROXY lists what is reached without it), on the way to {server}"
        ))
    })?;
    let io = |e: io::Error| network(&name, &e);
    socket.set_write_timeout(Some(wait)).map_err(io)?;
    socket
        .write_all(request(via, server).as_bytes())
        .map_err(io)?;
    let head = read_head(&mut socket, &name, end, wait)?;
    socket.set_write_timeout(None).map_err(io)?;
    socket.set_read_timeout(None).map_err(io)?;
    match head.status {
        200..300 => Ok(socket),
        status => Err(refused(&name, server, status)),
    }
}

fn request(via: &Via, server: &str) -> String {
    let mut head = format!(
        "CONNECT {server} HTTP/1.1\r\nHost: {server}\r\nUser-Agent: lkbuild/{}\r\n",
        env!("CARGO_PKG_VERSION")
    );
    if via.user.is_some() || via.password.is_some() {
        let user = via.user.as_deref().unwrap_or_default();
        let password = via.password.as_ref().map_or("", |own| own.reveal());
        let pair = STANDARD.encode(format!("{user}:{password}"));
        head.push_str(&format!("Proxy-Authorization: Basic {pair}\r\n"));
    }
    head.push_str("\r\n");
    head
}

/// Reads the head of the proxy's answer, and no byte of what follows it.
fn read_head(socket: &mut TcpStream, name: &str, end: Instant, wait: Duration) -> Result<Head> {
    let error = |kind, what: &str| Err(Error::new(kind, format!("the proxy {name}: {what}")));
    let mut bytes = Vec::new();
    // The server speaks after us, so that nothing may follow the head of a tunnel that is open.
    let mut chunk = [0; 4096];
    loop {
        let most = bytes.len().min(MAX_HEAD_BYTES);
        let parsed = parse_head(&bytes[..most])
            .map_err(|e| e.context(format!("the proxy {name} (is it one?)")))?;
        match parsed {
            Some((head, len)) if head.status < 200 => {
                bytes.drain(..len);
                continue;
            }
            Some((head, len)) if head.status < 300 && len < bytes.len() => {
                return error(Kind::Protocol, "it sent more than its answer");
            }
            Some((head, _)) => return Ok(head),
            None => {}
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let what = format!("no answer for {} s", wait.as_secs_f32());
            return error(Kind::Timeout, &what);
        }
        let read = socket
            .set_read_timeout(Some(left))
            .and_then(|()| socket.read(&mut chunk));
        match read {
            Ok(0) => return error(Kind::Network, "it closed the connection without an answer"),
            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
            Err(e) if would_wait(&e) => {}
            Err(e) => return Err(network(name, &e)),
        }
    }
}

fn refused(name: &str, server: &str, status: u16) -> Error {
    let (kind, advice) = match status {
        407 => (
            Kind::Login,
            "it wants a user and password, or others: write them as http://USER:PASSWORD@HOST:PORT into HTTPS_PROXY",
        ),
        401 | 403 | 405 => (
            Kind::Permission,
            "it does not let this through: ask who runs it, or list the server in NO_PROXY",
        ),
        _ => (
            Kind::Network,
            "it can't reach the server: check the name, or list the server in NO_PROXY",
        ),
    };
    Error::new(
        kind,
        format!("the proxy {name} answered {status} for {server}: {advice}"),
    )
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// What comes of a proxy that answers with these bytes and waits.
    fn answered(bytes: &'static [u8]) -> Result<TcpStream> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            socket.write_all(bytes).unwrap();
            let mut asked = Vec::new();
            let _ = socket.read_to_end(&mut asked);
            String::from_utf8(asked).unwrap()
        });
        let proxy = Proxy::new(&format!("http://me:p@127.0.0.1:{port}"), "").unwrap();
        let dialled = dial("fe80::9", 8443, &proxy, Duration::from_millis(500));
        let result = dialled.map(|socket| socket.try_clone().unwrap());
        if let Ok(socket) = &result {
            socket.shutdown(std::net::Shutdown::Write).unwrap();
        }
        let asked = thread.join().unwrap();
        assert!(asked.starts_with("CONNECT [fe80::9]:8443 HTTP/1.1\r\nHost: [fe80::9]:8443\r\n"));
        assert!(asked.ends_with("\r\nProxy-Authorization: Basic bWU6cA==\r\n\r\n"));
        result
    }

    #[test]
    fn a_tunnel_is_open_after_the_proxy_s_answer() {
        answered(b"HTTP/1.0 200 Connection established\r\n\r\n").unwrap();
        answered(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 Yes\r\nX: y\r\n\r\n").unwrap();
    }

    #[test]
    fn a_proxy_that_does_not_open_one_is_told_by_kind() {
        for (answer, kind, word) in [
            (&b"HTTP/1.1 407 No\r\n\r\nwho?"[..], Kind::Login, "407"),
            (b"HTTP/1.1 403 No\r\n\r\n", Kind::Permission, "403"),
            (b"HTTP/1.1 502 No\r\n\r\n", Kind::Network, "502"),
            (b"HTTP/1.1 302 No\r\n\r\n", Kind::Network, "302"),
            (b"SSH-2.0-x\r\n\r\n", Kind::Protocol, "is it one?"),
            (b"HTTP/1.1 200 Yes\r\n\r\nmore", Kind::Protocol, "more"),
            // It dawdles.
            (b"", Kind::Timeout, "no answer"),
            (b"HTTP/1.1 200 Yes\r\n", Kind::Timeout, "no answer"),
        ] {
            let error = answered(answer).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(word), "{error}");
            assert!(
                error.to_string().contains("the proxy 127.0.0.1:"),
                "{error}"
            );
        }
    }
}
