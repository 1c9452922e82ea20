# SPDX-License-Identifier: BSD-2-Clause
"""Trees of files: made for a test, described, compared."""

import hashlib
import os
import stat

TIME_NS = 791_604_123_456_789_012  # a second of 1995, and its fraction


def write(path, content=b"", time_ns=TIME_NS, mode=0o644):
    """Makes a file, and its directories."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)
    os.utime(path, ns=(time_ns + 7, time_ns))


def make_postoffice(top, messages=8):
    """A small postoffice that has seen some mail."""
    for name in ("ATT/AT0", "P1", "GLB", "INF"):
        (top / name).mkdir(parents=True, exist_ok=True)
    for stem in ("00000001", "INQUEUE3"):
        write(top / "KEY" / f"{stem}.KEY", bytes(560))
        write(top / "MBG" / f"{stem}.MBG", b"h" * 116)
    for number in range(messages):
        name = f"MAI/MA{number % 16:X}/{number:08X}.MAI"
        write(top / name, os.urandom(100 + 997 * number), TIME_NS + number)
    write(top / "GLB" / "CONTROL.GLB", bytes(8))


def set_directory_times(top):
    """Gives every directory a time of its own, the deepest first."""
    for number, (path, _, _) in enumerate(os.walk(top, topdown=False)):
        time_ns = TIME_NS + number * 1_000_000_001
        os.utime(path, ns=(time_ns + 3, time_ns))


def _open(path):
    """Opens for reading without a trace in the access time."""
    return os.open(path, os.O_RDONLY | os.O_NOATIME)


def _content_hash(path):
    digest = hashlib.sha256()
    with open(_open(path), "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _list(path):
    fd = _open(path)
    try:
        return [os.path.join(path, name) for name in os.listdir(fd)]
    finally:
        os.close(fd)


def _xattrs(path):
    return {name: os.getxattr(path, name) for name in os.listxattr(path)
            if name.startswith("user.")}


def describe_unread(top):
    """As describe(), but whoever has only looked has changed nothing."""
    return without_atimes(describe(top))


def describe(top, with_xattrs=True):
    """All that a copy must keep of a tree: {path below the top: facts}."""
    facts = {}
    paths = [os.fspath(top)]
    while paths:
        path = paths.pop()
        st = os.lstat(path)
        is_file = stat.S_ISREG(st.st_mode)
        facts[os.path.relpath(path, top)] = (
            oct(st.st_mode), st.st_uid, st.st_gid, st.st_mtime_ns,
            st.st_atime_ns, st.st_size if is_file else None,
            _content_hash(path) if is_file else None,
            _xattrs(path) if with_xattrs else None)
        if stat.S_ISDIR(st.st_mode):
            paths += _list(path)
    return facts


def without_atimes(facts):
    """A description for where looking at a directory is allowed."""
    return {path: fact[:4] + fact[5:] for path, fact in facts.items()}


def assert_same(found, wanted):
    """Compares two descriptions, and shows what differs."""
    different = {path: (found.get(path), wanted.get(path))
                 for path in found.keys() | wanted.keys()
                 if found.get(path) != wanted.get(path)}
    first = sorted(different.items())[:4]
    assert not different, f"{len(different)} differ, (found, wanted): {first}"
