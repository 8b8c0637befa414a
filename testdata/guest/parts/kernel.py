"""The kernel image: vmlinuz, the modules that QEMU's and VMware's hardware and Docker need, an early cpio."""

import os
import re
import struct

from .tree import EPOCH, Tree

# Whole folders below lib/modules/VERSION/kernel (a trailing slash), or modules by name.
WANTED = """
    arch/x86/crypto/ crypto/ lib/
    drivers/ata/ahci drivers/ata/ata_piix drivers/ata/ata_generic drivers/ata/pata_acpi
    drivers/scsi/sd_mod drivers/scsi/sr_mod drivers/scsi/sg drivers/scsi/vmw_pvscsi drivers/scsi/virtio_scsi
    drivers/scsi/sym53c8xx_2/ drivers/scsi/mpt3sas/ drivers/scsi/megaraid/ drivers/message/fusion/
    drivers/cdrom/ drivers/nvme/host/ drivers/block/virtio_blk drivers/block/loop drivers/block/nbd drivers/block/zram/
    drivers/virtio/ drivers/vhost/ drivers/char/virtio_console drivers/char/hw_random/
    drivers/net/virtio_net drivers/net/vmxnet3/ drivers/net/ethernet/intel/ drivers/net/ethernet/realtek/
    drivers/net/ethernet/amd/pcnet32
    drivers/net/veth drivers/net/macvlan drivers/net/ipvlan/ drivers/net/vxlan/ drivers/net/dummy drivers/net/tun
    drivers/net/wireguard/ drivers/net/bonding/ drivers/net/team/ drivers/net/vsockmon drivers/net/net_failover
    drivers/misc/vmw_balloon drivers/misc/vmw_vmci/ drivers/gpu/drm/vmwgfx/ drivers/gpu/drm/virtio/
    drivers/gpu/drm/bochs drivers/gpu/drm/tiny/ drivers/hid/ drivers/input/mouse/ drivers/input/serio/
    drivers/input/keyboard/ drivers/usb/ drivers/hv/ drivers/net/hyperv/ drivers/md/ drivers/i2c/ drivers/rtc/
    drivers/acpi/ drivers/target/
    fs/ext4/ fs/jbd2/ fs/fat/ fs/isofs/ fs/udf/ fs/nls/ fs/overlayfs/ fs/fuse/ fs/xfs/ fs/btrfs/ fs/squashfs/
    fs/nfs/ fs/nfsd/ fs/nfs_common/ fs/lockd/ fs/cifs/ fs/9p/ fs/erofs/ fs/efivarfs/ fs/vboxsf/
    net/bridge/ net/netfilter/ net/ipv4/ net/ipv6/ net/802/ net/8021q/ net/llc/ net/packet/ net/sched/ net/vmw_vsock/
    net/9p/ net/sunrpc/ net/xfrm/ net/key/ net/tls/ net/openvswitch/
"""


def kernel_tree(package, keep_modules=True):
    """The files of the kernel image, from the Debian package."""
    everything = Tree().package(package, lambda path: path.startswith(("boot/vmlinuz", "lib/modules/")))
    vmlinuz = next(path for path in everything.nodes if path.startswith("boot/vmlinuz-"))
    version = vmlinuz.removeprefix("boot/vmlinuz-")
    image = Tree()
    image.file("kernel", everything.nodes[vmlinuz].data)
    if keep_modules:
        image.file("kernel.tar", modules_tree(everything, f"lib/modules/{version}").tar_bytes())
    image.file("ucode.cpio", early_cpio())
    return image


def modules_tree(everything, base):
    """The wanted modules with all that they depend on, and modprobe's files for exactly these."""
    paths = {
        module_name(path): path for path in everything.nodes if path.startswith(base) and path.endswith(".ko")
    }
    infos = {}
    todo = [name for name, path in paths.items() if is_wanted(path.removeprefix(f"{base}/kernel/"))]
    while todo:
        name = todo.pop()
        if name not in infos:
            infos[name] = modinfo(everything.nodes[paths[name]].data)
            todo += dependencies(infos[name])
    tree = Tree()
    for name in infos:
        tree.put(paths[name], everything.nodes[paths[name]])
    for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        data = everything.nodes[f"{base}/{name}"].data
        if name == "modules.order":
            kept = {paths[module].removeprefix(base + "/") for module in infos}
            data = b"".join(line for line in data.splitlines(True) if line.decode().strip() in kept)
        tree.file(f"{base}/{name}", data)
    order = sorted(infos, key=lambda module: paths[module])
    dep, alias, soft = [], [], []
    for name in order:
        needed = [paths[other].removeprefix(base + "/") for other in load_order(name, infos)]
        dep.append(f"{paths[name].removeprefix(base + '/')}: {' '.join(needed)}".rstrip() + "\n")
        alias += [f"alias {value} {name}\n" for key, value in infos[name] if key == "alias"]
        soft += [f"softdep {name} {value}\n" for key, value in infos[name] if key == "softdep"]
    tree.file(f"{base}/modules.dep", "".join(dep))
    tree.file(f"{base}/modules.alias", "".join(alias))
    tree.file(f"{base}/modules.softdep", "".join(soft))
    tree.file(f"{base}/modules.symbols", "")
    return tree


def is_wanted(path):
    return any(path.startswith(want) if want.endswith("/") else path == want + ".ko" for want in WANTED.split())


def module_name(path):
    return os.path.basename(path).removesuffix(".ko").replace("-", "_")


def dependencies(info):
    return [name.replace("-", "_") for key, value in info if key == "depends" for name in value.split(",") if name]


def load_order(name, infos):
    """What a module needs, each before those that it needs itself: modprobe loads from the end."""
    seen = []
    def visit(module):
        for other in dependencies(infos[module]):
            visit(other)
            if other not in seen:
                seen.append(other)
    visit(name)
    return seen[::-1]


def modinfo(elf):
    """Key and value pairs of a module's .modinfo section (ELF64, little-endian)."""
    table, = struct.unpack_from("<Q", elf, 0x28)
    size, count, names = struct.unpack_from("<HHH", elf, 0x3A)
    sections = [struct.unpack_from("<IIQQQQ", elf, table + index * size) for index in range(count)]
    for name, _, _, _, offset, length in sections:
        start = sections[names][4] + name
        if elf[start:start + 9] == b".modinfo\0":
            text = elf[offset:offset + length].decode("utf-8", "replace")
            return [tuple(item.split("=", 1)) for item in re.split("\0+", text) if "=" in item]
    return []


def early_cpio():
    """An early cpio such as a microcode package brings, with nothing for any real processor.

    Real microcode is in Debian's non-free-firmware, which is not everywhere; the kernel looks for its
    vendor's file here, finds no update for this processor, and goes on.
    """
    entries = [("kernel", 0o40755, b""), ("kernel/x86", 0o40755, b""), ("kernel/x86/microcode", 0o40755, b""),
               ("kernel/x86/microcode/lkbuild-test.bin", 0o100644, b"no microcode\n"), ("TRAILER!!!", 0, b"")]
    out = b""
    for inode, (name, mode, data) in enumerate(entries, 1):
        name = name.encode() + b"\0"
        fields = (inode, mode, 0, 0, 1, EPOCH, len(data), 0, 0, 0, 0, len(name), 0)
        out += b"070701" + b"".join(b"%08X" % field for field in fields) + name
        out += b"\0" * (-len(out) % 4) + data
        out += b"\0" * (-len(out) % 4)
    return out + b"\0" * (-len(out) % 512)
