//! From a container of the YAML and its image to the bundle that LinuxKit's init runs: the two
//! files `config.json` (OCI runtime specification 1.2.1) and `runtime.json` (LinuxKit's own), and
//! where the root file system stands.
//!
//! Settings come from the image's config, the image's label `org.mobyproject.config`, and the YAML;
//! each replaces the one before as a whole, key by key. Only `binds.add` and `capabilities.add` add.
//! Nothing is granted that neither the label nor the YAML asks for.
//!
//! [`bundles`] does all containers of a configuration, including the rule that an image is stored
//! once; [`bundle`] does one. [`check`] finds what is wrong in the YAML alone, before any image is
//! fetched.
//!
//! The bytes are those that LinuxKit writes, so that an image can be compared, except where it
//! loses or misreads what was asked for; those places are marked.

mod bundle;
mod capabilities;
mod mounts;
mod process;
mod settings;
mod spec;

use crate::config::{ConfigError, Diagnostic, Span};

pub use bundle::{Bundle, Placement, bundle, bundles, check};

/// What the OCI config of an image says about running it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// `Entrypoint`: the start of the command line.
    pub entrypoint: Vec<String>,
    /// `Cmd`: the rest of the command line.
    pub cmd: Vec<String>,
    /// `Env`.
    pub env: Vec<String>,
    /// `WorkingDir`; may be empty.
    pub working_dir: String,
    /// The label `org.mobyproject.config`, JSON; empty counts as missing. All other labels, the
    /// user and the rest play no part.
    pub label: String,
}

/// The label that holds an image's own settings.
pub const LABEL: &str = "org.mobyproject.config";

impl From<&oci_spec::image::ImageConfiguration> for ImageConfig {
    fn from(image: &oci_spec::image::ImageConfiguration) -> Self {
        let Some(config) = image.config() else {
            return Self::default();
        };
        let label = config
            .labels()
            .as_ref()
            .and_then(|labels| labels.get(LABEL));
        Self {
            entrypoint: config.entrypoint().clone().unwrap_or_default(),
            cmd: config.cmd().clone().unwrap_or_default(),
            env: config.env().clone().unwrap_or_default(),
            working_dir: config.working_dir().clone().unwrap_or_default(),
            label: label.cloned().unwrap_or_default(),
        }
    }
}

/// A container that cannot be described.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The label of its image is wrong.
    #[error("{diagnostic}\n{source}")]
    Label {
        /// Where the YAML names the image.
        diagnostic: Box<Diagnostic>,
        /// What is wrong with the label.
        source: ConfigError,
    },
    /// A setting is wrong, in the YAML or in the label.
    #[error("{diagnostic}\n  in container {container:?} ({place}), image {image}")]
    Setting {
        /// The container's name.
        container: String,
        /// Where the YAML names it.
        place: Span,
        /// Its image.
        image: String,
        /// What is wrong, at its place.
        diagnostic: Box<Diagnostic>,
    },
}

/// A setting that is wrong at a place; the container is added on the way out.
type Setting<T> = Result<T, Box<Diagnostic>>;

/// Shorthand for the error of [`Setting`].
fn wrong<T>(span: &Span, message: impl Into<String>, help: impl Into<String>) -> Setting<T> {
    Err(Box::new(Diagnostic::new(span, message).help(help)))
}

#[cfg(test)]
mod rights_tests;
#[cfg(test)]
mod tests;
