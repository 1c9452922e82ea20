# SPDX-License-Identifier: BSD-2-Clause
"""A daemon's control socket without the daemon."""

import signal
import subprocess

from harness import DEADLINE_S, end_with_parent, program


class Answerer:
    """Stands in for the daemon: the same socket, answers of the test's own."""

    def __init__(self, store, **answers):
        words = [word for pair in answers.items() for word in pair]
        self.process = subprocess.Popen(
            [program("tests/tools/answer"), store.path, *words], text=True,
            stdout=subprocess.PIPE, preexec_fn=end_with_parent)
        assert self.process.stdout.readline() == "ready\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=DEADLINE_S)
        assert self.process.returncode == 0

    def question(self):
        """What it was asked next."""
        return self.process.stdout.readline().removesuffix("\n")
