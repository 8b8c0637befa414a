use std::sync::Arc;

use formats::payload::{Extents, Payload};
use formats::qcow2::write_qcow2;
use formats::vhd::write_dynamic;

use super::*;

fn report(bytes: Vec<u8>) -> Report {
    let bytes: Arc<dyn Payload> = Arc::new(bytes);
    inspect_bytes("file", &bytes, None, Options::default()).unwrap()
}

fn text<'a>(section: &'a Section, key: &str) -> &'a str {
    match section.get(key) {
        Some(Value::Text(text)) => text,
        other => panic!("{key}: {other:?}"),
    }
}

fn qcow2(disk: &Extents) -> Vec<u8> {
    let mut out = io::Cursor::new(Vec::new());
    write_qcow2(&mut out, disk).unwrap();
    out.into_inner()
}

/// A disk of 64 MiB with one partition in its MBR.
fn mbr_disk() -> Extents {
    let mut mbr = vec![0; 512];
    mbr[446..462].copy_from_slice(&[0x80, 0, 0, 0, 0x0c, 0, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0]);
    mbr[510..].copy_from_slice(&[0x55, 0xaa]);
    let mut disk = Extents::new(64 << 20);
    disk.place(0, mbr).unwrap();
    disk
}

#[test]
fn a_pipe_is_refused_and_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    let error = inspect(&path, Options::default()).unwrap_err();
    assert!(error.to_string().contains("is a pipe"), "{error}");
}

#[test]
fn a_pipe_in_place_of_a_described_disk_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(dir.path().join("os-flat.vmdk"))
        .status();
    assert!(made.unwrap().success());
    let path = dir.path().join("os.vmdk");
    let text = "# Disk DescriptorFile\ncreateType=\"vmfs\"\nRW 2048 VMFS \"os-flat.vmdk\"\n";
    fs::write(&path, text).unwrap();
    let report = inspect(&path, Options::default()).unwrap();
    assert_eq!(report.problems.len(), 1);
    assert!(report.problems[0].contains("is a pipe"), "{report}");
}

#[test]
fn a_disk_with_our_loader_that_lost_its_tables_is_damaged() {
    let mut loader = vec![0; formats::boot::bios::STAGE2_BYTES];
    loader[4..8].copy_from_slice(b"LKB2");
    for mut disk in [Extents::new(64 << 20), mbr_disk()] {
        disk.place(formats::disk::LOADER_START_BYTES, loader.clone())
            .unwrap();
        let report = report(qcow2(&disk));
        let is_told = |problem: &String| problem.contains("no GPT");
        assert!(report.problems.iter().any(is_told), "{report}");
        assert!(!report.unread);
    }
}

#[test]
fn an_empty_disk_is_not_a_damaged_one() {
    let report = report(qcow2(&Extents::new(64 << 20)));
    assert_eq!(report.problems, [""; 0]);
    assert_eq!(text(&report.section, "partition_table"), "none");
}

#[test]
fn partitions_of_an_mbr_are_listed() {
    let disk = mbr_disk();
    let mut raw = vec![0; 64 << 20];
    disk.read_exact_at(0, &mut raw).unwrap();
    for (kind, bytes) in [("disk", raw), ("qcow2", qcow2(&disk))] {
        let report = report(bytes);
        assert_eq!(report.problems, [""; 0]);
        assert_eq!(text(&report.section, "kind"), kind);
        assert_eq!(text(&report.section, "partition_table"), "MBR");
        let Some(Value::Table(rows)) = report.section.get("partitions") else {
            panic!("{report}");
        };
        assert_eq!(rows.len(), 1);
        assert_eq!(text(&rows[0], "type"), "0x0c");
        assert_eq!(rows[0].get("start_bytes"), Some(&Value::Number(1 << 20)));
        assert_eq!(rows[0].get("partition_bytes"), Some(&Value::Bytes(1 << 20)));
    }
}

#[test]
fn what_is_not_read_is_told_from_what_is_damaged() {
    let whole = qcow2(&mbr_disk());
    let mut small_clusters = whole.clone();
    small_clusters[23] = 12;
    let split = b"# Disk DescriptorFile\ncreateType=\"twoGbMaxExtentSparse\"\nRW 4192256 SPARSE \"a-s001.vmdk\"\n";
    for (bytes, why) in [
        (small_clusters, "cluster size"),
        (split.to_vec(), "no raw disk"),
    ] {
        let report = report(bytes);
        assert!(report.unread);
        assert_eq!(report.problems.len(), 1);
        assert!(report.problems[0].contains(why), "{report}");
    }
    let cut = whole[..whole.len() / 2].to_vec();
    let mut short_l1 = whole;
    short_l1[36..40].fill(0);
    let mut short_table = Vec::new();
    write_dynamic(io::Cursor::new(&mut short_table), &mbr_disk(), [1; 16]).unwrap();
    // The dynamic header's number of entries, and its checksum.
    short_table[512 + 28..512 + 32].copy_from_slice(&[0, 0, 0, 31]);
    short_table[512 + 36..512 + 40].fill(0);
    let sum: u32 = short_table[512..1536]
        .iter()
        .map(|&byte| u32::from(byte))
        .sum();
    short_table[512 + 36..512 + 40].copy_from_slice(&(!sum).to_be_bytes());
    for (bytes, why) in [
        (cut, "behind the end"),
        (short_l1, "has 0 entries"),
        (short_table, "has 31 entries, and the disk needs 32"),
    ] {
        let report = report(bytes);
        assert!(!report.unread, "{report}");
        assert!(
            report.problems.iter().any(|problem| problem.contains(why)),
            "{report}"
        );
    }
}
