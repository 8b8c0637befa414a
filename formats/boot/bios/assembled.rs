//! The BIOS loader as this compiler assembles it from its sources: what the committed blobs are
//! compared with.
// The assembler's output is reached as foreign statics. They are constants of the lengths that the
// sources give them with `.org`, so reading them is sound.
#![allow(unsafe_code)]

use std::arch::global_asm;

global_asm!(include_str!("mbr.s"), options(att_syntax));
global_asm!(include_str!("stage2.s"), options(att_syntax));

unsafe extern "C" {
    static lkbuild_bios_mbr: [u8; 440];
    static lkbuild_bios_mbr_end: [u8; 0];
    static lkbuild_bios_stage2: [u8; 2048];
    static lkbuild_bios_stage2_end: [u8; 0];
}

/// The MBR's code.
pub(crate) fn mbr() -> [u8; 440] {
    // SAFETY: a constant in .rodata; its length is checked.
    unsafe {
        let start = &raw const lkbuild_bios_mbr;
        assert_eq!(
            start.add(1).addr(),
            (&raw const lkbuild_bios_mbr_end).addr()
        );
        *start
    }
}

/// The loader without its command line.
pub(crate) fn stage2() -> [u8; 2048] {
    // SAFETY: as in `mbr`.
    unsafe {
        let start = &raw const lkbuild_bios_stage2;
        assert_eq!(
            start.add(1).addr(),
            (&raw const lkbuild_bios_stage2_end).addr()
        );
        *start
    }
}
