//! A kernel that says what it was given.
// See `boot/bios/assembled.rs`.
#![allow(unsafe_code)]

use std::arch::global_asm;

global_asm!(include_str!("kernel.s"), options(att_syntax));

unsafe extern "C" {
    static lkbuild_test_kernel: [u8; 1024];
}

/// The kernel with `body` as its protected-mode part.
pub(crate) fn with_body(body: &[u8]) -> Vec<u8> {
    // SAFETY: a constant of 1024 bytes, by `.org` in its source.
    let mut kernel = unsafe { lkbuild_test_kernel }.to_vec();
    let paragraphs = u32::try_from(body.len().div_ceil(16)).unwrap();
    kernel[0x1f4..0x1f8].copy_from_slice(&paragraphs.to_le_bytes());
    kernel.extend_from_slice(body);
    kernel
}

/// What the kernel said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) cmdline: String,
    pub(crate) initrd: u32,
    pub(crate) initrd_bytes: u32,
    pub(crate) rest: [u32; 4],
}

/// What a loader of boot protocol 2.15 must have told, besides: where the command line is; its
/// type and that there is a heap; the video mode; segments for data and stack.
pub(crate) const GOOD_REST: [u32; 4] = [0x2_e000, 0x81ff, 0xffff, 0x2000_2000];

impl Said {
    /// From the console's log.
    pub(crate) fn parse(log: &str) -> Self {
        let (_, said) = log.split_once("kernel: [").unwrap();
        let (cmdline, told) = said.split_once(']').unwrap();
        let words: Vec<_> = told
            .split_whitespace()
            .take(6)
            .map(|word| u32::from_str_radix(word, 16).unwrap())
            .collect();
        let [initrd, initrd_bytes, cmdline_at, flags, mode, segments] = words[..] else {
            panic!("{told}");
        };
        Self {
            cmdline: cmdline.to_owned(),
            initrd,
            initrd_bytes,
            rest: [cmdline_at, flags & 0xffff, mode & 0xffff, segments],
        }
    }
}
