//! Failures and their exit codes.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::build::{BuildError, GatherError};
use crate::cache::{BundleError, FetchError, ImportError};
use crate::config::ConfigError;
use crate::inspect::InspectError;
use crate::output::OutputError;
use crate::pack_cache::CacheError;
use crate::registry::RegistryError;
use crate::runtime::RuntimeError;
use crate::store::StoreError;

/// What kind of failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Anything else.
    Other,
    /// The arguments are wrong.
    Usage,
    /// The YAML or an image's label is wrong, or what they ask for does not fit together.
    Config,
    /// An image or a layer can't be had or used.
    Image,
    /// The output can't be written.
    Output,
    /// vSphere: the login or a right is refused.
    Refused,
    /// vSphere: a name is not there, or means several things.
    Name,
    /// vSphere: something uses the file, or its name is taken.
    InUse,
    /// vSphere: the certificate is not trusted.
    Certificate,
    /// vSphere: the network failed, or nothing came for too long.
    Network,
    /// vSphere: the server failed.
    Server,
    /// vSphere: what arrived is not what was sent; or a file that is inspected is damaged.
    Damaged,
    /// vSphere: a transfer was stopped from outside, as by Ctrl-C.
    Stopped,
}

impl Failure {
    /// The program's exit code.
    pub fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Failure::Other => 1,
            Failure::Usage => 2,
            Failure::Config => 3,
            Failure::Image => 4,
            Failure::Output => 5,
            Failure::Refused => 10,
            Failure::Name => 11,
            Failure::InUse => 12,
            Failure::Certificate => 13,
            Failure::Network => 14,
            Failure::Server => 15,
            Failure::Damaged => 16,
            // As shells have it for a program that Ctrl-C ends.
            Failure::Stopped => 130,
        })
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Arguments that do not fit together.
    #[error("{0}")]
    Usage(String),
    /// A YAML file or URL can't be read.
    #[error("can't read {name}: {reason}")]
    Input {
        /// The file or URL.
        name: String,
        /// Why not.
        reason: String,
    },
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A container can't be described.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The store can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A source of images can't be used.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The image can't be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The output can't be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// What was asked of vSphere failed.
    #[error(transparent)]
    Vsphere(#[from] vmware::Error),
    /// Images can't be brought into the cache.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A file with images can't be taken in.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// A bundle can't be written.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A cache of packs was not written; the outputs were.
    #[error("the outputs are written, but not the cache {name}: {source}")]
    PackCache {
        /// Its folder or name.
        name: String,
        /// Why not.
        source: Box<CacheError>,
    },
    /// A lock file that can't be used, or does not have what is asked for.
    #[error("{}: {reason}", .path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A name that is to be removed.
    #[error("the cache has no image {name}; `lkbuild cache ls` lists what there is")]
    NotInCache {
        /// Its full name.
        name: String,
    },
    /// Something in the cache is damaged and could not be healed.
    #[error("the cache is damaged: {damaged} files, named above")]
    DamagedCache {
        /// How many files.
        damaged: usize,
    },
    /// Names of VMs that are there already.
    #[error("{folder} has {names} already; give other names, or remove them (lkbuild rm vcenter)")]
    Taken {
        /// Path of the folder.
        folder: String,
        /// The names.
        names: String,
    },
    /// A file on a datastore that is not there.
    #[error("{path} is not there; {advice}")]
    NotThere {
        /// Its path.
        path: String,
        /// What to do.
        advice: &'static str,
    },
    /// A disk that a VM has.
    #[error("{path} is a disk of {users}; a disk serves one VM at a time")]
    DiskInUse {
        /// Its path.
        path: String,
        /// Names of VMs.
        users: String,
    },
    /// A VM that was not made here.
    #[error("{path} was not made by lkbuild; to remove it all the same, use --force")]
    NotOurs {
        /// Its path.
        path: String,
    },
    /// A file can't be inspected.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// A file that was inspected is damaged.
    #[error("{}: damaged; problems: {problems}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How many are in its report.
        problems: usize,
    },
    /// A file of this machine.
    #[error("{}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The machine does not give what is needed.
    #[error("{0}")]
    Setup(String),
}

impl CliError {
    /// Its kind.
    pub fn failure(&self) -> Failure {
        match self {
            CliError::Usage(_) => Failure::Usage,
            CliError::Input { .. }
            | CliError::Lock { .. }
            | CliError::Config(_)
            | CliError::Runtime(_) => Failure::Config,
            CliError::Fetch(FetchError::Store(_)) => Failure::Other,
            CliError::Registry(_)
            | CliError::Fetch(_)
            | CliError::NotInCache { .. }
            | CliError::DamagedCache { .. } => Failure::Image,
            CliError::Import(ImportError::Store(_)) | CliError::Bundle(BundleError::Store(_)) => {
                Failure::Other
            }
            CliError::Import(_) | CliError::Bundle(BundleError::Blob { .. }) => Failure::Image,
            CliError::Bundle(_) => Failure::Output,
            CliError::Build(error) => match error {
                BuildError::Registry(_)
                | BuildError::Missing(_)
                | BuildError::Gather(_)
                | BuildError::Sbom(_) => Failure::Image,
                BuildError::Pack(_) => Failure::Other,
                _ => Failure::Config,
            },
            CliError::Output(_) | CliError::PackCache { .. } => Failure::Output,
            CliError::Vsphere(error) => vsphere(error.kind()),
            CliError::NotThere { .. } => Failure::Name,
            CliError::Taken { .. } | CliError::DiskInUse { .. } | CliError::NotOurs { .. } => {
                Failure::InUse
            }
            CliError::Damaged { .. } => Failure::Damaged,
            CliError::Inspect(_)
            | CliError::Store(_)
            | CliError::File { .. }
            | CliError::Setup(_) => Failure::Other,
        }
    }

    /// The damaged pack behind it, if that is the cause.
    pub(super) fn damaged_pack(&self) -> Option<PathBuf> {
        use crate::pack::PackError::Damaged;
        match self {
            CliError::Output(error) => error.damaged_pack().map(Into::into),
            CliError::Build(
                BuildError::Pack(Damaged { path, .. })
                | BuildError::Gather(GatherError::Pack(Damaged { path, .. })),
            ) => Some(path.clone()),
            _ => None,
        }
    }
}

fn vsphere(kind: vmware::Kind) -> Failure {
    use vmware::Kind;
    match kind {
        Kind::Input => Failure::Usage,
        Kind::Login | Kind::Permission => Failure::Refused,
        Kind::NotFound | Kind::Ambiguous => Failure::Name,
        Kind::InUse | Kind::Exists => Failure::InUse,
        Kind::Certificate => Failure::Certificate,
        Kind::Network | Kind::Timeout => Failure::Network,
        Kind::Server | Kind::Protocol => Failure::Server,
        Kind::Damaged => Failure::Damaged,
        Kind::Stopped => Failure::Stopped,
        _ => Failure::Other,
    }
}
