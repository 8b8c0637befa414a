//! Networks and forwarded ports, as the command line has them.

use std::net::Ipv4Addr;
use std::str::FromStr;

/// What a machine's network card is connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Network {
    /// Nothing; there is no card.
    None,
    /// QEMU's own network, which reaches where this program reaches.
    User,
    /// A tap device that is there.
    Tap(String),
    /// A bridge that is there.
    Bridge(String),
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mode, name) = match text.split_once(',') {
            Some((mode, name)) => (mode, Some(name)),
            None => (text, None),
        };
        // Interfaces have up to 15 characters; a comma would begin another option.
        let good = |name: &&str| (1..16).contains(&name.len()) && !name.contains([',', '/']);
        let name = name.filter(good).map(str::to_owned);
        match (mode, name) {
            ("none", None) if mode == text => Ok(Network::None),
            ("user" | "default", None) if mode == text => Ok(Network::User),
            ("tap", Some(name)) => Ok(Network::Tap(name)),
            ("bridge", Some(name)) => Ok(Network::Bridge(name)),
            _ => Err("not user, none, tap,NAME or bridge,NAME".to_owned()),
        }
    }
}

/// A port of this machine that is forwarded to the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Publish {
    address: Ipv4Addr,
    port: u16,
    guest_port: u16,
    protocol: &'static str,
}

impl Publish {
    /// As QEMU takes it.
    pub(super) fn forward(&self) -> String {
        let Self {
            address,
            port,
            guest_port,
            protocol,
        } = self;
        format!("hostfwd={protocol}:{address}:{port}-:{guest_port}")
    }
}

impl FromStr for Publish {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (ports, protocol) = match text.split_once('/') {
            None | Some((_, "tcp")) => (text.split('/').next().unwrap_or_default(), "tcp"),
            Some((ports, "udp")) => (ports, "udp"),
            Some(_) => return Err("the protocol is tcp or udp".to_owned()),
        };
        let mut parts = ports.rsplit(':');
        let mut port = || {
            let port: Option<u16> = parts.next().and_then(|port| port.parse().ok());
            port.filter(|port| *port > 0)
                .ok_or("not [ADDRESS:]PORT:GUEST-PORT[/udp], as in 2222:22")
        };
        let (guest_port, port) = (port()?, port()?);
        let address = match parts.next() {
            None => Ipv4Addr::LOCALHOST,
            Some(address) => address.parse().map_err(|_| "not an IPv4 address")?,
        };
        if parts.next().is_some() {
            return Err("too many colons".to_owned());
        }
        Ok(Self {
            address,
            port,
            guest_port,
            protocol,
        })
    }
}
