# SPDX-License-Identifier: BSD-2-Clause
"""A disk that waits until a test lets it go on; gate.c does it."""

import mmap
import os
import struct

from harness import program, wait_until


class Gate:
    """Before the disk of a program with .env(): what is written waits there."""

    def __init__(self, path):
        path.write_bytes(bytes(8))
        path.chmod(0o666)
        self._path = path
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), 8)

    def shut(self):
        """From now on nothing gets through."""
        self._map[:4] = struct.pack("=i", 1)

    def open(self):
        """All that waits gets through."""
        self._map[:4] = bytes(4)

    def wait_used(self):
        """Waits until something waits."""
        wait_until(lambda: self._map[4:] != bytes(4), "a commit waits")

    def env(self, **more):
        """For the program's environment."""
        asan = os.environ.get("ASAN_OPTIONS", "")
        return {"LD_PRELOAD": program("tests/mount/gate.so"),
                "POFS_GATE": str(self._path),
                "ASAN_OPTIONS": f"{asan}:verify_asan_link_order=0", **more}
