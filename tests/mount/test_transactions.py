# SPDX-License-Identifier: BSD-2-Clause
"""A lock is a transaction, as local programs see it.

What a program does while it holds a mailbag's lock is seen by others when it
has let go of it, all at once, or not at all.
"""

import errno
import os

import pytest

import syscalls
from actor import Actor
from harness import Mount, Store, fails_with
from postoffice import HEADER, KEY, MESSAGE, Office, deliver, hand_over, \
    is_delivered


def test_nothing_is_seen_before_the_end(a, b, office):
    fd = deliver(a, office)
    assert a.call("client.get", office.mbg("A")) == HEADER
    assert a.call("client.get", office.mai) == MESSAGE
    assert b.call("client.get", office.mbg("A")) == b""
    assert b.call("client.get", office.key("A")) == KEY
    assert b.call("os.listdir", office.mai.parent) == []
    a.call("os.close", fd)
    assert b.call("client.get", office.mbg("A")) == HEADER
    assert b.call("client.get", office.key("A"))[:1] == b"\1"
    assert b.call("client.get", office.mai) == MESSAGE


@pytest.mark.parametrize("is_open", [False, True])
@pytest.mark.parametrize("is_exchanged", [False, True])
def test_nor_where_it_was_plain_before_its_directory_was_renamed(
        a, b, office, is_exchanged, is_open):
    plain, p1 = office.path / "P9", office.p1.parent
    plain.mkdir()
    (plain / office.p1.name).write_bytes(b"old")
    assert b.call("client.get", plain / office.p1.name) == b"old"
    if is_open:
        b.call("os.open", plain / office.p1.name, os.O_RDONLY)
    if is_exchanged:
        syscalls.renameat2(plain, p1, syscalls.RENAME_EXCHANGE)
    else:
        plain.rename(p1)
    fd = a.call("os.open", office.p1, os.O_RDWR)
    a.call("os.pwrite", fd, b"new", 0)
    assert b.call("client.get", office.p1) == b"old"
    a.call("os.close", fd)
    assert b.call("client.get", office.p1) == b"new"


def rename_p1(office):
    """Its files are no mail any more."""
    office.p1.parent.rename(office.path / "P9")
    return office.path / "P9" / office.p1.name


def lose_postoffice(office):
    """Nor are they here."""
    (office.path / "KEY").rename(office.path / "K9")
    return office.p1


@pytest.mark.parametrize("change", [rename_p1, lose_postoffice])
@pytest.mark.parametrize("is_removed", [False, True])
def test_nor_where_it_is_plain_since_then(a, b, office, is_removed, change):
    """Nobody is shown what another one found: not what there is in the end."""
    if is_removed:
        b.call("client.put", office.p1, MESSAGE)
    key = a.call("os.open", office.key("A"), os.O_RDWR)
    if is_removed:
        a.call("os.unlink", office.p1)
    else:
        a.call("client.put", office.p1, MESSAGE)
    plain = change(office)
    assert a.call("os.path.exists", plain) != is_removed
    assert b.call("os.path.exists", plain) == is_removed
    assert a.call("os.path.exists", plain) != is_removed
    a.call("os.close", key)
    assert b.call("os.path.exists", plain) != is_removed


def test_what_is_acknowledged_survives_a_crash(store, a):
    with Mount(store) as mount:
        office = Office(mount / "PO")
        fd = deliver(a, office)
        a.call("os.close", fd)
        mount.kill()
    with Mount(store) as mount:
        office = mount / "PO"
        assert (office / "MBG/A.MBG").read_bytes() == HEADER
        assert (office / "KEY/A.KEY").read_bytes()[:1] == b"\1"
        assert (office / "MAI/MA7/00000017.MAI").read_bytes() == MESSAGE


def test_a_crash_in_the_middle_leaves_nothing_of_it(store, a):
    with Mount(store) as mount:
        office = Office(mount / "PO")
        os.sync()
        deliver(a, office)
        mount.kill()
    with Mount(store) as mount:
        office = mount / "PO"
        assert (office / "MBG/A.MBG").read_bytes() == b""
        assert (office / "KEY/A.KEY").read_bytes() == KEY
        assert not (office / "MAI/MA7/00000017.MAI").exists()


def test_a_killed_program_has_done_nothing(a, b, office):
    deliver(a, office)
    b.start("os.open", office.key("A"), os.O_RDWR)
    b.wait_blocked()
    a.kill()
    fd = b.result()
    assert b.call("os.pread", fd, 560, 0) == KEY
    assert b.call("client.get", office.mbg("A")) == b""
    assert b.call("os.listdir", office.mai.parent) == []


def test_a_program_that_exits_has_closed(b, office):
    with Actor() as a:
        deliver(a, office)
        a.start("os._exit", 0)
        a.process.wait()
    fd = b.call("os.open", office.key("A"), os.O_RDWR)
    assert b.call("os.pread", fd, 1, 0) == b"\1"
    assert b.call("client.get", office.mbg("A")) == HEADER


def test_a_key_closed_before_its_message_publishes_nothing(a, b, office):
    mai = a.call("os.open", office.mai, os.O_RDWR | os.O_CREAT)
    a.call("os.write", mai, MESSAGE[:1000])
    fd = a.call("os.open", office.key("A"), os.O_RDWR)
    a.call("client.append", office.mbg("A"), HEADER)
    a.call("os.pwrite", fd, b"\1", 0)
    a.call("os.close", fd)
    assert b.call("client.get", office.mbg("A")) == b""
    a.call("os.write", mai, MESSAGE[1000:])
    assert b.call("client.get", office.mbg("A")) == b""
    assert b.call("os.listdir", office.mai.parent) == []
    a.call("os.close", mai)
    assert b.call("client.get", office.mbg("A")) == HEADER
    assert b.call("client.get", office.mai) == MESSAGE


def test_a_message_without_a_lock_is_seen_when_it_is_closed(a, b, office):
    fd = a.call("os.open", office.mai, os.O_RDWR | os.O_CREAT)
    a.call("os.write", fd, MESSAGE)
    assert b.call("os.listdir", office.mai.parent) == []
    with fails_with(errno.ETXTBSY):
        b.call("os.open", office.mai, os.O_RDWR | os.O_CREAT)
    a.call("os.close", fd)
    assert b.call("client.get", office.mai) == MESSAGE


def test_a_message_with_a_gap_is_undone(a, b, office):
    fd = a.call("os.open", office.key("A"), os.O_RDWR)
    mai = a.call("os.open", office.mai, os.O_RDWR | os.O_CREAT)
    a.call("os.pwrite", mai, b"tail", 1000)
    a.call("os.close", mai)
    a.call("os.pwrite", fd, b"\1", 0)
    with fails_with(errno.EIO):
        a.call("os.close", fd)
    assert b.call("client.get", office.key("A")) == KEY
    assert b.call("os.listdir", office.mai.parent) == []
    # And the session begins anew.
    fd = deliver(a, office)
    a.call("os.close", fd)
    assert b.call("client.get", office.mbg("A")) == HEADER


def test_who_waits_does_not_make_half_a_mailbag_seen(a, b, office):
    """Not even of one whose KEY is open and yet to be written."""
    fd = a.call("os.open", office.key("A"), os.O_RDWR)
    a.call("client.append", office.mbg("A"), HEADER)
    b.start("os.open", office.key("A"), os.O_RDWR)
    b.wait_blocked()
    assert office.mbg("A").read_bytes() == b""
    a.call("os.pwrite", fd, b"\1", 0)
    a.call("os.close", fd)
    b.result()
    assert office.mbg("A").read_bytes() == HEADER


# ---- names ------------------------------------------------------------------


def names(actor, directory):
    """What a program finds there."""
    return sorted(actor.call("os.listdir", directory))


@pytest.mark.parametrize("how", ["over it", "after deleting it"])
@pytest.mark.parametrize("end", ["close", "kill"])
def test_a_mailbag_is_compressed_at_once_or_not_at_all(a, b, office, how, end):
    """COPY.MBG takes the place of the MBG (Q103850)."""
    copy, mbg = office.mbg("COPY"), office.mbg("A")
    a.call("client.append", mbg, HEADER + MESSAGE)
    before = names(b, mbg.parent)
    fd = a.call("os.open", office.key("A"), os.O_RDWR)
    a.call("client.put", copy, HEADER)
    assert names(a, mbg.parent) == sorted([*before, copy.name])
    if how == "after deleting it":
        a.call("os.unlink", mbg)
        with fails_with(errno.ENOENT):
            a.call("os.stat", mbg)
    a.call("os.rename", copy, mbg)
    assert a.call("client.get", mbg) == HEADER
    assert names(a, mbg.parent) == before
    assert b.call("client.get", mbg) == HEADER + MESSAGE
    assert names(b, mbg.parent) == before
    if end == "close":
        a.call("os.close", fd)
    else:
        a.kill()
        b.call("os.close", b.call("os.open", office.key("A"), os.O_RDWR))
    new = HEADER if end == "close" else HEADER + MESSAGE
    assert b.call("client.get", mbg) == new
    assert b.call("os.stat", mbg).st_size == len(new)
    assert names(b, mbg.parent) == before


def test_a_deleted_message_is_there_for_others_until_the_end(a, b, office):
    a.call("client.put", office.mai, MESSAGE)
    fd = a.call("os.open", office.key("A"), os.O_RDWR)
    a.call("os.unlink", office.mai)
    assert names(a, office.mai.parent) == []
    assert names(b, office.mai.parent) == [office.mai.name]
    assert b.call("client.get", office.mai) == MESSAGE
    a.call("os.close", fd)
    assert names(b, office.mai.parent) == []
    with fails_with(errno.ENOENT):
        b.call("os.stat", office.mai)


def test_a_message_that_others_have_open_is_not_deleted(a, b, office):
    """As DOS has it; dos-sharing=false has it otherwise."""
    a.call("client.put", office.mai, MESSAGE)
    reader = b.call("os.open", office.mai, os.O_RDONLY)
    fd = a.call("os.open", office.key("A"), os.O_RDWR)
    with fails_with(errno.ETXTBSY):
        a.call("os.unlink", office.mai)
    b.call("os.close", reader)
    a.call("os.unlink", office.mai)
    a.call("os.close", fd)
    assert names(b, office.mai.parent) == []


def test_what_was_deleted_is_read_to_its_end(store, a, b):
    with Mount(store, "-o", "dos-sharing=false") as mount:
        office = Office(mount / "PO")
        a.call("client.put", office.mai, MESSAGE)
        reader = b.call("os.open", office.mai, os.O_RDONLY)
        fd = a.call("os.open", office.key("A"), os.O_RDWR)
        a.call("os.unlink", office.mai)
        assert b.call("os.pread", reader, 4000, 0) == MESSAGE
        assert office.mai.name in names(b, office.mai.parent)
        a.call("os.close", fd)
        assert b.call("os.pread", reader, 4000, 0) == MESSAGE
        assert office.mai.name not in names(b, office.mai.parent)
        b.call("os.close", reader)
    store.check()


def test_a_key_is_emptied_and_written_again(a, b, office):
    fd = a.call("os.open", office.key("A"), os.O_RDWR | os.O_TRUNC)
    assert a.call("os.fstat", fd).st_size == 0
    assert b.call("os.stat", office.key("A")).st_size == len(KEY)
    a.call("os.pwrite", fd, b"new", 0)
    assert a.call("client.get", office.key("A")) == b"new"
    assert b.call("client.get", office.key("A")) == KEY
    a.call("os.ftruncate", fd, 1)
    a.call("os.close", fd)
    assert b.call("client.get", office.key("A")) == b"n"


def test_one_name_is_created_deleted_and_created(a, b, office):
    fd = a.call("os.open", office.key("A"), os.O_RDWR)
    for content in (b"first", b"second", b"third"):
        a.call("client.put", office.p1, content)
        assert a.call("client.get", office.p1) == content
        assert names(b, office.p1.parent) == []
        if content != b"third":
            a.call("os.unlink", office.p1)
            assert names(a, office.p1.parent) == []
    a.call("os.close", fd)
    assert b.call("client.get", office.p1) == b"third"


def test_a_message_is_replaced_by_another_of_its_name(a, b, office):
    a.call("client.put", office.p1, b"old")
    old = b.call("os.stat", office.p1).st_ino
    fd = a.call("os.open", office.key("A"), os.O_RDWR)
    a.call("os.unlink", office.p1)
    a.call("client.put", office.p1, b"another")
    assert a.call("os.stat", office.p1).st_ino != old
    assert b.call("client.get", office.p1) == b"old"
    assert b.call("os.stat", office.p1).st_ino == old
    a.call("os.close", fd)
    assert b.call("client.get", office.p1) == b"another"


def test_what_others_have_staged_is_busy(a, b, office):
    """A message that somebody changes is kept from other writers (the count of
    owners in it), and a name that somebody creates is taken."""
    a.call("client.put", office.mai, MESSAGE)
    fd = a.call("os.open", office.key("A"), os.O_RDWR)
    a.call("client.append", office.mai, b"x")
    a.call("client.put", office.p1, b"x")
    a.call("os.pwrite", fd, b"\1", 0)
    with fails_with(errno.ETXTBSY):
        b.call("os.open", office.p1, os.O_RDWR | os.O_CREAT)
    for attempt in (("os.unlink", office.mai),
                    ("os.rename", office.mai, office.att),
                    ("os.truncate", office.mai, 0)):
        with fails_with(errno.ETXTBSY):
            b.call(*attempt)
    b.start("os.open", office.mai, os.O_RDWR)
    b.wait_blocked()
    a.call("os.close", fd)
    theirs = b.result()
    assert b.call("os.fstat", theirs).st_size == len(MESSAGE) + 1


# ---- names that are no message's ---------------------------------------------


@pytest.fixture
def work(office):
    """A directory of a gateway, where it composes."""
    path = office.path / "GATE"
    path.mkdir()
    return path


def test_a_name_that_was_renamed_away_is_used_again(a, b, office, work):
    """Each message is composed under the same name."""
    temporary = work / "TEMP"
    fd = a.call("os.open", office.key("A"), os.O_RDWR)
    for content in (b"first", b"second", b"third"):
        a.call("client.put", temporary, content)
        a.call("os.rename", temporary,
               office.path / "P1" / f"{content[:3].decode()}.P1")
        assert names(a, work) == []
        assert b.call("client.get", temporary) == b"first"
    a.call("client.put", temporary, b"fourth")
    a.call("os.close", fd)
    assert b.call("client.get", temporary) == b"fourth"
    assert {path.read_bytes() for path in (office.path / "P1").iterdir()} == \
        {b"first", b"second", b"third"}


def test_what_has_such_a_name_is_written_while_it_is_committed(
        a, b, office, work):
    """As somebody waits for another mailbag, meanwhile let go of."""
    temporary = work / "TEMP"
    a.call("os.close", a.call("os.open", office.lock_file("B.0LK"),
                              os.O_RDWR | os.O_CREAT))
    for number in range(10):
        a.call("client.append", office.mbg("A"), HEADER)
        for content in (b"first", b"second"):
            a.call("client.put", temporary, content)
            if content == b"first":
                a.call("os.rename", temporary,
                       office.path / "P1" / f"{number}.P1")
        a.start("client.write_often", temporary, 1000)
        b.call("os.close", b.call("os.open", office.key("A"), os.O_RDWR))
        a.result()
        assert a.call("client.get", temporary) == b"xecond"
    a.call("os.unlink", office.lock_file("B.0LK"))
    assert b.call("client.get", temporary) == b"xecond"
    assert len(names(b, office.path / "P1")) == 10


def test_what_was_renamed_out_of_the_mail_is_moved_and_deleted(
        a, b, office, work):
    a.call("client.put", office.p1, b"bad")
    fd = a.call("os.open", office.key("A"), os.O_RDWR)
    a.call("os.rename", office.p1, work / "BAD")
    a.call("os.rename", work / "BAD", work / "WORSE")
    assert names(a, work) == ["WORSE"]
    a.call("os.unlink", work / "WORSE")
    assert names(a, work) == []
    assert names(b, work) == []
    assert b.call("client.get", office.p1) == b"bad"
    a.call("os.close", fd)
    assert names(b, office.p1.parent) == []
    assert names(b, work) == []


def test_what_is_renamed_while_it_is_open_is_closed_when_it_is_on_disk(
        store, a):
    with Mount(store) as mount:
        office = Office(mount / "PO")
        fd = a.call("os.open", mount / "TEMP", os.O_RDWR | os.O_CREAT)
        key = hand_over(a, office, mount / "TEMP")
        a.call("os.write", fd, MESSAGE)
        a.call("os.close", key)
        assert not office.p1.exists()
        a.call("os.close", fd)
        mount.kill()
    with Mount(store) as mount:
        assert (mount / "PO/P1/00000017.P1").read_bytes() == MESSAGE
        assert (mount / "PO/KEY/A.KEY").read_bytes()[:1] == b"\1"


def test_no_plain_name_outlives_the_commit_that_takes_it_away(
        a, b, office, work):
    """Nor does the kernel remember what others had under it until then."""
    gone, replaced = work / "GONE", work / "REPLACED"
    for path in (gone, replaced, office.p1):
        a.call("client.put", path, bytes(path.name, "ascii"))
    fd = a.call("os.open", office.key("A"), os.O_RDWR)
    a.call("os.rename", office.p1, replaced)
    a.call("os.rename", gone, office.p1)
    a.call("os.unlink", office.p1)
    for path in (gone, replaced):
        assert b.call("os.stat", path).st_size == len(path.name)
    a.call("os.close", fd)
    with fails_with(errno.ENOENT):
        b.call("os.stat", gone)
    assert b.call("os.stat", replaced).st_size == len(office.p1.name)


def test_a_plain_name_that_is_staged_is_not_everybodys(a, b, office, work):
    """Nor if both names are plain: its old one had moved to the mail."""
    first, second = work / "FIRST", work / "SECOND"
    for path in (first, second):
        a.call("client.put", path, bytes(path.name, "ascii"))
    fd = a.call("os.open", office.key("A"), os.O_RDWR)
    a.call("os.rename", first, office.p1)
    a.call("os.rename", second, first)
    for path in (first, second):
        assert b.call("client.get", path) == bytes(path.name, "ascii")
    a.call("os.close", fd)
    assert b.call("client.get", first) == b"SECOND"
    with fails_with(errno.ENOENT):
        b.call("os.stat", second)


def test_a_directory_takes_no_name_that_is_staged(a, b, office, work):
    a.call("client.put", work / "TEMP", b"x")
    a.call("os.mkdir", work / "OTHER")
    fd = a.call("os.open", office.key("A"), os.O_RDWR)
    a.call("os.rename", work / "TEMP", office.p1)
    with fails_with(errno.ETXTBSY):
        a.call("os.mkdir", work / "TEMP")
    with fails_with(errno.ETXTBSY):
        a.call("os.rename", work / "OTHER", work / "TEMP")
    with fails_with(errno.ETXTBSY):
        a.call("syscalls.renameat2", office.p1, work / "OTHER",
               syscalls.RENAME_EXCHANGE)
    a.call("os.close", fd)
    a.call("os.rename", work / "OTHER", work / "TEMP")
    assert names(b, work) == ["TEMP"]


# ---- several postoffices ----------------------------------------------------


MOVE_STEPS = 9


def move(actor, source, target, steps=MOVE_STEPS):
    """Moves the message from one postoffice to the other; stops after some
    of the steps."""
    opened = {}

    def close(name):
        actor.call("os.close", opened.pop(name))

    def open_key(name, office):
        opened[name] = actor.call("os.open", office.key("A"), os.O_RDWR)

    moves = [
        lambda: open_key("source", source),
        lambda: open_key("target", target),
        lambda: actor.call("client.put", target.mai, MESSAGE),
        lambda: actor.call("client.append", target.mbg("A"), HEADER),
        lambda: actor.call("os.pwrite", opened["target"], b"\1", 0),
        lambda: close("target"),
        lambda: actor.call("client.truncate_open", source.mbg("A")),
        lambda: actor.call("os.pwrite", opened["source"], b"\0", 0),
        lambda: actor.call("os.unlink", source.mai),
    ]
    assert len(moves) == MOVE_STEPS
    for step in moves[:steps]:
        step()
    return opened.get("source")


def test_a_message_moves_between_postoffices(a, b, office, second_office):
    a.call("os.close", deliver(a, office))
    fd = move(a, office, second_office)
    assert is_delivered(b, office)
    assert is_delivered(b, second_office) is False
    a.call("os.close", fd)
    assert is_delivered(b, office) is False
    assert is_delivered(b, second_office)


@pytest.mark.parametrize("steps", range(MOVE_STEPS + 1))
def test_a_program_dies_while_it_moves_a_message(b, office, second_office,
                                                 steps):
    with Actor() as a:
        a.call("os.close", deliver(a, office))
        move(a, office, second_office, steps)
    for one in (office, second_office):
        b.call("os.close", b.call("os.open", one.key("A"), os.O_RDWR))
    assert is_delivered(b, office)
    assert is_delivered(b, second_office) is False


def test_the_daemon_dies_while_a_message_is_moved(tmp_path):
    with Store(tmp_path / "store", "--postoffice", "ONE", "--postoffice",
               "TWO") as store:
        with Mount(store) as mount, Actor() as a:
            offices = [Office(mount / name) for name in ("ONE", "TWO")]
            a.call("os.close", deliver(a, offices[0]))
            mount.kill()
        for steps in range(1, MOVE_STEPS + 1):
            with Mount(store) as mount, Actor() as a:
                offices = [Office(mount / name, create=False)
                           for name in ("ONE", "TWO")]
                assert is_delivered(a, offices[0])
                assert is_delivered(a, offices[1]) is False
                move(a, *offices, steps)
                mount.kill()
        with Mount(store) as mount, Actor() as a:
            offices = [Office(mount / name, create=False)
                       for name in ("ONE", "TWO")]
            assert is_delivered(a, offices[0])
            a.call("os.close", move(a, *offices))
            mount.kill()
        with Mount(store) as mount, Actor() as a:
            assert is_delivered(a, Office(mount / "TWO", create=False))
        store.check()


# ---- what is not covered ----------------------------------------------------


def test_a_plain_file_is_everybodys_at_once_and_for_good(a, b, office):
    """A number of CONTROL.GLB that is wasted does no harm; one that is given
    twice does (Q99204)."""
    deliver(a, office)
    a.call("client.append", office.control, b"number")
    a.call("client.put", office.path / "GLB/NEW.GLB", b"new")
    a.call("os.mkdir", office.path / "FAX")
    assert b.call("client.get", office.control)[8:] == b"number"
    assert b.call("client.get", office.path / "GLB/NEW.GLB") == b"new"
    a.kill()
    b.call("os.open", office.key("A"), os.O_RDWR)
    assert is_delivered(b, office) is False
    assert b.call("client.get", office.control)[8:] == b"number"
    assert b.call("client.get", office.path / "GLB/NEW.GLB") == b"new"
    assert "FAX" in names(b, office.path)
