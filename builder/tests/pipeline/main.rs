//! From YAML and images to files, as a library ([`lab`]) and as the program ([`program`]): what is
//! in them, what decides about their bytes, what a change costs, and what damage does.

// A panic is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod air_gap;
mod bundle;
mod cache;
mod command_line;
mod contained;
mod cve;
mod disks;
mod events;
mod failures;
mod initrd;
mod kills;
mod lab;
mod limits;
mod linuxkit;
mod linuxkit_cache;
mod lock;
mod machine;
mod made_of;
mod memory;
mod names;
mod offline;
mod pack_cache;
mod pack_registry;
mod program;
mod read;
mod rebuild;
mod snippets;
mod sources;
mod store_damage;
mod system;
mod vectors;
mod ways;
