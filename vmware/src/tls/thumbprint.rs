//! Thumbprints: the hash of a certificate, by which people pin it.

use std::fmt;
use std::str::FromStr;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::error::{Error, Kind};

/// SHA-1 or SHA-256 of a certificate's DER encoding; written `AA:BB:…`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Thumbprint {
    /// What vSphere itself calls the thumbprint.
    Sha1([u8; 20]),
    /// The one to prefer.
    Sha256([u8; 32]),
}

impl Thumbprint {
    /// SHA-1 of a certificate.
    pub fn sha1(der: &[u8]) -> Self {
        Thumbprint::Sha1(Sha1::digest(der).into())
    }

    /// SHA-256 of a certificate.
    pub fn sha256(der: &[u8]) -> Self {
        Thumbprint::Sha256(Sha256::digest(der).into())
    }

    /// Whether it is that of this certificate.
    pub fn matches(&self, der: &[u8]) -> bool {
        match self {
            Thumbprint::Sha1(_) => *self == Thumbprint::sha1(der),
            Thumbprint::Sha256(_) => *self == Thumbprint::sha256(der),
        }
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: &[u8] = match self {
            Thumbprint::Sha1(bytes) => bytes,
            Thumbprint::Sha256(bytes) => bytes,
        };
        for (i, byte) in bytes.iter().enumerate() {
            write!(f, "{}{byte:02X}", if i == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Thumbprint {
    type Err = Error;

    /// Reads hexadecimal digits of either case, with or without colons.
    fn from_str(text: &str) -> Result<Self, Error> {
        let digits: Option<Vec<u32>> = text
            .trim()
            .chars()
            .filter(|c| *c != ':')
            .map(|c| c.to_digit(16))
            .collect();
        let bytes: Vec<u8> = digits
            .unwrap_or_default()
            .chunks_exact(2)
            .filter_map(|pair| u8::try_from(pair[0] * 16 + pair[1]).ok())
            .collect();
        let hex_len = text.trim().chars().filter(|c| *c != ':').count();
        match (
            hex_len,
            <[u8; 20]>::try_from(&*bytes),
            <[u8; 32]>::try_from(&*bytes),
        ) {
            (40, Ok(bytes), _) => Ok(Thumbprint::Sha1(bytes)),
            (64, _, Ok(bytes)) => Ok(Thumbprint::Sha256(bytes)),
            _ => Err(Error::new(
                Kind::Input,
                format!(
                    "{text:?} is no thumbprint: it is 20 (SHA-1) or 32 (SHA-256) bytes in hexadecimal, as in AA:BB:…"
                ),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thumbprints_come_back_from_their_text() {
        for print in [Thumbprint::sha1(b"a"), Thumbprint::sha256(b"a")] {
            let text = print.to_string();
            assert_eq!(text.parse::<Thumbprint>().unwrap(), print);
            assert_eq!(
                text.to_lowercase()
                    .replace(':', "")
                    .parse::<Thumbprint>()
                    .unwrap(),
                print
            );
            assert!(print.matches(b"a") && !print.matches(b"b"));
        }
        assert_eq!(
            Thumbprint::sha1(b"abc").to_string(),
            "A9:99:3E:36:47:06:81:6A:BA:3E:25:71:78:50:C2:6C:9C:D0:D8:9D"
        );
        for bad in [
            "",
            "AA:BB",
            "zz",
            "AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:D",
        ] {
            assert!(bad.parse::<Thumbprint>().is_err(), "{bad}");
        }
    }
}
