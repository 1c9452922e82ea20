# SPDX-License-Identifier: BSD-2-Clause
"""What an administrator's command changes while mail programs work."""

import contextlib
import datetime
import json
import os
import struct
import subprocess

import pytest

from actor import Actor
from harness import DEADLINE_S, Mount, poctl, program, wait_until
from postoffice import HEADER, KEY, MESSAGE, Office, deliver

EMPTY = (KEY, b"")


def start(*arguments):
    """Starts poctl; end() says how it ends."""
    return subprocess.Popen(
        [program("tools/poctl"), *map(str, arguments)], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def end(process):
    """Its exit status, and what it said."""
    out, err = process.communicate(timeout=DEADLINE_S)
    return process.returncode, out + err


class Admin:
    """What somebody does to the postoffice PO with poctl."""

    def __init__(self, mount):
        self.mount, self.store = mount, mount.store.path
        self.office = Office(mount / "PO")
        self.fill("A")

    def fill(self, mailbag):
        """Makes it one with two records, neither of them deleted."""
        self.office.key(mailbag).write_bytes(b"\7" + KEY[1:])
        self.office.mbg(mailbag).write_bytes(2 * HEADER)

    def mailbag(self, mailbag="A"):
        """What others see of it."""
        return (self.office.key(mailbag).read_bytes(),
                self.office.mbg(mailbag).read_bytes())

    def waiters(self):
        """Who waits for what, as the daemon tells."""
        rows = json.loads(poctl("locks", "--json", self.store).stdout)
        return {row["path"]: [waiter["session"] for waiter in row["waiters"]]
                for row in rows["locks"] if row["waiters"]}

    @contextlib.contextmanager
    def waiting(self, *arguments):
        """A command that waits for a lock."""
        process = start(*arguments)
        try:
            wait_until(self.waiters, "poctl stands in a line")
            yield process
        finally:
            process.kill()
            process.communicate()

    def reset(self, *arguments, mailbag="A"):
        """The command line that empties a mailbag."""
        return ("reset", "--force", *arguments, self.store, mailbag)


@pytest.fixture
def admin(mount):
    """The administrator of a mounted store."""
    return Admin(mount)


# ---- what is seen -----------------------------------------------------------

def test_a_change_is_seen_at_once_and_whole(a, admin):
    fd = a.call("os.open", admin.office.key("A"), os.O_RDONLY)
    assert a.call("os.pread", fd, 600, 0)[:1] == b"\7"
    ino = admin.office.key("A").stat().st_ino
    done = poctl(*admin.reset())
    assert "2 records" in done.stdout and "assumed" in done.stdout
    assert a.call("os.pread", fd, 600, 0) == KEY
    assert admin.mailbag() == EMPTY
    assert admin.office.key("A").stat().st_ino == ino


def test_a_change_is_on_disk_when_it_is_answered(store):
    with Mount(store) as mount:
        admin = Admin(mount)
        poctl(*admin.reset())
        mount.kill()
    with Mount(store) as mount:
        assert Office(mount / "PO", create=False).mbg("A").read_bytes() == b""


def test_the_kernel_forgets_a_plain_file(a, admin):
    """It remembers CONTROL.GLB, which all see alike."""
    control = admin.office.control
    fd = a.call("os.open", control, os.O_RDONLY)
    assert a.call("os.pread", fd, 8, 0) == bytes(8)
    poctl("set-counter", "--letter", "0x300", admin.store)
    wanted = struct.pack("<II", 0, 0x300)
    assert a.call("os.pread", fd, 8, 0) == wanted
    assert control.read_bytes() == wanted


# ---- who works with it ------------------------------------------------------

def test_a_change_waits_for_who_has_the_mailbag(a, admin):
    fd = a.call("os.open", admin.office.key("A"), os.O_RDWR)
    with admin.waiting(*admin.reset()) as process:
        assert list(admin.waiters()) == ["/PO/A"]
        assert a.call("client.get", admin.office.mbg("A")) == 2 * HEADER
        a.call("os.close", fd)
        assert end(process)[0] == 0
    assert admin.mailbag() == EMPTY


def test_a_change_waits_for_who_works_the_queue_off(a, b, admin):
    """And keeps nobody from it meanwhile."""
    lock = admin.office.lock_file("A.0LK")
    a.call("client.put", lock, b"")
    with admin.waiting(*admin.reset()) as process:
        b.call("client.append", admin.office.mbg("A"), HEADER)
        assert b.call("client.get", admin.office.mbg("A")) == 3 * HEADER
        a.call("os.unlink", lock)
        status, text = end(process)
    assert status == 0 and "3 records" in text
    assert admin.mailbag() == EMPTY


def test_a_change_waits_for_the_inqueues_lock(a, admin):
    admin.fill("INQUEUE3")
    lock = admin.office.lock_file("INQUEUE.0LK")
    a.call("client.put", lock, b"")
    with admin.waiting(*admin.reset(mailbag="inqueue3")) as process:
        a.call("os.unlink", lock)
        assert end(process)[0] == 0
    assert admin.mailbag("INQUEUE3") == EMPTY


def test_a_change_waits_for_a_file_for_one_program(a, admin):
    fd = a.call("os.open", admin.office.control, os.O_RDWR)
    command = ("set-counter", "--letter", "0x300", admin.store)
    with admin.waiting(*command) as process:
        assert list(admin.waiters()) == ["/PO/GLB/CONTROL.GLB"]
        a.call("os.pwrite", fd, struct.pack("<II", 1, 2), 0)
        a.call("os.close", fd)
        status, text = end(process)
    assert status == 0 and "it was 00000002" in text, text
    assert admin.office.control.read_bytes() == struct.pack("<II", 1, 0x300)


def test_a_change_undoes_nothing_of_what_is_staged(a, admin):
    """What the holder has staged comes first, so it is looked at again."""
    admin.office.key("B").write_bytes(b"\7" + KEY[1:])
    fd = deliver(a, admin.office, "B")
    with admin.waiting("reset", admin.store, "B") as process:
        a.call("os.close", fd)
        status, text = end(process)
    assert status == 1 and "1 live record" in text
    assert admin.mailbag("B") == (b"\1" + KEY[1:], HEADER)


def test_what_has_changed_meanwhile_is_looked_at_again(a, admin):
    fd = deliver(a, admin.office)
    with admin.waiting(*admin.reset()) as process:
        a.call("os.close", fd)
        status, text = end(process)
    assert status == 0 and "3 records" in text
    assert admin.mailbag() == EMPTY


def test_what_is_not_on_disk_yet_is_looked_at(admin):
    """A plain change is, within a second, and so not for who reads beside."""
    admin.office.control.write_bytes(struct.pack("<II", 5, 6))
    done = poctl("set-counter", "--letter", "0x300", admin.store)
    assert "it was 00000006" in done.stdout
    assert admin.office.control.read_bytes() == struct.pack("<II", 5, 0x300)


def test_what_was_deleted_a_moment_ago_is_restored(admin):
    mai = admin.office.mai.parent / "00000007.MAI"
    mai.write_bytes(b"mail")
    poctl("set-counter", "--letter", "0x300", admin.store)
    when = datetime.datetime.now().isoformat(" ")
    mai.unlink()
    done = poctl("restore", "--at", when, admin.store,
                 "PO/MAI/MA7/00000007.MAI")
    assert "Restored 1 of 1" in done.stdout
    assert mai.read_bytes() == b"mail"


def test_mail_goes_on_behind_a_change(a, b, admin):
    """Who comes after it is served after it."""
    fd = a.call("os.open", admin.office.key("A"), os.O_RDWR)
    with admin.waiting(*admin.reset()) as process:
        b.start("os.open", admin.office.key("A"), os.O_RDWR)
        b.wait_blocked()
        a.call("os.close", fd)
        assert end(process)[0] == 0
        fd = b.result()
    assert b.call("os.pread", fd, 600, 0) == KEY


# ---- who does not let go ----------------------------------------------------

@pytest.fixture
def hasty(store):
    """The administrator of a mount where nobody waits for long."""
    with Mount(store, "-o", "lock-wait-s=1") as mount:
        yield Admin(mount)


def test_who_does_not_let_go_is_named(a, hasty):
    a.call("os.open", hasty.office.key("A"), os.O_RDWR)
    before = hasty.mailbag()
    status, text = end(start(*hasty.reset()))
    assert status == 1
    assert text.startswith("poctl: /PO/A is locked by session ")
    assert text.endswith(f", process {a.pid}\n")
    assert hasty.mailbag() == before
    assert hasty.waiters() == {}


def test_who_has_the_second_lock_is_named(a, b, hasty):
    """And the first one is let go."""
    fd = a.call("os.open", hasty.office.key("A"), os.O_RDWR)
    b.call("client.put", hasty.office.lock_file("A.0LK"), b"")
    with hasty.waiting(*hasty.reset()) as process:
        a.call("os.close", fd)
        status, text = end(process)
    assert status == 1 and f", process {b.pid}" in text
    a.call("os.open", hasty.office.key("A"), os.O_RDWR)


def test_a_waiting_command_can_be_broken(a, admin):
    a.call("os.open", admin.office.key("A"), os.O_RDWR)
    before = admin.mailbag()
    with admin.waiting(*admin.reset()) as process:
        (session,), = admin.waiters().values()
        poctl("break", admin.store, session)
        status, text = end(process)
    assert status == 1 and f", process {a.pid}" in text
    assert admin.mailbag() == before


def test_a_command_that_is_killed_changes_nothing(a, admin):
    fd = a.call("os.open", admin.office.key("A"), os.O_RDWR)
    before = admin.mailbag()
    with admin.waiting(*admin.reset()) as process:
        process.kill()
        process.communicate()
        wait_until(lambda: not admin.waiters(), "its place is given up")
    a.call("os.close", fd)
    assert admin.mailbag() == before


# ---- who has a file open ----------------------------------------------------

def last_entry(admin):
    """The number of the journal's last entry."""
    done = poctl("log", "--json", admin.store)
    return json.loads(done.stdout)["journal"][-1]["id"]


def test_what_is_open_is_not_undone_away(a, b, admin):
    """A message that a client reads; but what it is told stays the same."""
    a.call("os.close", deliver(a, admin.office))
    entry = last_entry(admin)
    fd = b.call("os.open", admin.office.mai, os.O_RDONLY)
    status, text = end(start("undo", admin.store, entry))
    assert status == 1
    assert text == "poctl: /PO/MAI/MA7/00000017.MAI is open\n"
    assert b.call("client.get", admin.office.mai) == MESSAGE
    assert admin.mailbag() == (b"\1" + KEY[1:], 3 * HEADER)
    b.call("os.close", fd)
    assert end(start("undo", admin.store, entry))[0] == 0
    assert not admin.office.mai.exists()


def test_what_is_open_may_be_as_it_was(a, b, admin):
    """A mailbag that a client looks at stays there, with another content."""
    a.call("os.close", deliver(a, admin.office))
    fd = b.call("os.open", admin.office.key("A"), os.O_RDONLY)
    assert b.call("os.pread", fd, 600, 0)[:1] == b"\1"
    assert end(start("undo", admin.store, last_entry(admin)))[0] == 0
    assert b.call("os.pread", fd, 600, 0)[:1] == b"\7"


# ---- ends -------------------------------------------------------------------

def test_a_daemon_that_is_killed_leaves_all_or_nothing(store):
    with Mount(store) as mount, Actor() as a:
        admin = Admin(mount)
        before = admin.mailbag()
        poctl(*admin.reset(mailbag="B"))
        a.call("os.open", admin.office.key("A"), os.O_RDWR)
        with admin.waiting(*admin.reset()) as process:
            mount.kill()
            status, text = end(process)
    assert status == 1 and "does not answer" in text
    with Mount(store) as mount:
        office = Office(mount / "PO", create=False)
        assert (office.key("A").read_bytes(),
                office.mbg("A").read_bytes()) == before


def test_a_daemon_that_ends_does_not_wait_for_it(store):
    with Mount(store) as mount, Actor() as a:
        admin = Admin(mount)
        a.call("os.open", admin.office.key("A"), os.O_RDWR)
        with admin.waiting(*admin.reset()) as process:
            mount.unmount()
            status, text = end(process)
        assert status == 1 and "does not answer" in text
        mount.check_log()
    store.check()
