//! Where machines go, and how their sizes and names are written.

use clap::{Args, ValueEnum};
use vmware::vm::Firmware;
use vmware::{Datastore, Placement, Session, Wish};

use super::super::CliError;
use super::from_environment;

/// Where machines go.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Place")]
pub(in super::super) struct PlacementArgs {
    /// Host to run on [env: VCHOST, GOVC_HOST]
    #[arg(long, value_name = "NAME", visible_alias = "host")]
    hostname: Option<String>,

    /// Cluster to run in [env: GOVC_CLUSTER]
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,

    /// Resource pool (default: that of the host or cluster) [env: GOVC_RESOURCE_POOL]
    #[arg(long, value_name = "NAME")]
    pool: Option<String>,

    /// Inventory folder of VMs (default: the datacenter's own) [env: GOVC_FOLDER]
    #[arg(long, value_name = "FOLDER")]
    vm_folder: Option<String>,

    /// Network (default: the only one; a template's own) [env: VCNETWORK, GOVC_NETWORK]
    #[arg(long, value_name = "NAME")]
    network: Option<String>,
}

impl PlacementArgs {
    /// The network that was named.
    pub(in super::super) fn network(&self) -> Option<String> {
        from_environment(self.network.as_deref(), &["VCNETWORK", "GOVC_NETWORK"])
    }

    /// Where machines go whose files are on the datastore.
    pub(in super::super) fn find(
        &self,
        session: &Session,
        datastore: &Datastore,
    ) -> Result<Placement, CliError> {
        let cluster = from_environment(self.cluster.as_deref(), &["GOVC_CLUSTER"]);
        // A flag says what is meant, whatever else is in the environment.
        let host = match self.cluster.is_some() || self.pool.is_some() {
            true => self.hostname.clone(),
            false => from_environment(self.hostname.as_deref(), &["VCHOST", "GOVC_HOST"]),
        };
        let pool = match self.cluster.is_some() || self.hostname.is_some() {
            true => self.pool.clone(),
            false => from_environment(self.pool.as_deref(), &["GOVC_RESOURCE_POOL"]),
        };
        let folder = from_environment(self.vm_folder.as_deref(), &["GOVC_FOLDER"]);
        let wish = Wish {
            host: host.as_deref(),
            cluster: cluster.as_deref(),
            pool: pool.as_deref(),
            folder: folder.as_deref(),
        };
        Ok(session.placement(datastore, wish)?)
    }
}

/// What starts a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in super::super) enum FirmwareArg {
    /// A BIOS
    Bios,
    /// UEFI
    Efi,
}

impl From<FirmwareArg> for Firmware {
    fn from(firmware: FirmwareArg) -> Self {
        match firmware {
            FirmwareArg::Bios => Firmware::Bios,
            FirmwareArg::Efi => Firmware::Efi,
        }
    }
}

/// Reads a size in MiB: LinuxKit's plain number, or with M, G or T.
pub(in super::super) fn mib(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let (digits, factor) = match text.char_indices().find(|(_, c)| !c.is_ascii_digit()) {
        None => (text, 1),
        Some((at, _)) => {
            let factor = match text[at..].to_ascii_lowercase().as_str() {
                "m" | "mb" | "mib" => 1,
                "g" | "gb" | "gib" => 1 << 10,
                "t" | "tb" | "tib" => 1 << 20,
                _ => return Err("write it as 4096 (MiB), 4096M, 4G or 1T".into()),
            };
            (&text[..at], factor)
        }
    };
    let number: u64 = digits.parse().map_err(|_| "it is no number".to_owned())?;
    // vSphere's largest disk is 62 TiB.
    let mib = number.checked_mul(factor).filter(|mib| *mib <= 62 << 20);
    mib.ok_or_else(|| "it is more than 62T".into())
}

/// `NAME`, or `NAME-1` to `NAME-COUNT`.
pub(in super::super) fn numbered(name: &str, count: Option<u32>) -> Vec<String> {
    match count {
        None => vec![name.to_owned()],
        Some(count) => (1..=count)
            .map(|number| format!("{name}-{number}"))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_in_mib_as_linuxkit_has_them() {
        for (text, want) in [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("4096M", Some(4096)),
            ("4g", Some(4096)),
            ("2TiB", Some(2 << 20)),
            ("", None),
            ("G", None),
            ("4K", None),
            ("-1", None),
            ("99999T", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(mib(text).ok(), want, "{text}");
        }
    }

    #[test]
    fn machines_are_numbered_from_one() {
        assert_eq!(numbered("a", None), ["a"]);
        assert_eq!(numbered("a", Some(2)), ["a-1", "a-2"]);
    }
}
