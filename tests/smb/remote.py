# SPDX-License-Identifier: BSD-2-Clause
"""A recorded store that smbd shares, and the mail program of
tests/torture/load.py on another machine."""

import contextlib
import os
import pathlib
import sys

import smbd
from smb1 import Mode, SmbError
from smbd import SHARE

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "torture"))

import load  # noqa: E402
from scene import mounted  # noqa: E402


class Remote(load.Program):
    """The mail program on another machine."""

    def __init__(self, client, top, subject, seed, log):
        self._client = client
        super().__init__(top / subject, subject, seed, log)

    def _name(self, path):
        return "\\".join([self._subject, *path.split("/")])

    def _open(self, path, flags):
        file = self._client.open(self._name(path), mode=Mode.CREATE
                                 if flags & os.O_CREAT else Mode.OPEN)
        self._fds.append(file)
        return file

    def _write(self, fd, data, at):
        fd.write(at, bytes(data))

    def _sync(self, fd):
        fd.flush()

    def _close(self, fd):
        self._fds.remove(fd)
        fd.close()

    def _remove(self, path):
        self._client.delete(self._name(path))

    def sit_at(self, client):
        """It goes on at another machine, with nothing open."""
        self._client = client
        self._fds.clear()

    def give_up(self):
        while self._fds:
            with contextlib.suppress(SmbError):
                self._close(self._fds[-1])


@contextlib.contextmanager
def served(disk, store):
    """The store, mounted and shared, and recorded if there is a disk."""
    uid, gid = smbd.share_ids()
    with mounted(disk, store, "-o", f"uid={uid},gid={gid},umask=000,"
                 "idle-open-s=3600") as mount:
        with smbd.Smbd({SHARE: mount.path}) as server:
            yield mount, server
        mount.unmount()
