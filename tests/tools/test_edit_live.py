# SPDX-License-Identifier: BSD-2-Clause
"""The commands that change mail, while a mail program has it open."""

import contextlib
import datetime
import json
import subprocess
import sys

import pytest

from commands import FAILED, Existing, refuses
from harness import DEADLINE_S, Mount, poctl, program, run, wait_until
from mailtree import BAG, STEM, MailTree, header_of

OTHER = "00000064"
SECOND = "0000000B"


class Desk:
    """A mounted postoffice, and who administers it."""

    def __init__(self, mount):
        self.store = mount.store.path
        self.key = mount / f"KEY/{BAG}.KEY"
        self.mbg = mount / f"MBG/{BAG}.MBG"
        self.mount = mount

    def waiters(self):
        """How many wait for a lock."""
        rows = json.loads(poctl("locks", "--json", self.store).stdout)
        return sum(len(row["waiters"]) for row in rows["locks"])

    @contextlib.contextmanager
    def waiting(self, *arguments):
        """A command that waits for a lock."""
        process = subprocess.Popen(
            [program("tools/poctl"), *map(str, arguments)], text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            wait_until(self.waiters, "poctl stands in a line")
            yield process
        finally:
            process.kill()
            process.communicate()


def end(process):
    """Its exit status, and what it said."""
    text, _ = process.communicate(timeout=DEADLINE_S)
    return process.returncode, text


def last(store):
    """The number of the last entry of the journal."""
    done = poctl("log", "--json", store.path)
    return json.loads(done.stdout)["journal"][-1]["id"]


def elsewhere(*lines):
    """Has another session do what these lines of Python say."""
    run(sys.executable, "-c", "\n".join(lines))


@contextlib.contextmanager
def killed(*lines):
    """Another session that has done what these lines say; it is to be killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", "\n".join([*lines, "print()", "input()"])],
        bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def enter(mount, bag, stem):
    """Has another session put the first header into a mailbag."""
    elsewhere(f"with open({str(mount / f'KEY/{bag}.KEY')!r}, 'r+b') as key:",
              f" with open({str(mount / f'MBG/{bag}.MBG')!r}, 'r+b') as mbg:",
              f"  mbg.write({header_of(stem)!r})",
              r" key.write(b'\0')")


@pytest.fixture(name="desk")
def fixture_desk(tmp_path):
    """A mailbag with a deleted record before a live one."""
    tree = MailTree(tmp_path)
    tree.delete(BAG, tree.deliver(BAG, "gone"))
    tree.deliver(BAG, "here", OTHER)
    with Existing(tree.store()) as store, Mount(store) as mount:
        yield Desk(mount)


@pytest.mark.parametrize("command", [
    ("requeue", "STORE", BAG, "0"),
    ("rebuild", "--keep", "0", "STORE", BAG)], ids=lambda words: words[0])
def test_a_number_is_not_of_another_record(desk, command):
    """Another message takes the place meanwhile."""
    words = [desk.store if word == "STORE" else word for word in command]
    with open(desk.key, "r+b") as key:
        key.read()
        with desk.waiting(*words) as process:
            with open(desk.mbg, "r+b") as mbg:
                mbg.write(header_of("00000070"))
            key.seek(0x30)
            key.write(b"\0")
            key.close()
            after = desk.key.read_bytes(), desk.mbg.read_bytes()
            status, text = end(process)
    assert status == FAILED
    assert text.startswith("poctl: nothing was changed: /")
    assert text.endswith(" has changed meanwhile, and its records may have "
                         "other numbers now: look again\n")
    assert (desk.key.read_bytes(), desk.mbg.read_bytes()) == after


def test_the_journal_names_the_mailbags_of_a_change(desk):
    poctl("requeue", desk.store, BAG, 0)
    done = poctl("log", "--json", "--mailbag", BAG, desk.store)
    entry = json.loads(done.stdout)["journal"][-1]
    assert entry["mailbags"] == f"/{BAG}"
    assert "requeue" in entry["who"]


def test_who_works_off_what_stays_as_it_is_is_not_waited_for(tmp_path):
    """Through a telephone call. Nor is it in the journal as changed."""
    tree = MailTree(tmp_path)
    tree.deliver(BAG, "counts nobody", owners=0)
    with Existing(tree.store()) as store, Mount(store) as mount:
        with open(mount / f"P1/{BAG}.0LK", "xb"):
            assert "counts 1 owners (it was 0" in poctl(
                "set-owners", store.path, STEM).stdout
        done = poctl("log", "--json", store.path)
        entry = json.loads(done.stdout)["journal"][-1]
        assert "set-owners" in entry["who"] and not entry["mailbags"]


def test_what_the_journal_has_comes_back_with_its_record(tmp_path):
    """As when the last owner has deleted it: he is its owner again."""
    tree = MailTree(tmp_path)
    tree.submit("delivered")
    with Existing(tree.store()) as store, Mount(store) as mount:
        mai, p1 = mount / tree.mai(STEM), mount / f"P1/{STEM}.P1"
        was = mai.read_bytes(), p1.read_bytes()
        with open(mount / "KEY/INQUEUE3.KEY", "r+b") as key:
            p1.unlink()
            mai.unlink()
            key.seek(0x30)
            key.write(b"\1")
        assert not p1.exists()
        said = poctl("requeue", store.path, "INQUEUE3", 0).stdout
        assert said.startswith(
            f"Message {STEM} is in INQUEUE3 again, as record 0 (assumed), its "
            "text, its envelope from the journal.\n")
        assert (mai.read_bytes(), p1.read_bytes()) == was
        assert (mount / "KEY/INQUEUE3.KEY").read_bytes() == bytes(560)
        assert "is in the queue" in refuses(
            FAILED, "requeue", store.path, "INQUEUE3", 0)


# ---- what depends on what is undone -----------------------------------------

@pytest.mark.parametrize("path, held, named", [
    (MailTree.mai(STEM), BAG, SECOND), (MailTree.mai(STEM), BAG, "INQUEUE"),
    (f"P1/{STEM}.P1", "INQUEUE", "INQUEUE3")],
    ids=["a mailbag", "an inqueue", "an envelope"])
def test_what_is_named_while_undo_waits_stays(tmp_path, path, held, named):
    """A mailer goes on with the next mailbag, and leaves the file alone."""
    tree = MailTree(tmp_path)
    tree.add_bag(SECOND)
    with Existing(tree.store()) as store, Mount(store) as mount:
        with open(mount / f"KEY/{held}.KEY", "r+b") as key:
            (mount / path).write_bytes(b"mail")
            (mount / f"MBG/{held}.MBG").write_bytes(header_of(STEM))
            key.write(b"\0")
        entry = last(store)
        # Nobody undoes it while this one is open.
        with open(mount / path, "r+b") as file:
            with Desk(mount).waiting("undo", store.path, entry) as process:
                enter(mount, named, STEM)
                file.close()
                status, text = end(process)
        assert status == FAILED
        assert text == f"poctl: record 0 of {named} names /{path} since then\n"
        assert (mount / path).read_bytes() == b"mail"


# ---- what restore leaves as it is -------------------------------------------

def now():
    """A time between what was done and what will be."""
    return datetime.datetime.now().astimezone().isoformat()


def test_a_message_that_goes_while_restore_waits_comes_back(tmp_path):
    """It was there when its mailbag was looked at; its last owner deletes it."""
    tree = MailTree(tmp_path)
    tree.add_bag(SECOND)
    tree.deliver(BAG, "to both", owners=2)
    tree.put(SECOND, "to both")
    with Existing(tree.store()) as store, Mount(store) as mount:
        desk, mai = Desk(mount), mount / tree.mai(STEM)
        was, when = desk.key.read_bytes(), now()
        with open(desk.key, "r+b") as key:
            key.seek(0x30)
            key.write(b"\1")
        with open(desk.key, "r+b") as key:
            key.read()
            with desk.waiting("restore", "--at", when, store.path,
                              BAG) as process:
                elsewhere("import os",
                          f"with open({str(mount / f'KEY/{SECOND}.KEY')!r}, "
                          "'r+b') as key:",
                          f" os.unlink({str(mai)!r})",
                          r" key.seek(0x30), key.write(b'\1')")
                assert not mai.exists()
                key.close()
                assert end(process)[0] == 0
        assert desk.key.read_bytes() == was
        assert mai.read_bytes() == tree.read(tree.mai(STEM))


def test_half_a_mailbag_is_not_restored(tmp_path):
    """The half that was as then is not any more when it is its turn."""
    tree = MailTree(tmp_path)
    tree.deliver(BAG, "here")
    with Existing(tree.store()) as store, Mount(store) as mount:
        desk = Desk(mount)
        was, when = (desk.key.read_bytes(), desk.mbg.read_bytes()), now()
        with open(desk.key, "r+b"):
            desk.mbg.write_bytes(header_of(OTHER))
        with open(desk.key, "r+b") as key:
            key.read()
            with desk.waiting("restore", "--at", when, store.path,
                              BAG) as process:
                key.seek(0x30)
                key.write(b"\1")
                key.close()
                assert end(process)[0] == 0
        assert (desk.key.read_bytes(), desk.mbg.read_bytes()) == was


# ---- what purge-orphans judged by -------------------------------------------

@pytest.mark.parametrize("is_confirmed", [False, True])
def test_what_is_named_while_a_purge_waits_stays(tmp_path, is_confirmed):
    """By a command, or by a program: what is named is not touched itself."""
    tree = MailTree(tmp_path)
    tree.delete(BAG, tree.deliver(BAG, "deleted"))
    tree.add_bag(SECOND)
    for stem in (STEM, OTHER):
        tree.envelope(stem)
    path = tree.store()
    if is_confirmed:
        (path / "pofs.conf").write_text("[key-layout]\nconfirmed=yes\n")
    with Existing(path) as store, Mount(store) as mount:
        kept = mount / (tree.mai(STEM) if is_confirmed else f"P1/{STEM}.P1")
        orphan = mount / f"P1/{OTHER}.P1"
        with killed("import os",
                    f"key = open({str(mount / 'KEY/SYSTEM.KEY')!r}, 'r+b')",
                    f"os.unlink({str(orphan)!r})") as holder, \
                Desk(mount).waiting("purge-orphans", "--older-than", "30d",
                                    path) as process:
            if is_confirmed:
                enter(mount, SECOND, STEM)
            else:
                poctl("requeue", "--to-inqueue", path, BAG, 0)
            holder.kill()
            status, text = end(process)
        assert status == 0, text
        assert kept.exists() and not orphan.exists()
        assert kept.name not in text
