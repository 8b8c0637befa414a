//! Files of a datastore: pushed so that either the whole right file is there or nothing is.
//!
//! An upload goes to `NAME.part`; its size is asked of the server by another way than it came;
//! only then is it moved into place. What fails is removed, and tried again from the start.

mod direct;
mod files;
mod path;
mod push;
mod source;
mod transfer;
mod users;

pub use path::DatastorePath;
pub use push::{Outcome, PushOptions};
pub use source::{Observer, Silent, Source};

pub(crate) use files::FileInfo;
pub(crate) use source::{go_on, pause};
