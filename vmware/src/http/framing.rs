//! Where a body ends (RFC 9112, 6).

use super::answer::Head;
use super::connection::Connection;
use crate::error::{Error, Kind, Result};

/// No line of a chunked body's framing is longer.
const MAX_LINE_BYTES: usize = 4096;
/// Trailers after a chunked body.
const MAX_TRAILERS: usize = 128;

/// What is left of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes.
    Length(u64),
    /// Chunks; so many bytes are left of the current one.
    Chunk(u64),
    /// The line with the next chunk's length comes next; `true` if a line end comes before.
    ChunkStart(bool),
    /// Up to the end of the connection.
    Close,
    /// Nothing.
    Done,
}

impl Framing {
    pub(super) fn of(method: &str, head: &Head) -> Result<Framing> {
        if method == "HEAD" || matches!(head.status, 204 | 304) {
            return Ok(Framing::Done);
        }
        if head.header("transfer-encoding").is_some() {
            return match head.has_token("transfer-encoding", "chunked") {
                true => Ok(Framing::ChunkStart(false)),
                false => Ok(Framing::Close),
            };
        }
        let mut lengths = head
            .headers
            .iter()
            .filter(|(name, _)| name == "content-length");
        let Some((_, length)) = lengths.next() else {
            return Ok(Framing::Close);
        };
        if lengths.any(|(_, other)| other != length) {
            return Err(Error::protocol("the server's answer has two lengths"));
        }
        match length.parse() {
            Ok(0) => Ok(Framing::Done),
            Ok(length) if length.to_string() == *length_text(head) => Ok(Framing::Length(length)),
            _ => Err(Error::protocol(
                "the server's answer has a length that is none",
            )),
        }
    }

    pub(super) fn is_done(&self) -> bool {
        *self == Framing::Done
    }

    /// Reads into `out`; 0 at the end of the body.
    pub(super) fn read(&mut self, from: &mut Connection, out: &mut [u8]) -> Result<usize> {
        loop {
            match self {
                Framing::Done => return Ok(0),
                Framing::Close => {
                    let n = from.receive(out)?;
                    if n == 0 {
                        *self = Framing::Done;
                    }
                    return Ok(n);
                }
                Framing::Length(left) | Framing::Chunk(left) => {
                    let most = usize::try_from(*left).unwrap_or(usize::MAX).min(out.len());
                    let n = from.receive(&mut out[..most])?;
                    if n == 0 && most > 0 {
                        return Err(cut());
                    }
                    *left -= n as u64;
                    if *left == 0 {
                        *self = match self {
                            Framing::Chunk(_) => Framing::ChunkStart(true),
                            _ => Framing::Done,
                        };
                    }
                    return Ok(n);
                }
                Framing::ChunkStart(after_chunk) => {
                    if *after_chunk && !line(from)?.is_empty() {
                        return Err(Error::protocol(
                            "a chunk of the server's answer is too long",
                        ));
                    }
                    *self = match chunk_length(&line(from)?)? {
                        0 => {
                            trailers(from)?;
                            Framing::Done
                        }
                        length => Framing::Chunk(length),
                    };
                }
            }
        }
    }
}

fn length_text(head: &Head) -> &str {
    head.header("content-length").unwrap_or_default()
}

fn cut() -> Error {
    Error::new(Kind::Network, "the server's answer was cut")
}

fn line(from: &mut Connection) -> Result<String> {
    let mut line = Vec::new();
    loop {
        let mut byte = [0];
        if from.receive(&mut byte)? == 0 {
            return Err(cut());
        }
        match byte[0] {
            b'\n' => break,
            byte => line.push(byte),
        }
        if line.len() > MAX_LINE_BYTES {
            return Err(Error::protocol("a line of the server's answer is too long"));
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// The length at the start of a chunk's line; extensions after `;` mean nothing here.
fn chunk_length(line: &str) -> Result<u64> {
    let digits = line.split(';').next().unwrap_or_default().trim();
    let valid = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    valid
        .then(|| u64::from_str_radix(digits, 16).ok())
        .flatten()
        .ok_or_else(|| Error::protocol("a chunk of the server's answer has no length"))
}

fn trailers(from: &mut Connection) -> Result<()> {
    for _ in 0..MAX_TRAILERS {
        if line(from)?.is_empty() {
            return Ok(());
        }
    }
    Err(Error::protocol("the server's answer has too many trailers"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(status: u16, headers: &[(&str, &str)]) -> Head {
        let headers = headers.iter().map(|(n, v)| ((*n).into(), (*v).into()));
        Head {
            status,
            headers: headers.collect(),
        }
    }

    #[test]
    fn a_body_s_end_is_known_from_the_head() {
        for (method, status, headers, want) in [
            (
                "GET",
                200,
                &[("content-length", "5")][..],
                Some(Framing::Length(5)),
            ),
            ("HEAD", 200, &[("content-length", "5")], Some(Framing::Done)),
            ("GET", 204, &[], Some(Framing::Done)),
            ("GET", 200, &[], Some(Framing::Close)),
            (
                "GET",
                200,
                &[("transfer-encoding", "Chunked"), ("content-length", "1")],
                Some(Framing::ChunkStart(false)),
            ),
            (
                "GET",
                200,
                &[("content-length", "5"), ("content-length", "6")],
                None,
            ),
            ("GET", 200, &[("content-length", "+5")], None),
            ("GET", 200, &[("content-length", "-1")], None),
        ] {
            assert_eq!(
                Framing::of(method, &head(status, headers)).ok(),
                want,
                "{headers:?}"
            );
        }
    }

    #[test]
    fn chunk_lengths_are_hexadecimal() {
        assert_eq!(chunk_length("1F;x=y").unwrap(), 31);
        for bad in ["", "-1", "g", "ffffffffffffffffff"] {
            assert!(chunk_length(bad).is_err(), "{bad}");
        }
    }
}
