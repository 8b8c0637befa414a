//! Writes the seeds that are small disks: `cargo run -p lkbuild-fuzz --example make_disk_seeds`.
#![allow(clippy::unwrap_used)]

use std::io::{Cursor, Read};
use std::path::Path;
use std::sync::Arc;

use formats::boot::BootSpec;
use formats::compress::{Compression, encode_body};
use formats::cpio::{CpioWriter, Entry, WriteError};
use formats::disk::{DiskOptions, build};
use formats::fat::{FatVolume, FileSpec, VolumeOptions};
use formats::iso::{Attributes, FileSource, IsoOptions, IsoTree, boot_iso, plan};
use formats::medium::{BootFile, BootFiles, EfiCode, Loaders};
use formats::ova::{Firmware, Machine, OvaReader, write_ova};
use formats::payload::{Extents, PayloadReader};
use formats::pe::{Access, NewSection, Program, ProgramSection, append, write_program};
use formats::qcow2::write_qcow2;
use formats::raw::write_raw;
use formats::squashfs::{self, Kind, SquashfsWriter};
use formats::vhd::{write_dynamic, write_fixed};
use formats::vmdk::{DiskId, Options, write_monolithic_sparse, write_stream_optimized};
use lkbuild_fuzz::disk_image::parts;

/// A small tree with everything in it.
fn iso_tree() -> Extents {
    let attributes = Attributes {
        mode: 0o755,
        uid: 0,
        gid: 0,
        mtime: 0,
    };
    let mut tree = IsoTree::new(attributes);
    let file = FileSource::New { len_bytes: 5 };
    tree.folder(b"etc", attributes).unwrap();
    tree.file(b"etc/hostname", attributes, file).unwrap();
    tree.hard_link(b"etc/name", b"etc/hostname").unwrap();
    let long = [b"etc/", &[b'n'; 200][..]].concat();
    tree.symlink(&long, attributes, b"/proc/../far").unwrap();
    tree.char_device(b"null", attributes, (1, 3)).unwrap();
    tree.block_device(b"nvme", attributes, (259, 1000)).unwrap();
    tree.fifo(b"pipe", attributes).unwrap();
    let options = IsoOptions {
        label: "seed".to_owned(),
        id: [1; 16],
        time: 0,
        least_bytes: 0,
    };
    let plan = plan(&tree, &options).unwrap();
    let mut volume = Extents::new(plan.len_bytes);
    volume
        .place(plan.metadata_start_bytes, plan.metadata)
        .unwrap();
    volume.place(plan.files[0].0, b"lkvm\n".to_vec()).unwrap();
    volume
}

fn iso_hybrid() -> Extents {
    let files = BootFiles {
        kernel: BootFile::read(b"kernel".to_vec()).unwrap(),
        initrd: BootFile::read(b"initrd".to_vec()).unwrap(),
        cmdline: "quiet".to_owned(),
        ram_bytes: 0,
        images: Vec::new(),
    };
    let loaders = Loaders {
        bios: None,
        efi: Some(EfiCode {
            len_bytes: 6,
            loader: |_: &BootSpec| Ok(b"loader".to_vec()),
        }),
    };
    boot_iso(&files, &loaders, "seed", 0).unwrap().content
}

/// A small file system with everything in it.
fn small_squashfs() -> Vec<u8> {
    let xattrs: [(&[u8], &[u8]); 1] = [(b"user.seed", b"value")];
    let attributes = squashfs::Attributes {
        mode: 0o755,
        links: 1,
        xattrs: &xattrs,
        ..squashfs::Attributes::default()
    };
    let mut out = Cursor::new(Vec::new());
    let mut writer = SquashfsWriter::new(&mut out, 0, &attributes).unwrap();
    let (major, minor) = (5, 1);
    let device = Kind::CharDevice { major, minor };
    writer.entry(b"console", &attributes, device).unwrap();
    writer.begin_folder(b"etc", &attributes).unwrap();
    let linked = squashfs::Attributes {
        links: 2,
        ..attributes
    };
    let file = writer.file(b"hostname", &linked, 5, &b"lkvm\n"[..]);
    writer.link(b"name", file.unwrap()).unwrap();
    writer.end_folder().unwrap();
    let target = b"etc/name";
    let link = Kind::Symlink { target };
    writer.entry(b"link", &attributes, link).unwrap();
    let zeros = [0; 200_000];
    writer
        .file(b"zeros", &attributes, 200_000, &zeros[..])
        .unwrap();
    writer.finish().unwrap();
    let mut image = out.into_inner();
    let used = u64::from_le_bytes(*image[40..].first_chunk().unwrap());
    image.truncate(usize::try_from(used).unwrap());
    image
}

/// What a build says that an initrd is made of, with every key.
const IMAGES: &str = r#"{"platform":"linux/amd64","parts":[
{"section":"onboot","name":"a\u001b","image":"a:1","digest":"sha256:0","path":"a","entries":1,"unpacked_bytes":2}
]}
"#;

/// A unified kernel image as small as can be.
fn unified() -> Vec<u8> {
    let program = write_program(&Program {
        entry: 0x1000,
        sections: vec![ProgramSection {
            name: ".text",
            address: 0x1000,
            bytes: vec![0xc3],
            memory_bytes: 1,
            access: Access::Execute,
        }],
        relocations: Vec::new(),
    });
    let section = |name, text: &str| NewSection {
        name,
        content: Arc::new(text.as_bytes().to_vec()),
    };
    let sections = [
        section(".cmdline", "quiet"),
        section(".osrel", "ID=seed\nNAME=\"\u{1b}[1m\"\n"),
        section(".images", IMAGES),
        section(".initrd", "initrd"),
        section(".linux", "kernel"),
    ];
    let file = append(program, &sections).unwrap();
    let mut bytes = Vec::new();
    PayloadReader::new(&file).read_to_end(&mut bytes).unwrap();
    bytes
}

/// An initrd with the YAML that it was made of.
fn initrd_with_metadata() -> Vec<u8> {
    let yaml = "init: [a]\nonboot: [{name: b, image: c}]\nvolumes: [{name: d, image: e}]\n";
    let mut archive = CpioWriter::new(Vec::new(), Compression::None).unwrap();
    let names = [
        ("etc/linuxkit-config", yaml),
        ("containers/onboot/000-b/x", "y"),
    ];
    for ((name, body), inode) in names.into_iter().zip(1..) {
        let entry = Entry {
            name: name.as_bytes(),
            inode,
            mode: 0o100_644,
            nlink: 1,
            ..Entry::default()
        };
        let (info, segments) = encode_body(Compression::None, body.as_bytes()).unwrap();
        let segments = segments.into_iter().map(Ok::<_, WriteError>);
        archive.file(&entry, info, segments).unwrap();
    }
    archive.finish().unwrap()
}

fn main() {
    let mut disk = Extents::new(1 << 20);
    disk.place(0, b"boot sector".to_vec()).unwrap();
    disk.place(700_000, (0..=255).cycle().take(3000).collect::<Vec<u8>>())
        .unwrap();

    let options = Options::new(DiskId([1; 16]), "d.vmdk");
    let in_memory = |write: &dyn Fn(&mut Cursor<Vec<u8>>)| {
        let mut out = Cursor::new(Vec::new());
        write(&mut out);
        out.into_inner()
    };
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let files = [
        ("EFI/BOOT/BOOTX64.EFI", "loader"),
        ("Kernel image", "kernel"),
        ("k", ""),
    ];
    let specs = files.map(|(path, body)| FileSpec {
        path: path.to_owned(),
        len_bytes: body.len() as u64,
    });
    let volume_options = VolumeOptions {
        label: "SEED".to_owned(),
        id: 1,
        least_bytes: 0,
    };
    let volume = FatVolume::plan(&volume_options, &specs)
        .unwrap()
        .fill_with(files.map(|(_, body)| body.as_bytes().to_vec()))
        .unwrap();
    let disk_options = DiskOptions {
        id: [1; 16],
        bios: None,
        data_bytes: 1,
        least_bytes: 0,
    };
    let gpt = build(Extents::new(1 << 20), &disk_options).unwrap();
    let machine = Machine {
        firmware: Firmware::Efi,
        cd_drive: true,
        data_bytes: 1,
        ..Machine::new("seed & co", 1 << 30)
    };
    let ova_options = formats::ova::Options {
        machine,
        disk_id: DiskId([1; 16]),
        mtime: 0,
    };
    let ova = in_memory(&|out| {
        write_ova(out, &Extents::new(1 << 16), &ova_options).unwrap();
    });
    let ovf = OvaReader::open(ova.clone()).unwrap();
    let ovf = ovf.descriptor_text();
    std::fs::create_dir_all(seeds.join("squashfs")).unwrap();
    std::fs::write(seeds.join("squashfs/written"), small_squashfs()).unwrap();
    std::fs::create_dir_all(seeds.join("ovf")).unwrap();
    std::fs::write(seeds.join("ovf/everything"), ovf).unwrap();
    for (target, name, image) in [
        ("ova", "everything", ova),
        (
            "gpt",
            "data",
            in_memory(&|out| write_raw(out, &gpt.content).unwrap()),
        ),
        (
            "fat",
            "boot",
            in_memory(&|out| write_raw(out, &volume).unwrap()),
        ),
        (
            "iso",
            "tree",
            in_memory(&|out| write_raw(out, &iso_tree()).unwrap()),
        ),
        (
            "iso",
            "hybrid",
            in_memory(&|out| write_raw(out, &iso_hybrid()).unwrap()),
        ),
        (
            "vmdk",
            "stream",
            in_memory(&|out| {
                write_stream_optimized(out, &disk, &options).unwrap();
            }),
        ),
        (
            "vmdk",
            "sparse",
            in_memory(&|out| {
                write_monolithic_sparse(out, &disk, &options).unwrap();
            }),
        ),
        (
            "qcow2",
            "compressed",
            in_memory(&|out| {
                write_qcow2(out, &disk).unwrap();
            }),
        ),
        (
            "vhd",
            "fixed",
            in_memory(&|out| {
                write_fixed(out, &disk, [1; 16]).unwrap();
            }),
        ),
        (
            "vhd",
            "dynamic",
            in_memory(&|out| {
                write_dynamic(out, &disk, [1; 16]).unwrap();
            }),
        ),
    ] {
        let write = |folder: &str, name: &str| {
            let folder = seeds.join(folder);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(name), parts(&image)).unwrap();
        };
        write(target, name);
        write("inspect", &format!("{target}-{name}"));
    }
    // These are no disks.
    let plain = [
        ("pe/unified", unified()),
        ("inspect/pe-unified", unified()),
        ("inspect/initrd-metadata", initrd_with_metadata()),
        (
            "inspect/cpio",
            std::fs::read(seeds.join("cpio/all-three")).unwrap(),
        ),
        (
            "inspect/kernel",
            std::fs::read(seeds.join("kernel/bzimage")).unwrap(),
        ),
    ];
    std::fs::create_dir_all(seeds.join("pe")).unwrap();
    for (name, bytes) in plain {
        std::fs::write(seeds.join(name), bytes).unwrap();
    }
}
