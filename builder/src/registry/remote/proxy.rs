//! Through which proxies registries are reached: as curl and Go's programs read the environment.

use reqwest::Url;
use vmware::NoProxy;

/// Proxies by the scheme of what is asked for; none, unless it is said here.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    http: Option<Setting>,
    https: Option<Setting>,
    direct: NoProxy,
}

/// A proxy, and which variable names it.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    variable: &'static str,
    pub(super) url: Url,
}

impl Proxies {
    /// As `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` (for both) and `NO_PROXY` of this process say,
    /// or the same in lower case. This machine itself is reached without a proxy.
    ///
    /// # Errors
    /// Where a variable names no proxy that can be spoken with. The message does not repeat it, as
    /// it may hold a password.
    pub fn from_environment() -> Result<Self, String> {
        let all = ["ALL_PROXY", "all_proxy"];
        let first = |names: [&'static str; 2]| {
            let mut set = names.into_iter().chain(all).filter_map(|name| {
                let value = std::env::var(name).ok();
                value.filter(|v| !v.is_empty()).map(|value| (name, value))
            });
            let found = set.next();
            found
                .map(|(name, value)| Setting::parse(name, &value))
                .transpose()
        };
        Ok(Proxies {
            http: first(["HTTP_PROXY", "http_proxy"])?,
            https: first(["HTTPS_PROXY", "https_proxy"])?,
            direct: NoProxy::from_environment(),
        })
    }

    /// The proxy on the way to a URL.
    pub(super) fn towards(&self, url: &Url) -> Option<&Setting> {
        let setting = match url.scheme() {
            "https" => self.https.as_ref(),
            _ => self.http.as_ref(),
        }?;
        let host = url.host_str()?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = url.port_or_known_default().unwrap_or_default();
        (!self.direct.covers(host, port)).then_some(setting)
    }
}

impl Setting {
    fn parse(variable: &'static str, value: &str) -> Result<Self, String> {
        let wrong =
            |why: &str| format!("{variable} can't be used: {why}; write it as http://HOST:PORT");
        let value = value.trim();
        let text = match value.contains("://") {
            true => value.to_owned(),
            false => format!("http://{value}"),
        };
        let url = Url::parse(&text).map_err(|e| wrong(&e.to_string()))?;
        match url.scheme() {
            "http" | "https" => Ok(Setting { variable, url }),
            _ => Err(wrong("only http:// and https:// proxies are spoken with")),
        }
    }

    /// For a message of what failed on the way through it.
    pub(super) fn hint(&self) -> String {
        let (host, variable) = (super::endpoint::authority(&self.url), self.variable);
        format!(
            "; the way goes through the proxy {host} of {variable} (NO_PROXY lists what is reached \
             without it)"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_names_no_proxy_is_refused_without_its_password() {
        for (good, url) in [
            ("proxy.lab:3128", "http://proxy.lab:3128/"),
            ("http://u:p@proxy.lab", "http://u:p@proxy.lab/"),
            (" https://proxy.lab:1 ", "https://proxy.lab:1/"),
        ] {
            assert_eq!(Setting::parse("ALL_PROXY", good).unwrap().url.as_str(), url);
        }
        for bad in [
            "socks5://u:hunter2@proxy",
            "http://",
            "http://u:hunter2@a b",
            "ftp://x",
        ] {
            let error = Setting::parse("ALL_PROXY", bad).unwrap_err();
            assert!(error.starts_with("ALL_PROXY can't be used"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
