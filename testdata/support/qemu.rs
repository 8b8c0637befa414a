//! Machines that boot our media: QEMU, with a BIOS (SeaBIOS) or UEFI (OVMF).
//!
//! ```no_run
//! use testdata::qemu::{Attach, DiskFormat, Drive, Firmware, Machine};
//! # let iso = std::path::Path::new("host.iso");
//! let Some(machine) = Machine::new(Firmware::Uefi) else { return };
//! let mut guest = machine.drive(Drive::new(Attach::Cd, DiskFormat::Raw, iso)).start();
//! let log = guest.expect(&["check ok"], &["WRONG"], 240);
//! ```
//! Emulated in software, which is enough; with `LKBUILD_KVM=1` KVM is used (inside a virtual
//! machine it is often there but does not work). One guest of a test program runs at a time: two
//! would only slow each other down.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::judge;
use crate::judge::judge_file;

/// Where Debian's ovmf keeps the firmware: code, and the variables that a machine starts with.
const OVMF: [&str; 2] = [
    "/usr/share/OVMF/OVMF_CODE_4M.fd",
    "/usr/share/OVMF/OVMF_VARS_4M.fd",
];

/// What of a log a failure shows.
const TAIL_LINES: usize = 60;

const POLL: Duration = Duration::from_millis(200);

/// Text memory of the VGA, and how many characters a screen has.
const SCREEN_ADDRESS: u64 = 0xb_8000;
const SCREEN_COLUMNS: usize = 80;
const SCREEN_ROWS: usize = 25;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What a machine starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// SeaBIOS.
    Bios,
    /// OVMF, with fresh variables.
    Uefi,
}

/// How a drive is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attach {
    /// A CD in an AHCI drive.
    Cd,
    /// A disk behind AHCI.
    Ahci,
    /// A USB stick (xHCI).
    Usb,
    /// A virtio-blk disk.
    VirtioBlk,
    /// A disk behind VMware's paravirtual SCSI. OVMF can't boot from it.
    Pvscsi,
    /// A disk behind LSI Logic SAS. OVMF can't boot from it.
    Mptsas1068,
}

/// Format of a drive's file, by QEMU's name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFormat {
    /// `raw`
    Raw,
    /// `vmdk`
    Vmdk,
    /// `qcow2`
    Qcow2,
    /// `vpc`: VHD
    Vpc,
}

impl DiskFormat {
    /// As QEMU and qemu-img spell it.
    pub fn name(self) -> &'static str {
        match self {
            DiskFormat::Raw => "raw",
            DiskFormat::Vmdk => "vmdk",
            DiskFormat::Qcow2 => "qcow2",
            DiskFormat::Vpc => "vpc",
        }
    }
}

/// A drive of a machine. What the guest writes is lost, unless it is [`kept`](Drive::kept).
#[derive(Clone, Debug)]
pub struct Drive {
    attach: Attach,
    format: DiskFormat,
    path: PathBuf,
    kept: bool,
}

impl Drive {
    /// The file at `path` as a drive.
    pub fn new(attach: Attach, format: DiskFormat, path: &Path) -> Self {
        Self {
            attach,
            format,
            path: path.into(),
            kept: false,
        }
    }

    /// What the guest writes goes into the file.
    pub fn kept(self) -> Self {
        Self { kept: true, ..self }
    }
}

/// A machine that is not running yet: q35, 1024 MiB, one processor, no network.
#[derive(Debug)]
pub struct Machine {
    qemu: PathBuf,
    firmware: Firmware,
    memory_mib: u32,
    cpus: u32,
    drives: Vec<Drive>,
    arguments: Vec<String>,
}

impl Machine {
    /// A machine; `None`, and one printed line, where QEMU or its firmware is missing (a failure
    /// in CI, as with [`judge()`]).
    pub fn new(firmware: Firmware) -> Option<Self> {
        let qemu = judge("qemu-system-x86_64")?;
        if firmware == Firmware::Uefi {
            for file in OVMF {
                judge_file(Path::new(file))?;
            }
        }
        Some(Self {
            qemu,
            firmware,
            memory_mib: 1024,
            cpus: 1,
            drives: Vec::new(),
            arguments: Vec::new(),
        })
    }

    /// How much RAM it has.
    pub fn memory_mib(self, memory_mib: u32) -> Self {
        Self { memory_mib, ..self }
    }

    /// How many processors it has.
    pub fn cpus(self, cpus: u32) -> Self {
        Self { cpus, ..self }
    }

    /// One more drive; the first is the one to boot from, then the second.
    pub fn drive(mut self, drive: Drive) -> Self {
        self.drives.push(drive);
        self
    }

    /// Boots a kernel directly, not from a drive.
    pub fn kernel(self, kernel: &Path, initrd: &Path, cmdline: &str) -> Self {
        let (kernel, initrd) = (kernel.display(), initrd.display());
        self.arguments(&[
            "-kernel".to_owned(),
            kernel.to_string(),
            "-initrd".to_owned(),
            initrd.to_string(),
            "-append".to_owned(),
            cmdline.to_owned(),
        ])
    }

    /// More arguments for QEMU.
    pub fn arguments<S: AsRef<str>>(mut self, arguments: &[S]) -> Self {
        let arguments = arguments.iter().map(|own| own.as_ref().to_owned());
        self.arguments.extend(arguments);
        self
    }

    /// Switches it on.
    pub fn start(self) -> Guest {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = tempfile::tempdir().unwrap();
        let output = File::create(dir.path().join(OUTPUT)).unwrap();
        let mut command = Command::new(&self.qemu);
        self.describe(&mut command, dir.path());
        let process = command
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        Guest {
            process,
            command: format!("{command:?}"),
            dir,
            _turn: turn,
        }
    }

    fn describe(&self, command: &mut Command, dir: &Path) {
        let in_dir = |name: &str| dir.join(name).display().to_string();
        let accelerator = match std::env::var("LKBUILD_KVM").as_deref() {
            Ok("1") => "kvm",
            _ => "tcg",
        };
        command
            .args(["-machine", &format!("q35,accel={accelerator}")])
            .args(["-cpu", "max", "-smp", &self.cpus.to_string()])
            .args(["-m", &self.memory_mib.to_string()])
            .args(["-display", "none", "-vga", "std", "-nodefaults"])
            .args(["-no-reboot", "-net", "none", "-boot", "strict=on"])
            .args(["-serial", &format!("file:{}", in_dir(CONSOLE))])
            .args([
                "-chardev",
                &format!("file,id=firmware,path={}", in_dir(FIRMWARE)),
            ])
            .args(["-device", "isa-debugcon,iobase=0x402,chardev=firmware"])
            .args([
                "-qmp",
                &format!("unix:{},server=on,wait=off", in_dir(CONTROL)),
            ]);
        if self.firmware == Firmware::Uefi {
            let [code, vars] = OVMF;
            let own = in_dir("vars.fd");
            std::fs::copy(vars, &own).unwrap();
            command
                .args([
                    "-drive",
                    &format!("if=pflash,format=raw,readonly=on,file={code}"),
                ])
                .args(["-drive", &format!("if=pflash,format=raw,file={own}")]);
        }
        for (number, drive) in self.drives.iter().enumerate() {
            self.attach(command, number, drive);
        }
        command.args(&self.arguments);
    }

    fn attach(&self, command: &mut Command, number: usize, drive: &Drive) {
        let kind = match (drive.attach, drive.kept) {
            (Attach::Cd, _) => "media=cdrom,readonly=on",
            (_, false) => "snapshot=on",
            (_, true) => "discard=unmap",
        };
        let file = drive.path.display().to_string().replace(',', ",,");
        command.args([
            "-drive",
            &format!(
                "if=none,id=d{number},{kind},format={},file={file}",
                drive.format.name()
            ),
        ]);
        let device = match drive.attach {
            Attach::Cd => format!("ide-cd,bus=ide.{number}"),
            Attach::Ahci => format!("ide-hd,bus=ide.{number}"),
            Attach::VirtioBlk => "virtio-blk-pci".to_owned(),
            Attach::Usb => {
                command.args(["-device", &format!("qemu-xhci,id=usb{number}")]);
                format!("usb-storage,bus=usb{number}.0")
            }
            Attach::Pvscsi | Attach::Mptsas1068 => {
                let controller = match drive.attach {
                    Attach::Pvscsi => "pvscsi",
                    _ => "mptsas1068",
                };
                command.args(["-device", &format!("{controller},id=scsi{number}")]);
                format!("scsi-hd,bus=scsi{number}.0")
            }
        };
        command.args([
            "-device",
            &format!("{device},drive=d{number},bootindex={number}"),
        ]);
    }
}

/// Files of a running machine's folder.
const CONSOLE: &str = "console";
const FIRMWARE: &str = "firmware";
const CONTROL: &str = "control";
const OUTPUT: &str = "output";

/// How waiting for lines ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every line was seen.
    Seen,
    /// This line was seen, which was not to be.
    Refused(String),
    /// The machine was switched off before every line was seen.
    Ended,
    /// Time is up.
    TimedOut,
}

/// A running machine; it is switched off when this is dropped.
#[derive(Debug)]
pub struct Guest {
    process: Child,
    command: String,
    dir: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Guest {
    fn text(&self, name: &str) -> String {
        let bytes = std::fs::read(self.dir.path().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\r', "")
    }

    /// All that came over the serial line.
    pub fn console(&self) -> String {
        self.text(CONSOLE)
    }

    /// What the firmware wrote to its debug port: all of SeaBIOS's own messages.
    pub fn firmware_log(&self) -> String {
        self.text(FIRMWARE)
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// Waits until each of `wanted` stands in the console's log. With none wanted, until the
    /// machine is switched off, which then is [`Outcome::Seen`].
    pub fn wait_for(&mut self, wanted: &[&str], refused: &[&str], seconds: u64) -> Outcome {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        loop {
            // Asked first, so that the log is read once more after the end.
            let ended = !self.is_running();
            let log = self.console();
            if let Some(line) = refused.iter().find(|line| log.contains(**line)) {
                return Outcome::Refused((*line).to_owned());
            }
            let all = wanted.iter().all(|line| log.contains(line));
            if all && (ended || !wanted.is_empty()) {
                return Outcome::Seen;
            }
            if ended {
                return Outcome::Ended;
            }
            if Instant::now() > deadline {
                return Outcome::TimedOut;
            }
            std::thread::sleep(POLL);
        }
    }

    /// Waits as [`wait_for`](Self::wait_for) does and gives the console's log.
    ///
    /// # Panics
    /// If it does not come to that; the message has the ends of all logs.
    pub fn expect(&mut self, wanted: &[&str], refused: &[&str], seconds: u64) -> String {
        let outcome = self.wait_for(wanted, refused, seconds);
        if outcome != Outcome::Seen {
            let log = self.console();
            let missing: Vec<_> = wanted.iter().filter(|line| !log.contains(**line)).collect();
            self.fail(&format!("{outcome:?}; missing: {missing:?}"));
        }
        self.console()
    }

    /// Waits until `wanted` stands on the screen (in text mode) and gives the screen's lines.
    ///
    /// # Panics
    /// If it is not there in time, or the machine ends.
    pub fn expect_on_screen(&mut self, wanted: &str, seconds: u64) -> String {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        loop {
            if !self.is_running() {
                self.fail(&format!("ended; not on the screen: {wanted:?}"));
            }
            let screen = self.screen();
            // A long line goes on at the start of the next.
            if screen.contains(wanted) || screen.replace('\n', "").contains(wanted) {
                return screen;
            }
            if Instant::now() > deadline {
                self.fail(&format!("not on the screen in time: {wanted:?}\n{screen}"));
            }
            std::thread::sleep(POLL);
        }
    }

    /// What stands on the screen in text mode; each line as wide as the screen.
    pub fn screen(&mut self) -> String {
        let path = self.dir.path().join("screen");
        let answer = self.control(
            "pmemsave",
            &json!({
                "val": SCREEN_ADDRESS,
                "size": SCREEN_COLUMNS * SCREEN_ROWS * 2,
                "filename": path.display().to_string(),
            }),
        );
        assert!(answer["error"].is_null(), "{answer}");
        let cells = std::fs::read(path).unwrap();
        // Each cell is a character and its colours.
        let rows = cells.chunks(SCREEN_COLUMNS * 2).map(|row| {
            let characters = row.chunks(2).map(|cell| match cell[0] {
                printable @ 0x20..0x7f => char::from(printable),
                _ => ' ',
            });
            characters.collect::<String>()
        });
        rows.collect::<Vec<_>>().join("\n")
    }

    /// Sends a command of the QEMU Machine Protocol and gives its answer.
    pub fn control(&mut self, command: &str, arguments: &Value) -> Value {
        let path = self.dir.path().join(CONTROL);
        let deadline = Instant::now() + Duration::from_secs(20);
        let stream = loop {
            match UnixStream::connect(&path) {
                Ok(stream) => break stream,
                Err(error) if Instant::now() > deadline => {
                    self.fail(&format!("no control socket: {error}"))
                }
                Err(_) => std::thread::sleep(POLL),
            }
        };
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let mut stream = stream;
        let mut answer = Value::Null;
        let none = json!({});
        for (name, arguments) in [("qmp_capabilities", &none), (command, arguments)] {
            writeln!(
                stream,
                "{}",
                json!({"execute": name, "arguments": arguments})
            )
            .unwrap();
            // The greeting and events stand between the answers.
            answer = loop {
                let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
                if line.get("return").is_some() || line.get("error").is_some() {
                    break line;
                }
            };
        }
        answer
    }

    fn fail(&self, why: &str) -> ! {
        let tail = |name: &str| {
            let text = self.text(name);
            let lines: Vec<_> = text.lines().collect();
            lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
        };
        panic!(
            "{why}\n--- firmware\n{}\n--- QEMU\n{}\n--- console\n{}\n--- {}",
            tail(FIRMWARE),
            tail(OUTPUT),
            tail(CONSOLE),
            self.command,
        );
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
