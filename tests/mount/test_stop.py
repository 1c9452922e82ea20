# SPDX-License-Identifier: BSD-2-Clause
"""The end of a mount while somebody waits for the disk."""

import json
import os
import pathlib
import signal

import pytest

from events import events
from gate import Gate
from harness import Mount, Store, poctl, wait_until
from postoffice import MESSAGE, Office

SOON_S = 20


def waits_in(pid, name):
    """Whether one of a process's threads sleeps in this function of the
    kernel's."""
    return any(name in (task / "wchan").read_text()
               for task in pathlib.Path(f"/proc/{pid}/task").iterdir())


def is_committing(store, pid):
    """Whether what a program has done is on its way to the disk."""
    told = poctl("sessions", "--json", store.path).stdout
    return any(row["pid"] == pid and row["state"] == "committing"
               for row in json.loads(told)["sessions"])


def delete(_, actor, office):
    """Lets go of the lock by another spelling of its name."""
    actor.start("os.unlink", office.lock_file("a.0lk"))


def rename(store, actor, office):
    """The same program does something else, which is to land after that."""
    actor.call("client.begin", "os.unlink", office.lock_file("A.0LK"))
    wait_until(lambda: is_committing(store, actor.pid),
               "the lock waits for its commit")
    actor.start("os.rename", office.mai, office.mai.with_name("b.mai"))


@pytest.mark.parametrize("change", [delete, rename])
def test_a_notice_that_waits_for_a_commit(tmp_path, a, change):
    """Before Linux 6.16 a name in another spelling is forgotten by a notice,
    which waits for the directory, which the program has until its change is on
    the disk."""
    gate = Gate(tmp_path / "gate")
    with Store(tmp_path / "store", "--postoffice", "PO") as store:
        with Mount(store, env=gate.env(POFS_OLD_KERNEL="1")) as mount:
            office = Office(mount / "PO")
            a.call("os.close", a.call("os.open", office.lock_file("A.0LK"),
                                      os.O_RDWR | os.O_CREAT | os.O_EXCL))
            a.call("client.put", office.mai, MESSAGE)
            gate.shut()
            change(store, a, office)
            wait_until(lambda: waits_in(mount.server_pid,
                                        "fuse_reverse_inval_entry"),
                       "the notice waits")
            mount.launcher.send_signal(signal.SIGTERM)
            wait_until(lambda: events(mount, "stopping"), "it ends")
            gate.open()
            try:
                assert mount.wait(SOON_S) == 0
            except BaseException:
                os.kill(mount.server_pid, signal.SIGKILL)
                raise
            a.result()
        store.check()
