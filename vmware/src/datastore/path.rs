//! Paths of files on datastores.

use std::fmt;

use crate::error::{Error, Kind, Result};

/// VMFS takes no longer names.
const MAX_NAME_BYTES: usize = 255;

/// `[DATASTORE] FOLDER/FILE`, as vSphere writes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DatastorePath {
    datastore: String,
    path: String,
}

impl DatastorePath {
    /// The path of a file; slashes at its ends are taken away.
    ///
    /// # Errors
    /// [`Kind::Input`] if a name in it is empty, `.`, `..`, too long or has a control character.
    pub fn new(datastore: &str, path: &str) -> Result<Self> {
        let path = path.trim_matches('/');
        let wrong = |why: &str| {
            Error::new(
                Kind::Input,
                format!("{path:?} can't be a path on a datastore: {why}"),
            )
        };
        for name in path.split('/') {
            match name {
                "" => return Err(wrong("it has an empty name")),
                "." | ".." => return Err(wrong("it has . or ..")),
                name if name.len() > MAX_NAME_BYTES => return Err(wrong("a name is too long")),
                name if name.chars().any(char::is_control) => {
                    return Err(wrong("it has a control character"));
                }
                _ => {}
            }
        }
        Ok(DatastorePath {
            datastore: datastore.into(),
            path: path.into(),
        })
    }

    /// Reads `[DATASTORE] FOLDER/FILE`; `None` if it has no brackets.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn parse(text: &str) -> Result<Option<Self>> {
        let Some((datastore, path)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']'))
        else {
            return Ok(None);
        };
        DatastorePath::new(datastore, path.trim_start()).map(Some)
    }

    /// The datastore's name.
    pub fn datastore(&self) -> &str {
        &self.datastore
    }

    /// The path on it, without a slash at its start.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The file's own name.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// The folder that it is in; `None` at the top.
    pub fn folder(&self) -> Option<&str> {
        self.path.rsplit_once('/').map(|(folder, _)| folder)
    }

    /// The folder that it is in, as vSphere writes it.
    pub(crate) fn folder_path(&self) -> String {
        format!("[{}] {}", self.datastore, self.folder().unwrap_or_default())
    }

    /// The same with `suffix` after the name.
    pub(crate) fn with_suffix(&self, suffix: &str) -> Result<Self> {
        DatastorePath::new(&self.datastore, &format!("{}{suffix}", self.path))
    }
}

impl fmt::Display for DatastorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.datastore, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_its_parts() {
        let path = DatastorePath::new("ds 1", "/a/b c.iso").unwrap();
        assert_eq!(path.to_string(), "[ds 1] a/b c.iso");
        assert_eq!((path.name(), path.folder()), ("b c.iso", Some("a")));
        assert_eq!(path.folder_path(), "[ds 1] a");
        assert_eq!(path.with_suffix(".part").unwrap().path(), "a/b c.iso.part");
        assert_eq!(
            DatastorePath::parse("[ds 1] a/b c.iso").unwrap(),
            Some(path)
        );
        assert_eq!(DatastorePath::parse("a/b").unwrap(), None);
        assert_eq!(DatastorePath::new("d", "x").unwrap().folder_path(), "[d] ");
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        for bad in ["", "/", "a//b", "../x", "a/../b", "./a", "a\nb", "a\0"] {
            let error = DatastorePath::new("d", bad).unwrap_err();
            assert_eq!(error.kind(), Kind::Input, "{bad:?}");
        }
        assert!(DatastorePath::new("d", &"x".repeat(256)).is_err());
    }
}
