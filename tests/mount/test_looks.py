# SPDX-License-Identifier: BSD-2-Clause
"""Programs whose command line nobody can read, as where a network drive hangs
that they use: others neither wait for them nor lose their mail by that."""

import contextlib
import json
import os
import pathlib
import signal
import threading

import pytest

from actor import Actor
from harness import Mount, Store, poctl, wait_until
from postoffice import MESSAGE, Office
from test_watchdog import stop

MANY = 12


def sleeps(pid, tid):
    """Whether nothing can wake a thread but what it waits for."""
    stat = pathlib.Path(f"/proc/{pid}/task/{tid}/stat").read_text()
    return stat.rsplit(")", 1)[1].split()[0] == "D"


@contextlib.contextmanager
def unreadable(drive, count):
    """Programs whose memory is locked: somebody else reads of it what is on a
    drive that hangs, and a thread of the program waits for him."""
    page = drive / "page"
    page.touch()
    os.truncate(page, 4096)
    with contextlib.ExitStack() as stack:
        made = [stack.enter_context(Actor()) for _ in range(count)]
        maps = [actor.call("client.map_page", page) for actor in made]
        stack.callback(os.kill, drive.server_pid, signal.SIGCONT)
        stop(drive.server_pid)
        for actor, (at, tell, tid) in zip(made, maps):
            memory = os.open(f"/proc/{actor.pid}/mem", os.O_RDONLY)
            stack.callback(os.close, memory)
            reader = threading.Thread(target=os.pread, args=(memory, 1, at))
            reader.start()
            stack.callback(reader.join)
            stack.callback(os.kill, drive.server_pid, signal.SIGCONT)
            wait_until(lambda r=reader: sleeps(os.getpid(), r.native_id),
                       "the reader has the memory")
            actor.call("os.write", tell, b"x")
            wait_until(lambda a=actor, t=tid: sleeps(a.pid, t),
                       "the program waits for it")
        yield made


@pytest.fixture
def drive(tmp_path):
    """Another file system that can hang."""
    with Store(tmp_path / "drive") as store:
        with Mount(store, "-o", "watchdog-s=0") as mount:
            yield mount


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "store", "--postoffice", "PO") as made:
        yield made


def put(actor, office, number):
    """A message; its close is looked at."""
    actor.call("client.put", office.mai.with_name(f"{number:08X}.MAI"),
               MESSAGE)


def commands(store):
    """What is known of each process."""
    told = poctl("sessions", "--json", store.path).stdout
    return {row["pid"]: row.get("command")
            for row in json.loads(told)["sessions"]}


def test_one_that_goes_on_and_on_does_no_harm(store, drive, a):
    with Mount(store, "-o", "watchdog-s=2") as mount:
        office = Office(mount / "PO")
        with unreadable(drive, 1) as (bad,):
            for number in range(MANY):
                put(bad, office, number)
            for number in range(MANY):
                assert commands(store)[bad.pid] is None
            put(a, office, MANY)
        assert store.undone() == []
        assert "actor.py" in commands(store)[a.pid]


def test_nor_do_many_at_once(store, drive, a):
    with Mount(store, "-o", "watchdog-s=2") as mount:
        office = Office(mount / "PO")
        with unreadable(drive, MANY) as bad:
            for number, actor in enumerate(bad):
                actor.start("client.put", office.mai.with_name(
                    f"{number:08X}.MAI"), MESSAGE)
            put(a, office, MANY)
            for actor in bad:
                actor.result()
            # One that closes nothing has closed in order all the same.
            a.call("os.open", office.p1, os.O_WRONLY | os.O_CREAT)
            a.start("os._exit", 0)
            a.process.wait()
        assert store.undone() == []
        assert office.p1.exists()
