# SPDX-License-Identifier: BSD-2-Clause
"""What a transaction did is undone, and what was is restored."""

import datetime
import json
import os
import subprocess
import time

import pytest

from commands import FAILED, USAGE, Existing, refuses
from harness import (DEADLINE_S, Mount, end_with_parent, poctl,
                     program, run, wait_until)
from mailtree import BAG, STEM, MailTree, header_of

KEY = "KEY/00000001.KEY"
MBG = "MBG/00000001.MBG"


@pytest.fixture(name="store")
def fixture_store(tmp_path, source):
    """A postoffice that has seen some mail."""
    poctl("import", tmp_path / "store", source)
    with Existing(tmp_path / "store") as store:
        yield store


def commit(store, *steps):
    """Has a transaction do these steps; returns the number of its entry."""
    run(program("tests/tools/undo"), store.path, "test", "", *steps)
    return last(store)


def journal(store):
    """What the journal has."""
    return json.loads(poctl("log", "--json", store.path).stdout)["journal"]


def what_happened(store, name):
    """What transactions did to the file of that name."""
    return [file["what"] for entry in journal(store)
            for file in entry["files"]
            if name in file.get("new_path", file.get("old_path"))]


def last(store):
    """The number of the last entry."""
    return journal(store)[-1]["id"]


def contents(store, directory):
    """{path: bytes} of all files, exported to a new directory."""
    poctl("export", store.path, directory)
    return {str(path.relative_to(directory)): path.read_bytes()
            for path in directory.rglob("*") if path.is_file()}


def now():
    """A time between what was done and what will be."""
    return datetime.datetime.now().astimezone().isoformat()


def commit_all_kinds(store):
    """One transaction that did a bit of everything."""
    return commit(store, "write", "P1/NEW.P1", "a new one",
                  "write", KEY, "changed", "move", MBG, "MBG/COPY.MBG",
                  "remove", "GLB/CONTROL.GLB", "-")


# ---- undo -------------------------------------------------------------------


def test_all_is_as_before_and_as_after(store, tmp_path):
    before = contents(store, tmp_path / "before")
    number = commit_all_kinds(store)
    after = contents(store, tmp_path / "after")
    assert after != before
    assert poctl("undo", store.path, number).stdout.splitlines() == [
        f"Undid what entry {number} of the journal did.",
        f"It is entry {last(store)} of the journal."]
    assert contents(store, tmp_path / "undone") == before
    assert last(store) > number
    poctl("undo", store.path, last(store))
    assert contents(store, tmp_path / "redone") == after
    store.check()


def test_what_the_daemon_keeps_for_long_stays(store):
    """How long is in its configuration, which poctl does not know."""
    number = commit(store, "write", KEY, "changed")
    run(program("tests/tools/undo"), store.path, "age", "30")
    poctl("undo", store.path, number)
    done = poctl("log", "--json", store.path)
    ids = [entry["id"] for entry in json.loads(done.stdout)["journal"]]
    assert ids.index(number) == len(ids) - 2


def test_a_dry_run_says_what_would_be_put_back(store, tmp_path):
    number = commit_all_kinds(store)
    after = contents(store, tmp_path / "after")
    told = json.loads(poctl("undo", "--dry-run", "--json", store.path,
                            number).stdout)["changes"]
    assert {row["path"] for row in told} == {
        "/P1/NEW.P1", f"/{KEY}", f"/{MBG}", "/MBG/COPY.MBG",
        "/GLB/CONTROL.GLB"}
    assert contents(store, tmp_path / "same") == after
    assert last(store) == number


def test_what_something_depends_on_is_not_undone(store, tmp_path):
    first = commit(store, "write", KEY, "one")
    second = commit(store, "write", KEY, "two")
    after = contents(store, tmp_path / "after")
    assert refuses(FAILED, "undo", store.path, first) == \
        f"entry {second} has changed /{KEY} since then"
    assert contents(store, tmp_path / "same") == after
    poctl("undo", store.path, second)
    refuses(FAILED, "undo", store.path, first)
    poctl("undo", store.path, last(store))
    assert last(store) > second


def test_a_message_that_a_mailbag_names_stays(tmp_path):
    """A program makes it first, and enters it with another transaction."""
    tree = MailTree(tmp_path)
    with Existing(tree.store()) as store, Mount(store) as mount:
        mai, mbg = mount / tree.mai(STEM), mount / f"MBG/{BAG}.MBG"
        mai.write_bytes(b"mail")
        with open(mount / f"KEY/{BAG}.KEY", "r+b"):
            mbg.write_bytes(header_of(STEM))
        done = poctl("log", "--json", store.path)
        made, named = [entry["id"] for entry
                       in json.loads(done.stdout)["journal"]][-2:]
        assert refuses(FAILED, "undo", store.path, made) == \
            f"record 0 of {BAG} names /{tree.mai(STEM)} since then"
        assert mai.read_bytes() == b"mail"
        poctl("undo", store.path, named)
        poctl("undo", store.path, made)
        assert not mai.exists()


def test_who_had_only_the_lock_has_not_named_the_message(tmp_path):
    """Its record came later, and would stay."""
    tree = MailTree(tmp_path)
    with Existing(tree.store()) as store, Mount(store) as mount:
        mai, key = mount / tree.mai(STEM), mount / f"KEY/{BAG}.KEY"
        with open(key, "r+b") as file:
            file.read()
            mai.write_bytes(b"mail")
        with open(key, "r+b"):
            (mount / f"MBG/{BAG}.MBG").write_bytes(header_of(STEM))
        made, named = journal(store)[-2:]
        assert made["mailbags"] == f"/{BAG}"
        assert refuses(FAILED, "undo", store.path, made["id"]) == \
            f"record 0 of {BAG} names /{tree.mai(STEM)} since then"
        assert mai.read_bytes() == b"mail"
        poctl("undo", store.path, named["id"])
        poctl("undo", store.path, made["id"])
        assert not mai.exists()


@pytest.mark.parametrize("made_as", [f"P1/{STEM}.P1", "GLB/OUT.GLB"])
def test_an_envelope_that_an_inqueue_names_stays(tmp_path, made_as):
    """Without it nobody could deliver the message, however it got its name."""
    tree = MailTree(tmp_path)
    with Existing(tree.store()) as store, Mount(store) as mount:
        envelope = mount / f"P1/{STEM}.P1"
        (mount / made_as).write_bytes(b"envelope")
        os.rename(mount / made_as, envelope)
        with open(mount / "KEY/INQUEUE3.KEY", "r+b"):
            (mount / "MBG/INQUEUE3.MBG").write_bytes(header_of(STEM))
        made, named = [entry["id"] for entry in journal(store)[-2:]]
        assert refuses(FAILED, "undo", store.path, made) == \
            f"record 0 of INQUEUE3 names /P1/{STEM}.P1 since then"
        poctl("undo", store.path, named)
        poctl("undo", store.path, made)
        assert not envelope.exists()


def fill_and_name(store, mount, path, stem):
    """An empty file is filled, then named, each with a transaction of its own.
    Returns the number of the first of these."""
    with open(mount / path, "r+b") as file:
        file.write(b"mail")
    wait_until(lambda: what_happened(store, os.path.basename(path)) ==
               ["created", "changed"], "it is in the journal")
    filled = last(store)
    with open(mount / "KEY/INQUEUE.KEY", "r+b"):
        (mount / "MBG/INQUEUE.MBG").write_bytes(header_of(stem))
    return filled


@pytest.mark.parametrize("path", [MailTree.mai(STEM), f"P1/{STEM}.P1"])
def test_what_fills_a_message_is_not_undone(tmp_path, path):
    """It was made empty before. What empties it is undone."""
    with Existing(MailTree(tmp_path).store()) as store, Mount(store) as mount:
        (mount / path).write_bytes(b"")
        wait_until(lambda: what_happened(store, os.path.basename(path)),
                   "it is in the journal")
        filled = fill_and_name(store, mount, path, STEM)
        assert refuses(FAILED, "undo", store.path, filled) == (
            f"record 0 of INQUEUE names /{path}, of which 0 bytes would be "
            "left")
        assert (mount / path).read_bytes() == b"mail"
        with open(mount / "KEY/SYSTEM.KEY", "r+b"):
            os.truncate(mount / path, 1)
        poctl("undo", store.path, last(store))
        assert (mount / path).read_bytes() == b"mail"
        store.check()


ATT = "ATT/AT2/00000062.ATT"


def attach(store, mount):
    """Makes an attachment; returns the number of its entry."""
    (mount / ATT).write_bytes(b"attached")
    wait_until(lambda: what_happened(store, os.path.basename(ATT)),
               "it is in the journal")
    return last(store)


def mail(mount, stem):
    """Makes a message and its header with one transaction."""
    with open(mount / f"KEY/{BAG}.KEY", "r+b"):
        (mount / MailTree.mai(stem)).write_bytes(b"mail")
        (mount / f"MBG/{BAG}.MBG").write_bytes(header_of(stem))


def test_what_a_named_message_may_have_attached_stays(tmp_path):
    """Nobody knows whether it is of that one: its number is near."""
    with Existing(MailTree(tmp_path).store()) as store, Mount(store) as mount:
        attached = attach(store, mount)
        mail(mount, STEM)
        assert refuses(FAILED, "undo", store.path, attached) == (
            f"record 0 of {BAG} names message {STEM}, which /{ATT} may be of")
        assert (mount / ATT).read_bytes() == b"attached"
        poctl("undo", store.path, last(store))
        poctl("undo", store.path, attached)
        assert not (mount / ATT).exists()


@pytest.mark.parametrize("stem", ["00000061", "000000A3"])
def test_what_no_named_message_has_attached_is_undone(tmp_path, stem):
    """The number of its message is above, and not far."""
    with Existing(MailTree(tmp_path).store()) as store, Mount(store) as mount:
        attached = attach(store, mount)
        mail(mount, stem)
        poctl("undo", store.path, attached)
        assert not (mount / ATT).exists()


def test_what_came_after_a_message_is_not_attached_to_it(tmp_path):
    tree = MailTree(tmp_path)
    tree.deliver(BAG, "here")
    with Existing(tree.store()) as store, Mount(store) as mount:
        poctl("undo", store.path, attach(store, mount))
        assert not (mount / ATT).exists()


def test_what_was_attached_goes_with_its_message(tmp_path):
    """Whatever came since then."""
    with Existing(MailTree(tmp_path).store()) as store, Mount(store) as mount:
        with open(mount / "KEY/INQUEUE.KEY", "r+b"):
            (mount / ATT).write_bytes(b"attached")
            (mount / MailTree.mai(STEM)).write_bytes(b"mail")
            (mount / "MBG/INQUEUE.MBG").write_bytes(header_of(STEM))
        entry = last(store)
        mail(mount, "00000064")
        poctl("undo", store.path, entry)
        assert not (mount / ATT).exists()
        store.check()


def test_what_was_not_done_is_not_undone(store):
    run(program("tests/tools/undo"), store.path, "test", "broken",
        "write", "P1/A.P1", "x")
    assert refuses(FAILED, "undo", store.path, last(store)).endswith(
        "was undone, and did nothing")
    assert "no entry 7777 in" in refuses(FAILED, "undo", store.path, 7777)
    refuses(USAGE, "undo", store.path, "--", "-1")


def test_what_directories_were_changed_is_not_undone(store, tmp_path):
    number = commit(store, "make", "P1/DIR", "-", "write", KEY, "changed")
    after = contents(store, tmp_path / "after")
    assert refuses(FAILED, "undo", store.path, number) == (
        f"entry {number} changed directories: only what was done to files "
        "can be undone")
    assert contents(store, tmp_path / "same") == after


def test_undo_beside_a_daemon(store):
    with Mount(store) as mount:
        key, mail = mount / KEY, mount / "P1" / "OLD.P1"
        mail.write_bytes(b"mail" * 1000)
        before = key.read_bytes()
        with open(key, "r+b") as file:
            os.unlink(mail)
            file.write(b"changed")
        assert not mail.exists()
        number = last(store)
        poctl("undo", store.path, number)
        assert key.read_bytes() == before
        assert mail.read_bytes() == b"mail" * 1000
        assert mail.name in os.listdir(mail.parent)
        poctl("undo", store.path, last(store))
        assert key.read_bytes()[:7] == b"changed"
        assert not mail.exists()
    store.check()


def test_undo_waits_for_the_lock(store):
    with Mount(store) as mount:
        with open(mount / KEY, "r+b") as file:
            file.write(b"changed")
        number = last(store)
        with open(mount / KEY, "r+b"):
            undo = subprocess.Popen(
                [program("tools/poctl"), "undo", store.path, str(number)],
                stdout=subprocess.DEVNULL, preexec_fn=end_with_parent)
            wait_until(lambda: any(
                row["waiters"] for row in json.loads(
                    poctl("locks", "--json", store.path).stdout)["locks"]),
                "it waits")
            assert undo.poll() is None
        assert undo.wait(timeout=DEADLINE_S) == 0
        assert (mount / KEY).read_bytes()[:7] != b"changed"


# ---- restore --at -----------------------------------------------------------


def test_a_mailbag_as_it_was(store, tmp_path):
    before = contents(store, tmp_path / "before")
    when = now()
    commit(store, "write", KEY, "one")
    commit(store, "write", KEY, "two", "write", "P1/A.P1", "new")
    done = poctl("restore", "--at", when, store.path, KEY)
    assert done.stdout.splitlines()[-2:] == [
        "Restored 1 of 2 files.", f"It is entry {last(store)} of the journal."]
    after = contents(store, tmp_path / "after")
    assert after[KEY] == before[KEY]
    assert after["P1/A.P1"] == b"new"
    store.check()


def restored(store, when, *words):
    """What is restored of these words: {path: change}."""
    told = json.loads(poctl("restore", "--json", "--at", when, store.path,
                            *words).stdout)
    return {row["path"]: row["change"] for row in told["changes"]}


@pytest.mark.parametrize("word", ["KEY", f"/{MBG}", KEY.lower(), "00000001"])
def test_a_mailbag_comes_back_as_a_pair(store, tmp_path, word):
    """Whatever of it is named."""
    before = contents(store, tmp_path / "before")
    when = now()
    commit(store, "remove", KEY, "-", "move", MBG, "MBG/COPY.MBG")
    with Mount(store) as mount:
        assert not (mount / KEY).exists()
        assert restored(store, when, word) == {
            f"/{KEY}": "created", f"/{MBG}": "created"}
        assert (mount / KEY).read_bytes() == before[KEY]
        assert (mount / MBG).read_bytes() == before[MBG]
        # It can be undone itself.
        poctl("undo", store.path, last(store))
        assert not (mount / MBG).exists()
    store.check()


def test_several_come_back_at_once(store, tmp_path):
    before = contents(store, tmp_path / "before")
    when = now()
    commit(store, "write", KEY, "one")
    commit(store, "remove", "GLB/CONTROL.GLB", "-")
    count = len(journal(store))
    assert restored(store, when, KEY, "GLB", "/GLB/CONTROL.GLB") == {
        f"/{KEY}": "written", "/GLB/CONTROL.GLB": "created"}
    assert contents(store, tmp_path / "after") == before
    assert len(journal(store)) == count + 1
    poctl("undo", store.path, last(store))
    assert "there was no file, directory or mailbag NO at " in refuses(
        FAILED, "restore", "--at", when, store.path, KEY, "NO")
    assert contents(store, tmp_path / "same")[KEY][:3] == b"one"
    refuses(USAGE, "restore", tmp_path / "new", "one", "two")


def test_a_mailbag_comes_back_with_its_messages(tmp_path):
    """Those that are gone, as they were: whose, when, and DOS attributes."""
    tree = MailTree(tmp_path)
    tree.submit("one")
    tree.deliver("INQUEUE3", "stays", "00000064")
    tree.delete("INQUEUE3", tree.deliver("INQUEUE3", "deleted", "00000065"))
    with Existing(tree.store()) as store, Mount(store) as mount:
        mai, dos = mount / tree.mai(STEM), b"0x22".ljust(5, b"\0")
        os.chmod(mai, 0o640)
        os.chown(mai, 123, 45)
        os.setxattr(mai, "user.DOSATTRIB", dos)
        os.utime(mai, (1, 2))
        was = mai.stat(), mai.read_bytes()
        when = now()
        with open(mount / "KEY/INQUEUE3.KEY", "r+b") as key:
            os.unlink(mount / f"P1/{STEM}.P1")
            os.unlink(mai)
            os.unlink(mount / tree.mai("00000065"))
            (mount / "MBG/INQUEUE3.MBG").write_bytes(b"")
            key.seek(0x30)
            key.write(b"\xff")
        assert restored(store, when, "inqueue3") == {
            "/KEY/INQUEUE3.KEY": "written", "/MBG/INQUEUE3.MBG": "written",
            f"/{tree.mai(STEM)}": "created", f"/P1/{STEM}.P1": "created"}
        assert mai.read_bytes() == was[1]
        is_now = mai.stat()
        for name in ("st_mode", "st_uid", "st_gid", "st_mtime", "st_size"):
            assert getattr(is_now, name) == getattr(was[0], name), name
        assert os.getxattr(mai, "user.DOSATTRIB") == dos


@pytest.mark.parametrize("word", ["bob", "KEY/BOB.KEY", "MBG/BOB.MBG"])
def test_a_mailbag_with_another_name_comes_back_as_a_pair(tmp_path, word):
    """It is one to the file system, whatever programs call theirs."""
    tree = MailTree(tmp_path)
    tree.add_bag("BOB")
    tree.put("BOB", "here")
    with Existing(tree.store()) as store:
        before = contents(store, tmp_path / "before")
        when = now()
        commit(store, "write", "KEY/BOB.KEY", "changed",
               "remove", "MBG/BOB.MBG", "-")
        assert restored(store, when, word) == {
            "/KEY/BOB.KEY": "written", "/MBG/BOB.MBG": "created"}
        assert contents(store, tmp_path / "after") == before


def test_the_copy_of_a_mailbag_has_no_partner(tmp_path):
    tree = MailTree(tmp_path)
    tree.write("MBG/COPY.MBG", b"copy")
    tree.write("KEY/COPY.KEY", b"key")
    with Existing(tree.store()) as store:
        when = now()
        commit(store, "write", "MBG/COPY.MBG", "1", "write", "KEY/COPY.KEY",
               "2")
        for word in ("MBG/COPY.MBG", "KEY/COPY.KEY"):
            assert restored(store, when, word) == {f"/{word}": "written"}


def test_attributes_come_back_where_the_content_is_the_same(tmp_path):
    """A mailbag that was made read-only cannot be worked off (P08)."""
    tree = MailTree(tmp_path)
    tree.deliver(BAG, "here")
    with Existing(tree.store()) as store, Mount(store) as mount:
        mbg = mount / f"MBG/{BAG}.MBG"
        was, when = mbg.stat(), now()
        with open(mount / f"KEY/{BAG}.KEY", "r+b"):
            os.chmod(mbg, 0o444)
            os.setxattr(mbg, "user.DOSATTRIB", b"0x21")
            os.utime(mbg, (1, 2))
        assert restored(store, when, BAG) == {
            f"/MBG/{BAG}.MBG": "attributes"}
        is_now = mbg.stat()
        for name in ("st_mode", "st_mtime", "st_size"):
            assert getattr(is_now, name) == getattr(was, name), name
        assert os.listxattr(mbg) == []
        assert mbg.read_bytes() == tree.read(f"MBG/{BAG}.MBG")
        assert restored(store, when, BAG) == {}


def test_a_large_attachment_comes_back(store):
    """Larger than what is written at once, and than the staging limit."""
    size = 30 << 20
    with Mount(store) as mount:
        path = mount / "ATT/AT5/00000005.ATT"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size - 4) + b"last")
        wait_until(lambda: what_happened(store, path.name) == ["created"],
                   "it is in the journal")
        when = now()
        os.unlink(path)
        wait_until(lambda: "removed" in what_happened(store, path.name),
                   "so is its end")
        poctl("restore", "--at", when, store.path, "ATT/AT5/00000005.ATT")
        assert path.stat().st_size == size
        with open(path, "rb") as file:
            file.seek(size - 4)
            assert file.read() == b"last"
    store.check()


def test_a_few_bytes_of_a_large_attachment_come_back(tmp_path):
    """It is larger than what a transaction may change of a file."""
    tree = MailTree(tmp_path)
    tree.write(ATT, b"a" * (34 << 20))
    with Existing(tree.store()) as store, Mount(store) as mount:
        when = now()
        with open(mount / ATT, "r+b") as file:
            file.seek(1000)
            file.write(b"bbb")
        wait_until(lambda: what_happened(store, os.path.basename(ATT)),
                   "it is in the journal")
        assert restored(store, when, "ATT") == {f"/{ATT}": "written"}
        assert (mount / ATT).read_bytes() == tree.read(ATT)


def test_what_is_the_same_is_left_alone(store):
    number = commit(store, "write", KEY, "one")
    assert "Restored 0 of " in poctl("restore", "--at", now(), store.path,
                                     "KEY").stdout
    assert last(store) == number


def test_what_the_journal_does_not_know(store):
    commit(store, "write", KEY, "one")
    assert "the past is kept from " in refuses(
        FAILED, "restore", "--at", "2020-01-01", store.path, KEY)
    assert "there was no file, directory or mailbag KEY/NO.KEY at " in refuses(
        FAILED, "restore", "--at", now(), store.path, "KEY/NO.KEY")
    refuses(USAGE, "restore", "--at", "yesterday", store.path, KEY)


def test_what_a_plain_file_was_is_not_known(store):
    """Nor that it was not there: the journal does not tell of it."""
    with Mount(store) as mount:
        list_, key = mount / "GLB/SERVER.GLB", mount / KEY
        list_.write_bytes(b"old")
        wait_until(lambda: time.time() > list_.stat().st_ctime + 0.01,
                   "the clock goes on")
        then = now()
        wait_until(lambda: now() > then, "the clock goes on")
        list_.write_bytes(b"new")
        with open(key, "r+b") as file:
            file.write(b"changed")
        assert refuses(FAILED, "restore", "--at", then, store.path, "GLB") == (
            "/GLB/SERVER.GLB was changed without a transaction since then: "
            "what it was is not known")
        assert key.read_bytes()[:7] == b"changed"
        poctl("restore", "--at", then, store.path, KEY)
        assert key.read_bytes()[:7] != b"changed"
        assert "Restored 0 of " in poctl("restore", "--at", now(), store.path,
                                         "GLB").stdout
