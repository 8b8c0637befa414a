//! What an initrd is made of, by image: what a build tells, what a medium carries, and what
//! `lkbuild inspect` reads there.

use std::collections::BTreeMap;
use std::path::Path;

use formats::fat::{FatReader, Limits};
use formats::medium::IMAGES_PATH;
use serde_json::{Value, json};
use testdata::{Compression, Image, Layer, Layout};

use crate::disks::bz_image;
use crate::program::{Bench, shown};
use crate::{read, system};

/// Formats that carry the list, and the file of each.
const MEDIA: [(&str, &str); 8] = [
    ("iso", "os.iso"),
    ("raw", "os.img"),
    ("vmdk", "os.vmdk"),
    ("vmdk-sparse", "os-sparse.vmdk"),
    ("ova", "os.ova"),
    ("qcow2", "os.qcow2"),
    ("vhd", "os.vhd"),
    ("uki", "os.efi"),
];

/// All kinds of sections; the service has the image of an onboot container.
const YAML: &str = "\
kernel:
  image: test/bz:1
  cmdline: console=ttyS0
  ucode: u.cpio
init:
  - test/init:1
  - test/tools:1
volumes:
  - name: data
  - name: seed
    image: test/dhcp:1
onboot:
  - name: sysctl
    image: test/sysctl:1
onshutdown:
  - name: bye
    image: test/sshd:1
services:
  - name: sysctl
    image: test/sysctl:1
files:
  - path: etc/motd
    contents: hello
  - path: etc/other
    symlink: motd
";

/// An uncompressed archive with a folder and a file of 16 bytes, as microcode is.
fn microcode() -> Vec<u8> {
    use formats::compress::{BodyInfo, Compression, encode_body};
    use formats::cpio::{CpioWriter, Entry};
    let mut archive = CpioWriter::new(Vec::new(), Compression::None).unwrap();
    let entry = |name, inode, mode| Entry {
        name,
        inode,
        mode,
        nlink: 1,
        ..Entry::default()
    };
    archive.entry(&entry(b"kernel", 1, 0o040_755)).unwrap();
    let body = [7; 16];
    let (info, segments) = encode_body(Compression::None, &body).unwrap();
    assert_eq!(info, BodyInfo::of(&body));
    let file = entry(b"kernel/x86.bin", 2, 0o100_644);
    let segments = segments.into_iter().map(Ok::<_, formats::cpio::WriteError>);
    archive.file(&file, info, segments).unwrap();
    archive.finish().unwrap()
}

fn images() -> Layout {
    let modules = Layer::new()
        .dir("lib", 0o755)
        .file("lib/net.ko", vec![1; 1000]);
    let files = Layer::new()
        .file("kernel", bz_image())
        .file("kernel.tar", modules.tar())
        .file("u.cpio", microcode());
    let kernel = Image::new().layer_as(&files, Compression::None);
    let database = |name: &str| format!("P:{name}\n");
    let tools = Layer::new()
        .file("bin/tool", vec![2; 2000])
        .hardlink("bin/other", "bin/tool")
        .file("lib/apk/db/installed", database("tools"));
    system::images()
        .image("test/bz:1", &kernel)
        .image("test/tools:1", &Image::new().layer(&tools))
}

/// Builds formats; gives the parts that the build tells.
fn build(bench: &Bench, formats: &str) -> Vec<Value> {
    let mut command = bench.build();
    command.args(["--json", "--size", "0", "-f", formats]);
    let output = command.arg(bench.yaml(YAML)).output().unwrap();
    assert!(output.status.success(), "{}", shown(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let events = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let mut parts: Vec<Value> = events.filter(|e: &Value| e["event"] == "part").collect();
    for part in &mut parts {
        part.as_object_mut().unwrap().remove("event");
    }
    parts
}

/// What `inspect` says, and its exit code.
fn inspect(bench: &Bench, file: &Path) -> (Value, i32) {
    let mut command = bench.lkbuild(&["inspect", "--json"]);
    let output = command.arg(file).output().unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap();
    (report, output.status.code().unwrap())
}

/// The initrd's part of a report.
fn initrd(report: &Value) -> &Value {
    match report["disks"].get(0) {
        Some(disk) => &disk["initrd"],
        None => &report["initrd"],
    }
}

/// Digests of the images' manifests by full name, as the cache has them: each name stands for an
/// index of one platform.
fn digests(bench: &Bench) -> BTreeMap<String, String> {
    let read = |path: &str| -> Value {
        let bytes = std::fs::read(bench.cache().join(path)).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    };
    let index = read("index.json");
    let entries = index["manifests"].as_array().unwrap().iter();
    let named = entries.map(|entry| {
        let name = &entry["annotations"]["org.opencontainers.image.ref.name"];
        let digest = entry["digest"].as_str().unwrap();
        let top = read(&format!("blobs/{}", digest.replace(':', "/")));
        let manifest = &top["manifests"][0]["digest"];
        (
            name.as_str().unwrap().to_owned(),
            manifest.as_str().unwrap().to_owned(),
        )
    });
    named.collect()
}

#[test]
fn every_medium_says_by_image_what_its_initrd_is_made_of() {
    let bench = Bench::new(&images());
    let formats: Vec<_> = MEDIA.iter().map(|(format, _)| *format).collect();
    let parts = build(&bench, &format!("kernel+initrd,{}", formats.join(",")));
    let shown: Vec<_> = parts
        .iter()
        .map(|part| {
            let text = |key: &str| part[key].as_str().unwrap_or("-").to_owned();
            let image = text("image").replace("docker.io/test/", "");
            format!(
                "{} {} {image} {}",
                text("section"),
                text("name"),
                text("path")
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "kernel - bz:1 -",
            "init - init:1 -",
            "init - tools:1 -",
            "volumes data - containers/volumes/data",
            "volumes seed dhcp:1 containers/volumes/seed",
            "onboot sysctl sysctl:1 containers/onboot/000-sysctl",
            "onshutdown bye sshd:1 containers/onshutdown/000-bye",
            "services sysctl sysctl:1 containers/services/sysctl",
            "files - - -",
        ]
    );
    let digests = digests(&bench);
    for part in &parts {
        if let Some(image) = part["image"].as_str() {
            assert_eq!(part["digest"], *digests[image], "{part}");
        }
    }
    let counts = |place: usize| {
        (
            parts[place]["entries"].as_u64(),
            parts[place]["unpacked_bytes"].as_u64(),
        )
    };
    // Microcode and a module, whose folder another image has too.
    assert_eq!(counts(0), (Some(2 + 1), Some(16 + 1000)));
    assert_eq!(counts(8), (Some(2), Some(5 + 4)));
    // The rest of the second service is the first container's.
    assert!(counts(7).1 < Some(10_000) && counts(5).1 > Some(3_000_000));

    let bare = inspect(&bench, &bench.out().join("os-initrd.img")).0;
    assert_eq!(bare.get("images"), None, "there is no list");
    let sum = |rows: &[Value], key: &str| -> u64 {
        rows.iter().map(|row| row[key].as_u64().unwrap()).sum()
    };
    assert_eq!(bare["entry_count"], sum(&parts, "entries"));
    let content = bare["content"].as_array().unwrap();
    assert_eq!(
        sum(content, "unpacked_bytes"),
        sum(&parts, "unpacked_bytes")
    );

    for (format, file) in MEDIA {
        let (report, code) = inspect(&bench, &bench.out().join(file));
        assert_eq!(code, 0, "{format}: {report:#}");
        let initrd = initrd(&report);
        assert_eq!(initrd["platform"], "linux/amd64", "{format}");
        assert_eq!(initrd["images"], json!(parts), "{format}");
        assert_eq!(initrd["content"], bare["content"], "{format}");
    }
    let people = bench.must_run(&["inspect", bench.out().join("os.iso").to_str().unwrap()]);
    let row = people.lines().find(|line| line.contains("test/tools:1"));
    let digest = &digests["docker.io/test/tools:1"];
    let row = row.unwrap_or_else(|| panic!("{people}"));
    assert!(
        row.contains(&digest[..19]) && !row.contains(&digest[..20]),
        "{row}"
    );
}

#[test]
fn a_tar_says_by_image_what_is_in_it() {
    let bench = Bench::new(&images());
    let parts = build(&bench, "tar,docker");
    for name in ["os.tar", "os.docker"] {
        let (report, code) = inspect(&bench, &bench.out().join(name));
        assert_eq!(code, 0, "{report:#}");
        let rows = report["images"].as_array().unwrap();
        let of = |rows: &[Value]| -> Vec<_> {
            rows.iter()
                .map(|row| (row["section"].clone(), row["image"].clone()))
                .collect()
        };
        assert_eq!(of(rows), of(&parts), "{name}");
        // Kernel, command line and microcode stand in the folder boot; symlinks have no length here.
        let entries: Vec<_> = rows.iter().map(|row| row["entries"].as_u64()).collect();
        assert_eq!(entries[0], Some(1 + 4));
        assert_eq!(entries[3..], parts_entries(&parts)[3..]);
        let sum: u64 = rows
            .iter()
            .map(|row| row["unpacked_bytes"].as_u64().unwrap())
            .sum();
        let dockerfile = match name {
            "os.docker" => {
                let tar = std::fs::read(bench.out().join(name)).unwrap();
                read::file_in_tar(&tar, "Dockerfile").len() as u64
            }
            _ => 0,
        };
        assert_eq!(report["unpacked_bytes"], sum + dockerfile, "{name}");
    }
}

/// How many entries each part has.
fn parts_entries(parts: &[Value]) -> Vec<Option<u64>> {
    parts.iter().map(|part| part["entries"].as_u64()).collect()
}

#[test]
fn a_system_without_a_list_says_what_the_yaml_in_it_says() {
    let bench = Bench::new(&images());
    let mut sizes = Vec::new();
    for (kind, format, file) in [
        ("yaml", "kernel+initrd", "os-initrd.img"),
        ("json", "kernel+initrd", "os-initrd.img"),
        ("yaml", "kernel+squashfs", "os-squashfs.img"),
        ("yaml", "kernel+iso", "os.iso"),
    ] {
        let metadata = format!("  - path: etc/linuxkit-config\n    metadata: {kind}\n");
        bench.must_build(&(YAML.to_owned() + &metadata), &["-f", format]);
        let (report, code) = inspect(&bench, &bench.out().join(file));
        assert_eq!(code, 0, "{report:#}");
        assert_eq!(report["images_from"], "etc/linuxkit-config");
        let root = [
            "docker.io/test/bz:1",
            "docker.io/test/init:1",
            "docker.io/test/tools:1",
        ];
        assert_eq!(report["root_images"], json!(root), "{kind}");
        let content = report["content"].as_array().unwrap().iter();
        let size = |row: &Value| (row["files"].clone(), row["unpacked_bytes"].clone());
        // What is in the root differs by the microcode and by the YAML in it.
        let others = content.clone().filter(|row| row["container"] != "root");
        sizes.push(others.map(size).collect::<Vec<_>>());
        let rows: Vec<_> = content
            .map(|row| {
                let text = |key: &str| row[key].as_str().unwrap_or("-").to_owned();
                text("container") + " " + &text("image")
            })
            .collect();
        assert_eq!(
            rows,
            [
                "onboot/000-sysctl docker.io/test/sysctl:1",
                "onshutdown/000-bye docker.io/test/sshd:1",
                "root -",
                "services/sysctl docker.io/test/sysctl:1",
                "volumes/data -",
                "volumes/seed docker.io/test/dhcp:1",
            ]
        );
    }
    assert!(sizes.iter().all(|other| *other == sizes[0]), "{sizes:?}");
}

#[test]
fn a_build_that_tells_more_has_a_table_of_its_images() {
    let bench = Bench::new(&images());
    let mut command = bench.build();
    let output = command.arg("-v").arg(bench.yaml(YAML)).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    let rows: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("part "))
        .collect();
    assert_eq!(rows.len(), 9, "{text}");
    let expected = "part    3.1 MB  onboot/sysctl                 docker.io/test/sysctl:1";
    assert!(rows.contains(&expected), "{rows:#?}");
    let (quiet, _) = bench.build_with(YAML, &[]);
    assert!(!shown(&quiet).contains("\npart "), "{}", shown(&quiet));
}

/// Replaces the list in a raw disk by another text of the same length.
fn replace(disk: &Path, change: impl Fn(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(disk).unwrap();
    let partitions = formats::disk::read_partitions(&bytes).unwrap();
    let start = usize::try_from(partitions[0].start_bytes).unwrap();
    let volume = bytes[start..].to_vec();
    let entries = FatReader::open(&volume).unwrap().entries(Limits::default());
    let entries = entries.unwrap();
    let list = entries
        .iter()
        .find(|entry| entry.path == IMAGES_PATH)
        .unwrap();
    let at = start + usize::try_from(list.extents[0].start).unwrap();
    let place = at..at + usize::try_from(list.len_bytes).unwrap();
    let mut text = bytes[place.clone()].to_vec();
    change(&mut text);
    bytes[place].copy_from_slice(&text);
    std::fs::write(disk, bytes).unwrap();
}

#[test]
fn a_list_that_is_not_this_initrd_s_is_damage() {
    let bench = Bench::new(&images());
    let disk = bench.out().join("os.img");
    build(&bench, "raw");
    replace(&disk, |list| {
        let text = String::from_utf8(list.clone()).unwrap();
        let at = text.find("\"entries\":").unwrap() + "\"entries\":".len();
        list[at] += 1;
    });
    let (report, code) = inspect(&bench, &disk);
    assert_eq!(code, 16);
    let problem = report["problems"][0].as_str().unwrap();
    assert!(
        problem.contains("boot/images.json is not the list of this initrd"),
        "{problem}"
    );
    // Names from it can't write to the terminal.
    replace(&disk, |list| {
        let text = String::from_utf8(list.clone()).unwrap();
        *list = text.replacen("sysctl", "\\u001b", 1).into_bytes();
    });
    let output = bench.lkbuild(&["inspect"]).arg(&disk).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("u{1b}") && !text.contains('\u{1b}'), "{text}");

    replace(&disk, |list| list.fill(b'['));
    let (report, code) = inspect(&bench, &disk);
    assert_eq!(code, 16);
    let problem = report["problems"][0].as_str().unwrap();
    assert!(
        problem.starts_with("boot/images.json: it is no list of images"),
        "{problem}"
    );
    assert_eq!(initrd(&report).get("images"), None);
    assert!(initrd(&report)["content"].is_array());
}
