//! From YAML and images to files, as a library ([`lab`]) and as the program ([`program`]): what is
//! in them, what decides about their bytes, what a change costs, and what damage does.

// A panic is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic)]

mod bundle;
mod cache;
mod command_line;
mod contained;
mod damage;
mod disks;
mod failures;
mod initrd;
mod lab;
mod limits;
mod memory;
mod offline;
mod program;
mod read;
mod rebuild;
mod sources;
mod system;
mod vectors;
