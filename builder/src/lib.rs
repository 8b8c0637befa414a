//! LinuxKit YAML in, operating system images out.
//!
//! Data flows one way: YAML ([`config`]) -> images ([`registry`], [`store`]) -> layers
//! ([`layer`]) -> packs ([`pack`]) -> one tree ([`tree`], [`assemble`]) -> files ([`output`]).
//! Nothing is ever unpacked to the host's file system.

pub mod assemble;
pub mod atomic;
pub mod build;
pub mod cache;
pub mod cli;
pub mod config;
pub mod digest;
pub mod inspect;
pub mod layer;
pub mod lockfile;
pub mod output;
pub mod pack;
pub mod pack_cache;
pub mod parts;
pub mod progress;
pub mod reference;
pub mod registry;
pub mod runtime;
mod shell;
pub mod store;
pub mod tree;
