# SPDX-License-Identifier: BSD-2-Clause
"""Another process that does what a test tells it, one call at a time.

    with Actor() as other:
        fd = other.call("os.open", path, os.O_RDWR)
        other.start("syscalls.lock", fd, fcntl.F_WRLCK, wait=True)
        other.wait_blocked()
        ...
        other.result()

A fresh interpreter, not a fork: it inherits no open file of the test's.
"""

import errno
import importlib
import os
import pickle
import select
import signal
import subprocess
import sys

from harness import DEADLINE_S, HarnessError, end_with_parent, wait_until

SLEEPS = 5
"""How often a process must be seen in the same sleep to be waiting."""


class Actor:
    """A process of its own; `uid` makes it somebody else's."""

    def __init__(self, uid=None):
        def become():
            end_with_parent(signal.SIGKILL)
            if uid is not None:
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)
        self.process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, preexec_fn=become,
            env={**os.environ, "PYTHONPATH": ":".join(sys.path)})

    @property
    def pid(self):
        """Its process id."""
        return self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def start(self, name, *arguments, **keywords):
        """Begins a call of a function by its dotted name."""
        pickle.dump((name, arguments, keywords), self.process.stdin)
        self.process.stdin.flush()

    def is_done(self):
        """Whether the result has come."""
        return bool(select.select([self.process.stdout], [], [], 0)[0])

    def result(self, deadline=DEADLINE_S):
        """Waits for what the call returned, or raises what it raised."""
        if not select.select([self.process.stdout], [], [], deadline)[0]:
            raise HarnessError(f"no answer within {deadline} s")
        value, error = pickle.load(self.process.stdout)
        if error is not None:
            raise error
        return value

    def call(self, name, *arguments, **keywords):
        """Calls a function and waits for its result."""
        self.start(name, *arguments, **keywords)
        return self.result()

    def wait_blocked(self, tid=None):
        """Waits until the call sleeps in a request to the file system, and
        goes on sleeping there: every request is waited for, a moment. It is
        that of the first thread unless `tid` is another."""
        looks = []

        def is_blocked():
            looks.append(self._sleep(tid or self.pid))
            return looks[-1] is not None and \
                looks[-SLEEPS:] == [looks[-1]] * SLEEPS
        wait_until(is_blocked, "the other process waits for pofs")

    def _sleep(self, tid):
        """Which of its sleeps a thread is in, if it waits for a request."""
        directory = f"/proc/{self.pid}/task/{tid}"
        with open(f"{directory}/wchan", encoding="ascii") as wchan:
            if "request_wait_answer" not in wchan.read():
                return None
        with open(f"{directory}/status", encoding="ascii") as status:
            return next(line for line in status
                        if line.startswith("voluntary_ctxt_switches"))

    def interrupt(self):
        """Sends a signal that ends a waiting call with EINTR."""
        self.process.send_signal(signal.SIGUSR1)

    def kill(self):
        """Ends it as a crash would."""
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def _interrupted(*_):
    raise InterruptedError(errno.EINTR, "SIGUSR1")


def _find(name):
    module, function = name.rsplit(".", 1)
    return getattr(importlib.import_module(module), function)


def _serve():
    signal.signal(signal.SIGUSR1, _interrupted)
    answers = os.fdopen(os.dup(1), "wb")
    while True:
        try:
            name, arguments, keywords = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        value, error = None, None
        try:
            value = _find(name)(*arguments, **keywords)
        except Exception as e:  # whatever it is, the test shall see it
            error = e
        pickle.dump((value, error), answers)
        answers.flush()


if __name__ == "__main__":
    _serve()
