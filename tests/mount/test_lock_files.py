# SPDX-License-Identifier: BSD-2-Clause
"""Lock files: who sees them, how they come and go."""

import errno
import os

import pytest

from actor import Actor
from harness import Mount, fails_with, wait_until
from postoffice import Office, deliver, is_delivered, mounted

NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL

INQUEUE_NAMES = ["INQUEUE.0LK", "INQUEUE3.0LK"]


def create(actor, path):
    """Creates a lock file and closes it."""
    actor.call("os.close", actor.call("os.open", path, NEW))


def p1(actor, office):
    """What is in P1, as this program sees it."""
    return sorted(actor.call("os.listdir", office.path / "P1"))


def is_made(actor, path):
    """Whether the lock file could be created just now."""
    try:
        create(actor, path)
    except FileExistsError:
        return False
    return True


# ---- real ones --------------------------------------------------------------


@pytest.mark.parametrize("name", ["A.0LK", "INQUEUE3.0LK"])
def test_others_see_it_but_cannot_touch_it(a, b, office, name):
    path = office.lock_file(name)
    fd = a.call("os.open", path, NEW)
    a.call("os.write", fd, b"whose it is")
    assert b.call("os.stat", path).st_size == len(b"whose it is")
    assert name in p1(b, office)
    for flags in (os.O_RDONLY, os.O_RDWR, os.O_RDWR | os.O_CREAT,
                  os.O_RDWR | os.O_TRUNC):
        with fails_with(errno.ETXTBSY):
            b.call("os.open", path, flags)
    with fails_with(errno.EEXIST):
        b.call("os.open", path, NEW)
    for change in (("os.unlink", path), ("os.truncate", path, 0),
                   ("os.chmod", path, 0), ("os.utime", path, (1, 1)),
                   ("os.setxattr", path, "user.x", b"y")):
        with fails_with(errno.ETXTBSY):
            b.call(*change)
    a.call("os.setxattr", path, "user.x", b"z")
    with fails_with(errno.ETXTBSY):
        b.call("os.removexattr", path, "user.x")
    assert b.call("os.getxattr", path, "user.x") == b"z"
    for change in (("os.utime", path, (2, 2)), ("os.chmod", path, 0o644),
                   ("os.truncate", path, 1000), ("os.ftruncate", fd, 11)):
        a.call(*change)
    a.call("os.close", fd)
    assert a.call("client.get", path) == b"whose it is"


def test_it_cannot_be_renamed(a, office):
    path, other = office.lock_file("A.0LK"), office.lock_file("B.0LK")
    create(a, path)
    a.call("client.put", office.p1, b"x")
    for old, new in ((path, other), (path, office.path / "P1/A.P1"),
                     (office.p1, other)):
        with fails_with(errno.EPERM):
            a.call("os.rename", old, new)
    assert p1(a, office) == [office.p1.name, "A.0LK"]


def test_what_was_stored_under_such_a_name_cannot_be_opened(a, office):
    """It was plain until its directory became a postoffice's."""
    plain = office.path.with_name(f"{office.path.name}-PLAIN")
    (plain / "P1").mkdir(parents=True)
    stored = plain / "P1/A.0LK"
    stored.write_bytes(b"plain")
    fd = a.call("os.open", stored, os.O_PATH)
    for name in ("KEY", "MBG"):
        (plain / name).mkdir()
    with fails_with(errno.ESTALE):
        a.call("os.open", f"/proc/self/fd/{fd}", os.O_RDWR)
    create(a, stored)
    a.call("os.unlink", stored)
    for name in ("KEY", "MBG"):
        (plain / name).rmdir()
    assert stored.read_bytes() == b"plain"


def test_one_whose_directory_is_moved_to_another_postoffice(
        a, b, office, second_office):
    name = "A.0LK"
    fd = a.call("os.open", office.lock_file(name), NEW)
    (second_office.path / "P1").rmdir()
    (office.path / "P1").rename(second_office.path / "P1")
    with fails_with(errno.ETXTBSY):
        b.call("os.unlink", second_office.lock_file(name))
    a.call("os.unlink", second_office.lock_file(name))
    a.call("os.close", fd)
    (office.path / "P1").mkdir()
    create(b, office.lock_file(name))


def test_one_that_is_opened_after_its_directory_was_moved(
        a, b, office, second_office):
    name = "A.0LK"
    create(a, office.lock_file(name))
    (second_office.path / "P1").rmdir()
    (office.path / "P1").rename(second_office.path / "P1")
    fd = a.call("os.open", second_office.lock_file(name), os.O_RDWR)
    a.call("os.unlink", second_office.lock_file(name))
    (office.path / "P1").mkdir()
    assert not is_made(b, office.lock_file(name))
    a.call("os.close", fd)
    assert is_made(b, office.lock_file(name))


def test_a_directory_cannot_be_a_lock(a, office):
    with fails_with(errno.EPERM):
        a.call("os.mkdir", office.lock_file("A.0LK"))
    assert p1(a, office) == []


def test_one_that_is_deleted_while_open_locks_until_it_is_closed(a, b, office):
    """As delete-on-close does it."""
    path = office.lock_file("A.0LK")
    fd = a.call("os.open", path, NEW)
    a.call("os.unlink", path)
    assert not is_made(b, path)
    assert b.call("os.stat", path).st_nlink == 1
    with fails_with(errno.ETXTBSY):
        b.call("os.open", path, os.O_RDWR)
    a.call("os.close", fd)
    wait_until(lambda: is_made(b, path), "the lock is free")


def test_a_transaction_lasts_from_lock_file_to_lock_file(a, b, office):
    create(a, office.lock_file("A.0LK"))
    a.call("os.close", deliver(a, office, "B"))
    assert not is_delivered(b, office, "B")
    a.call("os.unlink", office.lock_file("A.0LK"))
    assert is_delivered(b, office, "B")


def test_a_reserved_suffix_is_no_transaction(a, b, office):
    create(a, office.lock_file("LOCKP1ID.P01"))
    a.call("os.close", deliver(a, office))
    assert is_delivered(b, office)
    with fails_with(errno.EEXIST):
        b.call("os.open", office.lock_file("LOCKP1ID.P01"), NEW)


# ---- their end --------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 1, None])
@pytest.mark.parametrize("name", ["A.0LK", "INQUEUE.0LK", "LOCKP1ID.P01"])
def test_it_ends_with_its_program(b, office, name, code):
    with Actor() as a:
        create(a, office.lock_file(name))
        if code is not None:
            a.start("os._exit", code)
            a.process.wait()
    wait_until(lambda: is_made(b, office.lock_file(name)), "it is gone")
    assert b.call("os.stat", office.lock_file(name)).st_size == 0


@pytest.mark.parametrize("end", ["kill", "unmount"])
def test_it_ends_with_the_daemon(store, a, end):
    names = ["A.0LK", "B.005", "INQUEUE.0LK", "LOCKP1ID.P01"]
    with Mount(store) as mount:
        office = Office(mount / "PO")
        for name in names:
            create(a, office.lock_file(name))
        os.sync()
        getattr(mount, end)()
    with Mount(store) as mount:
        assert not set(os.listdir(mount / "PO/P1")) & set(names)
        for name in names:
            assert not (mount / "PO/P1" / name).exists()
    store.check()


# ---- virtual ones -----------------------------------------------------------


@pytest.mark.parametrize("path", ["KEY/INQUEUE.KEY", "MBG/INQUEUE3.MBG"])
def test_an_inqueue_that_is_open_has_its_lock_file(a, b, office, path):
    fd = a.call("os.open", office.path / path, os.O_RDONLY)
    assert p1(b, office) == INQUEUE_NAMES
    assert p1(a, office) == []
    for name in (*INQUEUE_NAMES, "inqueue.olk"):
        lock_file = office.lock_file(name)
        assert b.call("os.stat", lock_file).st_size == 0
        with fails_with(errno.EEXIST):
            b.call("os.open", lock_file, NEW)
        for flags in (os.O_RDONLY, os.O_RDWR, os.O_RDWR | os.O_CREAT):
            with fails_with(errno.ETXTBSY):
                b.call("os.open", lock_file, flags)
        with fails_with(errno.ETXTBSY):
            b.call("os.unlink", lock_file)
        with fails_with(errno.ENOENT):
            a.call("os.stat", lock_file)
    a.call("os.close", fd)
    assert p1(b, office) == []
    with fails_with(errno.ENOENT):
        b.call("os.stat", office.lock_file("INQUEUE.0LK"))


def test_each_has_a_number_of_its_own(a, b, office):
    """smbd knows a file by it, and notes by it what is to be deleted."""
    path = office.lock_file("INQUEUE.0LK")
    fd = a.call("os.open", office.key("INQUEUE"), os.O_RDONLY)
    numbers = [the_number(path, b)]
    a.call("os.close", fd)
    for actor in (b, a):
        wait_until(lambda: is_made(actor, path), "the actor's turn")
        numbers.append(the_number(path, a, b))
        actor.call("os.unlink", path)
    assert len(set(numbers)) == 3


def number_in_listing(path):
    """That of a file as its directory has it."""
    with os.scandir(path.parent) as entries:
        number, = [entry.inode() for entry in entries
                   if entry.name == path.name]
    return number


def the_number(path, *actors):
    """That of a file as everybody has it."""
    number, = {actor.call("os.stat", path).st_ino for actor in actors} | {
        number_in_listing(path)}
    return number


def test_the_owner_may_add_the_real_one(a, b, office):
    fd = a.call("os.open", office.key("INQUEUE"), os.O_RDWR)
    create(a, office.lock_file("INQUEUE.0LK"))
    a.call("os.pwrite", fd, b"\1", 0)
    a.call("os.close", fd)
    assert b.call("os.stat", office.lock_file("INQUEUE.0LK"))
    b.start("client.get", office.key("INQUEUE"))
    b.wait_blocked()
    a.call("os.unlink", office.lock_file("INQUEUE.0LK"))
    assert b.result()[:1] == b"\1"


def test_other_mailbags_have_none(a, b, office):
    """There a client may append while an External works the queue off."""
    a.call("os.open", office.key("A"), os.O_RDWR)
    assert p1(b, office) == []
    create(b, office.lock_file("A.0LK"))


# ---- who tries again --------------------------------------------------------


def test_who_tries_has_a_place_in_the_line(a, b, c, office):
    path = office.lock_file("INQUEUE.0LK")
    fd = a.call("os.open", office.key("INQUEUE"), os.O_RDWR)
    assert not is_made(b, path)
    c.start("os.open", office.key("INQUEUE"), os.O_RDWR)
    c.wait_blocked()
    b.start("client.create_soon", path)
    a.call("os.close", fd)
    fd = b.result()
    assert not c.is_done()
    b.call("os.close", fd)
    b.call("os.unlink", path)
    c.result()


def test_who_has_given_up_is_not_waited_for(a, b, c, office):
    fd = a.call("os.open", office.key("INQUEUE"), os.O_RDWR)
    assert not is_made(b, office.lock_file("INQUEUE.0LK"))
    c.start("os.open", office.key("INQUEUE"), os.O_RDWR)
    c.wait_blocked()
    a.call("os.close", fd)
    c.result()


def test_who_tries_is_served_while_others_queue(a, b, c, office):
    key = office.key("INQUEUE")
    with Actor() as third:
        for actor in (a, b, third):
            actor.start("client.open_often", key, 10 ** 9)
        for _ in range(3):
            path = office.lock_file("INQUEUE.0LK")
            c.call("os.close", c.call("client.create_soon", path))
            c.call("os.unlink", path)
        assert not any(actor.is_done() for actor in (a, b, third))


def test_two_that_try_take_turns(a, b, office):
    path = office.lock_file("INQUEUE.0LK")
    for _ in range(5):
        for actor, other in ((a, b), (b, a)):
            actor.call("os.close", actor.call("client.create_soon", path))
            assert not is_made(other, path)
            actor.call("os.unlink", path)


# ---- what a dead owner has looked at ----------------------------------------


@pytest.fixture
def dead(office):
    """Who had the lock of INQUEUE3, and can be killed."""
    with Actor() as actor:
        create(actor, office.lock_file("INQUEUE3.0LK"))
        yield actor


def test_mail_has_another_number_then(dead, office, b):
    """smbd may have marked it by its number; no deletion of another file is
    undone."""
    office.p1.write_bytes(b"a route")
    paths = [office.p1, office.control]
    before = [the_number(path, b) for path in paths]
    for path in paths:
        # What the kernel remembers it does not ask for.
        dead.call("os.stat", path.with_name(path.name.lower()))
    dead.kill()
    wait_until(lambda: the_number(office.p1, b) != before[0], "its end")
    assert the_number(office.control, b) == before[1]


def test_what_another_reads_keeps_its_number_until_it_is_closed(
        dead, office, b, c):
    """The other one's smbd might carry out the mark: nobody may delete it."""
    office.p1.write_bytes(b"a route")
    fds = [b.call("os.open", office.p1, os.O_RDONLY) for _ in range(2)]
    before = the_number(office.p1, b, c)
    dead.call("os.stat", office.p1)
    dead.kill()
    # The lock of whoever has died is had.
    c.call("os.close", c.call("client.create_soon",
                              office.lock_file("INQUEUE3.0LK")))
    for fd in fds:
        assert the_number(office.p1, b, c) == before
        with fails_with(errno.ETXTBSY):
            b.call("os.unlink", office.p1)
        with fails_with(errno.ETXTBSY):
            b.call("os.rename", office.control, office.p1)
        b.call("os.close", fd)
    wait_until(lambda: the_number(office.p1, b, c) != before, "its release")
    b.call("os.unlink", office.p1)


def test_an_smbd_that_waits_for_it_is_told_to_ask_again(store):
    """It knows the number that the file had."""
    with mounted(store, "smbd-park-ms=60000") as (_, office), \
            Actor() as dead, Actor() as smbd:
        smbd.call("client.be_called", "smbd")
        create(dead, office.lock_file("INQUEUE3.0LK"))
        dead.call("os.stat", office.key("INQUEUE3"))
        smbd.start("os.open", office.key("INQUEUE3"), os.O_RDWR)
        smbd.wait_blocked()
        dead.kill()
        with fails_with(errno.EAGAIN):
            smbd.result()
        smbd.call("os.open", office.key("INQUEUE3"), os.O_RDWR)
