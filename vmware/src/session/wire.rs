//! Calls on the wire: connections, headers, cookies.

use std::time::Instant;

use super::{Call, Session};
use crate::address::Url;
use crate::error::Result;
use crate::http::{Answer, Body, Connection, Head, Request};
use crate::soap::{Limits, Node, Outcome, envelope, error_of, http_error, outcome};
use crate::tls::{Thumbprint, client_config};

/// A fault has status 500 and a document like any other answer.
const FAULT: u16 = 500;

impl Session {
    /// Makes one call, once.
    pub(super) fn send(&self, call: &Call<'_>) -> Result<Node> {
        let document = envelope(call.method, call.this, &call.arguments);
        let cookie = self.cookie();
        let action = self.soap_action();
        let mut headers = vec![
            ("Content-Type", "text/xml; charset=utf-8"),
            ("SOAPAction", &*action),
        ];
        if !cookie.is_empty() {
            headers.push(("Cookie", &*cookie));
        }
        let request = Request {
            method: "POST",
            target: &self.address().path,
            headers: &headers,
        };
        // A connection that the server closes at this moment would lose the call: one that must
        // not be repeated gets a new connection.
        let mut idle = match call.repeatable {
            true => self.state().idle.take(),
            false => None,
        };
        let connection = match idle.take_if(|idle| idle.is_alive()) {
            Some(connection) => connection,
            None => self.connect(&self.own_url(), None)?,
        };
        let mut answer = connection.exchange(&request, Body::Bytes(document.as_bytes()))?;
        self.state().last_call = Instant::now();
        if !matches!(answer.head.status, 200 | FAULT) {
            let text = answer.excerpt();
            return Err(http_error(call.method, &answer.head, &text));
        }
        let limits = Limits::default();
        let bytes = answer.read_all(limits.bytes)?;
        let status = answer.head.status;
        if status == 200 {
            self.take_cookie(&answer.head);
        }
        let head = answer.head.clone();
        self.state().idle = answer.into_connection();
        match outcome(&bytes, limits) {
            Ok(Outcome::Response(node)) => Ok(node),
            Ok(Outcome::Fault(fault)) => Err(error_of(&fault)),
            Err(_) if status == FAULT => {
                let text = String::from_utf8_lossy(&bytes[..bytes.len().min(16 << 10)]);
                Err(http_error(call.method, &head, &text))
            }
            Err(error) => Err(error.context(call.method)),
        }
    }

    /// A request for something other than a call, such as a file, on a connection of its own.
    pub(crate) fn request(
        &self,
        method: &'static str,
        url: &Url,
        pin: Option<Thumbprint>,
        headers: &[(&'static str, &str)],
        body: Body<'_>,
    ) -> Result<Answer> {
        let request = Request {
            method,
            target: &url.target,
            headers,
        };
        self.connect(url, pin)?.exchange(&request, body)
    }

    fn connect(&self, url: &Url, pin: Option<Thumbprint>) -> Result<Connection> {
        let config = client_config(self.trust(), &url.host, url.port, pin)?;
        Connection::open(
            &url.host,
            url.port,
            config,
            &self.options().proxy,
            self.times(),
        )
    }

    fn own_url(&self) -> Url {
        let address = self.address();
        Url {
            host: address.host.clone(),
            port: address.port,
            target: address.path.clone(),
        }
    }

    /// The version of the API that is spoken: the server's own, which it is sure to know.
    fn soap_action(&self) -> String {
        let version = &self.about().api_version;
        let plain = !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        match plain {
            true => format!("urn:vim25/{version}"),
            false => "urn:vim25".into(),
        }
    }

    fn take_cookie(&self, head: &Head) {
        let cookies = head.headers.iter().filter(|(name, _)| name == "set-cookie");
        for (_, value) in cookies {
            let pair = value.split(';').next().unwrap_or_default().trim();
            if pair.starts_with("vmware_soap_session=") {
                self.state().cookie = Some(pair.to_owned());
            }
        }
    }
}
