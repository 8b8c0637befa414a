//! What a build without a network lacks, all of it, and how to bring it.

use std::fmt;
use std::path::PathBuf;

use super::error::{RegistryError, RegistryErrorKind};
use super::platform::Platform;

/// Images that neither the store nor a file has, where nothing may be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingImages {
    /// The store's folder.
    pub cache: PathBuf,
    /// What was to be built for.
    pub platform: Platform,
    /// Name of each image and what of it is missing; nothing stands for all of it. Names come
    /// once.
    pub images: Vec<(String, Vec<String>)>,
}

impl MissingImages {
    /// Nothing yet.
    pub fn new(cache: PathBuf, platform: Platform) -> Self {
        MissingImages {
            cache,
            platform,
            images: Vec::new(),
        }
    }

    /// Adds a part of an image, or all of it.
    pub fn add(&mut self, name: &str, part: Option<String>) {
        match self.images.iter_mut().find(|(known, _)| known == name) {
            Some((_, parts)) => parts.extend(part),
            None => {
                let parts = part.into_iter().collect();
                self.images.push((name.to_owned(), parts));
            }
        }
    }

    /// An error, if anything is missing.
    pub fn check(self) -> Result<(), Box<MissingImages>> {
        match self.images.is_empty() {
            true => Ok(()),
            false => Err(Box::new(self)),
        }
    }

    /// Takes what an error says is missing; an error of another kind comes back.
    pub fn add_error(&mut self, error: RegistryError) -> Option<RegistryError> {
        match error.kind {
            RegistryErrorKind::Missing { what } => {
                self.add(&error.image, what);
                None
            }
            _ => Some(error),
        }
    }
}

impl std::error::Error for MissingImages {}

impl fmt::Display for MissingImages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cache = self.cache.display();
        write!(f, "nothing may be fetched, and the cache {cache} lacks:")?;
        for (name, parts) in &self.images {
            write!(f, "\n  {name}")?;
            for (place, part) in parts.iter().enumerate() {
                f.write_str(if place == 0 { ": " } else { ", " })?;
                f.write_str(part)?;
            }
        }
        let platform = self.platform.to_string();
        let arch = platform.strip_prefix("linux/").unwrap_or(&platform);
        let names: Vec<&str> = self.images.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(" ");
        write!(
            f,
            "\nwith a network:\n  lkbuild cache pull --arch {arch} {names}\
             \nfrom another host:\n  lkbuild cache export --arch {arch} -o bundle.tar {names}\
             \nand here:\n  lkbuild cache import bundle.tar"
        )
    }
}
