//! Gives libFuzzer the target that the environment variable LKBUILD_FUZZ_TARGET names.
#![no_main]
// libFuzzer calls its target through C symbols.
#![allow(unsafe_code, clippy::panic)]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use lkbuild_fuzz::{TARGETS, Target, target};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("LKBUILD_FUZZ_TARGET").unwrap_or_default();
    target(&name).unwrap_or_else(|| {
        let names: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
        panic!("LKBUILD_FUZZ_TARGET must be one of {}", names.join(", "))
    })
});

fuzz_target!(|data: &[u8]| TARGET(data));
