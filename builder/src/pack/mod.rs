//! A layer's content, read once and kept so that any part of it can be used again.
//!
//! A pack lies beside the blobs in the store. It holds every file body of one layer, each
//! compressed on its own in the way the initrd wants it, and an index of the layer's entries. It
//! is keyed by the layer's digest and the compression, knows no path of the image that is built,
//! and can be read from the middle; every segment and the index carry a checksum that is verified
//! when they are read.
//!
//! [`make`] turns a layer blob into a pack while it arrives, compressing on several threads;
//! [`mod@format`] is the file; `read` opens it; `store` knows where packs lie.

mod ahead;
mod codec;
pub mod format;
mod key;
mod make;
mod pipeline;
mod read;
mod store;
mod strand;
mod workers;

pub use ahead::Ahead;
pub use format::{BodyRecord, Index, Nested, SegmentRecord};
pub use key::PackKey;
pub use make::{MakeError, MakeOptions, make};
pub use read::{BodyReader, Pack, PackError, PackSet, Segments, verify_file};
pub use store::{Freed, PackFile, PackStore, TakeInError};
pub use workers::Workers;

#[cfg(test)]
mod tests;
