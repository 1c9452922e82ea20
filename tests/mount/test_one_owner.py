# SPDX-License-Identifier: BSD-2-Clause
"""Files that one program at a time may write (CONTROL.GLB and its kin), and
messages that only their creator may empty."""

import contextlib
import errno
import os
import signal
import time

import pytest

from actor import Actor
from events import events
from harness import Mount, fails_with
from postoffice import mounted

NAMES = ["CONTROL.GLB", "TID.GLB", "FLAG.GLB", "MASTER.GLB"]


@pytest.fixture
def glb(post):
    """The GLB directory of a postoffice of the test's own."""
    for name in (*NAMES, "NETWORK.GLB"):
        (post / "GLB" / name).write_bytes(bytes(8))
    return post / "GLB"


@pytest.fixture
def control(glb):
    """Its CONTROL.GLB."""
    return glb / "CONTROL.GLB"


# ---- one owner --------------------------------------------------------------


@pytest.mark.parametrize("name", [*NAMES, "control.glb"])
@pytest.mark.parametrize("access", [os.O_RDWR, os.O_WRONLY])
def test_a_second_writer_waits_for_the_close(glb, a, name, access):
    mine = os.open(glb / name.upper(), os.O_RDWR)
    a.start("os.open", glb / name, access)
    a.wait_blocked()
    os.pwrite(mine, b"12345678", 0)
    assert not a.is_done()
    os.close(mine)
    theirs = a.result()
    assert (glb / name).read_bytes() == b"12345678"
    a.call("os.pwrite", theirs, b"87654321", 0)
    assert (glb / name).read_bytes() == b"87654321"
    a.call("os.close", theirs)
    os.close(os.open(glb / name, os.O_RDWR))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("how", [0, os.O_EXCL])
def test_one_that_its_owner_has_removed_is_not_made_before_the_close(
        glb, a, name, how):
    """Refused, nothing is left that the next attempt would find."""
    mine = os.open(glb / name, os.O_RDWR)
    os.unlink(glb / name)
    with fails_with(errno.ETXTBSY):
        a.call("os.open", glb / name, os.O_RDWR | os.O_CREAT | how)
    assert name not in os.listdir(glb)
    os.close(mine)
    a.call("os.open", glb / name, os.O_RDWR | os.O_CREAT | how)


def test_other_files_have_no_owner(glb, post, a):
    elsewhere = post.parent / "CONTROL.GLB"
    elsewhere.write_bytes(bytes(8))
    for path in (glb / "NETWORK.GLB", elsewhere):
        mine = os.open(path, os.O_RDWR)
        a.call("os.close", a.call("os.open", path, os.O_RDWR))
        os.close(mine)


def test_readers_are_not_kept_out(control, a):
    reader = a.call("os.open", control, os.O_RDONLY)
    mine = os.open(control, os.O_RDWR)
    second = a.call("os.open", control, os.O_RDONLY)
    os.pwrite(mine, b"12345678", 0)
    for fd in (reader, second):
        assert a.call("os.pread", fd, 8, 0) == b"12345678"
    os.close(mine)


def test_a_program_may_open_it_twice(control, a):
    mine = [os.open(control, os.O_RDWR) for _ in range(2)]
    a.start("os.open", control, os.O_RDWR)
    a.wait_blocked()
    os.close(mine[0])
    os.pwrite(mine[1], b"12345678", 0)
    assert not a.is_done()
    os.close(mine[1])
    a.result()


def test_waiters_are_served_in_order(control):
    waiters = [Actor() for _ in range(4)]
    try:
        mine = os.open(control, os.O_RDWR)
        for waiter in waiters:
            waiter.start("os.open", control, os.O_RDWR)
            waiter.wait_blocked()
        os.close(mine)
        for number, waiter in enumerate(waiters):
            theirs = waiter.result()
            assert not any(w.is_done() for w in waiters[number + 1:])
            waiter.call("os.close", theirs)
    finally:
        for waiter in waiters:
            waiter.kill()


@pytest.mark.parametrize("create", [0, os.O_CREAT])
def test_others_are_served_while_one_waits(control, a, create):
    """In the same directory, too: a wait holds no lock of the kernel's."""
    mine = os.open(control, os.O_RDWR)
    a.start("os.open", control, os.O_RDWR | create)
    a.wait_blocked()
    for number in range(50):
        path = control.parent / f"N{number}"
        path.write_bytes(b"x")
        assert path.read_bytes() == b"x"
        os.unlink(path)
    assert not a.is_done()
    os.close(mine)
    a.result()


def test_truncation_by_name_is_refused_at_once(control, a):
    """And has changed nothing."""
    control.write_bytes(b"12345678")
    mine = os.open(control, os.O_RDWR)
    for size in (0, 4, 100):
        with fails_with(errno.ETXTBSY):
            a.call("os.truncate", control, size)
    assert control.read_bytes() == b"12345678"
    os.truncate(control, 6)
    os.close(mine)
    a.call("os.truncate", control, 4)
    assert control.read_bytes() == b"1234"


def test_a_truncating_open_waits_before_it_truncates(control, a):
    control.write_bytes(b"12345678")
    mine = os.open(control, os.O_RDWR)
    a.start("os.open", control, os.O_WRONLY | os.O_TRUNC)
    a.wait_blocked()
    assert os.pread(mine, 8, 0) == b"12345678"
    os.close(mine)
    a.result()
    assert control.read_bytes() == b""


def test_who_may_not_open_it_does_not_wait(store):
    with mounted(store, "allow_other") as (_, office), \
            Actor(uid=65534) as stranger:
        office.control.chmod(0o600)
        mine = os.open(office.control, os.O_RDWR)
        with fails_with(errno.EACCES):
            stranger.call("os.open", office.control, os.O_RDWR)
        os.close(mine)


# ---- the end of waiting -----------------------------------------------------


def test_a_wait_has_an_end(store):
    with mounted(store, "lock-wait-s=1") as (_, office), \
            Actor() as other:
        mine = os.open(office.control, os.O_RDWR)
        began = time.monotonic()
        with fails_with(errno.ETXTBSY):
            other.call("os.open", office.control, os.O_RDWR)
        assert 0.9 < time.monotonic() - began < 20
        os.close(mine)
        other.call("os.open", office.control, os.O_RDWR)


def test_nobody_waits_where_waiting_is_off(store):
    with mounted(store, "lock-wait-s=0") as (_, office), \
            Actor() as other:
        mine = os.open(office.control, os.O_RDWR)
        for _ in range(3):
            with fails_with(errno.ETXTBSY):
                other.call("os.open", office.control, os.O_RDWR)
        os.close(mine)
        other.call("os.open", office.control, os.O_RDWR)


def test_a_killed_holder_frees_it(control, a, b):
    a.call("os.open", control, os.O_RDWR)
    b.start("os.open", control, os.O_RDWR)
    b.wait_blocked()
    a.kill()
    b.result()


@pytest.mark.parametrize("how", ["fork_and_stay", "share_and_stay"])
def test_a_holder_whose_child_lives_on_frees_it(control, a, b, how):
    """The child has the file open, but is another program."""
    a.call("os.open", control, os.O_RDWR)
    child = a.call("client." + how)
    try:
        b.start("os.open", control, os.O_RDWR)
        b.wait_blocked()
        a.kill()
        theirs = b.result()
        b.call("os.pwrite", theirs, b"12345678", 0)
    finally:
        os.kill(child, signal.SIGKILL)
    assert control.read_bytes() == b"12345678"


def test_a_killed_waiter_is_forgotten(control, a, b):
    mine = os.open(control, os.O_RDWR)
    a.start("os.open", control, os.O_RDWR)
    a.wait_blocked()
    b.start("os.open", control, os.O_RDWR)
    b.wait_blocked()
    a.kill()
    os.close(mine)
    b.result()


def test_a_signal_ends_a_wait(control, a):
    mine = os.open(control, os.O_RDWR)
    a.start("os.open", control, os.O_RDWR)
    a.wait_blocked()
    a.interrupt()
    with pytest.raises(InterruptedError):
        a.result()
    os.close(mine)
    a.call("os.close", a.call("os.open", control, os.O_RDWR))
    os.close(os.open(control, os.O_RDWR))


def test_a_deadlock_is_refused_at_once(glb, a):
    mine = os.open(glb / "CONTROL.GLB", os.O_RDWR)
    a.call("os.open", glb / "FLAG.GLB", os.O_RDWR)
    a.start("os.open", glb / "CONTROL.GLB", os.O_RDWR)
    a.wait_blocked()
    began = time.monotonic()
    with fails_with(errno.ETXTBSY):
        os.open(glb / "FLAG.GLB", os.O_RDWR)
    assert time.monotonic() - began < 10
    assert not a.is_done()
    os.close(mine)
    a.result()


def test_a_file_that_was_replaced_meanwhile_is_opened_anew(control, a):
    mine = os.open(control, os.O_RDWR)
    a.start("os.open", control, os.O_RDWR)
    a.wait_blocked()
    new = control.parent / "NEW.GLB"
    new.write_bytes(b"new file")
    os.rename(new, control)
    os.close(mine)
    assert a.call("os.pread", a.result(), 8, 0) == b"new file"


@pytest.mark.parametrize("end", ["unmount", "kill"])
def test_an_end_answers_those_who_wait(store, end):
    with mounted(store) as (mount, office), Actor() as other:
        mine = os.open(office.control, os.O_RDWR)
        other.start("os.open", office.control, os.O_RDWR)
        other.wait_blocked()
        getattr(mount, end)()
        with pytest.raises(OSError):
            other.result()
        with contextlib.suppress(OSError):
            os.close(mine)
    store.check()


def test_an_smbd_is_told_to_ask_again(store):
    """So that its client is served meanwhile; its place is kept."""
    with mounted(store, "smbd-park-ms=3000") as (_, office), \
            Actor() as smbd, Actor() as local:
        smbd.call("client.be_called", "smbd")
        mine = os.open(office.control, os.O_RDWR)
        with fails_with(errno.EAGAIN):
            smbd.call("os.open", office.control, os.O_RDWR)
        local.start("os.open", office.control, os.O_RDWR)
        local.wait_blocked()
        smbd.start("os.open", office.control, os.O_RDWR)
        smbd.wait_blocked()
        os.close(mine)
        theirs = smbd.result()
        assert not local.is_done()
        smbd.call("os.close", theirs)
        local.result()


# ---- copies of an open file -------------------------------------------------


def test_a_close_of_a_copy_lets_go_until_the_next_write(control, a):
    mine = os.open(control, os.O_RDWR)
    copy = os.dup(mine)
    os.close(mine)
    theirs = a.call("os.open", control, os.O_RDWR)
    with fails_with(errno.ETXTBSY):
        os.pwrite(copy, b"12345678", 0)
    a.call("os.close", theirs)
    os.pwrite(copy, b"12345678", 0)
    a.start("os.open", control, os.O_RDWR)
    a.wait_blocked()
    assert control.read_bytes() == b"12345678"
    os.close(copy)
    a.result()


def test_a_copy_does_not_write_over_another_owners_change(control, a):
    mine = os.open(control, os.O_RDWR)
    copy = os.dup(mine)
    os.close(mine)
    theirs = a.call("os.open", control, os.O_RDWR)
    a.call("os.pwrite", theirs, b"87654321", 0)
    a.call("os.close", theirs)
    for attempt in (lambda: os.pwrite(copy, b"12345678", 0),
                    lambda: os.ftruncate(copy, 0)):
        with fails_with(errno.ETXTBSY):
            attempt()
    assert control.read_bytes() == b"87654321"
    os.close(copy)


def test_a_childs_close_does_not_let_go(control, a, b):
    fd = a.call("os.open", control, os.O_RDWR)
    a.call("client.close_in_child", fd)
    b.start("os.open", control, os.O_RDWR)
    b.wait_blocked()
    a.call("os.pwrite", fd, b"12345678", 0)
    assert not b.is_done()
    a.call("os.close", fd)
    b.result()


# ---- the guard of messages --------------------------------------------------


BODIES = ["MAI/MA7/00000017.MAI", "ATT/AT8/00000018.ATT"]
TRUNCATIONS = [
    lambda actor, path: actor.call("os.open", path, os.O_RDWR | os.O_TRUNC),
    lambda actor, path: actor.call("os.truncate", path, 0),
    lambda actor, path: actor.call("client.truncate_open", path),
    lambda actor, path: actor.call("client.put", path, b"another"),
]


def body(mount, name, content):
    """A message that the test has created."""
    path = mount / "PO" / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("truncate", TRUNCATIONS)
def test_a_message_is_emptied_by_its_creator_only(store, name, truncate):
    with Mount(store) as mount, Actor() as other:
        path = body(mount, name, b"a message")
        with fails_with(errno.ETXTBSY):
            truncate(other, path)
        assert path.read_bytes() == b"a message"
        told, = events(mount, "truncate-refused")
        assert (told["path"], int(told["pid"])) == (f"/PO/{name}", other.pid)
        # Others may write to it, and shorten it: the owner count is theirs.
        fd = other.call("os.open", path, os.O_RDWR)
        other.call("os.pwrite", fd, b"A", 0)
        other.call("os.truncate", path, 5)
        other.call("os.close", fd)
        assert path.read_bytes() == b"A mes"
        path.write_bytes(b"again")
        assert path.read_bytes() == b"again"


def test_an_empty_message_is_anybodys(store):
    with Mount(store) as mount, Actor() as other:
        path = body(mount, BODIES[0], b"")
        other.call("os.truncate", path, 0)
        other.call("os.open", path, os.O_RDWR | os.O_TRUNC)


def test_other_files_are_not_guarded(store):
    with Mount(store) as mount, Actor() as other:
        for name in ("GLB/NETWORK.GLB", "MAI/MA7/NOTES.TXT", "P1/00000017.P1",
                     "MBG/COPY.MBG"):
            path = body(mount, name, b"content")
            other.call("os.truncate", path, 0)
            assert path.read_bytes() == b""


def test_a_creators_right_ends_with_it(store):
    with Mount(store) as mount:
        path = mount / "PO" / BODIES[0]
        with Actor() as creator:
            creator.call("client.put", path, b"a message")
            creator.call("os.truncate", path, 0)
            creator.call("client.put", path, b"a message")
        with fails_with(errno.ETXTBSY):
            os.truncate(path, 0)


def test_the_guard_can_be_switched_off(store):
    with Mount(store, "-o", "truncate-guard=false") as mount, \
            Actor() as other:
        path = body(mount, BODIES[0], b"a message")
        other.call("os.truncate", path, 0)
        assert path.read_bytes() == b""
        assert "refused" not in mount.stderr
