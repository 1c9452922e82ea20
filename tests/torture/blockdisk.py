# SPDX-License-Identifier: BSD-2-Clause
"""Records what a file system writes to its disk, and cuts the power.

As powercut.Disk, but it is the whole stack: the directory is a file system of
ext4, xfs or btrfs, on a loop device, on a file that blklog.c serves. A cut
leaves blocks; what they mean, the file system says when it is mounted.
"""

import contextlib
import ctypes
import functools
import os
import subprocess

from harness import (DEADLINE_S, HarnessError, end_with_parent, program, run,
                     unmount_lazily)
from powercut import Disk

_SIZE = 512 << 20  # all but what is written is a hole
_MAKE = {"ext4": ("mkfs.ext4", "-q", "-F", "-N", "1024"),
         "xfs": ("mkfs.xfs", "-q"),
         "btrfs": ("mkfs.btrfs", "-q")}
_NEW_NAMESPACE = 0x20000  # CLONE_NEWNS
_PRIVATE = 0x4000 | 0x40000  # MS_REC | MS_PRIVATE

_libc = ctypes.CDLL(None, use_errno=True)


@functools.cache
def keep_mounts_private():
    """From now on the mounts of this process end with it and its children,
    killed or not, and the loop devices with the mounts."""
    if (_libc.unshare(_NEW_NAMESPACE) != 0
            or _libc.mount(None, b"/", None, _PRIVATE, None) != 0):
        raise HarnessError(os.strerror(ctypes.get_errno()))


class BlockDisk(Disk):
    """A file system, mounted, on a disk whose every write is recorded, until
    it is asked what a cut leaves: then it is not mounted any more."""

    LIES_SHOW = ("lost",)

    def __init__(self, kind, state=None, promises=()):
        self._kind = kind
        self._recording = contextlib.ExitStack()
        super().__init__(state, promises)

    def _begin(self, state, promises):
        keep_mounts_private()
        self._undo.callback(self._recording.close)
        image = self._top / "image"
        if state is None:
            image.touch()
            os.truncate(image, _SIZE)
            run(*_MAKE[self._kind], image)
        else:
            os.rename(state / "image", image)
        self._record(image)
        # Its recovery, if it is a cut that it begins with, is judged, too.
        self._promise(promises)
        self._mount(image)

    def _record(self, image):
        """Lets blklog serve the image."""
        server = subprocess.Popen(
            [program("tests/torture/blklog"), image, self.log_path],
            stdout=subprocess.PIPE, text=True, preexec_fn=end_with_parent)
        self._recording.callback(self._end, server, image)
        if server.stdout.readline() != "ready\n":
            raise HarnessError(f"blklog: exit {server.wait()}")

    @staticmethod
    def _end(server, image):
        unmount_lazily(image)
        try:
            code = server.wait(DEADLINE_S)
        finally:
            server.kill()
            server.stdout.close()
        if code != 0:
            raise HarnessError(f"blklog: exit {code}")

    def _mount(self, image):
        # The kernel frees the loop device with its last user.
        run("mount", "-t", self._kind, "-o", "loop", image, self.path)
        self._recording.callback(unmount_lazily, self.path)
        with contextlib.suppress(FileNotFoundError):
            (self.path / "lost+found").rmdir()

    def env(self):
        """Nothing is preloaded but what lies to our programs about syncs."""
        if not self.control.is_lying:
            return {}
        return {**super().env(), "PCUT_LOG": os.devnull}

    def settle(self):
        run("sync", "-f", self.path)

    def _replay(self, *arguments):
        self._recording.close()
        yield from super()._replay("--device", self._kind, *arguments)

    def _again(self, state, promises):
        return BlockDisk(self._kind, state, promises)
