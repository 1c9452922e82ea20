# SPDX-License-Identifier: BSD-2-Clause
"""Records what a program writes and what clients are told, and cuts the power.

    with Disk() as disk:
        poctl("create", disk.path / "store")
        with Mount(store, env=disk.env()) as mount:
            ...
        losses = disk.replay(500, seed, "--store", "store")

pcut.c says how the log is made, replay.c what a cut leaves and who judges it.
"""

import contextlib
import json
import mmap
import os
import pathlib
import shutil
import struct
import tempfile

from harness import end_with_parent, program, run

MEMORY = "/dev/shm"
_RECORD = struct.Struct("<IIQQQQ")
_BEGIN, _ACK = 10, 11
_CONTROLS = ("calls", "is_wide", "kill_at", "syncs", "fail_at", "is_sticky",
             "writes", "short_every", "is_lying", "fault_kinds", "faults",
             "fault_at", "fault_code")


class Log:
    """The log, as a client appends to it."""

    def __init__(self, path):
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def _append(self, kind, *words):
        text = " ".join(map(str, words)).encode() + b"\0"
        record = _RECORD.pack(kind, 0, 0, 0, 0, len(text)) + text
        os.write(self._fd, record + bytes(-len(text) % 8))

    def begin(self, subject, number, state):
        """From now on it may be so."""
        self._append(_BEGIN, subject, number, state)

    def acknowledge(self, subject, number):
        """From now on it must be so."""
        self._append(_ACK, subject, number)

    def close(self):
        os.close(self._fd)


class Control:
    """What the preloaded program is asked to do while it runs: its numbers
    are attributes, as pcut.h names them."""

    def __init__(self, path):
        size = 8 * len(_CONTROLS)
        with open(path, "w+b") as file:
            file.truncate(size)
            map_ = mmap.mmap(file.fileno(), size)
        object.__setattr__(self, "_map", map_)

    def __getattr__(self, name):
        at = _CONTROLS.index(name) * 8
        return struct.unpack_from("<Q", self._map, at)[0]

    def __setattr__(self, name, value):
        struct.pack_into("<Q", self._map, _CONTROLS.index(name) * 8, value)


class Disk:
    """A directory whose every write is recorded; goes away with its context.

    It is in memory, so that no test waits for a real disk, and because only
    tmpfs never uses an inode number again. `state` is what a cut has left
    there before, `promises` what still is promised of it: (subject, number,
    state).
    """

    LIES_SHOW = ("refused", "lost or torn")
    """What cuts must show where syncs do nothing."""

    def __init__(self, state=None, promises=()):
        self._top = pathlib.Path(tempfile.mkdtemp(prefix="torture-",
                                                  dir=MEMORY))
        self._undo = contextlib.ExitStack()
        self._undo.callback(shutil.rmtree, self._top, ignore_errors=True)
        # A daemon that has dropped its privileges comes here, too.
        self._top.chmod(0o711)
        self.path = self._top / "disk"
        self.path.mkdir()
        self.log_path = self._top / "log"
        self.control = Control(self._top / "control")
        with contextlib.ExitStack() as failed:
            failed.callback(self.close)
            self._begin(state, promises)
            failed.pop_all()

    def _begin(self, state, promises):
        """Fills it, and the log with what still is promised."""
        if state is not None:
            shutil.copytree(state, self.path, dirs_exist_ok=True)
            self.settle()
            self._promise(promises)

    def _promise(self, promises):
        log = Log(self.log_path)
        for words in promises:
            log.begin(*words)
        # From here on it is judged.
        for subject in {subject for subject, *_ in promises}:
            log.acknowledge(subject, 0)
        log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Takes it away, if that has not been done."""
        self._undo.close()

    def env(self):
        """The environment of a program that is recorded."""
        asan = os.environ.get("ASAN_OPTIONS", "")
        return {"LD_PRELOAD": program("tests/torture/pcut.so"),
                "PCUT_DIR": str(self.path), "PCUT_LOG": str(self.log_path),
                "PCUT_CONTROL": str(self._top / "control"),
                "ASAN_OPTIONS": f"{asan}:verify_asan_link_order=0"}

    def settle(self):
        """What is there now was there before: no cut takes it away."""
        if not self.log_path.exists():
            # Whoever is recorded first notes what is there.
            run("true", env={**os.environ, **self.env()})

    @contextlib.contextmanager
    def log(self):
        """The log, to append to."""
        self.settle()
        log = Log(self.log_path)
        try:
            yield log
        finally:
            log.close()

    def begun(self):
        """All steps of the log: (subject, number, state)."""
        log = self.log_path.read_bytes()
        at = 0
        while at < len(log):
            kind, *_, size = _RECORD.unpack_from(log, at)
            at += _RECORD.size
            if kind == _BEGIN:
                text = log[at:at + size].rstrip(b"\0").decode()
                subject, number, state = text.split(" ")
                yield subject, int(number), state
            at += size + -size % 8

    def _replay(self, *arguments):
        with tempfile.TemporaryDirectory(dir=self._top) as scratch:
            yield run(program("tests/torture/replay"), *arguments,
                      self.log_path, scratch, check=False, timeout=3600,
                      preexec_fn=end_with_parent)

    def replay(self, count, seed, *arguments):
        """Cuts the power `count` times; returns (summary, faults)."""
        done, = self._replay("--count", count, "--seed", seed, *arguments)
        lines = done.stdout.splitlines()
        if done.returncode not in (0, 1) or not lines:
            raise AssertionError(f"replay: {done.stdout}{done.stderr}")
        summary = json.loads(lines[-1])
        return summary, lines[:-1]

    def _promised(self, picked):
        """What had been promised of what was picked, as steps from 0 on."""
        steps = {(subject, number): state
                 for subject, number, state in self.begun()}
        for subject, (acknowledged, begun) in picked.items():
            for number, at in enumerate(range(acknowledged, begun + 1)):
                yield subject, number, steps[subject, at]

    def _again(self, state, promises):
        return Disk(state, promises)

    @contextlib.contextmanager
    def after_cut(self, seed, *arguments):
        """The disk as one cut leaves it, with what had been promised then."""
        for done in self._replay("--pick", "--seed", seed, *arguments):
            if done.returncode != 0:
                raise AssertionError(f"replay: {done.stderr}")
            state = pathlib.Path(done.args[-1]) / "state"
            promises = list(self._promised(json.loads(done.stdout)))
            with self._again(state, promises) as other:
                yield other
