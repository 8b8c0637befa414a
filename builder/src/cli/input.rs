//! The YAML: from files, standard input or the web.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use reqwest::redirect::Policy;

use super::CliError;
use super::source::SourceArgs;
use crate::registry::remote::{Proxies, RemoteOptions, chain, http_client};

/// A configuration of this size was not written by a person.
const MAX_YAML_BYTES: u64 = 16 << 20;
const MAX_REDIRECTS: usize = 5;
const TIMEOUT: Duration = Duration::from_secs(60);

/// What LinuxKit calls outputs of a configuration that comes from standard input.
const STDIN_NAME: &str = "moby";

/// One YAML with the name that messages give it.
#[derive(Clone, Debug)]
pub(super) struct Input {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

/// Reads every YAML named on the command line.
pub(super) fn read_all(names: &[String], source: &SourceArgs) -> Result<Vec<Input>, CliError> {
    let offline = source.offline;
    if let Some(url) = names.iter().find(|name| offline && is_url(name)) {
        return Err(CliError::Usage(format!(
            "--offline: {url} would have to be fetched"
        )));
    }
    if names.iter().filter(|name| *name == "-").count() > 1 {
        return Err(CliError::Usage(
            "standard input (-) can be named once only".into(),
        ));
    }
    names.iter().map(|name| read(name, source)).collect()
}

fn read(name: &str, source: &SourceArgs) -> Result<Input, CliError> {
    let error = |reason: String| CliError::Input {
        name: name.into(),
        reason,
    };
    let (shown, bytes) = if name == "-" {
        (
            "standard input",
            bounded(io::stdin().lock()).map_err(|e| error(e.to_string()))?,
        )
    } else if is_url(name) {
        (name, fetch(name, &source.remote_options()?).map_err(error)?)
    } else {
        let file = File::open(name).map_err(|e| error(e.to_string()))?;
        (name, bounded(file).map_err(|e| error(e.to_string()))?)
    };
    Ok(Input {
        name: shown.into(),
        bytes,
    })
}

fn is_url(name: &str) -> bool {
    name.starts_with("http://") || name.starts_with("https://")
}

fn bounded(input: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(MAX_YAML_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_YAML_BYTES {
        return Err(io::Error::other(format!(
            "it is longer than {MAX_YAML_BYTES} bytes"
        )));
    }
    Ok(bytes)
}

/// Fetches a YAML in the way in which registries are reached.
fn fetch(url: &str, options: &RemoteOptions) -> Result<Vec<u8>, String> {
    let problem = reqwest::Url::parse(url)
        .ok()
        .and_then(|url| options.proxies.problem(&url));
    if let Some(problem) = problem {
        return Err(problem);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    runtime.block_on(async {
        let client = http_client(options, true)
            .map_err(|e| e.to_string())?
            .timeout(TIMEOUT)
            .redirect(redirects(options.proxies.clone()))
            .build()
            .map_err(|e| e.to_string())?;
        let failed = |error: reqwest::Error| {
            let reason = chain(&error);
            let hint = options.hint(&error, &reason, "write http://");
            reason + &hint
        };
        let mut response = client.get(url).send().await.map_err(failed)?;
        if !response.status().is_success() {
            return Err(format!("the server answered {}", response.status()));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > MAX_YAML_BYTES {
                return Err(format!("it is longer than {MAX_YAML_BYTES} bytes"));
            }
        }
        Ok(bytes)
    })
}

/// Follows a few redirects, each only where its way can be gone.
fn redirects(proxies: Proxies) -> Policy {
    Policy::custom(move |attempt| match proxies.problem(attempt.url()) {
        Some(problem) => attempt.error(problem),
        None => Policy::limited(MAX_REDIRECTS).redirect(attempt),
    })
}

/// The name of outputs: that of the last YAML without folder and ending.
pub(super) fn default_name(last: &str) -> String {
    if last == "-" {
        return STDIN_NAME.into();
    }
    let stem = Path::new(last).file_stem();
    stem.map_or_else(
        || STDIN_NAME.into(),
        |stem| stem.to_string_lossy().into_owned(),
    )
}
