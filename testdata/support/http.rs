//! An HTTP server that behaves as badly as a test asks, on the loopback interface.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`, `PUT` and the like.
    pub method: String,
    /// Path with its query.
    pub path: String,
    /// Headers, their names in lower case.
    pub headers: HashMap<String, String>,
    /// What came with it, where a `content-length` says how much.
    pub body: Vec<u8>,
    /// How many requests for this path came before.
    pub earlier: usize,
}

impl Request {
    /// Where a `Range: bytes=N-` header starts; 0 without one.
    pub fn range_start(&self) -> usize {
        self.headers.get("range").map_or(0, |range| {
            let start = range.strip_prefix("bytes=").unwrap();
            start.strip_suffix('-').unwrap().parse().unwrap()
        })
    }
}

/// An answer, honest unless something else is asked for.
#[derive(Clone, Debug)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// The connection ends after so many bytes of the body.
    cut: Option<usize>,
    /// So many bytes at once, with a pause after each.
    drip: Option<(usize, Duration)>,
    /// The body comes again and again.
    endless: bool,
    /// Nothing is sent before this has passed.
    delay: Duration,
}

impl Reply {
    /// An answer with this status and nothing in it.
    pub fn status(status: u16) -> Self {
        Reply {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            cut: None,
            drip: None,
            endless: false,
            delay: Duration::ZERO,
        }
    }

    /// A good answer.
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Reply {
            body: body.into(),
            ..Reply::status(200)
        }
    }

    /// The bytes from `start` on: all of them with 200, a rest with 206 (RFC 9110, 15.3.7).
    pub fn part(body: &[u8], start: usize) -> Self {
        if start == 0 {
            return Reply::ok(body);
        }
        let range = format!("bytes {start}-{}/{}", body.len() - 1, body.len());
        let mut reply = Reply::ok(&body[start..]).header("content-range", range);
        reply.status = 206;
        reply
    }

    /// Adds a header, or replaces `content-length`.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Ends the connection after so many bytes of the body.
    pub fn cut(mut self, bytes: usize) -> Self {
        self.cut = Some(bytes);
        self
    }

    /// Sends so many bytes at once, with a pause after each.
    pub fn drip(mut self, bytes: usize, pause: Duration) -> Self {
        self.drip = Some((bytes, pause));
        self
    }

    /// Sends the body again and again, and no length.
    pub fn endless(mut self) -> Self {
        self.endless = true;
        self
    }

    /// Waits before anything is sent.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Changes the body.
    pub fn damage(mut self, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        change(&mut self.body);
        self
    }

    fn send(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        std::thread::sleep(self.delay);
        let mut head = format!("HTTP/1.1 {} x\r\nconnection: close\r\n", self.status);
        let has_length = self
            .headers
            .iter()
            .any(|(name, _)| name == "content-length");
        if !has_length && !self.endless {
            head += &format!("content-length: {}\r\n", self.body.len());
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        let end = self.cut.unwrap_or(self.body.len()).min(self.body.len());
        loop {
            let (step, pause) = self.drip.unwrap_or((end.max(1), Duration::ZERO));
            for piece in self.body[..end].chunks(step) {
                stream.write_all(piece)?;
                std::thread::sleep(pause);
            }
            if !self.endless {
                return Ok(());
            }
        }
    }
}

/// A server that answers as its handler says. It ends with the test's process.
#[derive(Debug)]
pub struct Server {
    host: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Starts a server; `handler` may run in several threads at once.
    pub fn new(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (requests, handler) = (seen.clone(), Arc::new(handler));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (requests, handler) = (requests.clone(), handler.clone());
                std::thread::spawn(move || serve(stream, &requests, &*handler));
            }
        });
        Server { host, seen }
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(
    mut stream: TcpStream,
    seen: &Mutex<Vec<Request>>,
    handler: &dyn Fn(&Request) -> Reply,
) -> Option<()> {
    let mut input = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    input.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let method = words.next()?.to_owned();
    let path = words.next()?.to_owned();
    let mut headers = HashMap::new();
    loop {
        line.clear();
        input.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length");
    let mut body = vec![0; length.map_or(0, |n: &String| n.parse().unwrap())];
    input.read_exact(&mut body).ok()?;
    let request = {
        let mut seen = seen.lock().unwrap();
        let earlier = seen.iter().filter(|r| r.path == path).count();
        let request = Request {
            method,
            path,
            headers,
            body,
            earlier,
        };
        seen.push(request.clone());
        request
    };
    // The client may have gone away.
    handler(&request).send(&mut stream).ok()
}
