# SPDX-License-Identifier: BSD-2-Clause
"""What the journal tells of programs: whose, for how long, and which files."""

import json
import os

from harness import poctl, wait_until
from postoffice import deliver, session_of


def entries(mount, office):
    """Those of this postoffice's, oldest first."""
    done = poctl("log", "--json", mount.store.path)
    top = f"/{office.path.name}/"
    return [entry for entry in json.loads(done.stdout)["journal"]
            if any(file.get("new_path", file.get("old_path")).startswith(top)
                   for file in entry["files"])]


def test_a_delivery_is_one_entry(a, shared_mount, office):
    seen = len(entries(shared_mount, office))
    fd = deliver(a, office, "INQUEUE3")
    session = session_of(shared_mount.store, a)
    assert len(entries(shared_mount, office)) == seen
    a.call("os.close", fd)
    entry, = entries(shared_mount, office)[seen:]
    top = f"/{office.path.name}"
    assert entry["outcome"] == "committed" and entry["session"] == session
    assert str(a.pid) in entry["who"]
    assert entry["mailbags"] == f"{top}/INQUEUE"
    assert entry["held"] > 0 and entry["waited"] == 0
    assert {(file["what"], file["new_path"]) for file in entry["files"]} == {
        ("changed", f"{top}/KEY/INQUEUE3.KEY"),
        ("changed", f"{top}/MBG/INQUEUE3.MBG"),
        ("created", f"{top}/MAI/MA7/00000017.MAI")}


def test_who_has_waited_says_so(a, b, shared_mount, office):
    held = a.call("os.open", office.key("A"), os.O_RDWR)
    b.start("os.open", office.key("A"), os.O_RDWR)
    b.wait_blocked()
    a.call("os.close", held)
    fd = b.result()
    b.call("os.pwrite", fd, b"\1", 0)
    b.call("os.close", fd)
    entry = entries(shared_mount, office)[-1]
    assert str(b.pid) in entry["who"]
    assert entry["waited"] > 0


def test_what_is_undone_has_an_entry_too(a, shared_mount, office):
    deliver(a, office)
    a.kill()
    entry, = wait_until(
        lambda: [entry for entry in entries(shared_mount, office)
                 if entry["outcome"] == "undone"], "it is on disk")
    assert entry["quarantine"] > 0
    assert "killed" in entry["reason"]
    assert entry["mailbags"] == f"/{office.path.name}/A"
