//! Boots, and what stops them.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use formats::boot::kernel::Kernel;
use formats::boot::{BootSpec, Extent, bios};
use formats::disk::{BiosLoader, DiskOptions, ESP_START_BYTES, LOADER_START_BYTES, build};
use formats::payload::Extents;
use formats::raw::write_raw;
use serde_json::json;
use testdata::Prng;
use testdata::qemu::{Attach, DiskFormat, Drive, Firmware, Guest, Machine, Outcome};

use crate::assembled;
use crate::kernel::{GOOD_REST, Said, with_body};

const CMDLINE: &str = "console=ttyS0,115200 hello=world";

/// Seconds that a boot may take on a busy machine; most take two.
const PATIENCE: u64 = 600;

/// A disk with kernel and initrd, and nothing else in the place of its EFI system partition.
struct Disk {
    dir: tempfile::TempDir,
    kernel: Vec<u8>,
    initrd: Vec<u8>,
    spec: BootSpec,
}

fn noise(len: usize) -> Vec<u8> {
    let mut prng = Prng::new(len as u64);
    let words = (0..len.div_ceil(8)).flat_map(|_| prng.bits().to_le_bytes());
    words.take(len).collect()
}

/// The loader under test: that of the sources, which `blobs` compares with the committed one.
fn code() -> bios::Code {
    bios::Code {
        mbr: assembled::mbr(),
        stage2: assembled::stage2(),
    }
}

impl Disk {
    fn new(initrd_bytes: usize, ram_bytes: u64, cmdline: &str) -> Self {
        // Lengths that are no multiples of anything.
        let kernel = with_body(&noise(2_000_001));
        let initrd = noise(initrd_bytes);
        let at = |start_bytes, bytes: &Vec<u8>| Extent::of(bytes, start_bytes).unwrap();
        let spec = BootSpec {
            kernel: at(ESP_START_BYTES + (1 << 20), &kernel),
            initrd: at(ESP_START_BYTES + (4 << 20), &initrd),
            cmdline: cmdline.to_owned(),
            ram_bytes,
        };
        let dir = tempfile::tempdir().unwrap();
        let disk = Self {
            dir,
            kernel,
            initrd,
            spec,
        };
        disk.write();
        disk
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("disk.raw")
    }

    fn loader(&self, start_bytes: u64) -> Vec<u8> {
        let kernel = Kernel::read(&self.kernel).unwrap();
        let kernel = kernel.for_bios().unwrap();
        code().stage2(&self.spec, kernel, start_bytes).unwrap()
    }

    fn write(&self) {
        let mut esp = Extents::new((5 << 20) + self.initrd.len() as u64);
        for (extent, bytes) in [
            (&self.spec.kernel, &self.kernel),
            (&self.spec.initrd, &self.initrd),
        ] {
            esp.place(extent.start_bytes - ESP_START_BYTES, bytes.clone())
                .unwrap();
        }
        let options = DiskOptions {
            id: [7; 16],
            bios: Some(BiosLoader {
                mbr: code().mbr(LOADER_START_BYTES),
                loader: self.loader(LOADER_START_BYTES),
            }),
            data_bytes: 0,
            least_bytes: 0,
        };
        let disk = build(esp, &options).unwrap();
        write_raw(File::create(self.path()).unwrap(), &disk.content).unwrap();
    }

    /// Changes a byte of the disk.
    fn damage(&self, at: u64) {
        let file = File::options()
            .read(true)
            .write(true)
            .open(self.path())
            .unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
    }

    fn machine(&self, attach: Attach) -> Option<Machine> {
        let drive = Drive::new(attach, DiskFormat::Raw, &self.path());
        Some(Machine::new(Firmware::Bios)?.memory_mib(256).drive(drive))
    }

    /// The kernel runs, was told the truth, and kernel and initrd are in memory, byte for byte.
    fn check(&self, guest: &mut Guest) -> Said {
        let log = guest.expect(&[" end\n"], &["NOT STARTED"], PATIENCE);
        let said = Said::parse(&log);
        assert_eq!(said.cmdline, self.spec.cmdline);
        assert_eq!(said.initrd_bytes as usize, self.initrd.len());
        assert_eq!(said.rest, GOOD_REST);
        assert_eq!(said.initrd % 4096, 0);
        // Not where the kernel runs before it knows of memory.
        assert!(said.initrd >= 0x200_0000, "{:#x}", said.initrd);
        let read = |guest: &mut Guest, at: u32, len: usize| memory(guest, self.dir.path(), at, len);
        let body = &self.kernel[1024..];
        assert!(read(guest, 0x10_0000, body.len()) == body, "the kernel");
        assert!(
            read(guest, said.initrd, self.initrd.len()) == self.initrd,
            "the initrd"
        );
        said
    }
}

fn memory(guest: &mut Guest, dir: &Path, at: u32, len: usize) -> Vec<u8> {
    let path = dir.join("memory");
    let arguments = json!({"val": at, "size": len, "filename": path.display().to_string()});
    let answer = guest.control("pmemsave", &arguments);
    assert!(answer["error"].is_null(), "{answer}");
    std::fs::read(path).unwrap()
}

/// What the loader says on screen and serial line where it does not start the kernel.
fn stops(machine: Machine, wanted: &[&str]) {
    let mut guest = machine.start();
    guest.expect(wanted, &["kernel: ["], PATIENCE);
    for text in wanted {
        guest.expect_on_screen(text, PATIENCE);
    }
    let outcome = guest.wait_for(&["kernel: ["], &[], 1);
    assert_eq!(outcome, Outcome::TimedOut, "it stays where it is");
}

#[test]
fn kernel_and_initrd_are_loaded_whole_from_a_disk() {
    let disk = Disk::new(20_000_003, 200 << 20, CMDLINE);
    for attach in [Attach::Ahci, Attach::Usb] {
        let Some(machine) = disk.machine(attach) else {
            return;
        };
        let mut guest = machine.start();
        let said = disk.check(&mut guest);
        // As high as it may be: the BIOS keeps a little of the last MiB.
        assert!(said.initrd + said.initrd_bytes > 0xfe0_0000);
        let screen = guest.screen();
        assert!(screen.contains("lkbuild: initrd ...."), "{screen}");
    }
}

#[test]
fn too_little_ram_is_said_and_ram_above_4_gib_counts() {
    let disk = Disk::new(1_000_000, 4608 << 20, CMDLINE);
    let Some(machine) = disk.machine(Attach::Ahci) else {
        return;
    };
    let needed = "lkbuild: NOT STARTED: this system needs 4608 MiB of RAM, and there are 255 MiB";
    stops(machine, &[needed]);
    let machine = disk.machine(Attach::Ahci).unwrap().memory_mib(5120);
    let said = disk.check(&mut machine.start());
    assert!(said.initrd < 0x8000_0000, "below the kernel's limit");
}

#[test]
fn an_initrd_without_room_is_said() {
    // 64 MiB, of which the kernel takes 32.
    let disk = Disk::new(40 << 20, 1, CMDLINE);
    let Some(machine) = disk.machine(Attach::Ahci) else {
        return;
    };
    let machine = machine.memory_mib(64);
    let wanted = "no room in RAM for an initrd of 40 MiB between 02000000 and 80000000";
    stops(machine, &[wanted]);
}

#[test]
fn damage_is_said_wherever_it_is() {
    let disk = Disk::new(3_000_001, 1, CMDLINE);
    let spec = &disk.spec;
    let last = |extent: &Extent| extent.start_bytes + extent.len_bytes - 1;
    let found = |extent: &Extent| format!(", and must have {:08X}", extent.crc32);
    let cases = [
        // A letter of the command line.
        (
            LOADER_START_BYTES + 2048 + 30,
            "NOT STARTED: the cmdline has the checksum ",
            None,
        ),
        (
            last(&spec.kernel),
            "NOT STARTED: the kernel has the checksum ",
            Some(&spec.kernel),
        ),
        (
            spec.initrd.start_bytes,
            "NOT STARTED: the initrd has the checksum ",
            Some(&spec.initrd),
        ),
        (
            last(&spec.initrd),
            "NOT STARTED: the initrd has the checksum ",
            Some(&spec.initrd),
        ),
    ];
    for (at, wanted, extent) in cases {
        disk.damage(at);
        let Some(machine) = disk.machine(Attach::Ahci) else {
            return;
        };
        let expected = extent.map_or(", and must have ".to_owned(), found);
        stops(machine, &[wanted, &expected]);
        disk.damage(at);
    }
    disk.check(&mut disk.machine(Attach::Ahci).unwrap().start());
}

#[test]
fn a_disk_that_is_cut_short_is_a_read_error_with_its_place() {
    let disk = Disk::new(3_000_001, 1, CMDLINE);
    let Some(machine) = disk.machine(Attach::Ahci) else {
        return;
    };
    let end = disk.spec.initrd.start_bytes + (1 << 20);
    let file = File::options().write(true).open(disk.path()).unwrap();
    file.set_len(end).unwrap();
    // To the unit of 2048 bytes, although more is read at once.
    let sector = end / 512;
    let wanted = format!("NOT STARTED: the initrd can't be read at sector {sector}: error ");
    stops(machine, &[&wanted]);
}

#[test]
fn a_disk_without_its_loader_is_said_by_the_mbr() {
    let disk = Disk::new(1_000_000, 1, CMDLINE);
    disk.damage(LOADER_START_BYTES + 5);
    let Some(machine) = disk.machine(Attach::Ahci) else {
        return;
    };
    let mut guest = machine.start();
    guest.expect_on_screen(
        "lkbuild: NOT STARTED: no loader on this disk: write it again",
        PATIENCE,
    );
    drop(guest);
    // Its place in the MBR, which is beyond the end now.
    disk.damage(11);
    let mut guest = disk.machine(Attach::Ahci).unwrap().start();
    guest.expect_on_screen("lkbuild: NOT STARTED: disk read error ", PATIENCE);
}

#[test]
fn without_a_serial_console_nothing_is_written_to_the_line() {
    let disk = Disk::new(1_000_000, 1, "console=tty0");
    let Some(machine) = disk.machine(Attach::Ahci) else {
        return;
    };
    let mut guest = machine.start();
    disk.check(&mut guest);
    assert!(guest.console().starts_with("kernel: ["));
    assert!(guest.screen().contains("lkbuild: starting"));
}

/// Puts a loader on a CD that has nothing but a boot catalogue (El Torito 1.0, 2), kernel and
/// initrd.
fn cd(disk: &Disk) -> PathBuf {
    const CATALOGUE: u64 = 18;
    const LOADER: u64 = 20;
    let path = disk.dir.path().join("cd.iso");
    let file = File::create(&path).unwrap();
    let put = |sector: u64, bytes: &[u8]| file.write_all_at(bytes, sector * 2048).unwrap();
    let mut record = b"\0CD001\x01EL TORITO SPECIFICATION".to_vec();
    record.resize(71, 0);
    record.extend_from_slice(&u32::try_from(CATALOGUE).unwrap().to_le_bytes());
    put(17, &record);
    let mut catalogue = [0; 64];
    catalogue[0] = 1;
    catalogue[28..32].copy_from_slice(&[0xaa, 0x55, 0x55, 0xaa]);
    // Bootable, no emulation; four sectors of 512 bytes.
    catalogue[32] = 0x88;
    catalogue[38] = 4;
    catalogue[40] = u8::try_from(LOADER).unwrap();
    put(CATALOGUE, &catalogue);
    put(LOADER, &disk.loader(LOADER * 2048));
    put(disk.spec.kernel.start_bytes / 2048, &disk.kernel);
    put(disk.spec.initrd.start_bytes / 2048, &disk.initrd);
    let end = disk.spec.initrd.start_bytes + disk.spec.initrd.len_bytes;
    file.set_len(end.next_multiple_of(2048)).unwrap();
    path
}

#[test]
fn kernel_and_initrd_are_loaded_whole_from_a_cd() {
    let disk = Disk::new(20_000_003, 1, CMDLINE);
    let path = cd(&disk);
    let machine = || {
        let drive = Drive::new(Attach::Cd, DiskFormat::Raw, &path);
        Some(Machine::new(Firmware::Bios)?.memory_mib(256).drive(drive))
    };
    let Some(whole) = machine() else { return };
    disk.check(&mut whole.start());
    let end = disk.spec.initrd.start_bytes + (9 << 20);
    let file = File::options().write(true).open(&path).unwrap();
    file.set_len(end).unwrap();
    let wanted = format!(" can't be read at sector {}: error ", end / 2048);
    stops(machine().unwrap(), &[&wanted]);
}

#[test]
#[ignore = "minutes: `make soak`"]
fn the_loader_boots_from_every_bus_with_300_mb() {
    let disk = Disk::new(300_000_001, 1, CMDLINE);
    let path = cd(&disk);
    let cd = Drive::new(Attach::Cd, DiskFormat::Raw, &path);
    let Some(machine) = Machine::new(Firmware::Bios) else {
        return;
    };
    disk.check(&mut machine.drive(cd).start());
    for attach in [
        Attach::Ahci,
        Attach::Usb,
        Attach::VirtioBlk,
        Attach::Pvscsi,
        Attach::Mptsas1068,
    ] {
        let start = std::time::Instant::now();
        let mut guest = disk.machine(attach).unwrap().memory_mib(1024).start();
        disk.check(&mut guest);
        println!("{attach:?}: {:.1} s", start.elapsed().as_secs_f64());
    }
}
