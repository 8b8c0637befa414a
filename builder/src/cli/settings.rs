//! The configuration file: what is the same for every build on a host.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::CliError;

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
    #[serde(default)]
    pub(super) insecure_registries: Vec<String>,
    /// As `--cert-file`; relative to the file's own folder.
    #[serde(default)]
    pub(super) certificates: Vec<PathBuf>,
    /// Registry (or `*`) and its mirrors, asked in order before the registry.
    #[serde(default)]
    pub(super) mirrors: BTreeMap<String, Vec<String>>,
}

impl Settings {
    /// Reads the file that is named, or the usual one where it is there.
    pub(super) fn load(named: Option<&Path>) -> Result<Self, CliError> {
        let path = match named.map(Path::to_owned).or_else(usual_place) {
            Some(path) => path,
            None => return Ok(Settings::default()),
        };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound && named.is_none() => {
                return Ok(Settings::default());
            }
            Err(source) => return Err(CliError::File { path, source }),
        };
        let mut settings = Self::parse(&text).map_err(|reason| CliError::Input {
            name: path.display().to_string(),
            reason,
        })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        for certificate in &mut settings.certificates {
            *certificate = folder.join(&*certificate);
        }
        settings.cache = settings.cache.map(|cache| folder.join(cache));
        Ok(settings)
    }

    fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|e| e.to_string().trim_end().to_owned())
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
        assert_eq!(settings.mirrors["docker.io"].len(), 2);
        assert_eq!(settings.certificates, [PathBuf::from("lab.pem")]);
        assert_eq!(Settings::parse(""), Ok(Settings::default()));
        let error = Settings::parse("cache = 'x'\nmirors = 3\n").unwrap_err();
        assert!(
            error.contains("line 2") && error.contains("mirors"),
            "{error}"
        );
        assert!(Settings::parse("cache = 3").unwrap_err().contains("line 1"));
    }
}
