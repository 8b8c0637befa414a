use std::process::Command;
use std::sync::Arc;

use proptest::prelude::*;
use testdata::judge;

use super::format::*;
use super::*;
use crate::payload::{Extents, Payload};
use crate::testing::{noise, raw_file, text};

fn program() -> Vec<u8> {
    let section = |name, address, bytes: Vec<u8>, access| ProgramSection {
        name,
        address,
        memory_bytes: u32::try_from(bytes.len()).unwrap(),
        bytes,
        access,
    };
    write_program(&Program {
        entry: 0x1001,
        sections: vec![
            section(".text", 0x1000, text(5000), Access::Execute),
            section(".data", 0x4000, vec![0; 16], Access::Write),
        ],
        relocations: vec![0x4008, 0x1010, 0x4000],
    })
}

fn new_section(name: &'static str, content: Vec<u8>) -> NewSection {
    NewSection {
        name,
        content: Arc::new(content),
    }
}

fn sections() -> Vec<NewSection> {
    vec![
        new_section(".osrel", b"ID=lkbuild\n".to_vec()),
        new_section(".cmdline", Vec::new()),
        new_section(".linux", text(30_001)),
        new_section(".initrd", noise(300_000)),
    ]
}

fn in_memory(file: &Extents) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.len_bytes()).unwrap()];
    file.read_exact_at(0, &mut bytes).unwrap();
    bytes
}

#[test]
fn a_program_is_read_as_it_was_written() {
    let bytes = program();
    let pe = PeFile::read(&bytes).unwrap();
    assert!(pe.is_efi_amd64());
    assert_eq!(pe.entry, 0x1001);
    assert_eq!(pe.image_bytes, 0x6000);
    let [code, data, relocations] = &pe.sections[..] else {
        panic!("{:?}", pe.sections);
    };
    assert!(code.is_executable && !code.is_writable);
    assert!(data.is_writable && !data.is_executable);
    assert_eq!(relocations.name, ".reloc");
    let content = code.content();
    let code = &bytes[usize::try_from(content.start).unwrap()..][..5000];
    assert!(code == text(5000));
    // Two pages: one entry and a filler, two entries.
    let start = usize::try_from(relocations.raw.start).unwrap();
    let blocks = &bytes[start..start + relocations.memory_bytes as usize];
    let expected = [
        &0x1000_u32.to_le_bytes()[..],
        &12_u32.to_le_bytes(),
        &0xa010_u16.to_le_bytes(),
        &0_u16.to_le_bytes(),
        &0x4000_u32.to_le_bytes(),
        &12_u32.to_le_bytes(),
        &0xa000_u16.to_le_bytes(),
        &0xa008_u16.to_le_bytes(),
    ]
    .concat();
    assert_eq!(blocks, expected);
}

#[test]
fn appended_sections_come_back_and_the_program_is_as_it_was() {
    let stub = program();
    let file = append(stub.clone(), &sections()).unwrap();
    let pe = PeFile::read(&file).unwrap();
    assert!(pe.section(".cmdline").is_none(), "nothing to say");
    for section in sections() {
        let bytes = section.content.len_bytes();
        if bytes == 0 {
            continue;
        }
        let found = pe.section(section.name).unwrap();
        assert_eq!(found.address % 4096, 0);
        assert_eq!(found.content().end - found.content().start, bytes);
        assert!(!found.is_writable && !found.is_executable);
        let mut expected = vec![0; usize::try_from(bytes).unwrap()];
        let mut read = expected.clone();
        section.content.read_exact_at(0, &mut expected).unwrap();
        file.read_exact_at(found.content().start, &mut read)
            .unwrap();
        assert!(read == expected, "{}", section.name);
    }
    let last = pe.sections.last().unwrap();
    let end = (last.address + last.memory_bytes).next_multiple_of(4096);
    assert_eq!(pe.image_bytes, end);
    let old = PeFile::read(&stub).unwrap();
    assert_eq!(pe.sections[..3], old.sections[..]);
    let bytes = in_memory(&file);
    assert!(bytes[1024..stub.len()] == stub[1024..]);
    // The field's own bytes don't count.
    let field = old.pe_at + OPTIONAL_AT + CHECKSUM_AT;
    assert_eq!(checksum(&file, field).unwrap(), pe.checksum);
    assert_ne!(pe.checksum, old.checksum);
}

#[test]
fn the_checksum_is_the_specification_s() {
    // Word by word, as it is described.
    let plain = |bytes: &[u8], field: usize| {
        let mut sum = 0_u32;
        for at in (0..bytes.len()).step_by(2) {
            let in_field = at == field || at == field + 2;
            let high = bytes.get(at + 1).copied().unwrap_or(0);
            let word = u32::from(u16::from_le_bytes([bytes[at], high]));
            sum += if in_field { 0 } else { word };
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum + u32::try_from(bytes.len()).unwrap()
    };
    for len in [600, 601, 602, 603, 262_143, 262_144, 262_147, 700_001] {
        let bytes = noise(len);
        assert_eq!(checksum(&bytes, 216).unwrap(), plain(&bytes, 216), "{len}");
    }
}

#[test]
fn programs_that_can_t_take_sections_are_refused() {
    let error = append(b"#!/bin/sh".repeat(100), &sections()).unwrap_err();
    assert!(matches!(error, AppendError::Read(_)), "{error}");
    let changed = |at: usize, bytes: &[u8]| {
        let mut stub = program();
        put(&mut stub, at, bytes);
        append(stub, &sections()).unwrap_err()
    };
    let optional = DOS_BYTES + OPTIONAL_AT;
    let arm64 = changed(DOS_BYTES + MACHINE_AT, &0xaa64_u16.to_le_bytes());
    assert!(matches!(arm64, AppendError::NotEfi), "{arm64}");
    let directory = OPTIONAL_FIXED_BYTES + DIRECTORY_CERTIFICATES * DIRECTORY_BYTES;
    let signed = changed(optional + directory + 4, &[8]);
    assert!(matches!(signed, AppendError::Signed), "{signed}");
    let full = changed(optional + HEADERS_BYTES_AT, &512_u32.to_le_bytes());
    assert!(
        matches!(full, AppendError::NoRoom { room: 1, needed: 3 }),
        "{full}"
    );
    let twice = append(program(), &[new_section(".text", vec![1])]).unwrap_err();
    assert!(matches!(twice, AppendError::Twice(".text")), "{twice}");
    struct Long;
    impl Payload for Long {
        fn len_bytes(&self) -> u64 {
            2 << 30
        }
        fn read_exact_at(&self, _: u64, _: &mut [u8]) -> std::io::Result<()> {
            unreachable!("it is too long to be read")
        }
    }
    let long = NewSection {
        name: ".initrd",
        content: Arc::new(Long),
    };
    let error = append(program(), &[long]).unwrap_err();
    assert!(matches!(error, AppendError::TooLarge { .. }), "{error}");
}

#[test]
fn damaged_headers_are_errors() {
    let good = program();
    let optional = DOS_BYTES + OPTIONAL_AT;
    let table = optional + OPTIONAL_FIXED_BYTES + DIRECTORIES * DIRECTORY_BYTES;
    for (at, bytes) in [
        (0, &[0][..]),
        (PE_OFFSET_AT + 2, &[1]),
        (DOS_BYTES, &[0]),
        (DOS_BYTES + SECTIONS_AT + 1, &[1]),
        (DOS_BYTES + OPTIONAL_BYTES_AT, &[100, 0]),
        (optional, &[0x0b, 1]),
        (optional + FILE_ALIGNMENT_AT, &[3]),
        (table + RAW_BYTES_AT + 2, &[1]),
    ] {
        let mut damaged = good.clone();
        put(&mut damaged, at, bytes);
        assert!(PeFile::read(&damaged).is_err(), "{at}");
    }
    for len in (0..1024).step_by(7) {
        assert!(PeFile::read(&good[..len].to_vec()).is_err(), "{len}");
    }
}

#[test]
fn signing_tools_take_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    raw_file(
        &append(program(), &sections()).unwrap(),
        &dir.path().join("plain.efi"),
    );
    let run = |program: &str, arguments: &[&str]| -> Option<String> {
        let output = Command::new(judge(program)?)
            .args(arguments)
            .output()
            .unwrap();
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8_lossy(&printed).into_owned();
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {printed}"
        );
        Some(printed)
    };
    let (key, certificate) = (path("key.pem"), path("certificate.pem"));
    let request = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=test",
        "-days",
        "2",
        "-keyout",
        &key,
        "-out",
        &certificate,
    ];
    if run("openssl", &request).is_none() {
        return;
    }
    let (plain, signed) = (path("plain.efi"), path("signed.efi"));
    let arguments = [
        "--key",
        &key,
        "--cert",
        &certificate,
        "--output",
        &signed,
        &plain,
    ];
    if let Some(printed) = run("sbsign", &arguments) {
        assert!(!printed.contains("warning"), "{printed}");
        let printed = run("sbverify", &["--cert", &certificate, &signed]).unwrap();
        assert!(printed.contains("Signature verification OK"), "{printed}");
        let pe = PeFile::read(&std::fs::read(&signed).unwrap()).unwrap();
        assert!(pe.signatures.is_some());
    }
    let signed = path("signed2.efi");
    let arguments = [
        "sign",
        "-certs",
        &certificate,
        "-key",
        &key,
        "-in",
        &plain,
        "-out",
        &signed,
    ];
    if run("osslsigncode", &arguments).is_some() {
        let arguments = ["verify", "-CAfile", &certificate, &signed];
        let printed = run("osslsigncode", &arguments).unwrap();
        assert!(printed.contains("Signature verification: ok"), "{printed}");
        assert!(!printed.contains("MISMATCH"), "{printed}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_no_panic(
        damage in prop::collection::vec((0usize..900, any::<u8>()), 1..20),
    ) {
        let mut bytes = program();
        for (at, byte) in damage {
            bytes[at] = byte;
        }
        let _ = PeFile::read(&bytes);
        let _ = append(bytes, &sections());
    }
}
