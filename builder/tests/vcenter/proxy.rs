//! The way through a proxy, whose tunnel leads to the simulator whatever name is asked for.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};

use testdata::VCenter;

use crate::lab::{Lab, Ran, content, exit, run};

/// A name that only the proxy knows (RFC 6761).
const SERVER: &str = "vcenter.lab.invalid";
const PASSWORD: &str = "s3cr:t/@%";
/// `CORP\me:PASSWORD` as basic authentication writes it, and as a URL does.
const BASIC: &str = "Q09SUFxtZTpzM2NyOnQvQCU=";
const IN_URL: &str = "CORP%5Cme:s3cr%3At%2F%40%25";

/// A proxy that lives as long as the test's process.
struct Proxy {
    port: u16,
    /// Heads of what was asked of it.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Lets those in who have the password.
    fn to(vcenter: &VCenter) -> Self {
        let target = vcenter.address().to_owned();
        Self::start(move |client, head| {
            let known = head.contains(&format!("\r\nProxy-Authorization: Basic {BASIC}\r\n"));
            if !known {
                let answer = b"HTTP/1.1 407 Who?\r\nProxy-Authenticate: Basic\r\n\r\n";
                return client.write_all(answer).unwrap();
            }
            let server = TcpStream::connect(&target).unwrap();
            client
                .write_all(b"HTTP/1.1 200 Established\r\n\r\n")
                .unwrap();
            let pairs = [
                (client.try_clone().unwrap(), server.try_clone().unwrap()),
                (server, client.try_clone().unwrap()),
            ];
            let threads = pairs.map(|(mut from, mut to)| {
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Write);
                })
            });
            for thread in threads {
                thread.join().unwrap();
            }
        })
    }

    /// Gives everyone the same answer.
    fn answering(answer: &'static str) -> Self {
        Self::start(move |client, _| client.write_all(answer.as_bytes()).unwrap())
    }

    fn start(serve: impl Fn(&mut TcpStream, &str) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heads = asked.clone();
        let serve = Arc::new(serve);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let mut client = client.unwrap();
                let head = read_head(&mut client);
                heads.lock().unwrap().push(head.clone());
                let serve = serve.clone();
                std::thread::spawn(move || serve(&mut client, &head));
            }
        });
        Proxy { port, asked }
    }

    fn url(&self) -> String {
        format!("http://{IN_URL}@127.0.0.1:{}", self.port)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn read_head(client: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// A push to `SERVER`.
fn push(lab: &Lab, proxy: &str) -> Command {
    let mut command = lab.command();
    command
        .args([
            "push",
            "vcenter",
            "--attempts",
            "2",
            "--retry-pause",
            "0.01",
        ])
        .args(["--url", SERVER, "host.iso"])
        .env("HTTPS_PROXY", proxy);
    command
}

/// Runs it; no word of it may have the proxy's password.
fn discreet(command: &mut Command) -> Ran {
    let ran = run(command);
    for secret in [PASSWORD, IN_URL, BASIC, &IN_URL[11..]] {
        let told = ran.stdout.contains(secret) || ran.stderr.contains(secret);
        assert!(!told, "{secret:?}: {ran:?}");
    }
    ran
}

#[test]
fn a_push_goes_through_the_proxy_and_trusts_the_server_alone() {
    let Some(lab) = Lab::new() else {
        return;
    };
    lab.file("host.iso", 1, 3_000_000);
    let proxy = Proxy::to(&lab.vcenter);
    let through = || push(&lab, &proxy.url());
    // The certificate is for another name than the one that was asked for.
    discreet(&mut through()).assert(exit::CERTIFICATE, &["another name", lab.vcenter.sha256()]);
    assert!(lab.files().is_empty());
    let pinned = ["--thumbprint", lab.vcenter.sha256(), "-v"];
    discreet(through().args(pinned)).assert(exit::DONE, &["pushed"]);
    assert_eq!(lab.files()["host/host.iso"], content(1, 3_000_000));
    let asked = proxy.asked();
    assert!(asked.len() > 2, "{asked:?}");
    let connect = format!("CONNECT {SERVER}:443 HTTP/1.1\r\nHost: {SERVER}:443\r\n");
    for head in &asked {
        assert!(head.starts_with(&connect), "{head}");
        assert!(!head.contains("Cookie"), "{head}");
    }
    // In lower case as well.
    let mut lower = through();
    lower
        .env_remove("HTTPS_PROXY")
        .env("https_proxy", proxy.url());
    discreet(lower.args(pinned)).assert(exit::DONE, &["the same bytes"]);
}

#[test]
fn a_proxy_that_refuses_is_told_from_the_server() {
    let Some(lab) = Lab::new() else {
        return;
    };
    lab.file("host.iso", 1, 1000);
    let own = Proxy::to(&lab.vcenter);
    let unknown = format!("http://127.0.0.1:{}", own.port);
    discreet(&mut push(&lab, &unknown)).assert(exit::REFUSED, &["proxy", "407", "HTTPS_PROXY"]);
    for (answer, code, words) in [
        ("HTTP/1.1 407 No\r\n\r\n", exit::REFUSED, ["407", "USER"]),
        (
            "HTTP/1.1 403 No\r\n\r\n",
            exit::REFUSED,
            ["403", "NO_PROXY"],
        ),
        ("HTTP/1.1 502 No\r\n\r\n", exit::NETWORK, ["502", SERVER]),
        ("", exit::NETWORK, ["closed", "without an answer"]),
        ("220 smtp\r\n\r\n", exit::SERVER, ["is it one?", "no HTTP"]),
    ] {
        let proxy = Proxy::answering(answer);
        let ran = discreet(&mut push(&lab, &proxy.url()));
        let name = format!("the proxy 127.0.0.1:{}", proxy.port);
        ran.assert(code, &[&words[..], &[&*name]].concat());
    }
    let ran = discreet(&mut push(&lab, &format!("http://{IN_URL}@127.0.0.1:1")));
    ran.assert(exit::NETWORK, &["HTTPS_PROXY", "127.0.0.1:1", SERVER]);
    for other in ["socks5", "https"] {
        let ran = discreet(&mut push(&lab, &format!("{other}://{IN_URL}@127.0.0.1:1")));
        ran.assert(exit::USAGE, &["HTTPS_PROXY", "http://HOST:PORT"]);
    }
}

#[test]
fn a_proxy_that_is_busy_is_asked_again() {
    let Some(lab) = Lab::new() else {
        return;
    };
    lab.file("host.iso", 1, 1000);
    let proxy = Proxy::answering("HTTP/1.1 503 Later\r\n\r\n");
    let ran = discreet(&mut push(&lab, &proxy.url()));
    ran.assert(exit::NETWORK, &["503"]);
    assert_eq!(proxy.asked().len(), 2);
}

#[test]
fn what_no_proxy_lists_is_reached_without_it() {
    let Some(lab) = Lab::new() else {
        return;
    };
    lab.file("host.iso", 1, 1000);
    let proxy = Proxy::to(&lab.vcenter);
    let mut command = push(&lab, &proxy.url());
    let ran = discreet(command.env("NO_PROXY", "other.lab, .lab.invalid"));
    ran.assert(exit::NETWORK, &[SERVER, "DNS"]);
    // This machine's own addresses need no list, and what is on the way to others is no matter.
    let socks = format!("socks5://{IN_URL}@127.0.0.1:1");
    for (url, told) in [(proxy.url(), "pushed"), (socks, "the same bytes")] {
        let mut command = lab.command();
        command
            .args(["push", "vcenter", "host.iso", "-v"])
            .env("HTTPS_PROXY", url);
        discreet(&mut command).assert(exit::DONE, &[told]);
    }
    assert!(proxy.asked().is_empty());
}
