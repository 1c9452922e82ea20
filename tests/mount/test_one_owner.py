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


@pytest.fixture
def other():
    """Another process."""
    with Actor() as actor:
        yield actor


@pytest.fixture
def third():
    """One more."""
    with Actor() as actor:
        yield actor


@contextlib.contextmanager
def small_mount(store, *options):
    """A mount with these options, and its CONTROL.GLB."""
    with Mount(store, *(word for option in options
                        for word in ("-o", option))) as mount:
        path = mount / "PO" / "GLB" / "CONTROL.GLB"
        path.write_bytes(bytes(8))
        yield mount, path


# ---- one owner --------------------------------------------------------------


@pytest.mark.parametrize("name", [*NAMES, "control.glb"])
@pytest.mark.parametrize("access", [os.O_RDWR, os.O_WRONLY])
def test_a_second_writer_waits_for_the_close(glb, other, name, access):
    mine = os.open(glb / name.upper(), os.O_RDWR)
    other.start("os.open", glb / name, access)
    other.wait_blocked()
    os.pwrite(mine, b"12345678", 0)
    assert not other.is_done()
    os.close(mine)
    theirs = other.result()
    assert (glb / name).read_bytes() == b"12345678"
    other.call("os.pwrite", theirs, b"87654321", 0)
    assert (glb / name).read_bytes() == b"87654321"
    other.call("os.close", theirs)
    os.close(os.open(glb / name, os.O_RDWR))


def test_other_files_have_no_owner(glb, post, other):
    elsewhere = post.parent / "CONTROL.GLB"
    elsewhere.write_bytes(bytes(8))
    for path in (glb / "NETWORK.GLB", elsewhere):
        mine = os.open(path, os.O_RDWR)
        other.call("os.close", other.call("os.open", path, os.O_RDWR))
        os.close(mine)


def test_readers_are_not_kept_out(control, other):
    reader = other.call("os.open", control, os.O_RDONLY)
    mine = os.open(control, os.O_RDWR)
    second = other.call("os.open", control, os.O_RDONLY)
    os.pwrite(mine, b"12345678", 0)
    for fd in (reader, second):
        assert other.call("os.pread", fd, 8, 0) == b"12345678"
    os.close(mine)


def test_a_program_may_open_it_twice(control, other):
    mine = [os.open(control, os.O_RDWR) for _ in range(2)]
    other.start("os.open", control, os.O_RDWR)
    other.wait_blocked()
    os.close(mine[0])
    os.pwrite(mine[1], b"12345678", 0)
    assert not other.is_done()
    os.close(mine[1])
    other.result()


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
def test_others_are_served_while_one_waits(control, other, create):
    """In the same directory, too: a wait holds no lock of the kernel's."""
    mine = os.open(control, os.O_RDWR)
    other.start("os.open", control, os.O_RDWR | create)
    other.wait_blocked()
    for number in range(50):
        path = control.parent / f"N{number}"
        path.write_bytes(b"x")
        assert path.read_bytes() == b"x"
        os.unlink(path)
    assert not other.is_done()
    os.close(mine)
    other.result()


def test_truncation_by_name_is_refused_at_once(control, other):
    """And has changed nothing."""
    control.write_bytes(b"12345678")
    mine = os.open(control, os.O_RDWR)
    for size in (0, 4, 100):
        with fails_with(errno.ETXTBSY):
            other.call("os.truncate", control, size)
    assert control.read_bytes() == b"12345678"
    os.truncate(control, 6)
    os.close(mine)
    other.call("os.truncate", control, 4)
    assert control.read_bytes() == b"1234"


def test_a_truncating_open_waits_before_it_truncates(control, other):
    control.write_bytes(b"12345678")
    mine = os.open(control, os.O_RDWR)
    other.start("os.open", control, os.O_WRONLY | os.O_TRUNC)
    other.wait_blocked()
    assert os.pread(mine, 8, 0) == b"12345678"
    os.close(mine)
    other.result()
    assert control.read_bytes() == b""


def test_who_may_not_open_it_does_not_wait(store):
    with small_mount(store, "allow_other") as (_, control), \
            Actor(uid=65534) as stranger:
        control.chmod(0o600)
        mine = os.open(control, os.O_RDWR)
        with fails_with(errno.EACCES):
            stranger.call("os.open", control, os.O_RDWR)
        os.close(mine)


# ---- the end of waiting -----------------------------------------------------


def test_a_wait_has_an_end(store):
    with small_mount(store, "lock-wait-s=1") as (_, control), \
            Actor() as other:
        mine = os.open(control, os.O_RDWR)
        began = time.monotonic()
        with fails_with(errno.ETXTBSY):
            other.call("os.open", control, os.O_RDWR)
        assert 0.9 < time.monotonic() - began < 20
        os.close(mine)
        other.call("os.open", control, os.O_RDWR)


def test_nobody_waits_where_waiting_is_off(store):
    with small_mount(store, "lock-wait-s=0") as (_, control), \
            Actor() as other:
        mine = os.open(control, os.O_RDWR)
        for _ in range(3):
            with fails_with(errno.ETXTBSY):
                other.call("os.open", control, os.O_RDWR)
        os.close(mine)
        other.call("os.open", control, os.O_RDWR)


def test_a_killed_holder_frees_it(control, other, third):
    other.call("os.open", control, os.O_RDWR)
    third.start("os.open", control, os.O_RDWR)
    third.wait_blocked()
    other.kill()
    third.result()


@pytest.mark.parametrize("how", ["fork_and_stay", "share_and_stay"])
def test_a_holder_whose_child_lives_on_frees_it(control, other, third, how):
    """The child has the file open, but is another program."""
    other.call("os.open", control, os.O_RDWR)
    child = other.call("client." + how)
    try:
        third.start("os.open", control, os.O_RDWR)
        third.wait_blocked()
        other.kill()
        theirs = third.result()
        third.call("os.pwrite", theirs, b"12345678", 0)
    finally:
        os.kill(child, signal.SIGKILL)
    assert control.read_bytes() == b"12345678"


def test_a_killed_waiter_is_forgotten(control, other, third):
    mine = os.open(control, os.O_RDWR)
    other.start("os.open", control, os.O_RDWR)
    other.wait_blocked()
    third.start("os.open", control, os.O_RDWR)
    third.wait_blocked()
    other.kill()
    os.close(mine)
    third.result()


def test_a_signal_ends_a_wait(control, other):
    mine = os.open(control, os.O_RDWR)
    other.start("os.open", control, os.O_RDWR)
    other.wait_blocked()
    other.interrupt()
    with pytest.raises(InterruptedError):
        other.result()
    os.close(mine)
    other.call("os.close", other.call("os.open", control, os.O_RDWR))
    os.close(os.open(control, os.O_RDWR))


def test_a_deadlock_is_refused_at_once(glb, other):
    mine = os.open(glb / "CONTROL.GLB", os.O_RDWR)
    other.call("os.open", glb / "FLAG.GLB", os.O_RDWR)
    other.start("os.open", glb / "CONTROL.GLB", os.O_RDWR)
    other.wait_blocked()
    began = time.monotonic()
    with fails_with(errno.ETXTBSY):
        os.open(glb / "FLAG.GLB", os.O_RDWR)
    assert time.monotonic() - began < 10
    assert not other.is_done()
    os.close(mine)
    other.result()


def test_a_file_that_was_replaced_meanwhile_is_opened_anew(control, other):
    mine = os.open(control, os.O_RDWR)
    other.start("os.open", control, os.O_RDWR)
    other.wait_blocked()
    new = control.parent / "NEW.GLB"
    new.write_bytes(b"new file")
    os.rename(new, control)
    os.close(mine)
    assert other.call("os.pread", other.result(), 8, 0) == b"new file"


@pytest.mark.parametrize("end", ["unmount", "kill"])
def test_an_end_answers_those_who_wait(store, end):
    with small_mount(store) as (mount, control), Actor() as other:
        mine = os.open(control, os.O_RDWR)
        other.start("os.open", control, os.O_RDWR)
        other.wait_blocked()
        getattr(mount, end)()
        with pytest.raises(OSError):
            other.result()
        with contextlib.suppress(OSError):
            os.close(mine)
    store.check()


def test_an_smbd_is_told_to_ask_again(store):
    """So that its client is served meanwhile; its place is kept."""
    with small_mount(store, "smbd-park-ms=3000") as (_, control), \
            Actor() as smbd, Actor() as local:
        smbd.call("client.be_called", "smbd")
        mine = os.open(control, os.O_RDWR)
        with fails_with(errno.EAGAIN):
            smbd.call("os.open", control, os.O_RDWR)
        local.start("os.open", control, os.O_RDWR)
        local.wait_blocked()
        smbd.start("os.open", control, os.O_RDWR)
        smbd.wait_blocked()
        os.close(mine)
        theirs = smbd.result()
        assert not local.is_done()
        smbd.call("os.close", theirs)
        local.result()


# ---- copies of an open file -------------------------------------------------


def test_a_close_of_a_copy_lets_go_until_the_next_write(control, other):
    mine = os.open(control, os.O_RDWR)
    copy = os.dup(mine)
    os.close(mine)
    theirs = other.call("os.open", control, os.O_RDWR)
    with fails_with(errno.ETXTBSY):
        os.pwrite(copy, b"12345678", 0)
    other.call("os.close", theirs)
    os.pwrite(copy, b"12345678", 0)
    other.start("os.open", control, os.O_RDWR)
    other.wait_blocked()
    assert control.read_bytes() == b"12345678"
    os.close(copy)
    other.result()


def test_a_copy_does_not_write_over_another_owners_change(control, other):
    mine = os.open(control, os.O_RDWR)
    copy = os.dup(mine)
    os.close(mine)
    theirs = other.call("os.open", control, os.O_RDWR)
    other.call("os.pwrite", theirs, b"87654321", 0)
    other.call("os.close", theirs)
    for attempt in (lambda: os.pwrite(copy, b"12345678", 0),
                    lambda: os.ftruncate(copy, 0)):
        with fails_with(errno.ETXTBSY):
            attempt()
    assert control.read_bytes() == b"87654321"
    os.close(copy)


def test_a_childs_close_does_not_let_go(control, other, third):
    fd = other.call("os.open", control, os.O_RDWR)
    other.call("client.close_in_child", fd)
    third.start("os.open", control, os.O_RDWR)
    third.wait_blocked()
    other.call("os.pwrite", fd, b"12345678", 0)
    assert not third.is_done()
    other.call("os.close", fd)
    third.result()


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
