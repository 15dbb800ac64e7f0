"""Roots of images as tar files, from what is installed on this machine: no registry.

SPDX-License-Identifier: MIT
"""
import glob
import io
import os
import re
import shutil
import stat
import subprocess
import tarfile

UNUSED = re.compile(r"/usr/share/(doc|man|locale|perl|info|lintian)/|/usr/include/|/tests?/|\.a$|\.pyx$|/__pycache__/")
NOT_RUN = re.compile(r".*-dev$|python3-pythran$|dpkg$|(gcc|g\+\+|cpp|binutils)\b")  # only to build with
DYNAMIC = ("/bin", "/lib", "/lib64", "/sbin", "/etc/ld.so.cache")  # links of a merged /usr; what ld.so reads


def busybox_tar(*more, where="bin"):
    """The root of an image: busybox with all its names. more: (path of a file here, its name there)."""
    data = io.BytesIO()
    busybox = shutil.which("busybox", path="/bin:/usr/bin")
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, mode in ((where, 0o755), ("etc", 0o755), ("tmp", 0o1777), ("root", 0o700), ("var", 0o755)):
            add(tar, name, mode, kind=tarfile.DIRTYPE)
        with open(busybox, "rb") as f:
            add(tar, where + "/busybox", 0o755, f.read())
        for applet in subprocess.run([busybox, "--list"], stdout=subprocess.PIPE, text=True, check=True).stdout.split():
            if applet != "busybox":
                add(tar, f"{where}/{applet}", 0o777, kind=tarfile.SYMTYPE, target="busybox")
        for name in ("lib", "lib64"):  # with this machine's /usr mounted, its programs run
            if os.path.islink("/" + name):
                add(tar, name, 0o777, kind=tarfile.SYMTYPE, target=os.readlink("/" + name))
        add(tar, "etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")
        add(tar, "etc/group", 0o644, b"root:x:0:\nnogroup:x:65534:\n")
        for path, name in more:
            with open(path, "rb") as f:
                add(tar, name.lstrip("/"), 0o755, f.read())
    return data.getvalue()


def add(tar, name, mode, content=None, kind=tarfile.REGTYPE, target=""):
    info = tarfile.TarInfo(name)
    info.mode, info.type, info.linkname, info.size = mode, kind, target, len(content or b"")
    tar.addfile(info, io.BytesIO(content or b""))


def debian_tar(packages, more=()):
    """The root of an image: these packages as they are installed here, with all that they depend on, and
    busybox. more: (path of a file here, its name there)."""
    paths = subprocess.run(["dpkg", "-L", *closure(packages)], stdout=subprocess.PIPE, text=True, check=True).stdout
    wanted = {of_merged_usr(p) for p in paths.splitlines() if p.startswith("/") and not UNUSED.search(p)}
    wanted |= {p for p in glob.glob("/usr/lib/*/*.so*") if os.path.islink(p) and "alternatives" in os.readlink(p)}
    data = io.BytesIO(busybox_tar(*more, where="usr/bin"))
    with tarfile.open(fileobj=data, mode="a") as tar:
        there = set(tar.getnames())
        for path in sorted(with_targets(wanted | set(DYNAMIC))):
            if path.lstrip("/") not in there and os.path.lexists(path) and not stat.S_ISDIR(os.lstat(path).st_mode):
                tar.add(path, path.lstrip("/"))
    return data.getvalue()


def with_targets(paths):
    """And what links among them lead to, by alternatives above all."""
    todo, found = set(paths), set()
    while todo:
        path = todo.pop()
        found.add(path)
        if os.path.islink(path):
            target = of_merged_usr(os.path.join(os.path.dirname(path), os.readlink(path)))
            if target not in found and not os.path.isdir(target):
                todo.add(target)
    return found


def of_merged_usr(path):
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


def closure(packages):
    """The installed packages that these need to run."""
    depends, provides = installed()
    todo, found = list(packages), set()
    while todo:
        name = todo.pop()
        name = name if name in depends else provides.get(name)
        if name and name not in found and not NOT_RUN.match(name):
            found.add(name)
            todo += [next((n for n in either if n in depends or n in provides), None) for either in depends[name]]
    return found


def installed():
    """(package -> list of alternatives that it depends on, virtual package -> package)"""
    lines = subprocess.run(["dpkg-query", "-W", "-f", "${Package}\t${Pre-Depends}, ${Depends}\t${Provides}\t${Status}\n"],
                           stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    depends, provides = {}, {}
    for name, needs, gives, status in (line.split("\t") for line in lines):
        if status.endswith(" installed"):
            depends[name] = [[bare(n) for n in either.split("|")] for either in needs.split(",") if either.strip()]
            provides.update((bare(n), name) for n in gives.split(",") if n.strip())
    return depends, provides


def bare(name):
    return re.sub(r"[ (:].*", "", name.strip())
