//! What a build without a network lacks, all of it, and how to bring it.

use std::fmt;
use std::path::PathBuf;

use super::error::{RegistryError, RegistryErrorKind};
use super::platform::Platform;
use crate::shell::quoted;

/// Images that neither the store nor a file has, where nothing may be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingImages {
    /// The store's folder.
    pub cache: PathBuf,
    /// What it was wanted for.
    pub platforms: Vec<Platform>,
    /// Name of each image and what of it is missing; nothing stands for all of it. Names come
    /// once.
    pub images: Vec<(String, Vec<String>)>,
}

impl MissingImages {
    /// Nothing yet.
    pub fn new(cache: PathBuf, platforms: Vec<Platform>) -> Self {
        MissingImages {
            cache,
            platforms,
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
        let platforms = self.platforms.iter().map(|platform| {
            let platform = platform.to_string();
            platform
                .strip_prefix("linux/")
                .unwrap_or(&platform)
                .to_owned()
        });
        let arch = platforms.collect::<Vec<_>>().join(",");
        let names: Vec<&str> = self.images.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(" ");
        // It is named though it may be the default: that may be another where the command is run.
        let cache = quoted(&cache.to_string());
        write!(
            f,
            "\nwith a network:\n  lkbuild cache pull --cache {cache} --arch {arch} {names}\
             \nfrom another host:\n  lkbuild cache export --arch {arch} -o bundle.tar {names}\
             \nand here:\n  lkbuild cache import --cache {cache} bundle.tar"
        )
    }
}
