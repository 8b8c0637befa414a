//! The BIOS loader: the committed bytes against the sources, and boots of it in QEMU with a kernel
//! of our own that says what it was given.

// A panic is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]
// Assembled with the compiler's own assembler, for ELF.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

#[path = "../../boot/bios/assembled.rs"]
mod assembled;
mod blobs;
mod boot;
mod kernel;
