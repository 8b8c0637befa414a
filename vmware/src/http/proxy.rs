//! Through which proxy servers are reached: `HTTPS_PROXY` and `NO_PROXY`, read as Go's programs (govc,
//! Terraform) read them (golang.org/x/net/http/httpproxy), which know no `ALL_PROXY`.

use std::net::IpAddr;

use crate::address::{credentials, split_port_or};
use crate::error::{Error, Kind, Result};
use crate::secret::Secret;

/// Of an address `http://PROXY` without a port.
const HTTP_PORT: u16 = 80;

/// Which connections go through a proxy (HTTP's CONNECT): none, unless it is said here.
///
/// TLS is spoken with the server itself, inside of the tunnel: the proxy learns the server's name
/// and nothing else.
#[derive(Clone, Debug, Default)]
pub struct Proxy {
    /// Or why it can't be used.
    via: Option<std::result::Result<Via, String>>,
    except: NoProxy,
}

/// What is reached without a proxy: this machine's own addresses, and what a list names.
#[derive(Clone, Debug, Default)]
pub struct NoProxy {
    except: Vec<Exception>,
}

/// The proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Via {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
}

/// What is reached without it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Exception {
    All,
    Network {
        address: IpAddr,
        prefix_bits: u8,
    },
    Address {
        address: IpAddr,
        port: Option<u16>,
    },
    Domain {
        /// With a dot before it, in lower case.
        suffix: String,
        /// Whether the name itself is meant too, not only those below it.
        itself: bool,
        port: Option<u16>,
    },
}

impl Proxy {
    /// Every server is reached without a proxy.
    pub fn none() -> Self {
        Proxy::default()
    }

    /// Servers are reached through the proxy at `url` (`http://[USER:PASSWORD@]HOST[:PORT]`), but
    /// for those of [`NoProxy::new`].
    ///
    /// # Errors
    /// [`Kind::Input`] if the URL is of another kind; the message never repeats it, as it may hold
    /// a password.
    pub fn new(url: &str, no_proxy: &str) -> Result<Self> {
        Ok(Proxy {
            via: Some(Ok(Via::parse(url).map_err(|why| unusable(&why))?)),
            except: NoProxy::new(no_proxy),
        })
    }

    /// As `HTTPS_PROXY` and `NO_PROXY` of this process say, or `https_proxy` and `no_proxy`. One that
    /// can't be used is an error ([`Kind::Input`]) of connecting to what it is on the way to.
    pub fn from_environment() -> Self {
        let url = from_environment(["HTTPS_PROXY", "https_proxy"]);
        Proxy {
            via: url.map(|url| Via::parse(&url)),
            except: NoProxy::from_environment(),
        }
    }

    /// The proxy for a server.
    ///
    /// # Errors
    /// [`Kind::Input`] if there is one that can't be used.
    pub(crate) fn towards(&self, host: &str, port: u16) -> Result<Option<&Via>> {
        match &self.via {
            Some(via) if !self.except.covers(host, port) => {
                via.as_ref().map(Some).map_err(|why| unusable(why))
            }
            _ => Ok(None),
        }
    }
}

fn unusable(why: &str) -> Error {
    let message = format!("HTTPS_PROXY can't be used: {why}; write it as http://HOST:PORT");
    Error::new(Kind::Input, message)
}

impl NoProxy {
    /// Of a list that is separated by commas: `*`, or names (and all below them), `.NAME` or
    /// `*.NAME` (those below it alone), addresses, `ADDRESS/BITS`; each but the last may have a
    /// `:PORT`. What means nothing is passed over.
    pub fn new(list: &str) -> Self {
        NoProxy {
            except: exceptions(list),
        }
    }

    /// As `NO_PROXY` of this process says, or `no_proxy`.
    pub fn from_environment() -> Self {
        NoProxy::new(&from_environment(["NO_PROXY", "no_proxy"]).unwrap_or_default())
    }

    /// Whether a server (a name, or an address without brackets) is reached without a proxy.
    pub fn covers(&self, host: &str, port: u16) -> bool {
        let host = host.to_ascii_lowercase();
        let address: Option<IpAddr> = host.parse().ok();
        let address = address.map(|address| address.to_canonical());
        let own = host == "localhost" || address.is_some_and(|address| address.is_loopback());
        own || {
            let mut except = self.except.iter();
            except.any(|exception| exception.fits(&host, address, port))
        }
    }
}

/// The first of these variables that is set to something.
fn from_environment(names: [&str; 2]) -> Option<String> {
    let mut values = names.iter().filter_map(|name| std::env::var(name).ok());
    values.find(|value| !value.is_empty())
}

impl Via {
    /// The error says what is wrong, without repeating any of it.
    fn parse(url: &str) -> std::result::Result<Self, String> {
        let rest = match url.trim().split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some(_) => return Err("only http:// proxies are spoken with".into()),
            None => url.trim(),
        };
        let (user, password, rest) = credentials(rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (host, port) = split_port_or(authority, HTTP_PORT).ok_or("its port is no number")?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._:%".contains(c);
        if host.is_empty() || !host.chars().all(allowed) {
            return Err("it names no host".into());
        }
        Ok(Via {
            host: host.into(),
            port,
            user,
            password,
        })
    }
}

fn exceptions(no_proxy: &str) -> Vec<Exception> {
    let entries = no_proxy.split(',').map(|entry| entry.trim());
    entries
        .filter_map(|entry| exception(&entry.to_ascii_lowercase()))
        .collect()
}

/// What one entry means; what means nothing is left out, as Go does.
fn exception(entry: &str) -> Option<Exception> {
    if entry == "*" {
        return Some(Exception::All);
    }
    if let Some((address, bits)) = entry.split_once('/')
        && let (Ok(address), Ok(prefix_bits)) = (address.parse::<IpAddr>(), bits.parse::<u8>())
        && prefix_bits <= length_bits(address)
    {
        return Some(Exception::Network {
            address,
            prefix_bits,
        });
    }
    // An IPv6 address alone has colons, too.
    if let Ok(address) = entry.parse::<IpAddr>() {
        let address = address.to_canonical();
        return Some(Exception::Address {
            address,
            port: None,
        });
    }
    let (host, port) = match split_port_or(entry, 0)? {
        (host, 0) => (host, None),
        (host, port) => (host, Some(port)),
    };
    if let Ok(address) = host.parse::<IpAddr>() {
        let address = address.to_canonical();
        return Some(Exception::Address { address, port });
    }
    let below = host.strip_prefix('*').filter(|rest| rest.starts_with('.'));
    let below = below.or(host.starts_with('.').then_some(host));
    let (suffix, itself) = match below {
        Some(suffix) => (suffix.to_owned(), false),
        None => (format!(".{host}"), true),
    };
    (suffix.len() > 1).then_some(Exception::Domain {
        suffix,
        itself,
        port,
    })
}

impl Exception {
    fn fits(&self, host: &str, own: Option<IpAddr>, own_port: u16) -> bool {
        let same_port = |port: &Option<u16>| port.is_none_or(|port| port == own_port);
        match self {
            Exception::All => true,
            Exception::Network {
                address,
                prefix_bits,
            } => own.is_some_and(|own| same_start(own, *address, *prefix_bits)),
            Exception::Address { address, port } => own == Some(*address) && same_port(port),
            Exception::Domain {
                suffix,
                itself,
                port,
            } => (host.ends_with(suffix) || *itself && host == &suffix[1..]) && same_port(port),
        }
    }
}

fn length_bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// Whether the first bits of both are the same.
fn same_start(one: IpAddr, other: IpAddr, bits: u8) -> bool {
    let number = |address: IpAddr| match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
        IpAddr::V6(v6) => v6.to_bits(),
    };
    let differ = number(one) ^ number(other);
    length_bits(one) == length_bits(other) && differ.leading_zeros() >= u32::from(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_read_as_go_reads_it() {
        let some = |text: &str| Some(text.to_owned());
        for (url, host, port, user, password) in [
            ("http://proxy.lab:3128", "proxy.lab", 3128, None, None),
            ("proxy.lab:3128", "proxy.lab", 3128, None, None),
            ("HTTP://proxy.lab/", "proxy.lab", 80, None, None),
            ("http://[fe80::1]:8080", "fe80::1", 8080, None, None),
            (
                "http://CORP%5Cme:p%40s:/@proxy:1",
                "proxy",
                1,
                some(r"CORP\me"),
                some("p@s:/"),
            ),
            ("http://me@proxy", "proxy", 80, some("me"), None),
        ] {
            let via = Via::parse(url).unwrap();
            let own = via.password.map(|own| own.reveal().to_owned());
            assert_eq!(
                (&*via.host, via.port, via.user, own),
                (host, port, user, password)
            );
        }
        for bad in [
            "socks5://u:hunter2@proxy",
            "https://u:hunter2@proxy",
            "http://u:hunter2@proxy:x",
            "http://u:hunter2@",
            "http://u:hunter2@a b",
        ] {
            let error = Proxy::new(bad, "").unwrap_err();
            assert_eq!(error.kind(), Kind::Input);
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn exceptions_are_those_of_go() {
        let list = "vc.lab, .below.lab,*.star.lab,PORT.lab:8443,10.1.0.0/16,192.0.2.7,\
                    192.0.2.8:8443,2001:db8::/32,[fe80::1]:443,fe80::2,,:5,.,*.";
        let proxy = Proxy::new("http://proxy", list).unwrap();
        for (host, port, direct) in [
            ("vc.lab", 443, true),
            ("VC.lab", 9, true),
            ("a.vc.lab", 443, true),
            ("avc.lab", 443, false),
            ("vc.lab.org", 443, false),
            ("below.lab", 443, false),
            ("a.below.lab", 443, true),
            ("star.lab", 443, false),
            ("a.b.star.lab", 443, true),
            ("port.lab", 8443, true),
            ("port.lab", 443, false),
            ("10.1.255.1", 443, true),
            ("10.2.0.1", 443, false),
            ("::ffff:10.1.0.1", 443, true),
            ("192.0.2.7", 443, true),
            ("192.0.2.8", 443, false),
            ("192.0.2.8", 8443, true),
            ("2001:db8:1::1", 443, true),
            ("2001:db9::1", 443, false),
            ("fe80::1", 443, true),
            ("fe80::1", 444, false),
            ("fe80::2", 444, true),
            // This machine's own.
            ("localhost", 443, true),
            ("127.9.9.9", 443, true),
            ("::1", 443, true),
        ] {
            let via = proxy.towards(host, port).unwrap();
            assert_eq!(via.is_none(), direct, "{host}:{port}");
        }
        let all = Proxy::new("http://proxy", "x, *").unwrap();
        assert_eq!(all.towards("vc.lab", 443).unwrap(), None);
        assert_eq!(Proxy::none().towards("vc.lab", 443).unwrap(), None);
    }
}
