//! Where a server is: an address as people write it.

use std::fmt;

use crate::error::{Error, Kind, Result};
use crate::percent;
use crate::secret::Secret;

pub(crate) const DEFAULT_PORT: u16 = 443;
const DEFAULT_PATH: &str = "/sdk";

/// The address of a vCenter or ESXi server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Name or number, an IPv6 one without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Path of the web service, `/sdk` unless the address has another.
    pub path: String,
}

/// An address with the credentials that were written into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedAddress {
    /// The server.
    pub address: Address,
    /// The user, if one was given.
    pub user: Option<String>,
    /// The password, if one was given.
    pub password: Option<Secret>,
}

impl Address {
    /// Reads `HOST`, `HOST:PORT`, `https://HOST/sdk` or any of them with `USER[:PASSWORD]@` before
    /// the host.
    ///
    /// # Errors
    /// [`Kind::Input`] if it is no such address; the message never repeats the address, which may
    /// hold a password.
    pub fn parse(text: &str) -> Result<ParsedAddress> {
        let wrong = |why: &str| {
            Error::new(
                Kind::Input,
                format!(
                    "the server's address can't be used: {why}; write it as https://HOST/sdk or HOST"
                ),
            )
        };
        let text = text.trim();
        let rest = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => rest,
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("http") => {
                return Err(wrong("http:// would send the password unencrypted"));
            }
            Some(_) => return Err(wrong("only https:// is spoken")),
            None => text,
        };
        let (user, password, rest) = credentials(rest);
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        if path.contains(['?', '#']) {
            return Err(wrong("it has a query or fragment"));
        }
        let (host, port) = split_port(authority).ok_or_else(|| wrong("the port is no number"))?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._:%".contains(c);
        if host.is_empty() || !host.chars().all(allowed) {
            return Err(wrong("it names no host"));
        }
        if !path.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(wrong("its path has other than printable ASCII characters"));
        }
        let path = match path {
            "" | "/" => DEFAULT_PATH.into(),
            path => path.into(),
        };
        Ok(ParsedAddress {
            address: Address {
                host: host.into(),
                port,
                path,
            },
            user,
            password,
        })
    }

    /// `HOST:PORT`, as known hosts files have it; an IPv6 host in brackets.
    pub fn host_port(&self) -> String {
        host_port(&self.host, self.port)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&authority(&self.host, self.port))
    }
}

/// `HOST` or `HOST:PORT` as the Host header has it.
pub(crate) fn authority(host: &str, port: u16) -> String {
    match (host.contains(':'), port) {
        (false, DEFAULT_PORT) => host.into(),
        (true, DEFAULT_PORT) => format!("[{host}]"),
        _ => host_port(host, port),
    }
}

pub(crate) fn host_port(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// User and password at the start of an address, and the rest of it. A password may hold a slash, so
/// they are cut off before anything else is looked at.
pub(crate) fn credentials(address: &str) -> (Option<String>, Option<Secret>, &str) {
    let Some((credentials, rest)) = address.rsplit_once('@') else {
        return (None, None, address);
    };
    let (name, secret) = match credentials.split_once(':') {
        Some((name, secret)) => (name, Some(secret)),
        None => (credentials, None),
    };
    // What is no valid encoding was meant as it stands.
    let plain = |text: &str| percent::decode(text).unwrap_or_else(|| text.into());
    let user = Some(plain(name)).filter(|name| !name.is_empty());
    (user, secret.map(|secret| Secret::new(plain(secret))), rest)
}

/// Host and port of an authority without credentials.
pub(crate) fn split_port(authority: &str) -> Option<(&str, u16)> {
    split_port_or(authority, DEFAULT_PORT)
}

/// The same with another port where it has none.
pub(crate) fn split_port_or(authority: &str, default: u16) -> Option<(&str, u16)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return None,
            }
        }
        // More than one colon without brackets is an IPv6 number.
        None if authority.matches(':').count() > 1 => (authority, None),
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    match port {
        None | Some("") => Some((host, default)),
        Some(port) => Some((host, port.parse().ok().filter(|port| *port != 0)?)),
    }
}

/// An https URL that a server gave: host, port, path and query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) target: String,
}

impl Url {
    /// `None` if it is no https URL of the plain kind.
    pub(crate) fn parse(text: &str) -> Option<Url> {
        let (scheme, rest) = text.split_once("://")?;
        if !scheme.eq_ignore_ascii_case("https") || !rest.bytes().all(|b| b.is_ascii_graphic()) {
            return None;
        }
        let (authority, target) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, "/"),
        };
        if authority.contains('@') || target.contains('#') {
            return None;
        }
        let (host, port) = split_port(authority)?;
        (!host.is_empty()).then(|| Url {
            host: host.into(),
            port,
            target: target.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, u16, String, Option<String>, Option<String>) {
        let parsed = Address::parse(text).unwrap();
        let Address { host, port, path } = parsed.address;
        let password = parsed.password.map(|p| p.reveal().to_owned());
        (host, port, path, parsed.user, password)
    }

    #[test]
    fn addresses_are_read_as_govc_and_linuxkit_write_them() {
        let some = |text: &str| Some(text.to_owned());
        for (text, host, port, path, user, password) in [
            ("vc.example.org", "vc.example.org", 443, "/sdk", None, None),
            ("https://vc/", "vc", 443, "/sdk", None, None),
            ("vc:8443/other", "vc", 8443, "/other", None, None),
            (
                "https://[fe80::1]:99/sdk",
                "fe80::1",
                99,
                "/sdk",
                None,
                None,
            ),
            ("fe80::1", "fe80::1", 443, "/sdk", None, None),
            (
                "https://administrator@vsphere.local:p%40ss/w%C3%B6rd@vc/sdk",
                "vc",
                443,
                "/sdk",
                some("administrator@vsphere.local"),
                some("p@ss/wörd"),
            ),
            (
                "root:100%@esx",
                "esx",
                443,
                "/sdk",
                some("root"),
                some("100%"),
            ),
            ("root@esx", "esx", 443, "/sdk", some("root"), None),
        ] {
            let want = (host.to_owned(), port, path.to_owned(), user, password);
            assert_eq!(parts(text), want, "{text}");
        }
    }

    #[test]
    fn an_address_that_is_refused_is_not_repeated() {
        for text in [
            "",
            "https://",
            "http://u:hunter2@vc",
            "ftp://u:hunter2@vc",
            "u:hunter2@vc:port",
            "u:hunter2@vc/?x",
            "u:hunter2@v c",
        ] {
            let error = Address::parse(text).unwrap_err();
            assert_eq!(error.kind(), Kind::Input);
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn urls_of_servers_are_https_without_credentials() {
        let url = Url::parse("https://*/nfc/5-a/disk-0.vmdk?x=1").unwrap();
        assert_eq!(
            (&*url.host, url.port, &*url.target),
            ("*", 443, "/nfc/5-a/disk-0.vmdk?x=1")
        );
        for bad in [
            "http://h/",
            "https://u@h/",
            "https:///x",
            "h/x",
            "https://h/a b",
            "https://h:0/",
        ] {
            assert_eq!(Url::parse(bad), None, "{bad}");
        }
    }
}
