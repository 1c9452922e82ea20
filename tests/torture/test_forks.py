# SPDX-License-Identifier: BSD-2-Clause
"""No process is made while the database is open: LMDB's environment in a child
would be that of its parent, with the same place in the table of readers.
"""

import re

from harness import Mount, poctl, tool, wait_until

OPENED = re.compile(r'"[^"]*data\.mdb", O_RDWR')
MADE = re.compile(r"\b(?:clone3?|v?fork)\((.*)")


def calls_of(log):
    """(process, call), in their order."""
    for line in log.read_text().splitlines():
        pid, call = line.split(None, 1)
        yield int(pid), call


def test_only_threads_are_made_while_the_database_is_open(store, tmp_path):
    log = tmp_path / "calls"
    prefix = (tool("strace"), "-D", "-f", "-o", log, "-e",
              "trace=clone,clone3,fork,vfork,open,openat")
    with Mount(store, prefix=map(str, prefix)) as mount:
        (mount / "f").write_text("content")
        poctl("sessions", store.path)
        mount.unmount()
    end = re.compile(rf"^{mount.launcher.pid} +\+\+\+ exited", re.MULTILINE)
    wait_until(lambda: end.search(log.read_text()), "all has been told")
    opened = set()
    before, after = [], []
    for pid, call in calls_of(log):
        if OPENED.search(call):
            opened.add(pid)
        made = MADE.search(call)
        if made:
            (after if opened else before).append(made[1])
    # The server is one; what takes requests and commits is the others.
    assert any("CLONE_THREAD" not in flags for flags in before)
    assert after and all("CLONE_THREAD" in flags for flags in after), after
