# SPDX-License-Identifier: BSD-2-Clause
"""What poctl can do, and how it answers: one sentence for each failure."""

import os
import subprocess

from harness import DEADLINE_S, Store, poctl, program, run, tool

OK = 0
FAILED = 1
USAGE = 2

COMMANDS = {
    "backup": 2,
    "break": 2,
    "check": 1,
    "create": 1,
    "diff": 2,
    "explain": 1,
    "export": 2,
    "import": 2,
    "learn": 1,
    "locks": 1,
    "log": 1,
    "message": 2,
    "metrics": 1,
    "purge-orphans": 1,
    "quarantine discard": 2,
    "quarantine list": 1,
    "quarantine restore": 3,
    "quarantine show": 2,
    "queue": 1,
    "rebuild": 2,
    "repair": 2,
    "requeue": 3,
    "reset": 2,
    "restore": 2,
    "sessions": 1,
    "set-counter": 1,
    "set-owners": 2,
    "show": 2,
    "stat": 1,
    "status": 1,
    "top": 1,
    "trace show": 2,
    "trace start": 1,
    "trace stop": 2,
    "undo": 2,
    "verify": 1,
}
"""Every command, and how many arguments it needs."""


class Existing(Store):
    """A store that is there already."""

    def __init__(self, path):
        self.path = path


def refuses(status, *arguments, **options):
    """Runs poctl, which must fail with this status; returns its sentence.

    What comes before the sentence are the lines of a list, one a finding.
    """
    done = poctl(*arguments, check=False, **options)
    assert done.returncode == status, done
    lines = done.stderr.splitlines()
    assert lines, f"no reason given: {done}"
    assert all(line.startswith("poctl: ") for line in lines), done.stderr
    return lines[-1].removeprefix("poctl: ")


def calls_of(log, which, *arguments):
    """Runs poctl, and writes the system calls `which` to a file; returns them.
    What looks for leaks cannot do so meanwhile."""
    run(tool("strace"), "-y", "-o", log, "-e", f"trace={which}",
        program("tools/poctl"), *arguments,
        env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
    return log.read_text().splitlines()


def start(*arguments, **options):
    """Starts poctl; whoever calls waits for its end."""
    return subprocess.Popen(
        [program("tools/poctl"), *map(str, arguments)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        **options)


def end(process):
    """The standard error of a started poctl, after its end."""
    _, stderr = process.communicate(timeout=DEADLINE_S)
    return stderr
