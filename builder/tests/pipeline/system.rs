//! A small system: a kernel, an init image, containers that share layers.

use serde_json::json;
use testdata::{Compression, Image, Layer, Layout, Prng};

/// Bytes that look like a program: some compress, some do not.
pub(crate) fn program(seed: u64, bytes: usize) -> Vec<u8> {
    let mut random = Prng::new(seed);
    let mut program = random.bytes(bytes / 2);
    program.extend(
        b"some text that comes again and again\n"
            .iter()
            .cycle()
            .take(bytes / 2),
    );
    program
}

/// The lowest layer of all containers: hard links, a symlink, a file above a segment's size.
fn base() -> Layer {
    Layer::new()
        .dir("bin", 0o755)
        .file("bin/busybox", program(1, 3_000_000))
        .mode(0o755)
        .hardlink("bin/sh", "bin/busybox")
        .hardlink("bin/ls", "bin/busybox")
        .dir("etc", 0o755)
        .file("etc/passwd", "root:x:0:0::/:/bin/sh\n")
        .dir("tmp", 0o1777)
        .dir("usr", 0o755)
        .symlink("usr/bin", "../bin")
        .dir("var", 0o755)
        .dir("var/lib", 0o711)
        .owner(0, 50)
        .file("var/lib/old", "old")
}

/// A container of one small program on the base.
fn app(name: &str, seed: u64) -> Image {
    app_of_size(name, seed, 100_000)
}

fn app_of_size(name: &str, seed: u64, bytes: usize) -> Image {
    let top = Layer::new()
        .file(format!("bin/{name}"), program(seed, bytes))
        .mode(0o755)
        .whiteout("var/lib/old")
        .file("var/lib/new", name);
    Image::new()
        .layer(&base())
        .layer_as(&top, Compression::Zstd)
        .config(json!({"Cmd": [format!("/bin/{name}")], "Env": ["PATH=/bin"]}))
}

fn kernel() -> Image {
    let modules = Layer::new()
        .dir("lib", 0o755)
        .dir("lib/modules", 0o755)
        .dir("lib/modules/6.1.0", 0o755)
        .file("lib/modules/6.1.0/net.ko", program(2, 200_000));
    let files = Layer::new()
        .file("kernel", program(3, 500_000))
        .file("kernel.tar", modules.tar())
        .file("other", "not to be taken");
    Image::new().layer_as(&files, Compression::None)
}

fn init() -> Image {
    let files = Layer::new()
        .file("init", program(4, 50_000))
        .mode(0o755)
        .dir("etc", 0o755)
        .dir("etc/init.d", 0o750)
        .file("etc/init.d/010-onboot", "#!/bin/sh\n")
        .mode(0o755)
        .char_device("dev/null", 1, 3)
        .fifo("run/pipe");
    Image::new().layer(&files)
}

/// All images of the system.
pub(crate) fn images() -> Layout {
    Layout::new()
        .image("test/kernel:1", &kernel())
        .image("test/init:1", &init())
        .image("test/sysctl:1", &app("sysctl", 5))
        .image("test/dhcp:1", &app("dhcp", 6))
        .image("test/dhcp:2", &app_of_size("dhcp", 9, 150_000))
        .image("test/sshd:1", &app("sshd", 7))
        // The same with a new layer of 1 MB on top.
        .image(
            "test/sshd:2",
            &app("sshd", 7).layer(&Layer::new().file("opt/data", program(8, 1_000_000))),
        )
}

/// Its YAML. Each part can be replaced in the text.
pub(crate) const YAML: &str = "\
kernel:
  image: test/kernel:1
  cmdline: console=ttyS0
init:
  - test/init:1
onboot:
  - name: sysctl
    image: test/sysctl:1
  - name: dhcp
    image: test/dhcp:1
    readonly: true
services:
  - name: sshd
    image: test/sshd:1
files:
  - path: etc/motd
    contents: hello
    mode: \"0644\"
";

/// The YAML with all images at `host`.
pub(crate) fn yaml_at(host: &str) -> String {
    YAML.replace("image: test/", &format!("image: {host}/test/"))
        .replace("- test/", &format!("- {host}/test/"))
}
