# SPDX-License-Identifier: BSD-2-Clause
"""Windows programs under Wine.

    with Prefix(directory, mount.path) as prefix:
        program = prefix.start(compile_for_windows(directory))

A prefix is a wineserver and the programs that it serves. It has what a program
without windows needs, and no service of Windows is started: it is ready in a
tenth of a second.
"""

import contextlib
import pathlib
import select
import shutil
import signal
import subprocess

from harness import (DEADLINE_S, HarnessError, end_with_parent, run, tool,
                     wait_until)
from local_client import LocalClient

HERE = pathlib.Path(__file__).resolve().parent

WINE = pathlib.Path("/usr/lib/wine")
"""Debian's programs for 64 bits."""

LIBRARIES = pathlib.Path("/usr/lib/x86_64-linux-gnu/wine/x86_64-windows")

NEEDED = ("ntdll", "kernel32", "kernelbase", "msvcrt", "ucrtbase")


def compile_for_windows(directory):
    """Builds the program there; returns its path."""
    program = directory / "mail.exe"
    run(tool("x86_64-w64-mingw32-gcc"), "-std=c11", "-O2", "-Wall", "-Wextra",
        "-Werror", "-s", "-o", program, HERE / "obey.c", HERE / "os_win32.c")
    return program


class Prefix:
    """A running wineserver, whose programs have `drive` as M:."""

    def __init__(self, directory, drive):
        self.path = pathlib.Path(directory)
        self._create(drive)
        self.programs = []
        self._directory = None
        self.server = self._popen([WINE / "wineserver64", "-f", "-p"])
        try:
            wait_until((self._place / "socket").exists,
                       "the wineserver listens")
            # Debian's puts it into a directory of its own in /tmp.
            self._directory = self._place.resolve().parent
        except BaseException:
            self.end()
            raise

    def _create(self, drive):
        system = self.path / "drive_c/windows/system32"
        system.mkdir(parents=True)
        for name in NEEDED:
            (system / f"{name}.dll").symlink_to(LIBRARIES / f"{name}.dll")
        devices = self.path / "dosdevices"
        devices.mkdir()
        for letter, target in (("c", "../drive_c"), ("m", drive), ("z", "/")):
            (devices / f"{letter}:").symlink_to(target)
        # Wine has nothing to add to it.
        (self.path / ".update-timestamp").write_text("disable\n")

    @property
    def environment(self):
        """Of its programs."""
        return {"PATH": "/usr/bin:/bin", "HOME": str(self.path),
                "WINEPREFIX": str(self.path), "WINEDEBUG": "-all",
                "WINEDLLOVERRIDES": "wineboot.exe=d"}

    @property
    def _place(self):
        """Where the wineserver has its socket: it works there."""
        return pathlib.Path(f"/proc/{self.server.pid}/cwd")

    def _popen(self, command, **options):
        return subprocess.Popen(
            [str(word) for word in command], cwd=self.path,
            preexec_fn=lambda: end_with_parent(signal.SIGKILL),
            env=self.environment, **options)

    def start(self, program):
        """Starts a program that obeys; see LocalClient."""
        started = WinProgram(self._popen(
            [WINE / "wine64", program], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE))
        self.programs.append(started)
        # A second one that starts meanwhile would wait for Windows's start.
        started.call("find", "C:\\windows")
        return started

    def kill(self):
        """Ends the wineserver as a crash would; its programs end with it."""
        self.server.kill()
        self.server.wait()

    def end(self):
        """Leaves no process behind."""
        for program in self.programs:
            program.kill()
        self.kill()
        if self._directory and self._directory.name.startswith("wine-"):
            shutil.rmtree(self._directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


class WinProgram(LocalClient):
    """A Windows program."""

    def __init__(self, process):
        self.process = process

    def _send(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def _receive(self):
        if not select.select([self.process.stdout], [], [], DEADLINE_S)[0]:
            raise HarnessError(f"no answer within {DEADLINE_S} s")
        line = self.process.stdout.readline().decode()
        if not line.endswith("\n"):
            raise HarnessError("the program has ended")
        return line

    @property
    def pid(self):
        """Its process id."""
        return self.process.pid

    def exit(self, code=0):
        """Ends it in order, with all that it has open."""
        self.start("end", code)
        return self.process.wait(DEADLINE_S)

    def kill(self):
        """Ends it as a crash would."""
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self.process.stdout.close()
