//! LinuxKit's YAML: from bytes to a checked [`Moby`].
//!
//! ```
//! let yaml = b"services:\n  - name: web\n    image: nginx:1.27\n    readonly: true\n";
//! let loaded = lkbuild::config::load(&[("web.yml", yaml)])?;
//! assert_eq!(loaded.moby.services[0].image.to_string(), "docker.io/library/nginx:1.27");
//!
//! let typo = b"services:\n  - name: web\n    imgae: nginx:1.27\n";
//! let error = lkbuild::config::load(&[("web.yml", typo)]).unwrap_err().to_string();
//! assert!(error.starts_with("web.yml:3:5: "), "{error}");
//! assert!(error.contains("did you mean \"image\"?"), "{error}");
//! # Ok::<(), lkbuild::config::ConfigError>(())
//! ```
//!
//! The way: text -> events of the YAML parser -> a tree of nodes with places (`node`; anchors,
//! merge keys, limits) -> the model (`decode`; unknown keys, types, everything wrong is collected)
//! -> several files appended -> what only the whole can tell (`check`).
//!
//! The schema and its meaning are LinuxKit's (`docs/yaml.md` of that project); where LinuxKit
//! loses or breaks what the user wrote, it is kept or refused here.

mod check;
mod decode;
mod diagnostic;
pub(crate) mod emit;
mod load;
mod model;
mod node;
mod scalar;
mod source;
#[cfg(test)]
mod tests;

pub use check::{IdError, Ids};
pub use diagnostic::{ConfigError, Diagnostic};
pub use emit::{Value, dry_run_yaml, metadata_json, metadata_yaml};
pub use load::{Loaded, label, load};
pub use model::*;
pub use source::{Source, Span, Spanned};
