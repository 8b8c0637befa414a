"""A file tree in memory, and layers (OCI image-spec, layer.md) made of it: no root, the same bytes every time."""

import dataclasses
import gzip
import hashlib
import io
import os
import stat
import subprocess
import tarfile

# For what no package brings: 2020-01-01 00:00:00 UTC.
EPOCH = 1577836800


@dataclasses.dataclass
class Node:
    """One entry. `kind` is a tarfile type; `data` of files, `target` of links, `device` (major, minor)."""

    kind: bytes
    mode: int
    uid: int = 0
    gid: int = 0
    mtime: int = EPOCH
    data: bytes = b""
    target: str = ""
    device: tuple = (0, 0)


class Tree:
    """Paths without leading slash, as they will stand in the layer."""

    def __init__(self):
        self.nodes = {}

    def put(self, path, node):
        path = path.strip("/")
        parent = os.path.dirname(path)
        if parent and parent not in self.nodes:
            self.dir(parent)
        self.nodes[path] = node
        return self

    def dir(self, path, mode=0o755, uid=0, gid=0):
        return self.put(path, Node(tarfile.DIRTYPE, mode, uid, gid))

    def file(self, path, data, mode=0o644, uid=0, gid=0):
        data = data.encode() if isinstance(data, str) else data
        return self.put(path, Node(tarfile.REGTYPE, mode, uid, gid, data=data))

    def symlink(self, path, target):
        return self.put(path, Node(tarfile.SYMTYPE, 0o777, target=target))

    def hardlink(self, path, target):
        return self.put(path, Node(tarfile.LNKTYPE, 0o644, target=target.strip("/")))

    def whiteout(self, path):
        """Hides a path of the layers below."""
        return self.file(os.path.join(os.path.dirname(path), ".wh." + os.path.basename(path)), b"")

    def opaque(self, folder):
        """Hides what the layers below have in a folder."""
        return self.file(folder + "/.wh..wh..opq", b"")

    def package(self, deb, keep=lambda path: True, rename=lambda path: path):
        """Adds a Debian package's files for which `keep` holds (path without leading slash)."""
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as unpack:
            with tarfile.open(fileobj=unpack.stdout, mode="r|") as archive:
                for member in archive:
                    path = member.name.removeprefix("./").strip("/")
                    if path in ("", ".") or not keep(path):
                        continue
                    data = archive.extractfile(member).read() if member.isreg() else b""
                    target = member.linkname.removeprefix("./") if member.islnk() else member.linkname
                    path = rename(path)
                    if member.isdir() and path in self.nodes:
                        continue
                    node = Node(member.type, member.mode, member.uid, member.gid, int(member.mtime), data, target)
                    self.put(path, node)
        if unpack.returncode:
            raise SystemExit(f"build-parts: dpkg-deb could not unpack {deb}")
        return self

    def overlay(self, folder):
        """Adds the files of a folder of this repository: 0755 where executable, else 0644."""
        for base, folders, names in os.walk(folder):
            folders.sort()
            for name in sorted(names):
                path = os.path.join(base, name)
                mode = 0o755 if os.stat(path).st_mode & stat.S_IXUSR else 0o644
                with open(path, "rb") as source:
                    self.file(os.path.relpath(path, folder), source.read(), mode)
        return self

    def tar(self, out):
        """Writes the tree as a PAX tar, parents first, hard links after all else."""
        def order(item):
            return (item[1].kind == tarfile.LNKTYPE, item[0].split("/"))

        with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:
            for path, node in sorted(self.nodes.items(), key=order):
                info = tarfile.TarInfo(path)
                info.type, info.mode, info.mtime = node.kind, node.mode, node.mtime
                info.uid, info.gid, info.linkname = node.uid, node.gid, node.target
                info.devmajor, info.devminor = node.device
                info.size = len(node.data)
                archive.addfile(info, io.BytesIO(node.data))

    def tar_bytes(self):
        out = io.BytesIO()
        self.tar(out)
        return out.getvalue()


class Hashing:
    """A writer that hashes and counts what passes."""

    def __init__(self, out):
        self.out, self.hash, self.size = out, hashlib.sha256(), 0

    def write(self, data):
        self.hash.update(data)
        self.size += len(data)
        return self.out.write(data)

    def flush(self):
        self.out.flush()

    def digest(self):
        return "sha256:" + self.hash.hexdigest()


def write_layer(tree, path, level=6):
    """Writes a gzip layer; gives its digest, size and diff ID, and the size unpacked."""
    with open(path, "wb") as file:
        packed = Hashing(file)
        with gzip.GzipFile("", "wb", level, packed, mtime=0) as zipped:
            plain = Hashing(zipped)
            tree.tar(plain)
    return packed.digest(), packed.size, plain.digest(), plain.size
