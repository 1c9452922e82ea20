# SPDX-License-Identifier: BSD-2-Clause
"""A terminal that is looked at: a shell in a tmux server of its own.

    with Terminal() as terminal:
        terminal.enter("poctl top STORE")
        terminal.wait_for("Sessions: 3")
        terminal.press("q")
"""

import os
import pathlib
import shlex
import shutil
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
        """Ends the server, and with it whatever runs in it."""
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

    def child(self):
        """The process that the shell waits for."""
        shell = self._tmux("display-message", "-p", "-t", "it", "#{pane_pid}")
        of = pathlib.Path(f"/proc/{int(shell)}/task/{int(shell)}/children")
        pid, = wait_until(lambda: of.read_text().split(), "a child")
        return int(pid)
