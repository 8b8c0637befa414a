//! The configuration file: what is the same for every build on a host.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::CliError;
use super::registries::{Mirror, check_host};

/// `$XDG_CONFIG_HOME/lkbuild/config.toml`, or the file of `--config`. Options and the environment
/// come before it; lists are joined, those of the command line first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Settings {
    /// The cache's folder.
    pub(super) cache: Option<PathBuf>,
    /// As `--cache-size`.
    pub(super) cache_size: Option<String>,
    /// As `--insecure-registry`.
    #[serde(default, deserialize_with = "hosts")]
    pub(super) insecure_registries: Vec<String>,
    /// As `--cert-file`; relative to the file's own folder.
    #[serde(default)]
    pub(super) certificates: Vec<PathBuf>,
    /// Mirrors, asked in order before the registry.
    #[serde(default, deserialize_with = "mirrors")]
    pub(super) mirrors: Vec<Mirror>,
}

/// A table of registries (or `*`) and the mirrors of each.
fn mirrors<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<Mirror>, D::Error> {
    let table: BTreeMap<String, Vec<String>> = Deserialize::deserialize(input)?;
    let all = table.iter();
    let all = all.flat_map(|(of, urls)| urls.iter().map(|url| Mirror::new(of, url)));
    all.collect::<Result<_, _>>().map_err(D::Error::custom)
}

/// Names of registries.
fn hosts<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<String>, D::Error> {
    let hosts: Vec<String> = Deserialize::deserialize(input)?;
    let checked = hosts.iter().map(|host| check_host(host));
    checked.collect::<Result<_, _>>().map_err(D::Error::custom)
}

impl Settings {
    /// Reads the file that is named, or the usual one where it is there.
    pub(super) fn load(named: Option<&Path>) -> Result<Self, CliError> {
        let path = match named.map(Path::to_owned).or_else(usual_place) {
            Some(path) => path,
            None => return Ok(Settings::default()),
        };
        let wrong = |reason: String| CliError::Input {
            name: path.display().to_string(),
            reason,
        };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound && named.is_none() => {
                return Ok(Settings::default());
            }
            Err(e) => return Err(wrong(e.to_string())),
        };
        let mut settings = Self::parse(&text).map_err(wrong)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        for certificate in &mut settings.certificates {
            *certificate = place(folder, certificate);
        }
        settings.cache = settings.cache.map(|cache| place(folder, &cache));
        Ok(settings)
    }

    fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|e| e.to_string().trim_end().to_owned())
    }
}

/// A path in the file: from the file's own folder on, or from the user's.
fn place(folder: &Path, path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::home_dir()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => folder.join(path),
    }
}

fn usual_place() -> Option<PathBuf> {
    let config = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| Some(std::env::home_dir()?.join(".config")))?;
    Some(config.join("lkbuild/config.toml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_read_and_others_are_refused_with_their_line() {
        let settings = Settings::parse(
            "cache = '/var/cache/lkbuild'\ncache-size = '5G'\n\
             insecure-registries = ['registry.lab:5000']\ncertificates = ['lab.pem']\n\
             [mirrors]\n'docker.io' = ['https://one.lab', 'https://two.lab']\n'*' = ['all.lab']\n",
        )
        .unwrap();
        assert_eq!(settings.cache, Some("/var/cache/lkbuild".into()));
        let mirrors: Vec<_> = settings.mirrors.iter().map(|m| (&*m.of, &*m.url)).collect();
        let (one, two) = ("https://one.lab", "https://two.lab");
        assert_eq!(
            mirrors,
            [("*", "all.lab"), ("docker.io", one), ("docker.io", two)]
        );
        assert_eq!(settings.certificates, [PathBuf::from("lab.pem")]);
        assert_eq!(Settings::parse(""), Ok(Settings::default()));
        let error = Settings::parse("cache = 'x'\nmirors = 3\n").unwrap_err();
        assert!(
            error.contains("line 2") && error.contains("mirors"),
            "{error}"
        );
        for (text, word) in [
            (
                "[mirrors]\n'https://docker.io' = ['https://m']\n",
                "HOST or HOST:PORT",
            ),
            (
                "[mirrors]\n'docker.io' = ['ftp://m']\n",
                "neither https nor http",
            ),
            (
                "\ninsecure-registries = ['http://lab']\n",
                "HOST or HOST:PORT",
            ),
        ] {
            let error = Settings::parse(text).unwrap_err();
            assert!(
                error.contains("at line ") && error.contains(word),
                "{error}"
            );
        }
        let home = std::env::home_dir().unwrap();
        let folder = Path::new("/etc/lkbuild");
        assert_eq!(place(folder, Path::new("~/packs")), home.join("packs"));
        assert_eq!(place(folder, Path::new("packs")), folder.join("packs"));
        assert!(Settings::parse("cache = 3").unwrap_err().contains("line 1"));
    }
}
