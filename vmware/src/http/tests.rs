//! The exchange against a server that does one thing each time. Its certificate and key
//! (`testdata/`) are for these tests alone.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{Answer, Body, Connection, Proxy, Request, Times};
use crate::error::{Error, Kind, Result};
use crate::tls::{Thumbprint, Trust, client_config};

const CERTIFICATE: &[u8] = include_bytes!("testdata/certificate.pem");
const KEY: &[u8] = include_bytes!("testdata/key.pem");
const LONG: usize = 32 << 20;

type Client = StreamOwned<ServerConnection, TcpStream>;

/// A server for one connection.
struct Server {
    port: u16,
    thread: JoinHandle<()>,
}

impl Server {
    fn start(act: impl FnOnce(&mut Client) + Send + 'static) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(CERTIFICATE).unwrap()],
                PrivateKeyDer::from_pem_slice(KEY).unwrap(),
            )
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = std::thread::spawn(move || {
            let (socket, _) = listener.accept().unwrap();
            let tls = ServerConnection::new(Arc::new(config)).unwrap();
            act(&mut StreamOwned::new(tls, socket));
        });
        Server { port, thread }
    }

    fn connect_with(&self, trust: &Trust) -> Result<Connection> {
        let times = Times {
            connect: Duration::from_secs(20),
            answer: Duration::from_secs(20),
            stall: Duration::from_millis(700),
        };
        let config = client_config(trust, "localhost", self.port, None)?;
        Connection::open("localhost", self.port, config, &Proxy::none(), times)
    }

    fn connect(&self) -> Connection {
        let mut trust = Trust::none();
        trust.add_pem("test", CERTIFICATE).unwrap();
        self.connect_with(&trust).unwrap()
    }

    fn put(self, len: usize) -> Result<Answer> {
        let request = Request {
            method: "PUT",
            target: "/x",
            headers: &[],
        };
        let body = Body::Stream {
            reader: &mut std::io::repeat(b'a'),
            len_bytes: len as u64,
            sent: &mut |_| Ok(()),
        };
        let answer = self.connect().exchange(&request, body);
        drop(self.thread);
        answer
    }
}

fn get(connection: Connection) -> Result<Answer> {
    let request = Request {
        method: "GET",
        target: "/x?y",
        headers: &[("X-Test", "1")],
    };
    connection.exchange(&request, Body::None)
}

/// Reads up to the end of a request's head.
fn read_head(client: &mut Client) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if client.read(&mut byte).unwrap_or(0) == 0 {
            break;
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

fn read_body(client: &mut Client, len: usize) {
    std::io::copy(&mut client.take(len as u64), &mut std::io::sink()).unwrap();
}

fn say(client: &mut Client, text: &str) {
    client.write_all(text.as_bytes()).unwrap();
    client.flush().unwrap();
}

fn close_properly(client: &mut Client) {
    client.conn.send_close_notify();
    let _ = client.flush();
}

#[test]
fn a_connection_serves_again_after_each_kind_of_body() {
    let server = Server::start(|client| {
        let head = read_head(client);
        assert!(
            head.starts_with("GET /x?y HTTP/1.1\r\nHost: localhost:"),
            "{head}"
        );
        assert!(head.contains("\r\nX-Test: 1\r\n"), "{head}");
        say(client, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none");
        read_head(client);
        say(
            client,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        );
        say(client, "2\r\ntw\r\n1;x=y\r\no\r\n0\r\nTrailer: z\r\n\r\n");
        read_head(client);
        say(client, "HTTP/1.1 200 OK\r\n\r\nthree");
        close_properly(client);
    });
    let mut connection = Some(server.connect());
    for (want, again) in [("one", true), ("two", true), ("three", false)] {
        let mut own = connection.take().unwrap();
        assert!(own.is_alive());
        let mut answer = get(own).unwrap();
        assert_eq!(answer.read_all(100).unwrap(), want.as_bytes());
        connection = answer.into_connection();
        assert_eq!(connection.is_some(), again, "{want}");
    }
    server.thread.join().unwrap();
}

#[test]
fn an_answer_that_is_cut_is_an_error() {
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nshort",
        // Without its end, TLS can't tell a whole body from a cut one.
        "HTTP/1.1 200 OK\r\n\r\nshort",
        "HTTP/1.1 200",
    ] {
        let server = Server::start(move |client| {
            read_head(client);
            say(client, text);
        });
        let read = get(server.connect()).and_then(|mut answer| answer.read_all(100));
        assert_eq!(read.unwrap_err().kind(), Kind::Network, "{text}");
    }
}

#[test]
fn a_body_waits_for_leave_but_not_for_ever() {
    for leave in [true, false] {
        let server = Server::start(move |client| {
            let head = read_head(client);
            assert!(head.contains("Expect: 100-continue\r\n"), "{head}");
            assert!(head.contains("Content-Length: 1000000\r\n"), "{head}");
            if leave {
                say(client, "HTTP/1.1 100 Continue\r\n\r\n");
            }
            read_body(client, 1_000_000);
            say(client, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
        });
        assert_eq!(server.put(1_000_000).unwrap().head.status, 201);
    }
}

#[test]
fn an_answer_to_the_head_alone_stops_the_body() {
    let server = Server::start(|client| {
        read_head(client);
        say(
            client,
            "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno",
        );
        let mut rest = Vec::new();
        let _ = client.read_to_end(&mut rest);
        assert_eq!(rest.len(), 0, "the body was sent all the same");
    });
    let mut answer = server.put(LONG).unwrap();
    assert_eq!(answer.head.status, 401);
    assert_eq!(answer.excerpt(), "no");
    assert!(answer.into_connection().is_none());
}

#[test]
fn an_early_answer_is_read_though_the_connection_is_cut() {
    let server = Server::start(|client| {
        read_head(client);
        say(client, "HTTP/1.1 100 Continue\r\n\r\n");
        read_body(client, 1 << 20);
        say(
            client,
            "HTTP/1.1 413 Too Large\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n",
        );
        // Dropping it with unread data resets the connection.
    });
    let answer = server.put(LONG).unwrap();
    assert_eq!(answer.head.status, 413);
    assert_eq!(answer.head.retry_after(), Some(Duration::from_secs(5)));
}

#[test]
fn an_early_answer_is_noticed_though_the_server_reads_no_more() {
    let server = Server::start(|client| {
        read_head(client);
        say(client, "HTTP/1.1 100 Continue\r\n\r\n");
        read_body(client, 1 << 20);
        say(client, "HTTP/1.1 507 Full\r\nContent-Length: 0\r\n\r\n");
        std::thread::sleep(Duration::from_secs(3));
    });
    assert_eq!(server.put(LONG).unwrap().head.status, 507);
}

#[test]
fn a_cut_in_the_middle_is_told_from_a_stall() {
    let server = Server::start(|client| {
        read_head(client);
        say(client, "HTTP/1.1 100 Continue\r\n\r\n");
        read_body(client, 1 << 20);
    });
    let error: Error = server.put(LONG).err().unwrap();
    assert_eq!(error.kind(), Kind::Network, "{error}");
    let server = Server::start(|client| {
        read_head(client);
        say(client, "HTTP/1.1 100 Continue\r\n\r\n");
        read_body(client, 1 << 20);
        std::thread::sleep(Duration::from_secs(4));
    });
    let error = server.put(LONG).err().unwrap();
    assert_eq!(error.kind(), Kind::Timeout, "{error}");
    assert!(error.to_string().contains("stalled after"), "{error}");
    // A short body is all in the system's buffers: then the answer is waited for, not for ever.
    let server = Server::start(|client| {
        read_head(client);
        std::thread::sleep(Duration::from_secs(5));
    });
    assert_eq!(server.put(10).err().unwrap().kind(), Kind::Timeout);
}

#[test]
fn whoever_sends_is_told_while_nothing_moves() {
    let server = Server::start(|client| {
        read_head(client);
        say(client, "HTTP/1.1 100 Continue\r\n\r\n");
        read_body(client, 10);
        std::thread::sleep(Duration::from_millis(1000));
        say(client, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    let mut told = Vec::new();
    let request = Request {
        method: "PUT",
        target: "/x",
        headers: &[],
    };
    let body = Body::Stream {
        reader: &mut &b"0123456789"[..],
        len_bytes: 10,
        sent: &mut |bytes| {
            told.push(bytes);
            Ok(())
        },
    };
    assert_eq!(
        server
            .connect()
            .exchange(&request, body)
            .unwrap()
            .head
            .status,
        200
    );
    assert!(
        told.len() > 2 && told.iter().all(|bytes| *bytes == 10),
        "{told:?}"
    );
}

#[test]
fn certificates_are_checked_unless_pinned() {
    let der = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
    let own = [Thumbprint::sha1(&der), Thumbprint::sha256(&der)];
    let connect = |trust: &dyn Fn(u16) -> Trust| {
        let server = Server::start(|client| {
            read_head(client);
        });
        let trust = trust(server.port);
        server.connect_with(&trust).map(|_| ())
    };
    let untrusted = connect(&|_| Trust::none()).unwrap_err();
    assert_eq!(untrusted.kind(), Kind::Certificate);
    for print in own {
        assert!(
            untrusted.to_string().contains(&print.to_string()),
            "{untrusted}"
        );
        let pinned = |port| {
            let mut trust = Trust::none();
            trust.pin("localhost", port, print);
            trust
        };
        connect(&pinned).unwrap();
    }
    // A pin wins over a CA that signed it.
    let other = connect(&|port| {
        let mut trust = Trust::none();
        trust.add_pem("test", CERTIFICATE).unwrap();
        trust.pin("localhost", port, Thumbprint::sha256(b"other"));
        trust
    });
    let other = other.unwrap_err();
    assert!(other.to_string().contains("not the pinned one"), "{other}");
    connect(&|_| {
        let mut trust = Trust::none();
        trust.set_insecure();
        trust
    })
    .unwrap();
}
