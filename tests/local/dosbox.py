# SPDX-License-Identifier: BSD-2-Clause
"""A DOS program in a DOSBox of its own.

    with DosBox(directory, mount.path, compile_for_dos(directory)) as program:
        program.read_file(r"PO\\KEY\\A.KEY")

DOSBox has no way to type into it or to read from it, so the lines are files in
a directory, the program's drive D:.
"""

import os
import pathlib
import shutil
import signal
import subprocess

from harness import end_with_parent, run, tool, wait_until
from local_client import LocalClient

HERE = pathlib.Path(__file__).resolve().parent

_FLAGS = ("-std=c11 -Os -m16 -march=i386 -mpreferred-stack-boundary=2 "
          "-ffreestanding -fno-builtin -fno-pie -fno-stack-protector "
          "-fno-asynchronous-unwind-tables -fcf-protection=none "
          "-Wall -Wextra -Werror -nostdlib -static "
          "-Wl,--build-id=none,-m,elf_i386").split()

_SETTINGS = """\
[sdl]
fullscreen=false
[mixer]
nosound=true
[midi]
mpu401=none
mididevice=none
[sblaster]
sbtype=none
[autoexec]
mount d {own}
mount m {drive}
d:\\mail.com
exit
"""


def compile_for_dos(directory):
    """Builds the program there; returns its path."""
    program = directory / "MAIL.COM"
    run(tool("gcc"), *_FLAGS, f"-Wl,-T,{HERE / 'com.ld'}", "-o", program,
        HERE / "obey.c", HERE / "os_dos.c")
    return program


class DosBox(LocalClient):
    """The program, with `drive` as M:; it obeys, see LocalClient."""

    def __init__(self, directory, drive, program):
        self.path = pathlib.Path(directory)
        own = self.path / "D"
        own.mkdir(parents=True)
        shutil.copy(program, own / "MAIL.COM")
        settings = self.path / "dosbox.conf"
        settings.write_text(_SETTINGS.format(own=own, drive=drive))
        self._own = own
        self._asked = self._told = 0
        self.process = subprocess.Popen(
            [tool("dosbox"), "-conf", str(settings), "-noconsole"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, cwd=self.path,
            preexec_fn=lambda: end_with_parent(signal.SIGKILL),
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.path),
                 "SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy"})

    def _send(self, line):
        self._asked += 1
        whole = self._own / f"ASK.{self._asked:03X}"
        part = self._own / "ASK.TMP"
        part.write_text(line, encoding="ascii")
        os.rename(part, whole)

    def _receive(self):
        self._told += 1
        path = self._own / f"TOLD.{self._told:03X}"
        wait_until(lambda: path.exists() or self.process.poll() is not None,
                   "the DOS program answers")
        return path.read_text(encoding="ascii")

    @property
    def pid(self):
        """The process id of its DOSBox."""
        return self.process.pid

    def exit(self, code=0):
        """Ends it in order, and its DOSBox with it."""
        self.start("end", code)
        return self.process.wait()

    def kill(self):
        """Ends it as a crash would."""
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
