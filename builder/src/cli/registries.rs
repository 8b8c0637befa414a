//! Names and places of registries in options and in the configuration file: what is wrong with them
//! is told before anything is asked of one.

use std::path::Path;

use reqwest::{Certificate, Url};

use super::CliError;

/// Which registry's mirrors are meant where all are.
const ALL: &str = "*";

/// One mirror: `REGISTRY=URL`, or `URL` for all registries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mirror {
    /// The registry, or `*`.
    pub(super) of: String,
    /// Where it is; without a scheme `https` is meant.
    pub(super) url: String,
}

impl Mirror {
    /// As an option or LINUXKIT_MIRROR has it; nothing stands for no mirror.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, String> {
        if text.is_empty() {
            return Ok(None);
        }
        // A registry's name holds no slash, and a URL no equals sign before its slashes.
        match text.split_once('=').filter(|(of, _)| !of.contains('/')) {
            Some((of, url)) => Self::new(of, url).map(Some),
            None => Self::new(ALL, text).map(Some),
        }
    }

    /// Of a registry (or `*`) at a URL.
    pub(super) fn new(of: &str, url: &str) -> Result<Self, String> {
        if of != ALL {
            check_host(of)?;
        }
        // No message has the password that may stand before its host.
        let shown = url.rsplit_once('@').map_or(url, |(_, host)| host);
        let wrong =
            |why: &str| format!("the mirror {shown:?} {why}; write it as https://HOST[:PORT]");
        let text = match url.contains("://") {
            true => url.to_owned(),
            false => format!("https://{url}"),
        };
        let parsed = Url::parse(&text).map_err(|e| wrong(&format!("is no URL ({e})")))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(wrong("is reached with neither https nor http"));
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(wrong("has a user (`docker login` is for that)"));
        }
        if parsed.query().is_some() || parsed.fragment().is_some() {
            return Err(wrong("has something behind its path"));
        }
        Ok(Mirror {
            of: of.into(),
            url: url.into(),
        })
    }
}

/// A registry as the names of its images have it: `HOST` or `HOST:PORT`.
pub(super) fn check_host(text: &str) -> Result<String, String> {
    let wrong = || {
        format!(
            "{text:?} is no registry: it is named as in the names of its images, HOST or HOST:PORT, \
             without http:// and without a path"
        )
    };
    let url = Url::parse(&format!("https://{text}/")).map_err(|_| wrong())?;
    let is_plain = url.path() == "/" && url.username().is_empty() && url.password().is_none();
    let known = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || ".-_:[]".contains(c));
    match is_plain && known {
        true => Ok(text.to_owned()),
        false => Err(wrong()),
    }
}

/// The bytes of a file with certificates (PEM); one without any would be trusted in vain.
pub(super) fn certificates(path: &Path) -> Result<Vec<u8>, CliError> {
    let wrong = |reason: String| CliError::Input {
        name: path.display().to_string(),
        reason,
    };
    let pem = std::fs::read(path).map_err(|e| wrong(e.to_string()))?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(found) if found.is_empty() => Err(wrong(
            "there is no certificate in it (PEM, -----BEGIN CERTIFICATE-----)".into(),
        )),
        Ok(_) => Ok(pem),
        Err(e) => Err(wrong(format!("its certificates can't be read: {e}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_read_and_what_makes_no_sense_is_refused() {
        for (text, of, url) in [
            ("https://mirror.lab", "*", "https://mirror.lab"),
            ("mirror.lab:5000/hub", "*", "mirror.lab:5000/hub"),
            (
                "docker.io=http://localhost:1/",
                "docker.io",
                "http://localhost:1/",
            ),
            ("*=https://m", "*", "https://m"),
            ("[::1]:5000=[fe80::1]:5000", "[::1]:5000", "[fe80::1]:5000"),
        ] {
            let (of, url) = (of.to_owned(), url.to_owned());
            assert_eq!(Mirror::parse(text), Ok(Some(Mirror { of, url })));
        }
        assert_eq!(Mirror::parse(""), Ok(None));
        for (text, word) in [
            ("foo bar", "no URL"),
            ("docker.io=", "no URL"),
            ("http://", "no URL"),
            ("ftp://mirror.lab", "neither https nor http"),
            ("=https://mirror.lab", "no registry"),
            ("a b=https://mirror.lab", "no registry"),
            ("docker.io=https://mirror.lab?x", "behind its path"),
        ] {
            let error = Mirror::parse(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
        assert!(Mirror::new("http://docker.io", "https://m").is_err());
        for (url, word) in [
            ("https://me:hunter2@mirror.lab", "has a user"),
            ("me:hunter2@mirror.lab", "has a user"),
            ("https://hunter2@mirror.lab", "has a user"),
            ("https://me:hunter2@mirror lab", "no URL"),
            ("ftp://me:hun@hunter2@mirror.lab", "neither https nor http"),
        ] {
            let error = Mirror::parse(url).unwrap_err();
            assert!(error.contains(word) && error.contains("mirror"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn hosts_are_named_as_images_name_them() {
        for good in [
            "registry.lab",
            "registry.lab:5000",
            "10.0.0.1:80",
            "[::1]:5000",
            "a_b",
        ] {
            assert_eq!(check_host(good), Ok(good.into()));
        }
        for bad in [
            "",
            "*",
            "a b",
            "http://registry.lab",
            "registry.lab/path",
            "registry.lab:99999",
            "10.0.0.0/8",
            "me@registry.lab",
            "registry.lab?",
            "registry.lab#",
        ] {
            let error = check_host(bad).unwrap_err();
            assert!(error.contains("HOST or HOST:PORT"), "{bad}: {error}");
        }
    }
}
