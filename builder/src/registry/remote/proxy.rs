//! Through which proxies registries are reached: the environment as Go's programs read it, and curl's
//! `ALL_PROXY`.

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
    /// `None` where it is no URL.
    pub(super) url: Option<Url>,
    /// Why it can't be used.
    problem: Option<String>,
}

impl Proxies {
    /// As `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` (for both) and `NO_PROXY` of this process say,
    /// or the same in lower case. This machine itself is reached without a proxy. One that can't be
    /// spoken with is no matter until it is needed.
    pub fn from_environment() -> Self {
        let all = ["ALL_PROXY", "all_proxy"];
        let first = |names: [&'static str; 2]| {
            let mut set = names.into_iter().chain(all).filter_map(|name| {
                let value = std::env::var(name).ok();
                value.filter(|v| !v.is_empty()).map(|value| (name, value))
            });
            set.next().map(|(name, value)| Setting::parse(name, &value))
        };
        Proxies {
            http: first(["HTTP_PROXY", "http_proxy"]),
            https: first(["HTTPS_PROXY", "https_proxy"]),
            direct: NoProxy::from_environment(),
        }
    }

    /// As if `HTTPS_PROXY` were this.
    #[cfg(test)]
    pub(crate) fn of_https(value: &str) -> Self {
        Proxies {
            https: Some(Setting::parse("HTTPS_PROXY", value)),
            ..Proxies::default()
        }
    }

    /// Why the proxy on the way to a URL can't be used. The message does not repeat what names it,
    /// as that may hold a password.
    pub(crate) fn problem(&self, url: &Url) -> Option<String> {
        self.towards(url)?.problem.clone()
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
    fn parse(variable: &'static str, value: &str) -> Self {
        let value = value.trim();
        let text = match value.contains("://") {
            true => value.to_owned(),
            false => format!("http://{value}"),
        };
        let (url, why) = match Url::parse(&text) {
            Err(e) => (None, Some(e.to_string())),
            Ok(url) if matches!(url.scheme(), "http" | "https") => (Some(url), None),
            Ok(url) => {
                let why = "only http:// and https:// proxies are spoken with";
                (Some(url), Some(why.into()))
            }
        };
        let problem =
            why.map(|why| format!("{variable} can't be used: {why}; write it as http://HOST:PORT"));
        Setting {
            variable,
            url,
            problem,
        }
    }

    /// For a message of what failed on the way through it.
    pub(super) fn hint(&self) -> String {
        let host = self.url.as_ref().map(super::endpoint::authority);
        let (host, variable) = (host.unwrap_or_default(), self.variable);
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
    fn a_variable_that_names_no_proxy_is_told_without_its_password() {
        for (good, url) in [
            ("proxy.lab:3128", "http://proxy.lab:3128/"),
            ("http://u:p@proxy.lab", "http://u:p@proxy.lab/"),
            (" https://proxy.lab:1 ", "https://proxy.lab:1/"),
        ] {
            let setting = Setting::parse("ALL_PROXY", good);
            assert_eq!(setting.url.unwrap().as_str(), url);
            assert_eq!(setting.problem, None);
        }
        for bad in [
            "socks5://u:hunter2@proxy",
            "http://",
            "http://u:hunter2@a b",
            "ftp://x",
        ] {
            let error = Setting::parse("ALL_PROXY", bad).problem.unwrap();
            assert!(error.starts_with("ALL_PROXY can't be used"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
