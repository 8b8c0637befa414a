//! The answer's head, and its body as a stream.

use std::time::Duration;

use super::connection::Connection;
use super::framing::Framing;
use crate::error::{Error, Kind, Result};

/// No head of an answer is longer.
pub(super) const MAX_HEAD_BYTES: usize = 64 << 10;
const MAX_HEADERS: usize = 128;

/// Status and header fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Such as 200.
    pub status: u16,
    /// Names in lower case, in the server's order.
    pub headers: Vec<(String, String)>,
}

impl Head {
    /// The first value of a header field; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether a comma-separated header field has `token`, in any case.
    pub(super) fn has_token(&self, name: &str, token: &str) -> bool {
        let own = self.headers.iter().filter(|(own, _)| own == name);
        own.flat_map(|(_, value)| value.split(','))
            .any(|own| own.trim().eq_ignore_ascii_case(token))
    }

    /// `Retry-After` in seconds (its date form is not used by vSphere).
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let seconds = self.header("retry-after")?.trim().parse().ok()?;
        Some(Duration::from_secs(seconds))
    }
}

/// The head at the start of `bytes` and its length; `None` if it is not all there.
///
/// # Errors
/// If it is no HTTP/1 answer or too long.
pub fn parse_head(bytes: &[u8]) -> Result<Option<(Head, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let bad = |why: &str| Error::protocol(format!("the server's answer is no HTTP: {why}"));
    let len = match response.parse(bytes).map_err(|e| bad(&e.to_string()))? {
        httparse::Status::Complete(len) => len,
        httparse::Status::Partial if bytes.len() >= MAX_HEAD_BYTES => {
            return Err(bad("its head is too long"));
        }
        httparse::Status::Partial => return Ok(None),
    };
    let status = response.code.filter(|code| (100..600).contains(code));
    let status = status.ok_or_else(|| bad("its status is none"))?;
    let headers = response.headers.iter().map(|header| {
        let value = String::from_utf8_lossy(header.value).trim().to_owned();
        (header.name.to_ascii_lowercase(), value)
    });
    Ok(Some((
        Head {
            status,
            headers: headers.collect(),
        },
        len,
    )))
}

/// An answer whose body is still to be read.
pub(crate) struct Answer {
    pub(crate) head: Head,
    connection: Connection,
    framing: Framing,
}

impl Answer {
    pub(super) fn new(head: Head, connection: Connection, framing: Framing) -> Self {
        Answer {
            head,
            connection,
            framing,
        }
    }

    /// The next bytes of the body; 0 at its end.
    pub(crate) fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        self.framing.read(&mut self.connection, out)
    }

    /// The whole body.
    ///
    /// # Errors
    /// [`Kind::Protocol`] if it is longer than `limit`.
    pub(crate) fn read_all(&mut self, limit: usize) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        let mut chunk = vec![0; 32 << 10];
        loop {
            match self.read(&mut chunk)? {
                0 => return Ok(body),
                n => body.extend_from_slice(&chunk[..n]),
            }
            if body.len() > limit {
                return Err(Error::new(
                    Kind::Protocol,
                    format!("the server's answer is longer than {limit} bytes"),
                ));
            }
        }
    }

    /// As much of the body as there is, for a message; failures don't matter.
    pub(crate) fn excerpt(&mut self) -> String {
        let mut body = Vec::new();
        let mut chunk = [0; 4096];
        while let Ok(n @ 1..) = self.read(&mut chunk) {
            body.extend_from_slice(&chunk[..n]);
            if body.len() > 16 << 10 {
                break;
            }
        }
        String::from_utf8_lossy(&body).into_owned()
    }

    /// The connection for another exchange, if the body was read to its end and both sides keep it.
    pub(crate) fn into_connection(self) -> Option<Connection> {
        (self.framing.is_done() && self.connection.reusable()).then_some(self.connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_when_it_is_all_there() {
        let text = b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nConnection: a, Close\r\n\r\nbody";
        let (head, len) = parse_head(text).unwrap().unwrap();
        assert_eq!((head.status, len), (503, text.len() - 4));
        assert_eq!(head.retry_after(), Some(Duration::from_secs(7)));
        assert!(head.has_token("connection", "close") && !head.has_token("connection", "lose"));
        assert_eq!(parse_head(&text[..20]).unwrap(), None);
    }

    #[test]
    fn what_is_no_http_is_refused() {
        assert_eq!(
            parse_head(b"SSH-2.0-x\r\n\r\n").unwrap_err().kind(),
            Kind::Protocol
        );
        let long = [
            b"HTTP/1.1 200 OK\r\nx: ".as_slice(),
            &vec![b'a'; MAX_HEAD_BYTES],
        ]
        .concat();
        assert!(
            parse_head(&long)
                .unwrap_err()
                .to_string()
                .contains("too long")
        );
    }
}
