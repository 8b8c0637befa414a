//! Content digests (OCI image-spec, descriptor.md, "Digests") and reading against them.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use sha2::{Digest as _, Sha256, Sha512};

/// The hash functions that the image-spec registers and registries use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// `sha256`
    Sha256,
    /// `sha512`
    Sha512,
}

/// A digest that was checked: a known algorithm and exactly its number of lower-case hex digits.
/// So it is safe as part of a path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    hex: Box<str>,
}

/// A text that is no digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given:?} is no digest: expected sha256: and 64 hex digits (0-9, a-f), or sha512: and 128"
)]
pub struct ParseDigestError {
    given: String,
}

/// Bytes that are not those a descriptor names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Fewer bytes than the descriptor says.
    #[error("{digest}: cut short, got {got} of {expected} bytes")]
    Short {
        /// What was read.
        digest: Digest,
        /// Bytes that came.
        got: u64,
        /// Bytes that the descriptor names.
        expected: u64,
    },
    /// More bytes than the descriptor says.
    #[error("{digest}: more than the {expected} bytes that its descriptor names")]
    Long {
        /// What was read.
        digest: Digest,
        /// Bytes that the descriptor names.
        expected: u64,
    },
    /// The right number of bytes, but not the right ones.
    #[error(
        "{expected}: the bytes have the digest {found}; they are damaged or were tampered with"
    )]
    Mismatch {
        /// What the descriptor names.
        expected: Digest,
        /// What the bytes have.
        found: Digest,
    },
}

impl Algorithm {
    /// The name before the colon.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha512 => "sha512",
        }
    }

    fn hex_digits(self) -> usize {
        match self {
            Algorithm::Sha256 => 64,
            Algorithm::Sha512 => 128,
        }
    }
}

impl Digest {
    /// SHA-256 of bytes in memory.
    pub fn sha256(bytes: &[u8]) -> Self {
        Self::from_bytes(Algorithm::Sha256, &Sha256::digest(bytes))
    }

    /// From a finished hash.
    pub(crate) fn from_bytes(algorithm: Algorithm, hash: &[u8]) -> Self {
        let hex: String = hash.iter().map(|b| format!("{b:02x}")).collect();
        Digest {
            algorithm,
            hex: hex.into(),
        }
    }

    /// The hash function's name: `sha256` or `sha512`.
    pub fn algorithm(&self) -> &'static str {
        self.algorithm.name()
    }

    /// Lower-case hex digits.
    pub fn hex(&self) -> &str {
        &self.hex
    }

    /// The hash of a SHA-256 digest as bytes; `None` for another algorithm.
    pub fn sha256_bytes(&self) -> Option<[u8; 32]> {
        let mut bytes = [0; 32];
        if self.algorithm != Algorithm::Sha256 {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(self.hex.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(bytes)
    }

    /// Whether `bytes` have this digest.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        let mut hasher = Hasher::new(self.algorithm);
        hasher.update(bytes);
        hasher.finish() == *self
    }
}

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.split_once(':').and_then(|(name, hex)| {
            let algorithm = [Algorithm::Sha256, Algorithm::Sha512]
                .into_iter()
                .find(|a| a.name() == name)?;
            let digits = hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            (digits && hex.len() == algorithm.hex_digits()).then(|| Digest {
                algorithm,
                hex: hex.into(),
            })
        });
        parsed.ok_or_else(|| ParseDigestError {
            given: text.chars().take(200).collect(),
        })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm(), self.hex)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A hash under way.
#[derive(Clone)]
enum Hasher {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Hasher::Sha256(Sha256::new()),
            Algorithm::Sha512 => Hasher::Sha512(Sha512::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(h) => h.update(bytes),
            Hasher::Sha512(h) => h.update(bytes),
        }
    }

    fn finish(self) -> Digest {
        match self {
            Hasher::Sha256(h) => Digest::from_bytes(Algorithm::Sha256, &h.finalize()),
            Hasher::Sha512(h) => Digest::from_bytes(Algorithm::Sha512, &h.finalize()),
        }
    }
}

/// Checks bytes against a descriptor while they pass.
pub struct Verifier {
    digest: Digest,
    size: u64,
    seen: u64,
    hasher: Hasher,
}

impl Verifier {
    /// For content with this digest and this many bytes.
    pub fn new(digest: Digest, size: u64) -> Self {
        let hasher = Hasher::new(digest.algorithm);
        Verifier {
            digest,
            size,
            seen: 0,
            hasher,
        }
    }

    /// Bytes seen so far.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Takes the next bytes; too many are an error.
    pub fn update(&mut self, bytes: &[u8]) -> Result<(), VerifyError> {
        self.seen += bytes.len() as u64;
        if self.seen > self.size {
            return Err(VerifyError::Long {
                digest: self.digest.clone(),
                expected: self.size,
            });
        }
        self.hasher.update(bytes);
        Ok(())
    }

    /// Says whether what was seen is all of the content. May be called once.
    pub fn finish(&mut self) -> Result<(), VerifyError> {
        if self.seen < self.size {
            return Err(VerifyError::Short {
                digest: self.digest.clone(),
                got: self.seen,
                expected: self.size,
            });
        }
        let fresh = Hasher::new(self.digest.algorithm);
        let found = std::mem::replace(&mut self.hasher, fresh).finish();
        if found != self.digest {
            return Err(VerifyError::Mismatch {
                expected: self.digest.clone(),
                found,
            });
        }
        Ok(())
    }
}

/// Reads content and checks it against its descriptor. The end of the stream is reported as an
/// end only when size and digest are right; everything else is an error with a [`VerifyError`]
/// inside.
pub struct VerifyingReader<R> {
    inner: R,
    verifier: Verifier,
    verified: bool,
}

impl<R: Read> VerifyingReader<R> {
    /// `inner` must hold `size` bytes with this digest.
    pub fn new(inner: R, digest: Digest, size: u64) -> Self {
        VerifyingReader {
            inner,
            verifier: Verifier::new(digest, size),
            verified: false,
        }
    }

    /// Reads what is left and verifies it: for readers that stopped early.
    pub fn finish(mut self) -> io::Result<R> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(self.inner)
    }
}

impl<R: Read> Read for VerifyingReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() || self.verified {
            return Ok(0);
        }
        let n = self.inner.read(buf)?;
        if n == 0 {
            self.verifier.finish().map_err(invalid)?;
            self.verified = true;
            return Ok(0);
        }
        self.verifier.update(&buf[..n]).map_err(invalid)?;
        Ok(n)
    }
}

fn invalid(error: VerifyError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &str = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    fn read(bytes: &[u8], size: u64) -> Result<Vec<u8>, String> {
        let mut reader = VerifyingReader::new(bytes, HELLO.parse().unwrap(), size);
        let mut out = Vec::new();
        reader.read_to_end(&mut out).map_err(|e| e.to_string())?;
        Ok(out)
    }

    #[test]
    fn cve_2024_3727_digests_are_validated_before_they_are_paths() {
        for bad in [
            "",
            "sha256",
            "sha256:",
            "sha256:../../etc/passwd",
            "md5:d41d8cd98f00b204e9800998ecf8427e",
            "SHA256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
            "sha256:2CF24DBA5FB0A30E26E83B2AC5B9E29E1B161E5C1FA7425E73043362938B9824",
            "sha512:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
            "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b982",
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
        let digest: Digest = HELLO.parse().unwrap();
        assert_eq!(digest.to_string(), HELLO);
        assert_eq!(Digest::sha256(b"hello"), digest);
        assert!(digest.matches(b"hello") && !digest.matches(b"hullo"));
        assert_eq!(digest.sha256_bytes().unwrap()[..2], [0x2c, 0xf2]);
    }

    #[test]
    fn right_bytes_are_read() {
        assert_eq!(read(b"hello", 5).unwrap(), b"hello");
    }

    // The cases of umoci's verified reader, `pkg/hardening`; sizes below zero are in
    // `registry/tests/documents.rs`.

    #[test]
    fn umoci_verified_reader_size_too_large() {
        assert!(read(b"hello", 6).unwrap_err().contains("got 5 of 6 bytes"));
    }

    #[test]
    fn umoci_verified_reader_size_too_small() {
        let error = read(b"hello", 4).unwrap_err();
        assert!(error.contains("more than the 4 bytes"), "{error}");
    }

    #[test]
    fn umoci_verified_reader_trailing_data() {
        let error = read(b"hello and more", 5).unwrap_err();
        assert!(error.contains("more than the 5 bytes"), "{error}");
    }

    #[test]
    fn umoci_verified_reader_invalid_digest() {
        let error = read(b"hullo", 5).unwrap_err();
        assert!(
            error.starts_with(HELLO) && error.contains("have the digest sha256:"),
            "{error}"
        );
    }

    /// go-containerregistry's `PartialRead`: closing early must not hide what is wrong.
    #[test]
    fn ggcr_partial_read_a_reader_that_stops_early_still_verifies() {
        let check = |bytes: &'static [u8]| {
            let mut reader = VerifyingReader::new(bytes, HELLO.parse().unwrap(), 5);
            reader.read_exact(&mut [0; 2]).unwrap();
            reader.finish().map(drop)
        };
        check(b"hello").unwrap();
        check(b"hellO").unwrap_err();
        check(b"hello!").unwrap_err();
    }
}
