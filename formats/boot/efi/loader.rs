//! lkbuild's loader for UEFI on x86-64: reads kernel and initrd, verifies them, starts the kernel.
//!
//! What to load is patched in when a medium is written (`parameters.rs`). Kernel and initrd come
//! from, in this order:
//! 1. the loader's own sections `.linux` and `.initrd`, where it is part of a unified kernel image;
//! 2. files of the volume that it was started from, read through the firmware;
//! 3. their places on the whole medium, for firmware that does not show the files.
//!
//! The kernel is started only when both are there and their checksums are right, and when there
//! is as much RAM as the system needs. Every failure says on the console what to do.
//!
//! Built without a C library or a linker of the host; `formats/tests/blobs` says how.

#![no_std]
#![no_main]
// A cast from u64 loses nothing on the only processor that this is for.
#![warn(unsafe_op_in_unsafe_fn, unused)]

mod console;
mod crc32;
mod files;
mod firmware;
mod handover;
mod media;
mod memory;
mod parameters;
mod part;
mod patched;
mod sections;
mod utf16;

use console::Part::{Hex, Mib, MibUp, Number, Said, Text};
use console::{line, wait_for_key};
use crc32::Tables;
use firmware::{Firmware, Handle, LOADED_IMAGE, LoadedImage, Status, SystemTable};
use handover::Refusal;
use memory::Pages;
use parameters::{
    CMDLINE_AT, CMDLINE_BYTES, CMDLINE_LEN_AT, INITRD_AT, INITRD_FILE, KERNEL_AT, KERNEL_FILE,
    RAM_AT,
};
use part::{Failure, Part, Reading};

/// That a message was printed, and what the firmware is told.
struct Stopped(Status);

/// The bytes of a part.
enum Bytes<'a> {
    Read(Pages<'a>),
    InImage(&'a [u8]),
}

impl Bytes<'_> {
    fn get(&self) -> &[u8] {
        match self {
            Self::Read(pages) => pages.bytes(),
            Self::InImage(bytes) => bytes,
        }
    }
}

#[unsafe(no_mangle)]
extern "efiapi" fn efi_main(image: Handle, system: *const SystemTable) -> Status {
    let firmware = Firmware { image, system };
    // The firmware would reset a machine that takes five minutes to read a slow CD.
    // SAFETY: 0 turns it off and has no data.
    unsafe { (firmware.boot().set_watchdog_timer)(0, 0, 0, core::ptr::null()) };
    let Err(Stopped(status)) = run(&firmware);
    wait_for_key(&firmware);
    status
}

/// Comes back only if the system can't be started.
fn run(firmware: &Firmware) -> Result<core::convert::Infallible, Stopped> {
    let stop = |status| move |_| Stopped(status);
    let image = firmware.protocol::<LoadedImage>(firmware.image, &LOADED_IMAGE);
    // SAFETY: the firmware's, and it stays as long as the program.
    let image = unsafe { image.map_err(stop(Status::LOAD_ERROR))?.as_ref() };
    let kernel = Part::patched("kernel", KERNEL_FILE, KERNEL_AT);
    let initrd = Part::patched("initrd", INITRD_FILE, INITRD_AT);
    if kernel.len_bytes == 0 || initrd.len_bytes == 0 {
        let what = "NOT STARTED: this loader was not told what to load";
        line(firmware, &[Text(what)]);
        line(
            firmware,
            &[Text("take the one on a medium that lkbuild wrote")],
        );
        return Err(Stopped(Status::LOAD_ERROR));
    }
    check_ram(firmware, patched::u64_at(RAM_AT))?;
    let memory = |bytes: usize| {
        let bytes = bytes as u64;
        let out_of_memory = move |_| no_memory(firmware, bytes);
        move |status: Status| out_of_memory(status)
    };
    let tables = Pages::new(firmware, Tables::BYTES).map_err(memory(Tables::BYTES))?;
    // SAFETY: pages of that length, aligned, with nothing but zeros, and kept to the end.
    let tables = unsafe { &mut *tables.bytes().as_ptr().cast_mut().cast::<Tables>() };
    tables.fill();
    let mut reading = match Reading::new(firmware, tables) {
        Ok(reading) => reading,
        Err(failure) => return Err(not_read(firmware, &kernel, failure)),
    };
    let mut cmdline = Pages::new(firmware, 2 * CMDLINE_BYTES).map_err(memory(2 * CMDLINE_BYTES))?;

    let own = |name| sections::own(image, name);
    let (kernel, initrd) = if let Some(linux) = own(b".linux\0\0") {
        let initrd_bytes = own(b".initrd\0").unwrap_or_default();
        for (part, bytes) in [(&kernel, linux), (&initrd, initrd_bytes)] {
            let verified = reading.verify(part, bytes);
            verified.map_err(|failure| not_read(firmware, part, failure))?;
        }
        (Bytes::InImage(linux), Bytes::InImage(initrd_bytes))
    } else {
        let (kernel_mib, initrd_mib) = (
            MibUp(kernel.len_bytes as u64),
            MibUp(initrd.len_bytes as u64),
        );
        line(
            firmware,
            &[
                Text("loading kernel ("),
                kernel_mib,
                Text(" MiB) and initrd ("),
                initrd_mib,
                Text(" MiB)"),
            ],
        );
        let mut medium = None;
        let kernel = read(&mut reading, image.device, &kernel, &mut medium)?;
        let initrd = read(&mut reading, image.device, &initrd, &mut medium)?;
        (Bytes::Read(kernel), Bytes::Read(initrd))
    };
    drop(reading);

    // Nothing reads it before the kernel does: an even address, and zeros at the end.
    let units = cmdline_units(own(b".cmdline"), cmdline.bytes_mut());
    let loaded = handover::load(firmware, kernel.get());
    // The firmware has made its own copy.
    drop(kernel);
    let refusal = match loaded {
        Ok(handle) => handover::start(firmware, handle, initrd.get(), units),
        Err(refusal) => refusal,
    };
    Err(not_started(firmware, refusal))
}

/// The command line in UTF-16 with a zero at its end, in `memory`.
fn cmdline_units<'a>(section: Option<&[u8]>, memory: &'a mut [u8]) -> &'a [u16] {
    let start = memory.as_mut_ptr().cast::<u16>();
    let room = memory.len() / 2;
    let mut units = 0;
    let push = |unit| {
        // The last unit stays zero.
        if units + 1 < room {
            // SAFETY: within the memory, whose pages are aligned.
            unsafe { start.add(units).write(unit) };
            units += 1;
        }
    };
    match section {
        Some(bytes) => utf16::utf16(bytes.iter().copied().take_while(|byte| *byte != 0), push),
        None => {
            let bytes = patched::u64_at(CMDLINE_LEN_AT) as usize;
            let bytes = (0..bytes.min(CMDLINE_BYTES)).map(|at| patched::byte_at(CMDLINE_AT + at));
            utf16::utf16(bytes, push);
        }
    }
    // SAFETY: written above, and the zero after it is still there.
    unsafe { core::slice::from_raw_parts(start, units + 1) }
}

fn check_ram(firmware: &Firmware, needed: u64) -> Result<(), Stopped> {
    // A firmware that can't say has no memory to load to either.
    let found = memory::usable_bytes(firmware).unwrap_or(0);
    if found >= needed {
        return Ok(());
    }
    let need = Text("NOT STARTED: this system needs ");
    let there = Text(" MiB of RAM, and there are ");
    line(
        firmware,
        &[need, MibUp(needed), there, Mib(found), Text(" MiB")],
    );
    line(firmware, &[Text("give the machine more memory")]);
    Err(Stopped(Status::OUT_OF_RESOURCES))
}

/// Reads a part from its file or, failing that, from its place on a medium: on `medium`, where
/// another part was found there.
fn read<'a>(
    reading: &mut Reading<'a>,
    device: Handle,
    part: &Part,
    medium: &mut Option<media::Medium>,
) -> Result<Pages<'a>, Stopped> {
    let firmware = reading.firmware;
    match files::read(reading, device, part) {
        Ok(bytes) => return Ok(bytes),
        Err(failure) => {
            let file = Text(part.file);
            describe(firmware, &[Text("the file "), file], part, failure);
            line(firmware, &[Text("reading the medium instead of the file")]);
        }
    }
    if let Some(medium) = *medium {
        let bytes = medium.read(reading, part);
        return bytes.map_err(|failure| not_read(firmware, part, failure));
    }
    let mut bytes = None;
    let mut first_failure = None;
    let parent = media::each(firmware, device, |candidate| {
        match candidate.read(reading, part) {
            Ok(read) => {
                *medium = Some(candidate);
                bytes = Some(read);
            }
            Err(failure) => first_failure = first_failure.or(Some(failure)),
        }
        bytes.is_some()
    });
    let failure = match parent {
        Err(failure) => failure,
        Ok(()) => first_failure.unwrap_or(Failure::Source(Status::NOT_FOUND)),
    };
    bytes.ok_or_else(|| not_read(firmware, part, failure))
}

/// Says what is wrong with a part.
fn describe(firmware: &Firmware, what: &[console::Part<'_>; 2], part: &Part, failure: Failure) {
    let [a, b] = *what;
    let must = Text(", and must have ");
    match failure {
        Failure::Source(status) => line(firmware, &[a, b, Text(" can't be had: "), Said(status)]),
        Failure::Read { at, status } => {
            let at = [Text(" can't be read at byte "), Number(at), Text(": ")];
            line(firmware, &[a, b, at[0], at[1], at[2], Said(status)]);
        }
        Failure::Length { found_bytes } => {
            let expected = Number(part.len_bytes as u64);
            let found = [Text(" has "), Number(found_bytes), Text(" bytes")];
            line(
                firmware,
                &[a, b, found[0], found[1], found[2], must, expected],
            );
        }
        Failure::Checksum { found_crc32 } => {
            let found = [Text(" has the checksum "), Hex(found_crc32)];
            line(firmware, &[a, b, found[0], found[1], must, Hex(part.crc32)]);
        }
        Failure::MediumEnd { medium_bytes } => {
            let ends = [
                Text(" lies beyond the medium's end at byte "),
                Number(medium_bytes),
            ];
            line(firmware, &[a, b, ends[0], ends[1]]);
        }
        Failure::Memory { bytes } => {
            let needs = [
                Text(" needs "),
                MibUp(bytes),
                Text(" MiB of memory in one piece"),
            ];
            line(firmware, &[a, b, needs[0], needs[1], needs[2]]);
        }
    }
}

/// Says why a part can't be had at all, and what to do.
fn not_read(firmware: &Firmware, part: &Part, failure: Failure) -> Stopped {
    describe(
        firmware,
        &[Text("NOT STARTED: the "), Text(part.name)],
        part,
        failure,
    );
    let (advice, status) = match failure {
        Failure::Length { .. } | Failure::Checksum { .. } | Failure::MediumEnd { .. } => (
            "the image is damaged: write it again, or build it anew",
            Status::VOLUME_CORRUPTED,
        ),
        Failure::Read { status, .. } | Failure::Source(status) => {
            ("check the medium and its drive, or write it again", status)
        }
        Failure::Memory { .. } => ("give the machine more memory", Status::OUT_OF_RESOURCES),
    };
    line(firmware, &[Text(advice)]);
    Stopped(status)
}

fn no_memory(firmware: &Firmware, bytes: u64) -> Stopped {
    let bytes = MibUp(bytes);
    line(
        firmware,
        &[
            Text("NOT STARTED: the firmware has not "),
            bytes,
            Text(" MiB of memory to give"),
        ],
    );
    Stopped(Status::OUT_OF_RESOURCES)
}

/// Says why the kernel does not run, and what to do.
fn not_started(firmware: &Firmware, refusal: Refusal) -> Stopped {
    let (what, status, advice) = match refusal {
        Refusal::NoStub(status) => (
            "the kernel is no UEFI program for this processor: ",
            status,
            "build the image with one that has CONFIG_EFI_STUB, or boot as BIOS",
        ),
        Refusal::TooOld => (
            "the kernel is too old to be given an initrd by UEFI: ",
            Status::UNSUPPORTED,
            "build the image with Linux 5.8 or newer, or boot as BIOS",
        ),
        Refusal::SecureBoot(status) => (
            "Secure Boot refuses the kernel: ",
            status,
            "sign it with a key that the firmware knows, or turn Secure Boot off",
        ),
        Refusal::Load(status) => (
            "the firmware can't load the kernel: ",
            status,
            "give the machine more memory, or another kernel to the image",
        ),
        Refusal::Initrd(status) => (
            "the firmware can't be told of the initrd: ",
            status,
            "is another loader or shell active? start the machine anew",
        ),
        Refusal::Returned(status) => (
            "the kernel came back to the firmware: ",
            status,
            "its own messages are above",
        ),
    };
    line(firmware, &[Text("NOT STARTED: "), Text(what), Said(status)]);
    line(firmware, &[Text(advice)]);
    Stopped(match status {
        Status::SUCCESS => Status::LOAD_ERROR,
        status => status,
    })
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // No panic is left in the program; the build checks that.
    loop {}
}
