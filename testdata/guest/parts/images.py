"""What the guest's images are made of: Debian's packages, and the files in `rootfs/` beside this package."""

import hashlib
import json
import os

from .kernel import kernel_tree
from .tree import Tree

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TAG = "1"
# With cgroup v2 runc lets a container open no device that its configuration does not name.
ALL_DISKS = [{"path": "all", "type": "b"}]

RUNC = "runc libseccomp2 libc6"
FORMAT = ("e2fsprogs libext2fs2 libcom-err2 libss2 libblkid1 libuuid1 fdisk libfdisk1 libsmartcols1 libreadline8"
          " libtinfo6 libncursesw6 libmount1 libselinux1 libpcre2-8-0 libc6")
SSHD = ("openssh-server openssh-client openssh-sftp-server libssl3 libpam0g libaudit1 libcap-ng0 libselinux1"
        " libpcre2-8-0 libgssapi-krb5-2 libkrb5-3 libk5crypto3 libkrb5support0 libkeyutils1 libcom-err2 libsystemd0"
        " libcap2 libgcrypt20 libgpg-error0 liblz4-1 liblzma5 libzstd1 libwrap0 libnsl2 libtirpc3 zlib1g libcrypt1 libc6")
VMTOOLS = ("open-vm-tools libdrm2 libfuse3-3 libgcc-s1 libglib2.0-0 libmspack0 libssl3 libtirpc3 libudev1 libxml2"
           " libxmlsec1 libxmlsec1-openssl libpcre2-8-0 libgssapi-krb5-2 libkrb5-3 libk5crypto3 libkrb5support0"
           " libkeyutils1 libcom-err2 liblzma5 zlib1g libcrypt1 libicu72 libstdc++6 libffi8 iproute2 pciutils libc6")
DOCKER_LIBRARIES = ("libc6 libseccomp2 libdevmapper1.02.1 libsystemd0 libcap2 libgcrypt20 libgpg-error0 liblz4-1 liblzma5"
                    " libzstd1 libselinux1 libpcre2-8-0 libudev1 ca-certificates netbase tzdata")
IPTABLES = "iptables libip4tc2 libip6tc2 libxtables12 libmnl0 libnetfilter-conntrack3 libnfnetlink0 libnftnl11"
ALL = " ".join((RUNC, FORMAT, SSHD, VMTOOLS, DOCKER_LIBRARIES, IPTABLES, "busybox-static docker.io containerd tini"))


def packages():
    """All packages but the kernel's."""
    return sorted(set(ALL.split()))


def no_documents(path):
    return not path.startswith(("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/lintian",
                                "usr/share/bash-completion", "usr/share/zsh", "usr/share/fish", "lib/systemd",
                                "usr/lib/systemd", "etc/init.d", "etc/default", "usr/share/info", "usr/share/gcc"))


class Parts:
    """Builds all images into a layout."""

    def __init__(self, layout, debs, kernel, init, applets):
        self.layout, self.debs, self.kernel, self.init, self.applets = layout, debs, kernel, init, applets
        self.unpacked = 0

    def layer(self, tree):
        layer = self.layout.layer(tree)
        self.unpacked += layer[2]
        return layer

    def of_packages(self, names, keep=no_documents):
        tree = Tree()
        for name in names.split():
            tree.package(self.debs[name], keep)
        return tree

    def image(self, name, layers, command=(), label=None, env=(PATH,), **config):
        config["Env"] = list(env)
        if command:
            config["Cmd"] = list(command)
        if label:
            config["Labels"] = {"org.mobyproject.config": json.dumps(label)}
        self.layout.image(f"lkbuild/{name}:{TAG}", layers, config)

    def build(self):
        busybox = self.layer(self.busybox())
        self.image("kernel", [self.layer(kernel_tree(self.kernel))])
        self.image("init", [busybox, self.layer(self.init_tree())])
        runc = self.of_packages(RUNC)
        runc.nodes["usr/bin/runc"] = runc.nodes.pop("usr/sbin/runc")
        self.image("runc", [self.layer(runc)])
        self.steps(busybox)
        self.services(busybox)
        self.checks(busybox)

    def rootfs(self, name):
        return Tree().overlay(os.path.join(HERE, "rootfs", name))

    def busybox(self):
        tree = Tree().package(self.debs["busybox-static"], lambda path: path == "bin/busybox")
        tree.file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
        tree.file("etc/group", "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n")
        tree.dir("root", 0o700).dir("tmp", 0o1777).dir("run")
        places = {"sbin": "init mdev modprobe insmod lsmod rmmod depmod halt poweroff reboot ip ifconfig route getty sysctl"
                          " udhcpc switch_root findfs losetup fdisk blockdev hwclock swapon swapoff"}
        for applet in self.applets:
            folder = "sbin" if applet in places["sbin"].split() else "bin"
            # These come from packages of their own.
            if applet not in ("busybox", "linuxrc", "rpm", "dpkg", "dpkg-deb", "mke2fs"):
                tree.symlink(f"{folder}/{applet}", "/bin/busybox")
        return tree

    def init_tree(self):
        tree = self.rootfs("init")
        tree.put("etc/passwd", Tree().file("p", "root::0:0:root:/root:/bin/sh\n").nodes["p"])
        with open(self.init, "rb") as program:
            tree.file("init", program.read(), 0o755)
        # One file under four names: hard links, as the initrd must keep them.
        for name in ("bin/rc.init", "bin/rc.shutdown", "usr/bin/service"):
            tree.hardlink(name, "init")
        for folder in ("dev", "proc", "sys", "mnt", "var", "containers", "lib/modules"):
            tree.dir(folder)
        return tree

    def steps(self, busybox):
        self.image("sysctl", [busybox, self.layer(self.rootfs("sysctl"))], ["/usr/bin/sysctl.sh"], {
            "net": "host", "readonly": True,
            "capabilities": ["CAP_SYS_ADMIN", "CAP_NET_ADMIN"], "pid": "host", "ipc": "host",
            "mounts": [{"type": "proc", "source": "proc", "destination": "/proc", "options": ["rw"]}],
        })
        disk = self.layer(self.of_packages(FORMAT))
        self.image("format", [busybox, disk, self.layer(self.rootfs("format"))], ["/usr/bin/format.sh", "docker-data"], {
            "binds": ["/dev:/dev"], "capabilities": ["CAP_SYS_ADMIN", "CAP_MKNOD", "CAP_SYS_RAWIO"],
            "devices": ALL_DISKS,
        })
        self.image("mount", [busybox, disk, self.layer(self.rootfs("mount"))],
                   ["/usr/bin/mount.sh", "docker-data", "/var/lib/docker"], {
            "binds": ["/dev:/dev", "/var:/var:rshared,rbind"], "capabilities": ["CAP_SYS_ADMIN"],
            "devices": ALL_DISKS,
            "rootfsPropagation": "shared",
        })
        self.image("dhcp", [busybox, self.layer(self.rootfs("dhcp"))], ["/usr/bin/dhcp.sh"], {
            "binds": ["/run:/run", "/tmp:/tmp"], "net": "host",
            "capabilities": ["CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW"],
        })
        self.image("poweroff", [busybox, self.layer(self.rootfs("poweroff"))], ["/usr/bin/poweroff.sh"], {
            "pid": "host", "capabilities": ["CAP_KILL", "CAP_SYS_BOOT"], "readonly": True,
        })
        self.image("busybox", [busybox], ["/bin/sh"])

    def services(self, busybox):
        self.image("getty", [busybox, self.layer(self.rootfs("getty"))], ["/usr/bin/getty.sh"], {
            "binds": ["/dev:/dev", "/run:/run", "/tmp:/tmp"], "pid": "host", "net": "host", "ipc": "host",
            "uts": "host", "capabilities": ["all"], "devices": [{"path": "all", "type": "c"}],
        })
        self.image("sshd", [busybox, self.layer(self.of_packages(SSHD, self.sshd_keeps)), self.layer(self.rootfs("sshd"))],
                   ["/usr/bin/sshd.sh"], {
            "binds": ["/root/.ssh:/root/.ssh", "/etc/resolv.conf:/etc/resolv.conf", "/run:/run", "/tmp:/tmp"],
            "pid": "host", "net": "host", "ipc": "host", "uts": "host", "capabilities": ["all"],
        })
        tools = self.of_packages(VMTOOLS)
        self.image("open-vm-tools", [busybox, self.layer(tools), self.layer(self.rootfs("open-vm-tools"))],
                   ["/usr/bin/vmtools.sh"], {
            "binds": ["/dev:/dev", "/run:/run", "/etc/resolv.conf:/etc/resolv.conf"], "pid": "host", "net": "host",
            "uts": "host", "capabilities": ["all"],
        })
        self.docker(busybox)

    @staticmethod
    def sshd_keeps(path):
        return no_documents(path) and path not in ("etc/ssh/sshd_config", "etc/pam.d/sshd")

    def docker(self, busybox):
        """The engine in layers that hide parts of each other, as grown images do."""
        # All that the packages bring, documents too.
        libraries = self.of_packages(DOCKER_LIBRARIES, lambda path: True)
        libraries.file("etc/docker/old.json", "{}\n").file("etc/docker/certs.d/old/ca.crt", "old\n")
        engine = self.of_packages("docker.io tini", lambda path: True)
        # Deleted in a layer of its own: the documents that came with both layers before, tools that nobody runs.
        trimmed = Tree()
        for path in ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/lintian", "usr/bin/dnet",
                     "usr/sbin/ovrouter", "etc/init.d", "lib/systemd", "usr/share/zsh", "usr/share/fish"):
            trimmed.whiteout(path)
        containerd = self.of_packages("containerd runc", lambda path: True)
        # Deleted and made again by the same layer: old content must not come back.
        containerd.opaque("usr/share/doc")
        network = self.of_packages(IPTABLES, no_documents)
        network.symlink("usr/sbin/iptables", "xtables-legacy-multi").symlink("usr/sbin/ip6tables", "xtables-legacy-multi")
        settings = self.rootfs("docker").opaque("etc/docker").whiteout("usr/share/doc")
        settings.whiteout("usr/bin/containerd-shim").whiteout("usr/bin/containerd-shim-runc-v1")
        settings.whiteout("usr/share/man")
        layers = [libraries, engine, trimmed, containerd, network, settings]
        self.image("docker", [busybox, *map(self.layer, layers)], ["/usr/bin/docker.sh"], {
            "capabilities": ["all"], "net": "host", "pid": "host",
            "mounts": [{"type": "cgroup", "source": "cgroup", "destination": "/sys/fs/cgroup",
                        "options": ["rw", "nosuid", "noexec", "nodev", "relatime"]}],
            "binds": ["/etc/resolv.conf:/etc/resolv.conf", "/var/lib/docker:/var/lib/docker", "/lib/modules:/lib/modules",
                      "/run:/run"],
        }, env=(PATH, "DOCKER_RAMDISK=true"))

    def checks(self, busybox):
        """An image whose files know what they should look like; the list is in the image."""
        lower, upper = Tree(), Tree()
        body = bytes(range(256)) * 5000
        lower.dir("data").file("data/plain", "plain\n").file("data/large", body).file("data/empty", b"")
        lower.file("data/secret", "s\n", 0o400, 12345, 54321).file("data/setuid", "#!/bin/sh\n", 0o4755)
        lower.file("data/big-id", "i\n", 0o640, 3000000000, 4000000000).dir("data/sticky", 0o1777)
        lower.dir("data/mine", 0o2750, 77, 88).file("data/mine/inner", "inner\n", 0o600, 77, 88)
        lower.file("data/" + "long-" * 40 + "name", "long\n").file("data/naïve-ü", "utf-8\n")
        lower.file("data/first", "linked\n").hardlink("data/second", "data/first").hardlink("third", "data/first")
        lower.file("data/rewritten", "old\n").hardlink("data/keeps-old", "data/rewritten")
        lower.symlink("data/relative", "plain").symlink("data/absolute", "/data/plain").symlink("data/dangling", "/none")
        lower.file("data/gone", "gone\n").file("data/opaque/old", "old\n").file("data/again/old", "old\n")
        lower.file("data/was-file", "file\n").file("data/was-folder/inner", "inner\n").dir("data/nothing")
        for number in range(12):
            lower.file(f"data/many/{number:02}", f"{number}\n" * (number * 997 + 1))
        upper.file("data/rewritten", "new\n").whiteout("data/gone").opaque("data/opaque").file("data/opaque/new", "new\n")
        upper.whiteout("data/again").dir("data/was-file").file("data/was-file/inner", "now a folder\n")
        upper.file("data/was-folder", "now a file\n").hardlink("data/fourth", "data/opaque/new")
        again = Tree().file("data/again/new", "new\n")
        gone = ["data/gone", "data/opaque/old", "data/again/old", "data/was-folder/inner"]
        expected = expectations([lower, upper, again], set(gone))
        top = self.rootfs("check").file("check/expected", expected)
        top.file("check/absent", "".join(f"/{path}\n" for path in gone))
        self.image("check", [busybox, *map(self.layer, (lower, upper, again, top))], ["/usr/bin/check.sh"],
                   {"capabilities": ["CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH"]})


def expectations(layers, gone):
    """The list that `check.sh` reads, for layers without whiteouts other than those of `gone`."""
    nodes, inode = {}, {}
    for number, tree in enumerate(layers):
        for path, node in tree.nodes.items():
            if "/.wh." in "/" + path or path in gone:
                continue
            if node.target and node.kind == b"1":
                nodes[path], inode[path] = nodes[node.target], inode[node.target]
            elif not (node.kind == b"5" and path in nodes and nodes[path].kind == b"5"):
                nodes[path], inode[path] = node, (number, path)
    lines = []
    for path, node in sorted(nodes.items()):
        links = sum(1 for other in inode.values() if other == inode[path])
        owner = f"{node.mode:o} {node.uid}:{node.gid}"
        if node.kind == b"5":
            lines.append(f"{owner} - - - /{path}\n")
        elif node.kind == b"2":
            lines.append(f"{owner} 1 {len(node.target)} {node.target} /{path}\n")
        else:
            lines.append(f"{owner} {links} {len(node.data)} {hashlib.md5(node.data).hexdigest()} /{path}\n")
    return "".join(lines)
