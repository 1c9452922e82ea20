# SPDX-License-Identifier: BSD-2-Clause
"""What smbd shares in the tests: a mounted store, or a plain directory."""

import contextlib
import itertools
import os
import pathlib
import shutil
import tempfile

import pytest

import smbd
from harness import Mount, Store

ONLY_POFS = pytest.mark.parametrize("place", ["pofs"], indirect=True,
                                    scope="module")
"""Marks a test of something that a plain directory does not have."""

ONLY_PLAIN = pytest.mark.parametrize("place", ["plain"], indirect=True,
                                     scope="module")
"""Marks the first half of a proof: the fault, where nothing prevents it."""

OFFICE_DIRECTORIES = ["KEY", "MBG", "P1", "MAI", "ATT", "GLB"] + [
    f"{parent}/{parent[:2]}{digit:X}"
    for parent in ("MAI", "ATT") for digit in range(16)]


class Place:
    """A plain directory that the share's user owns."""

    is_pofs = False

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="share-"))
        # smbd comes here as the share's user.
        self.directory.chmod(0o711)
        self.path = self.directory / "mount"
        self.path.mkdir()
        self.own(self.path)

    def own(self, path):
        """Gives what root made here to the share's user."""
        os.chown(path, *smbd.share_ids())
        # As smbd creates it, and as pofs shows it: access is the share's
        # business, not that of the mode.
        os.chmod(path, 0o777)

    def restart(self):
        """Ends whatever serves the place in order, and starts it again."""

    def crash(self):
        """The same, as if it had crashed."""

    def end(self):
        """An end in order; what goes wrong in it is a failure."""

    def close(self):
        shutil.rmtree(self.directory, ignore_errors=True)


class PofsPlace(Place):
    """A mounted store; `options` are more of its mount options. However slow
    the machine is, no open mailbag is taken for idle. With user=NAME the store
    is that user's."""

    is_pofs = True

    def __init__(self, *options):
        super().__init__()
        self.mount = None
        self.options = options
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            self.store = Store(self.directory / "store", "--postoffice", "PO",
                               *(f"--owner={option.removeprefix('user=')}"
                                 for option in options
                                 if option.startswith("user=")))
            self.remount()
            undo.pop_all()

    def remount(self):
        uid, gid = smbd.share_ids()
        options = [f"uid={uid}", f"gid={gid}", "umask=000",
                   "idle-open-s=3600", *self.options]
        self.mount = Mount(self.store, "-o", ",".join(options),
                           path=self.path)

    def own(self, path):
        """Nothing to do: all of a mount belongs to one user."""

    def restart(self):
        self.mount.unmount()
        self.remount()

    def crash(self):
        self.mount.kill()
        self.remount()

    def end(self):
        # A sanitizer tells of a leak by the exit code.
        self.mount.unmount()
        self.store.check()

    def close(self):
        if self.mount is not None:
            self.mount.close()
        super().close()


class Office:
    """A postoffice of one test's own: its names for each side."""

    _count = itertools.count(1)

    def __init__(self, place):
        self._place = place
        self.name = f"T{next(self._count)}"
        self.path = place.path / self.name
        for directory in ["", *OFFICE_DIRECTORIES]:
            (self.path / directory).mkdir()
            place.own(self.path / directory)

    def add_mailbag(self, name):
        """An empty one, made beside the server."""
        for path, content in ((f"KEY/{name}.KEY", bytes(560)),
                              (f"MBG/{name}.MBG", b"")):
            (self.path / path).write_bytes(content)
            self._place.own(self.path / path)

    def smb(self, *names):
        """The name by which a client knows "KEY", "A.KEY"."""
        return "\\".join((self.name, *names))
