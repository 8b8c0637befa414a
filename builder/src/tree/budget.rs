//! What the paths of one tree may cost, and what they have cost so far.
//!
//! A path of a few bytes can be much work: it may lead through symlinks that name thousands of
//! components, and imply thousands of folders. Each is bounded for one path; together they are
//! bounded here.

use super::resolve::{Found, ResolveError};
use crate::layer::Limits;
use crate::layer::path::NAME_MAX_BYTES;

/// Bounds and what was used of them.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    /// As many symlinks as one path may lead through.
    pub(super) max_links: usize,
    max_link_steps: u64,
    max_path_bytes: usize,
    max_folder_bytes: u64,
    link_steps: u64,
    folder_bytes: u64,
}

impl Budget {
    pub(super) fn new(limits: &Limits) -> Self {
        Budget {
            max_links: limits.links,
            max_link_steps: limits.link_steps,
            max_path_bytes: limits.path_bytes,
            max_folder_bytes: limits.metadata_bytes,
            link_steps: 0,
            folder_bytes: 0,
        }
    }

    /// Counts the components of symlinks that `path` led through.
    pub(super) fn follow(&mut self, path: &[u8], link_steps: u64) -> Result<(), ResolveError> {
        self.link_steps = self.link_steps.saturating_add(link_steps);
        let limit = self.max_link_steps;
        if self.link_steps > limit {
            let path = path.to_vec();
            return Err(ResolveError::LinkSteps { path, limit });
        }
        Ok(())
    }

    /// Counts the folders that `path` implies, and checks that a system could have them.
    pub(super) fn imply(&mut self, path: &[u8], found: &Found) -> Result<(), ResolveError> {
        let mut bytes = found.path_bytes;
        for name in &found.missing {
            if name.len() > NAME_MAX_BYTES {
                let path = path.to_vec();
                return Err(ResolveError::NameBytes { path });
            }
            // A slash before it.
            bytes += name.len() + 1;
            self.folder_bytes = self.folder_bytes.saturating_add(bytes as u64);
        }
        let limit = self.max_path_bytes;
        if bytes > limit {
            let path = path.to_vec();
            return Err(ResolveError::PathBytes { path, limit });
        }
        let limit = self.max_folder_bytes;
        if self.folder_bytes > limit {
            let path = path.to_vec();
            return Err(ResolveError::FolderBytes { path, limit });
        }
        Ok(())
    }
}
