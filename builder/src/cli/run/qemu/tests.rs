use std::fs;
use std::path::Path;

use clap::Parser;
use formats::ova;

use super::*;
use crate::output::initrd::{ram_bytes, tmpfs_bytes};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: QemuArgs,
}

/// A folder with something of every kind to boot, in which tests run by its path.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let mut kernel = vec![0; 0x400];
        kernel[..2].copy_from_slice(b"MZ");
        kernel[0x38..0x3c].copy_from_slice(b"ARM\x64");
        folder.put("arm-kernel", &kernel);
        folder.put("os-kernel", b"\x7fELF");
        for name in ["os", "arm"] {
            folder.put(&format!("{name}-initrd.img"), b"070701");
            folder.put(&format!("{name}-cmdline"), b"console=ttyS0 it's=here\n");
        }
        let mut iso = vec![0; 0x9000];
        iso[0x8001..0x8006].copy_from_slice(b"CD001");
        folder.put("os.iso", &iso);
        folder.put("os-efi.iso", &iso);
        let mut disk = vec![0; 1 << 20];
        disk[510..512].copy_from_slice(&[0x55, 0xaa]);
        folder.put("os.img", &disk);
        folder.put("os.vmdk", b"KDMV");
        folder.put("os.qcow2", b"QFI\xfb");
        folder.put("os.vhd", &[&disk[..], b"conectix", &[0; 504]].concat());
        let mut efi = vec![0; 0x100];
        efi[..2].copy_from_slice(b"MZ");
        efi[0x3c] = 0x80;
        efi[0x80..0x86].copy_from_slice(b"PE\0\0\x64\x86");
        folder.put("os.efi", &efi);
        folder.put("code.fd", b"");
        folder
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.0.path().join(name), bytes).unwrap();
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Makes `os.ova` with the disk `os.img`; gives where the disk is in it.
    fn appliance(&self, firmware: ova::Firmware) -> std::ops::Range<u64> {
        let disk = fs::read(self.path().join("os.img")).unwrap();
        let options = ova::Options {
            machine: ova::Machine {
                firmware,
                ..ova::Machine::new("os", 1 << 30)
            },
            disk_id: formats::vmdk::DiskId([1; 16]),
            mtime: 0,
        };
        let mut package = Vec::new();
        ova::stream_ova(&mut package, &disk, &options).unwrap();
        self.put("os.ova", &package);
        let reader = ova::OvaReader::open(package).unwrap();
        let disk = &reader.files()[2];
        disk.start_bytes..disk.start_bytes + disk.len_bytes
    }

    /// Gives `os.img` a loader that was told of so much RAM.
    fn loader(&self, ram_mib: u32) {
        use formats::boot::bios;
        let mut loader = vec![0; bios::STAGE2_BYTES];
        loader[4..8].copy_from_slice(b"LKB2");
        // KiB of RAM, where the loader has it.
        loader[80..84].copy_from_slice(&(ram_mib << 10).to_le_bytes());
        let mut disk = fs::read(self.path().join("os.img")).unwrap();
        let start = usize::try_from(formats::disk::LOADER_START_BYTES).unwrap();
        disk[start..start + loader.len()].copy_from_slice(&loader);
        self.put("os.img", &disk);
    }

    /// What would be run, with the folder's path as `DIR`.
    fn printed(&self, arguments: &[&str]) -> Result<String, String> {
        let dir = self.path().display().to_string();
        let arguments = arguments.iter().map(|own| own.replace("DIR", &dir));
        let arguments = ["qemu", "--print", "--kvm=false"]
            .into_iter()
            .map(str::to_owned)
            .chain(arguments);
        let cli = Cli::try_parse_from(arguments).map_err(|error| error.to_string())?;
        let plan = cli.args.plan().map_err(|error| error.to_string())?;
        let mut lines: Vec<_> = plan.preparations.iter().map(Preparation::shown).collect();
        let command = plan.machine.command().map_err(|error| error.to_string())?;
        lines.push(shell::in_lines(&command));
        Ok(lines.join("\n").replace(&dir, "DIR"))
    }
}

const MACHINE: &str = "qemu-system-x86_64 \\
    -machine q35,accel=tcg \\
    -cpu max \\
    -smp 1 \\
    -m 1024 \\
    -nodefaults \\
    -vga std \\
    -display none \\
    -serial mon:stdio";

const END: &str = "-netdev user,id=net0 \\
    -device virtio-net-pci,netdev=net0 \\
    -device virtio-rng-pci";

#[test]
fn kernel_and_initrd_are_found_by_what_stands_before_their_names() {
    let folder = Folder::new();
    let expected = format!(
        "{MACHINE} \\
    -kernel DIR/os-kernel \\
    -initrd DIR/os-initrd.img \\
    -append 'console=ttyS0 it'\\''s=here' \\
    {END}"
    );
    for name in ["DIR/os", "DIR/os-kernel"] {
        assert_eq!(folder.printed(&[name]).unwrap(), expected);
        assert_eq!(folder.printed(&["--kernel", name]).unwrap(), expected);
    }
}

#[test]
fn media_are_attached_as_what_they_are() {
    let folder = Folder::new();
    let boot = |drive: &str, device: &str| {
        format!(
            "{MACHINE} \\
    -drive if=none,id=drive0,{drive} \\
    -device {device},drive=drive0,bootindex=0 \\
    -boot strict=on \\
    {END}"
        )
    };
    for (file, drive, device) in [
        (
            "DIR/os.iso",
            "media=cdrom,readonly=on,format=raw,file=DIR/os.iso",
            "ide-cd,bus=ide.0",
        ),
        (
            "DIR/os.img",
            "snapshot=on,format=raw,file=DIR/os.img",
            "ide-hd,bus=ide.0",
        ),
        (
            "DIR/os.vmdk",
            "snapshot=on,format=vmdk,file=DIR/os.vmdk",
            "ide-hd,bus=ide.0",
        ),
        (
            "DIR/os.qcow2",
            "snapshot=on,format=qcow2,file=DIR/os.qcow2",
            "ide-hd,bus=ide.0",
        ),
        (
            "DIR/os.vhd",
            "snapshot=on,format=vpc,file=DIR/os.vhd",
            "ide-hd,bus=ide.0",
        ),
    ] {
        assert_eq!(folder.printed(&[file]).unwrap(), boot(drive, device));
    }
    let printed = folder.printed(&["--attach", "usb", "DIR/os.iso"]).unwrap();
    let stick = "-drive if=none,id=drive0,snapshot=on,format=raw,file=DIR/os.iso \\
    -device qemu-xhci,id=usb0 \\
    -device usb-storage,bus=usb0.0,drive=drive0,bootindex=0";
    assert!(printed.contains(stick), "{printed}");
    let printed = folder
        .printed(&["--attach", "pvscsi", "--persist", "DIR/os.img"])
        .unwrap();
    let disk = "-drive if=none,id=drive0,discard=unmap,format=raw,file=DIR/os.img \\
    -device pvscsi,id=scsi0 \\
    -device scsi-hd,bus=scsi0.0,drive=drive0,bootindex=0";
    assert!(printed.contains(disk), "{printed}");
}

#[test]
fn uefi_is_taken_where_it_is_asked_for_or_needed() {
    let folder = Folder::new();
    let code = "-drive if=pflash,format=raw,readonly=on,file=DIR/code.fd";
    for arguments in [
        &["--uefi", "DIR/os.iso"][..],
        &["--firmware", "uefi", "DIR/os.img"],
        &["DIR/os-efi.iso"],
        &["DIR/os.efi"],
    ] {
        let arguments = [&["--fw", "DIR/code.fd"], arguments].concat();
        let printed = folder.printed(&arguments).unwrap();
        assert!(printed.contains(code), "{printed}");
    }
    let printed = folder
        .printed(&["--firmware", "bios", "DIR/os-efi.iso"])
        .unwrap();
    assert!(!printed.contains("pflash"), "{printed}");
    let printed = folder
        .printed(&["--fw", "DIR/code.fd", "DIR/os.efi"])
        .unwrap();
    assert!(printed.contains("-kernel DIR/os.efi"), "{printed}");
    let error = folder
        .printed(&["--fw", "DIR/code.fd", "DIR/os.iso"])
        .unwrap_err();
    assert!(error.contains("--uefi"), "{error}");
    let error = folder
        .printed(&["--uefi", "--fw", "DIR/none", "DIR/os.iso"])
        .unwrap_err();
    assert!(
        error.contains("DIR/none") || error.contains("none"),
        "{error}"
    );
}

#[test]
fn an_arm64_kernel_gets_a_machine_of_its_kind() {
    let printed = Folder::new().printed(&["DIR/arm"]).unwrap();
    let start = "qemu-system-aarch64 \\
    -machine virt,accel=tcg \\";
    assert!(printed.starts_with(start), "{printed}");
}

#[test]
fn linuxkit_s_spellings_are_understood() {
    let folder = Folder::new();
    let printed = folder
        .printed(&[
            "--iso",
            "--mem",
            "2048",
            "--cpus",
            "2",
            "--state",
            "DIR/kept",
            "--disk",
            "size=2G",
            "--disk",
            "file=DIR/a.qcow2,size=512",
            "--disk",
            "DIR/os.vmdk",
            "--publish",
            "2222:22",
            "--publish",
            "0.0.0.0:53:5353/udp",
            "--networking",
            "default",
            "DIR/os.iso",
            "--",
            "-name",
            "a b",
        ])
        .unwrap();
    let expected = "mkdir -p DIR/kept && qemu-img create -f raw DIR/kept/disk.img 2147483648
qemu-img create -f qcow2 DIR/a.qcow2 536870912
qemu-system-x86_64 \\
    -machine q35,accel=tcg \\
    -cpu max \\
    -smp 2 \\
    -m 2048 \\
    -nodefaults \\
    -vga std \\
    -display none \\
    -serial mon:stdio \\
    -drive if=none,id=drive0,media=cdrom,readonly=on,format=raw,file=DIR/os.iso \\
    -device ide-cd,bus=ide.0,drive=drive0,bootindex=0 \\
    -boot strict=on \\
    -drive if=none,id=drive1,format=raw,discard=unmap,file=DIR/kept/disk.img \\
    -device ide-hd,bus=ide.1,drive=drive1,bootindex=1 \\
    -drive if=none,id=drive2,format=qcow2,discard=unmap,file=DIR/a.qcow2 \\
    -device ide-hd,bus=ide.2,drive=drive2,bootindex=2 \\
    -drive if=none,id=drive3,format=vmdk,discard=unmap,file=DIR/os.vmdk \\
    -device ide-hd,bus=ide.3,drive=drive3,bootindex=3 \\
    -netdev user,id=net0,hostfwd=tcp:127.0.0.1:2222-:22,hostfwd=udp:0.0.0.0:53-:5353 \\
    -device virtio-net-pci,netdev=net0 \\
    -device virtio-rng-pci \\
    -name 'a b'";
    assert_eq!(printed, expected);
}

#[test]
fn networks_are_of_four_kinds() {
    let folder = Folder::new();
    for (mode, expected) in [
        ("none", "-nic none"),
        (
            "tap,tap0",
            "-netdev tap,id=net0,ifname=tap0,script=no,downscript=no",
        ),
        ("bridge,br0", "-netdev bridge,id=net0,br=br0"),
    ] {
        let printed = folder.printed(&["--networking", mode, "DIR/os"]).unwrap();
        assert!(printed.contains(expected), "{printed}");
    }
    for mode in ["tap", "tap,", "user,x", "tap,a,b", "vmnet"] {
        assert!(
            folder.printed(&["--networking", mode, "DIR/os"]).is_err(),
            "{mode}"
        );
    }
    let error = folder
        .printed(&["--networking", "none", "--publish", "1:2", "DIR/os"])
        .unwrap_err();
    assert!(error.contains("--publish"), "{error}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let folder = Folder::new();
    folder.put("os.tar", &[&[0; 257][..], b"ustar\0", &[0; 600]].concat());
    folder.appliance(ova::Firmware::Bios);
    let appliance = fs::read(folder.path().join("os.ova")).unwrap();
    folder.put("cut.ova", &appliance[..appliance.len() - 2000]);
    folder.put("os.tar.gz", b"\x1f\x8b\x08");
    folder.put("tree-kernel", b"\x7fELF");
    folder.put("line-kernel", b"\x7fELF");
    folder.put("line-initrd.img", b"070701");
    folder.put("notes.txt", b"hello");
    for (arguments, expected) in [
        (&["DIR/none"][..], "no NAME-kernel"),
        (&["DIR"], "folder"),
        (&["DIR/tree"], "tree-initrd.img: is not there"),
        (&["DIR/line"], "line-cmdline: No such file"),
        (&["DIR/os.tar"], "a tar that QEMU can't boot: appliance"),
        (&["DIR/cut.ova"], "can't boot: appliance"),
        (&["--persist", "DIR/os.ova"], "unpack it"),
        (&["DIR/os.tar.gz"], "unpack it"),
        (&["DIR/notes.txt"], "nothing that QEMU can boot"),
        (&["--iso", "DIR/os.img"], "is no ISO"),
        (&["--attach", "usb", "DIR/os"], "for ISOs and disks"),
        (&["--disk", "DIR/new.img", "DIR/os"], "size=4G"),
        (&["--disk", "format=raw", "DIR/os"], "needs a path"),
        (&["--disk", "a,size=0", "DIR/os"], "size 0"),
        (
            &["--disk", "a,size=1G,format=vmdk", "DIR/os"],
            "raw or qcow2",
        ),
        (&["--publish", "22", "DIR/os"], "PORT"),
        (&["--publish", "1:2:3:4", "DIR/os"], "IPv4"),
        (&["--publish", "1:2/sctp", "DIR/os"], "tcp or udp"),
        (&["--nic", "e1000e,x=y", "DIR/os"], "network card"),
    ] {
        let error = folder.printed(arguments).unwrap_err();
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
    // Without --print, QEMU must be there.
    let file = folder.path().join("os").display().to_string();
    let missing = ["qemu", "--qemu", "/nowhere/qemu", &file];
    let cli = Cli::try_parse_from(missing).unwrap();
    let error = cli.args.plan().unwrap_err().to_string();
    assert!(error.contains("apt-get install qemu-system-x86"), "{error}");
}

#[test]
fn what_does_without_kvm_is_said_where_kvm_may_be_what_failed() {
    let folder = Folder::new();
    let file = folder.path().join("os").display().to_string();
    let failed = |kvm: &str| {
        let cli = Cli::try_parse_from(["qemu", "--qemu", "false", kvm, &file]).unwrap();
        let error = run(&cli.args, &Progress::silent()).unwrap_err();
        error.to_string()
    };
    let error = failed("--kvm=true");
    assert!(error.contains("QEMU failed"), "{error}");
    assert!(error.contains("if it is KVM that fails, --kvm=false"));
    let error = failed("--kvm=false");
    assert!(error.contains("QEMU failed") && !error.contains("KVM"));
}

#[test]
fn a_comma_in_a_name_does_not_begin_an_option() {
    let folder = Folder::new();
    folder.put(
        "a,readonly=off.iso",
        &fs::read(folder.path().join("os.iso")).unwrap(),
    );
    let printed = folder.printed(&["DIR/a,readonly=off.iso"]).unwrap();
    assert!(
        printed.contains("file=DIR/a,,readonly=off.iso"),
        "{printed}"
    );
}

#[test]
fn a_machine_has_the_memory_that_its_medium_asks_for() {
    let folder = Folder::new();
    folder.loader(1400);
    folder.appliance(ova::Firmware::Bios);
    folder.put(
        "flat.vmdk",
        b"# Disk DescriptorFile\nversion=1\ncreateType=\"vmfs\"\nRW 2048 VMFS \"os.img\"\n",
    );
    for file in ["DIR/os.img", "DIR/os.ova", "DIR/flat.vmdk"] {
        let printed = folder.printed(&[file]).unwrap();
        assert!(printed.contains("-m 1912"), "{printed}");
        let printed = folder.printed(&["--mem", "300", file]).unwrap();
        assert!(printed.contains("-m 300"), "{printed}");
    }
}

#[test]
fn a_kernel_s_machine_has_the_memory_that_its_initrd_needs() {
    use std::os::unix::fs::FileExt;

    const FILE_BYTES: u64 = 700 << 20;
    let folder = Folder::new();
    let header = |bytes: u64, name: &str| {
        let numbers = [
            1,
            0o100_644,
            0,
            0,
            1,
            0,
            bytes,
            0,
            0,
            0,
            0,
            name.len() as u64 + 1,
            0,
        ];
        let numbers = numbers.map(|number| format!("{number:08x}")).concat();
        let mut header = format!("070701{numbers}{name}\0").into_bytes();
        header.resize(header.len().next_multiple_of(4), 0);
        header
    };
    let initrd = fs::File::create(folder.path().join("os-initrd.img")).unwrap();
    let start = header(FILE_BYTES, "zeros");
    initrd.write_all_at(&start, 0).unwrap();
    let trailer = header(0, "TRAILER!!!");
    let end = start.len() as u64 + FILE_BYTES;
    initrd.write_all_at(&trailer, end).unwrap();
    let needed = ram_bytes(tmpfs_bytes(FILE_BYTES), end + trailer.len() as u64);
    let expected = format!("-m {} ", needed.div_ceil(1 << 20) + SPARE_MIB);
    let printed = folder.printed(&["DIR/os"]).unwrap();
    assert!(printed.contains(&expected), "{expected}: {printed}");
    let printed = folder.printed(&["--mem", "300", "DIR/os"]).unwrap();
    assert!(printed.contains("-m 300 "), "{printed}");
}

#[test]
fn an_appliance_is_booted_where_it_lies() {
    let folder = Folder::new();
    let place = folder.appliance(ova::Firmware::Bios);
    let drive = format!(
        "-drive if=none,id=drive0,snapshot=on,format=vmdk,file.driver=raw,file.offset={},file.size={},\
         file.file.driver=file,file.file.filename=DIR/os.ova \\
    -device ide-hd,bus=ide.0,drive=drive0,bootindex=0 \\",
        place.start,
        place.end - place.start
    );
    let printed = folder.printed(&["DIR/os.ova"]).unwrap();
    assert!(printed.contains(&drive), "{printed}");
    assert!(!printed.contains("pflash"), "{printed}");
    folder.appliance(ova::Firmware::Efi);
    let uefi = ["--fw", "DIR/code.fd", "DIR/os.ova"];
    let printed = folder.printed(&uefi).unwrap();
    assert!(printed.contains("pflash"), "{printed}");
}

#[test]
fn disks_are_made_once_and_kept() {
    let folder = Folder::new();
    let state = folder.path().join("os-state");
    for (name, format, magic) in [
        ("a.img", DiskFormat::Raw, &[0; 4][..]),
        ("b.qcow2", DiskFormat::Qcow2, b"QFI\xfb"),
    ] {
        let file = state.join(name);
        let text = format!("file={},size=8M", file.display());
        let argument: DiskArg = text.parse().unwrap();
        let (disk, preparation) = argument.resolve(&state, 0).unwrap();
        assert_eq!(disk.format, format);
        preparation.unwrap().run().unwrap();
        let bytes = fs::read(&file).unwrap();
        assert!(bytes.starts_with(magic));
        fs::write(&file, [&bytes[..], b"used"].concat()).unwrap();
        assert_eq!(argument.resolve(&state, 0).unwrap(), (disk, None));
    }
    assert_eq!(
        fs::metadata(state.join("a.img")).unwrap().len(),
        (8 << 20) + 4
    );
}

use super::medium::DiskFormat;
