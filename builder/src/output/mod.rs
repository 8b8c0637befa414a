//! Writers: an [`crate::assemble::Image`] becomes files.

pub mod initrd;
