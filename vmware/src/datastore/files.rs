//! Files and folders through the server's file manager and datastore browser.

use super::DatastorePath;
use crate::error::{Error, Kind, Result};
use crate::inventory::Datastore;
use crate::session::{Call, Session};
use crate::soap::{MoRef, Node, Xml};

/// What the datastore browser tells of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileInfo {
    pub(crate) size_bytes: u64,
    pub(crate) is_folder: bool,
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    File(FileInfo),
    /// The folder is there, the file is not.
    Nothing,
    /// Not even the folder.
    NoFolder,
}

impl Session {
    /// Looks at a path with the datastore browser, which knows sizes that transfers don't.
    pub(crate) fn find_file(&self, datastore: &Datastore, path: &DatastorePath) -> Result<Found> {
        let mut arguments = Xml::new();
        arguments
            .text("datastorePath", path.folder_path())
            .element("searchSpec", |xml| {
                xml.element("details", |xml| {
                    xml.value("fileType", true)
                        .value("fileSize", true)
                        .value("modification", true)
                        .value("fileOwner", false);
                })
                .text("matchPattern", pattern(path.name()));
            });
        let call = Call::read("SearchDatastore_Task", &datastore.browser, arguments);
        let found = match self.run_task(&call) {
            Err(error) if error.kind() == Kind::NotFound => return Ok(Found::NoFolder),
            found => found?,
        };
        let found =
            found.ok_or_else(|| Error::protocol("a search of the datastore has no result"))?;
        let file = found
            .all("file")
            .find(|file| file.text_at("path") == Some(path.name()));
        Ok(file.map_or(Found::Nothing, |file| {
            Found::File(FileInfo {
                size_bytes: file.number_at("fileSize").unwrap_or_default(),
                is_folder: file.is_a("FolderFileInfo"),
            })
        }))
    }

    /// The length of a file; `None` if it is not there.
    ///
    /// # Errors
    /// What the server says.
    pub fn file_len(&self, datastore: &Datastore, path: &DatastorePath) -> Result<Option<u64>> {
        Ok(match self.find_file(datastore, path)? {
            Found::File(file) if !file.is_folder => Some(file.size_bytes),
            _ => None,
        })
    }

    /// Makes the folder of a file, and those it is in.
    pub(crate) fn make_folder(&self, datastore: &Datastore, path: &DatastorePath) -> Result<()> {
        let Some(folder) = path.folder() else {
            return Ok(());
        };
        // On vSAN and vVols a folder at the top is an object of its own, made in another way.
        let nested = match top_is_object(datastore) {
            true => self.make_top_folder(datastore, folder)?,
            false => true,
        };
        if !nested {
            return Ok(());
        }
        let mut arguments = Xml::new();
        arguments
            .text("name", path.folder_path())
            .mo("datacenter", &datastore.datacenter.reference)
            .value("createParentDirectories", true);
        let manager = self.services().file_manager()?;
        match self.call(&Call::read("MakeDirectory", manager, arguments)) {
            Err(error) if error.kind() != Kind::Exists => {
                Err(error.context(format!("can't make the folder {}", path.folder_path())))
            }
            _ => Ok(()),
        }
    }

    /// Whether there is more to make below the folder at the top.
    fn make_top_folder(&self, datastore: &Datastore, folder: &str) -> Result<bool> {
        let top = folder.split('/').next().unwrap_or_default();
        if let Some(manager) = &self.services().namespace_manager {
            let mut arguments = Xml::new();
            arguments
                .mo("datastore", &datastore.reference)
                .text("displayName", top);
            match self.call(&Call::read("CreateDirectory", manager, arguments)) {
                Err(error) if error.kind() != Kind::Exists => {
                    return Err(
                        error.context(format!("can't make the folder [{}] {top}", datastore.name))
                    );
                }
                _ => {}
            }
        }
        Ok(folder.contains('/'))
    }

    /// Moves a file into the place of another.
    pub(crate) fn move_file(
        &self,
        datastore: &Datastore,
        from: &DatastorePath,
        to: &DatastorePath,
    ) -> Result<()> {
        let datacenter = &datastore.datacenter.reference;
        let mut arguments = Xml::new();
        arguments
            .text("sourceName", from.to_string())
            .mo("sourceDatacenter", datacenter)
            .text("destinationName", to.to_string())
            .mo("destinationDatacenter", datacenter)
            .value("force", true);
        let manager = self.services().file_manager()?;
        let moved = self.run_task(&Call::once("MoveDatastoreFile_Task", manager, arguments));
        moved
            .map(|_| ())
            .map_err(|e| e.context(format!("can't move {from} to {to}")))
    }

    /// Removes a file; one that is not there is no error.
    ///
    /// # Errors
    /// What the server says.
    pub fn remove_file(&self, datastore: &Datastore, path: &DatastorePath) -> Result<()> {
        let mut arguments = Xml::new();
        arguments
            .text("name", path.to_string())
            .mo("datacenter", &datastore.datacenter.reference);
        let manager = self.services().file_manager()?;
        match self.run_task(&Call::read("DeleteDatastoreFile_Task", manager, arguments)) {
            Err(error) if error.kind() != Kind::NotFound => {
                Err(error.context(format!("can't remove {path}")))
            }
            _ => Ok(()),
        }
    }

    /// Calls a method that starts a task, and waits for it.
    pub(crate) fn run_task(&self, call: &Call<'_>) -> Result<Option<Node>> {
        let task: MoRef = self.call(call)?.need_ref("returnval")?;
        self.wait_for_task(&task)
    }
}

/// Whether folders at the top are objects of their own, and no file can be there.
pub(crate) fn top_is_object(datastore: &Datastore) -> bool {
    ["vsan", "vsanD", "VVOL"]
        .iter()
        .any(|kind| datastore.kind.eq_ignore_ascii_case(kind))
}

/// A pattern for one name: one that is a pattern itself matches all, and is looked for among them.
fn pattern(name: &str) -> &str {
    match name.contains(['*', '?', '[', ']', '\\']) {
        true => "*",
        false => name,
    }
}
