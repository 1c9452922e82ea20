#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The rules of the house as a failing test: who may include whom, and how
large a file may be. Usage: house.py SOURCE_ROOT"""

import pathlib
import re
import sys

MAX_LINES = 600
PUBLIC = {"backup.h", "dos_attr.h", "edit.h", "edit_attr.h", "journal.h",
          "layout.h", "name.h", "std_fds.h", "store.h"}
FUSE_FILES = re.compile(
    r"^(fs/(op_\w+|ops|reply|main|launch|loop|notify)\.[ch]"
    r"|tests/torture/blklog\.c)$")
# The formats are bytes and names: they know nothing of the store.
FORMAT = re.compile(r"^store/(format/\w+|bytes|layout)\.h$")
TOP = {"fs", "store", "tools", "tests", "mount-examples", "meson.build",
       "README.md", "LICENSE"}
INCLUDE = re.compile(r'^\s*#\s*include\s+[<"]([^>"]+)[>"]', re.M)


def faults_of(path, text):
    folder = path.split("/")[0]
    lines = text.count("\n")
    if lines > MAX_LINES:
        yield f"has {lines} lines, {MAX_LINES} are allowed"
    if not text.startswith("/* SPDX-License-Identifier: BSD-2-Clause */"):
        yield "does not begin with its SPDX line"
    if path.endswith(".h") and "#pragma once" not in text:
        yield "lacks #pragma once"
    for name in INCLUDE.findall(text):
        if name == "lmdb.h" and not path.startswith("store/kv_lmdb"):
            yield "includes lmdb.h"
        if name.startswith("fuse") and not FUSE_FILES.match(path):
            yield f"includes {name}"
        if name.split("/")[0] not in ("fs", "store", "tools", "tests"):
            continue
        to, _, header = name.partition("/")
        if path.startswith("store/format/") and not FORMAT.match(name):
            yield f"includes {name}, which is no format"
        if folder == "store" and to != "store":
            yield f"includes {name}, which is above it"
        if folder in ("fs", "tools") and to not in (folder, "store"):
            yield f"includes {name}"
        if folder in ("fs", "tools") and to == "store" \
                and header not in PUBLIC \
                and not header.startswith("format/"):
            yield f"includes {name}, which is the store's own"


def main(root):
    root = pathlib.Path(root)
    count = 0
    faults = []
    for folder in ("fs", "store", "tools", "tests"):
        for file in sorted(root.joinpath(folder).rglob("*.[ch]")):
            path = str(file.relative_to(root))
            count += 1
            faults += [f"{path}: {fault}"
                       for fault in faults_of(path, file.read_text())]
    for entry in root.iterdir():
        name = entry.name
        if name not in TOP and name[0] != "." and not name.startswith("build"):
            faults.append(f"{name}: does not belong at the top")
    for fault in faults:
        print(fault)
    if count == 0:
        faults.append("nothing to look at")
    print(f"{count} files, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
