# SPDX-License-Identifier: BSD-2-Clause
"""A terminal that is looked at: a shell in a tmux server of its own.

    with Terminal() as terminal:
        terminal.enter("poctl top STORE")
        terminal.wait_for("Sessions: 3")
        terminal.press("q")
"""

import contextlib
import os
import pathlib
import shlex
import shutil
import signal
import tempfile

from harness import HarnessError, run, tool, wait_until

PROMPT = "ready>"


class Terminal:
    """Has a size of its own, and nobody in front of it."""

    def __init__(self, width=100, height=30):
        self._directory = tempfile.mkdtemp(prefix="tmux-")
        try:
            self._tmux("-f", "/dev/null", "new-session", "-d", "-x", width,
                       "-y", height, "-s", "it",
                       f"PS1={shlex.quote(PROMPT)} exec sh -i")
            self.wait_for(PROMPT)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends what runs in it, then the server: a program that looks for its
        leaks when it ends does not survive that of its terminal meanwhile."""
        for pid in self._children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not self._children(), "what runs in it has ended")
        self._tmux("kill-server", check=False)
        shutil.rmtree(self._directory)

    def _tmux(self, *arguments, check=True):
        environment = {name: value for name, value in os.environ.items()
                       if name not in ("TMUX", "ENV")}
        return run(tool("tmux"), "-L", "pofs", *arguments, check=check,
                   env={**environment, "TMUX_TMPDIR": self._directory,
                        "LC_ALL": "C.UTF-8"}).stdout

    def lines(self):
        """What is on the screen; a blank is a blank."""
        screen = self._tmux("capture-pane", "-p", "-t", "it")
        return screen.replace("\xa0", " ").splitlines()

    def press(self, *keys):
        """Presses keys, by tmux's names ("Down", "C-c")."""
        self._tmux("send-keys", "-t", "it", *keys)

    def enter(self, *words):
        """Has the shell run a command."""
        self._tmux("send-keys", "-t", "it", "-l", shlex.join(map(str, words)))
        self.press("Enter")

    def resize(self, width, height):
        """Makes the terminal as large as that."""
        self._tmux("resize-window", "-t", "it", "-x", width, "-y", height)

    def wait_until(self, predicate, what):
        """Waits until predicate(lines) is true of the screen."""
        try:
            wait_until(lambda: predicate(self.lines()), what)
        except HarnessError as e:
            raise HarnessError(f"{e}\n" + "\n".join(self.lines())) from None

    def wait_for(self, text):
        """Waits until this is on the screen."""
        self.wait_until(lambda lines: text in "\n".join(lines), text)

    def _children(self):
        shell = self._tmux("display-message", "-p", "-t", "it", "#{pane_pid}",
                           check=False).strip()
        of = pathlib.Path(f"/proc/{shell}/task/{shell}/children")
        return [int(pid) for pid in of.read_text().split()] if shell else []

    def child(self):
        """The process that the shell waits for."""
        pid, = wait_until(self._children, "a child")
        return pid
