//! The server: where it is, whom to trust, who logs in.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use vmware::{
    Address, Credentials, Datacenter, Datastore, Options, ParsedAddress, Proxy, Secret, Session,
    Thumbprint, Trust,
};

use super::super::CliError;
use super::password;
use super::setting::{Environment, environment, is_true, setting};
use crate::progress::Progress;

/// The server and who logs in.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Server")]
pub(in super::super) struct ConnectArgs {
    /// The server: HOST, or https://HOST/sdk [env: VCURL, GOVC_URL]
    #[arg(long, value_name = "URL")]
    url: Option<String>,

    /// Who logs in, such as administrator@vsphere.local [env: GOVC_USERNAME]
    #[arg(long, value_name = "USER", visible_alias = "user")]
    username: Option<String>,

    /// A file with the password [env: GOVC_PASSWORD is the password itself]
    #[arg(long, value_name = "FILE", conflicts_with = "password_stdin")]
    password_file: Option<PathBuf>,

    /// Read the password from standard input
    #[arg(long)]
    password_stdin: bool,

    /// CA certificates (PEM) to trust besides the system's [env: GOVC_TLS_CA_CERTS]
    #[arg(long, value_name = "FILE")]
    ca: Vec<PathBuf>,

    /// Accept only the server's certificate of this thumbprint (SHA-256 or SHA-1)
    #[arg(long, value_name = "AA:BB:…")]
    thumbprint: Option<Thumbprint>,

    /// A file of HOST:PORT THUMBPRINT lines [env: GOVC_TLS_KNOWN_HOSTS]
    #[arg(long, value_name = "FILE")]
    known_hosts: Option<PathBuf>,

    /// Check no certificate: whoever is between can read the password [env: GOVC_INSECURE]
    #[arg(long)]
    insecure: bool,

    /// Seconds without a byte moving after which a transfer is given up and started again
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = seconds)]
    stall_timeout: f64,

    /// Attempts at what fails in passing
    #[arg(long, value_name = "N", default_value_t = Options::default().attempts)]
    attempts: std::num::NonZeroU32,

    /// Seconds before the second attempt; doubled for each one after it
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    retry_pause: f64,

    /// Seconds between signs of life to the server during an upload
    #[arg(long, value_name = "SECONDS", default_value_t = 120.0, value_parser = seconds)]
    keep_alive: f64,
}

/// Which datacenter.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Place")]
pub(in super::super) struct DatacenterArgs {
    /// Datacenter, by name or inventory path (default: the only one) [env: VCDATACENTER, GOVC_DATACENTER]
    #[arg(long, value_name = "NAME")]
    datacenter: Option<String>,
}

/// Which datacenter and datastore.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Place")]
pub(in super::super) struct PlaceArgs {
    #[command(flatten)]
    datacenter: DatacenterArgs,

    /// Datastore, by name or inventory path (default: the only one) [env: VCDATASTORE, GOVC_DATASTORE]
    #[arg(long, value_name = "NAME")]
    datastore: Option<String>,
}

fn seconds(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "it is no number".to_owned())?;
    match (0.001..=86_400.0).contains(&value) {
        true => Ok(value),
        false => Err("it must be from 0.001 to 86400".into()),
    }
}

impl ConnectArgs {
    /// Connects and logs in.
    pub(in super::super) fn open(&self, progress: &Progress) -> Result<Session, CliError> {
        let env: Environment<'_> = &environment;
        let (server, credentials) = self.whom(env, progress)?;
        let trust = self.trust(&server, env)?;
        if trust.is_insecure() {
            progress.warn("the server's certificate is not checked (--insecure or GOVC_INSECURE)");
        }
        let session = Session::open(server, credentials, trust, self.options()?)?;
        progress.detail(format!(
            "{} is {}",
            session.address(),
            session.about().full_name
        ));
        Ok(session)
    }

    fn options(&self) -> Result<Options, CliError> {
        let stall_timeout = Duration::from_secs_f64(self.stall_timeout);
        Ok(Options {
            stall_timeout,
            attempts: self.attempts,
            first_pause: Duration::from_secs_f64(self.retry_pause),
            keep_alive: Duration::from_secs_f64(self.keep_alive),
            proxy: Proxy::from_environment(),
            ..Options::default()
        })
    }

    /// The server's address, and user and password.
    fn whom(
        &self,
        env: Environment<'_>,
        progress: &Progress,
    ) -> Result<(Address, Credentials), CliError> {
        let usage = |message: &str| CliError::Usage(message.into());
        let url = setting(self.url.as_deref(), &["VCURL", "GOVC_URL"], env)
            .ok_or_else(|| usage("no server: give --url, or set VCURL or GOVC_URL"))?;
        let ParsedAddress {
            address,
            user,
            password: in_url,
        } = Address::parse(&url)?;
        if self.url.is_some() && in_url.is_some() {
            progress.warn(
                "a password in --url can be read by every user of this machine; use GOVC_PASSWORD, \
                 --password-file or --password-stdin",
            );
        }
        let user = setting(self.username.as_deref(), &[], env)
            .or(user)
            .or_else(|| env("GOVC_USERNAME"))
            .ok_or_else(|| usage("no user: give --username, or set GOVC_USERNAME"))?;
        let given = match (&self.password_file, self.password_stdin) {
            (Some(path), _) => Some(password::from_file(path)?),
            (None, true) => Some(password::from_stdin()?),
            (None, false) => None,
        };
        let password = given
            .or(in_url)
            .or_else(|| env("GOVC_PASSWORD").map(Secret::new))
            .ok_or_else(|| {
                usage("no password: set GOVC_PASSWORD, or give --password-file or --password-stdin")
            })?;
        Ok((address, Credentials { user, password }))
    }

    fn trust(&self, server: &Address, env: Environment<'_>) -> Result<Trust, CliError> {
        let mut trust = Trust::system();
        // The order of PATH on this machine: a colon, or a semicolon on Windows.
        let listed = env("GOVC_TLS_CA_CERTS").unwrap_or_default();
        let listed = std::env::split_paths(&listed).filter(|path| !path.as_os_str().is_empty());
        for path in self.ca.iter().cloned().chain(listed) {
            trust.add_pem(&path.display().to_string(), &read(&path)?)?;
        }
        if let Some(thumbprint) = self.thumbprint {
            trust.pin(&server.host, server.port, thumbprint);
        }
        let known = self.known_hosts.clone();
        if let Some(path) = known.or_else(|| env("GOVC_TLS_KNOWN_HOSTS").map(PathBuf::from)) {
            let bytes = read(&path)?;
            let text = String::from_utf8_lossy(&bytes);
            trust.add_known_hosts(&path.display().to_string(), &text)?;
        }
        if self.insecure || env("GOVC_INSECURE").is_some_and(|value| is_true(&value)) {
            trust.set_insecure();
        }
        Ok(trust)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(path).map_err(|source| CliError::File {
        path: path.into(),
        source,
    })
}

impl DatacenterArgs {
    /// The datacenter that is meant.
    pub(in super::super) fn find(&self, session: &Session) -> Result<Datacenter, CliError> {
        let variables = ["VCDATACENTER", "GOVC_DATACENTER"];
        let name = setting(self.datacenter.as_deref(), &variables, &environment);
        Ok(session.datacenter(name.as_deref())?)
    }
}

impl PlaceArgs {
    /// The datacenter that is meant.
    pub(in super::super) fn datacenter(&self, session: &Session) -> Result<Datacenter, CliError> {
        self.datacenter.find(session)
    }

    /// The datastore that is meant.
    pub(in super::super) fn datastore(
        &self,
        session: &Session,
        datacenter: &Datacenter,
    ) -> Result<Datastore, CliError> {
        let variables = ["VCDATASTORE", "GOVC_DATASTORE"];
        let name = setting(self.datastore.as_deref(), &variables, &environment);
        Ok(session.datastore(datacenter, name.as_deref())?)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        connect: ConnectArgs,
    }

    fn whom(args: &[&str], env: &[(&str, &str)]) -> Result<(Address, Credentials), CliError> {
        let args = std::iter::once("x").chain(args.iter().copied());
        let connect = Command::parse_from(args).connect;
        let env = |name: &str| {
            let found = env.iter().find(|(own, _)| *own == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        connect.whom(&env, &Progress::silent())
    }

    #[test]
    fn user_and_password_come_from_the_nearest_place() {
        let env = [
            ("GOVC_URL", "root:in-url@esx:8443"),
            ("GOVC_USERNAME", "other"),
            ("GOVC_PASSWORD", "in-env"),
        ];
        let (address, who) = whom(&[], &env).unwrap();
        assert_eq!(address.host_port(), "esx:8443");
        assert_eq!(who.user, "root");
        assert!(who.password == Secret::new("in-url"));
        let (address, who) = whom(&["--url", "vc", "--username", "me"], &env).unwrap();
        assert_eq!(address.host_port(), "vc:443");
        assert_eq!(who.user, "me");
        assert!(who.password == Secret::new("in-env"));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        std::fs::write(&file, "in-file\n").unwrap();
        let (_, who) = whom(&["--password-file", file.to_str().unwrap()], &env).unwrap();
        assert!(who.password == Secret::new("in-file"));
    }

    #[test]
    fn what_is_missing_is_named() {
        for (args, env, want) in [
            (&[][..], &[][..], "VCURL"),
            (&["--url", "vc"], &[], "GOVC_USERNAME"),
            (&["--url", "me@vc"], &[], "GOVC_PASSWORD"),
        ] {
            let error = whom(args, env).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        }
    }
}
