//! The program against a strict simulated vCenter, well and when things go wrong: after each run
//! either the whole right file is there or nothing is, and the exit code says which.

// A panic is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic)]

mod faults;
mod import;
mod lab;
mod machines;
mod names;
mod proxy;
mod push;
mod secrets;
mod stopped;
mod trust;
