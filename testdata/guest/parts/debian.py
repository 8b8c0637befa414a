"""Debian packages: fetched with apt-get download as any user, never installed."""

import os
import re
import subprocess
import sys


def fetch(names, cache):
    """Puts the packages' newest versions into `cache`; gives a dict from name to file."""
    os.makedirs(cache, exist_ok=True)
    shown = subprocess.run(
        ["apt-get", "download", "--print-uris", *sorted(names)],
        cwd=cache, capture_output=True, text=True,
    )
    if shown.returncode:
        sys.exit(f"build-parts: apt-get knows not all packages (run apt-get update as root?):\n{shown.stderr}")
    # 'URI' NAME_VERSION_ARCHITECTURE.deb SIZE HASH
    found = {}
    missing = []
    for file, size in re.findall(r"^'[^']+' (\S+) (\d+)", shown.stdout, re.M):
        name = file.split("_")[0]
        found[name] = os.path.join(cache, file)
        if not os.path.exists(found[name]) or os.path.getsize(found[name]) != int(size):
            missing.append(name)
    # apt leaves packages that are there already out of the list.
    for file in sorted(os.listdir(cache)):
        name = file.split("_")[0]
        if name in names and name not in found:
            found[name] = os.path.join(cache, file)
    if missing:
        # As root, apt says that its own user can't write here; it then downloads as root.
        subprocess.run(
            ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", *missing], cwd=cache, check=True
        )
    absent = [name for name in names if not os.path.exists(found.get(name, ""))]
    if absent:
        sys.exit(f"build-parts: not downloaded: {' '.join(absent)}")
    return found


def kernel_package():
    """The package that linux-image-amd64 stands for."""
    shown = subprocess.run(
        ["apt-cache", "depends", "linux-image-amd64"], capture_output=True, text=True, check=True
    ).stdout
    names = re.findall(r"Depends: (linux-image-\S+)", shown)
    if not names:
        sys.exit("build-parts: apt knows no linux-image-amd64; run apt-get update as root")
    return names[0]
