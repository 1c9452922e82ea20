# SPDX-License-Identifier: BSD-2-Clause
"""KEY, MBG and MAI files that a client has left with any bytes: they are kept
as they are, for what they mean is the programs' business; nobody else's mail is
touched; the check names what is wrong; and nothing ends with a crash.
"""

import json
import os
import random

import pytest

import mutants
from harness import Mount, poctl, program, run, tally
from mailtree import LONG_AGO, MailTree
from scene import StoreAt, sync

ROUNDS = max(int(os.environ.get("POFS_MUTANTS", "120")) // 60, 1)
"""Each makes some sixty of them: what was done to 15 mailbags."""

BAGS = 30
MESSAGES = 3


def bag_of(number):
    """The mailbags: those with odd numbers are let alone."""
    return f"{0x100 + number:08X}"


def stem_of(number, message):
    return f"{0x1000 + 16 * number + message:08X}"


def files_of(number):
    """What a mailbag is made of."""
    bag = bag_of(number)
    return [f"KEY/{bag}.KEY", f"MBG/{bag}.MBG",
            *(MailTree.mai(stem_of(number, message))
              for message in range(MESSAGES))]


@pytest.fixture(scope="module", name="post")
def fixture_post(tmp_path_factory):
    """A postoffice with mail, mounted: the mount, the store, and what was in
    each file of mail."""
    tree = MailTree(tmp_path_factory.mktemp("mutants"))
    for number in range(BAGS):
        tree.add_bag(bag_of(number))
        tree.add_user(0x100 + number, f"U{number}")
        for message in range(MESSAGES):
            tree.deliver(bag_of(number), "HELLO", stem_of(number, message))
    tree.set_counters(0x2000, 0x20000)
    store = tree.store()
    whole = {name: tree.read(name) for number in range(BAGS)
             for name in files_of(number)}
    # Or else only who has created a MAI may empty it.
    with Mount(StoreAt(store), "-o", "truncate-guard=false") as mount:
        yield mount, store, whole
        mount.unmount()
    poctl("check", "--quiet", store)


def check(mount):
    """What check --mail finds: {what it is of: its id}."""
    sync(mount.path)
    store = mount.store.path
    done = poctl("check", "--mail", "--json", store, check=False)
    assert done.returncode in (0, 1), done.stderr
    told = json.loads(done.stdout)
    assert told["findings"] == []
    return {row["id"].split()[1].split("/")[0]: row["id"]
            for row in told["mail"] if row["severity"] != "note"}


def look(store, *command):
    """Any command copes with any bytes: it does it or says why not."""
    done = run(program("tools/poctl"), *command[:-1], store, command[-1],
               check=False)
    assert done.returncode in (0, 1), done.stderr
    return done


def restore(mount, whole, names):
    """Puts back what was there, as of when it was there."""
    for name in names:
        (mount / name).write_bytes(whole[name])
        os.utime(mount / name, (LONG_AGO.timestamp(), LONG_AGO.timestamp()))


def test_any_bytes_are_kept_and_harm_nobody(post, seed):
    mount, store, whole = post
    rand = random.Random(seed)
    assert check(mount) == {}
    for _ in range(ROUNDS):
        changed = {}
        for number in range(0, BAGS, 2):
            for name in rand.sample(files_of(number), 4):
                changed[name] = mutants.mutant(rand, whole[name])
                (mount / name).write_bytes(changed[name])
        tally("mutants", len(changed))
        for name, content in whole.items():
            assert (mount / name).read_bytes() == changed.get(name, content)
        found = check(mount)
        assert found
        for number in range(1, BAGS, 2):
            assert bag_of(number) not in found
            for message in range(MESSAGES):
                stem = stem_of(number, message)
                # Unless some header names it now.
                assert stem not in found or any(
                    stem.encode() in content for content in changed.values())
        row, = [row for row in json.loads(poctl(
            "queue", "--json", store).stdout)["mailbags"]
            if row["mailbag"] == bag_of(1)]
        assert row["live"] == MESSAGES
        look(store, "queue", bag_of(0))
        look(store, "message", stem_of(0, 0))
        restore(mount, whole, changed)
        assert check(mount) == {}


@pytest.mark.parametrize("name, change", [
    ("KEY/00000100.KEY", lambda content: content[:100]),
    ("MBG/00000100.MBG", lambda content: content[:150]),
    ("MBG/00000100.MBG", lambda content: bytes(len(content))),
    ("MAI/MA0/00001000.MAI", lambda content: content[:20]),
    ("MAI/MA0/00001000.MAI", lambda content: b"\xff" * len(content))])
def test_what_is_wrong_is_named(post, name, change):
    mount, _, whole = post
    (mount / name).write_bytes(change(whole[name]))
    found = check(mount)
    restore(mount, whole, [name])
    assert found and set(found) <= {bag_of(0)} | {
        stem_of(0, message) for message in range(MESSAGES)}
