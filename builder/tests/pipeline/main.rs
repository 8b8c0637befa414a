//! From YAML and images to an initrd: what is in it, what decides about its bytes, what a change
//! costs, and what damage does.

// A panic is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic)]

mod damage;
mod initrd;
mod lab;
mod read;
mod rebuild;
mod sources;
mod system;
mod vectors;
