//! Why there is no system.

use crate::pack::PackError;
use crate::tree::{ApplyError, ResolveError};

/// Why sections do not add up to one system.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// A layer does not fit on those below it.
    #[error("{image}: layer {layer}: {source}")]
    Layer {
        /// The image.
        image: String,
        /// Digest of the layer.
        layer: String,
        /// What is wrong.
        source: ApplyError,
    },
    /// A path of an image or of `files:` that leads in circles.
    #[error("{section}: {source}")]
    Resolve {
        /// The place in the YAML.
        section: String,
        /// The path.
        source: ResolveError,
    },
    /// The package database of an init image can't be read.
    #[error("{image}: can't read lib/apk/db/installed: {source}")]
    ApkDatabase {
        /// The image.
        image: String,
        /// Why.
        source: PackError,
    },
    /// Laying an image over the root tree would misdirect or lose files.
    #[error(
        "{path} is a {lower} in {lower_origin}, and {upper_origin} would replace it by a {upper}: \
         files below it would end up elsewhere; make both images agree on {path}"
    )]
    Replaced {
        /// The path.
        path: String,
        /// What it is.
        lower: &'static str,
        /// Who brought it.
        lower_origin: String,
        /// What it would become.
        upper: &'static str,
        /// Who wants that.
        upper_origin: String,
    },
    /// The kernel image lacks something that the YAML asks for.
    #[error("kernel: {image} has no file {path} (named by kernel.{key}); {hint}")]
    KernelFile {
        /// The image.
        image: String,
        /// What was looked for.
        path: String,
        /// The YAML key that names it.
        key: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// A path of `files:` meets something it can't replace.
    #[error("{section}: {path} can't be made: {what} is a {kind} from {origin}")]
    File {
        /// The place in the YAML.
        section: String,
        /// The path of the entry.
        path: String,
        /// The path that is in the way.
        what: String,
        /// What that is.
        kind: &'static str,
        /// Who brought it.
        origin: String,
    },
}
