//! Layers merged into a tree, judged by a slow model of the rules and by umoci.

// A panic is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod awkward;
mod engine;
mod packs;
mod random;
mod refused;
mod suites;
mod threat_model;
mod umoci;
