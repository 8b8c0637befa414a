//! An HTTP proxy that knows names which nobody else does.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A proxy on the loopback interface: it tunnels (CONNECT) and forwards. It ends with the test's
/// process.
#[derive(Debug)]
pub struct Proxy {
    address: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Knows these hosts: `name:port` and the address where it is. Others are refused with 502.
    pub fn new(hosts: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let hosts: Vec<(String, String)> = hosts
            .iter()
            .map(|&(name, address)| (name.to_owned(), address.to_owned()))
            .collect();
        let (log, hosts) = (seen.clone(), Arc::new(hosts));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (log, hosts) = (log.clone(), hosts.clone());
                // Who goes away early is no matter.
                std::thread::spawn(move || serve(stream, &log, &hosts).ok());
            }
        });
        Proxy { address, seen }
    }

    /// For `HTTP_PROXY` and `HTTPS_PROXY`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What went through it: `CONNECT name:port`, `GET http://name:port/path`.
    pub fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(
    mut client: TcpStream,
    log: &Mutex<Vec<String>>,
    hosts: &[(String, String)],
) -> io::Result<()> {
    let head = read_head(&mut client)?;
    let mut words = head.split(' ');
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    log.lock().unwrap().push(format!("{method} {target}"));
    let tunnels = method == "CONNECT";
    let name = match target.strip_prefix("http://") {
        None => target.to_owned(),
        Some(rest) => {
            let name = rest.split('/').next().unwrap_or_default();
            match name.contains(':') {
                true => name.to_owned(),
                false => format!("{name}:80"),
            }
        }
    };
    let Some((_, address)) = hosts.iter().find(|(known, _)| *known == name) else {
        return client.write_all(b"HTTP/1.1 502 no such host\r\ncontent-length: 0\r\n\r\n");
    };
    let mut server = TcpStream::connect(address)?;
    match tunnels {
        true => client.write_all(b"HTTP/1.1 200 connected\r\n\r\n")?,
        // One request for each connection, so that all of them are seen.
        false => {
            let head = head.trim_end();
            write!(server, "{head}\r\nConnection: close\r\n\r\n")?;
        }
    }
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        let _ = io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    io::copy(&mut server, &mut client)?;
    client.shutdown(Shutdown::Write)
}

/// Everything up to the empty line.
fn read_head(client: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}
