//! Which of an index's images is meant (image-spec, image-index.md, "platform").

use std::fmt;

/// An operating system and processor, as image indexes name them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Platform {
    /// Always `linux` here.
    pub os: String,
    /// `amd64`, `arm64` and the like.
    pub architecture: String,
    /// `v8` and the like; empty where it does not matter.
    pub variant: String,
}

impl Platform {
    /// Linux on an architecture as `--arch` names it: `amd64`, `arm64`, `arm/v7`. The kernel's
    /// names `x86_64` and `aarch64` are understood too, and so is `linux/` before them.
    pub fn linux(architecture: &str) -> Self {
        let architecture = architecture.strip_prefix("linux/").unwrap_or(architecture);
        let (architecture, variant) = architecture.split_once('/').unwrap_or((architecture, ""));
        let architecture = match architecture {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Platform {
            os: "linux".into(),
            architecture: architecture.into(),
            variant: variant.into(),
        }
    }

    /// How well an entry's platform fits: 0 not at all, more is better.
    pub(super) fn rank(&self, os: &str, architecture: &str, variant: &str) -> u8 {
        if os != self.os || architecture != self.architecture {
            return 0;
        }
        // arm64 is always v8; amd64 entries may name a level that not every machine has.
        let baseline = match architecture {
            "arm64" => "v8",
            "amd64" => "v1",
            _ => "",
        };
        match (self.variant.as_str(), variant) {
            (wanted, found) if wanted == found => 4,
            ("", found) if found == baseline => 3,
            (wanted, "") if wanted == baseline => 3,
            ("", _) => 1,
            (_, "") => 2,
            _ => 0,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() {
            Ok(())
        } else {
            write!(f, "/{}", self.variant)
        }
    }
}
