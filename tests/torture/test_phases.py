# SPDX-License-Identifier: BSD-2-Clause
"""The power is cut while a store is made, imported, restored, backed up,
repaired or recovered: it is as it was or as it shall be, and works."""

import json
import os
import shutil
from contextlib import nullcontext

import pytest

import load
from harness import poctl, program, run
from mailtree import MailTree
from powercut import Disk
from scene import (StoreAt, make_store, mounted, must_be_right,
                   state_of_store, work)

CUTS = int(os.environ.get("POFS_CUTS", "100"))
POCTL = program("tools/poctl")

both_names = pytest.mark.parametrize("names", [(), ("--strict",)],
                                     ids=["journal", "strict"])


def recorded(disk, state, *steps):
    """Runs commands, each of which takes the disk to another state."""
    with disk.log() as log:
        log.begin(".", 0, state)
        log.acknowledge(".", 0)
        for number, (state, *arguments) in enumerate(steps, 1):
            log.begin(".", number, state)
            run(POCTL, *arguments, env={**os.environ, **disk.env()})
            log.acknowledge(".", number)


def at(store, command):
    """The command, for that store."""
    return [store if word == "STORE" else word for word in command]


@pytest.fixture(name="tree")
def fixture_tree(tmp_path):
    """A postoffice with mail in it."""
    tree = MailTree(tmp_path)
    for number in range(20):
        tree.deliver("0000000A", f"NO {number}", stem=f"{number + 64:08X}")
    return tree


# ---- a new store ------------------------------------------------------------


def works_from_here(disk, seed, *again):
    """After a cut that left no store, or a whole one, the command works: the
    first time, or not at all for there is one."""
    made = 0
    for number in range(50):
        with disk.after_cut(seed + number) as other:
            store = other.path / "store"
            if not (store / "data.mdb").exists():
                poctl(*at(store, again))
                made += 1
            poctl("check", store)
        if made > 0 and number + 1 >= min(CUTS, 5):
            return
    raise AssertionError("each cut left a store")


@both_names
@pytest.mark.parametrize("is_there", [False, True], ids=["new", "empty"])
def test_the_first_start(disk, seed, names, is_there, tmp_path):
    if is_there:
        (disk.path / "store").mkdir()
    poctl("create", "--postoffice", "PO", tmp_path / "like")
    recorded(disk, "absent", (state_of_store(tmp_path / "like"), "create",
                              "--postoffice", "PO", disk.path / "store"))
    must_be_right(disk.replay(3 * CUTS, seed, "--store", "store", *names))
    works_from_here(disk, seed, "create", "--postoffice", "PO", "STORE")


@both_names
def test_an_import_to_a_new_store(disk, seed, names, tree):
    recorded(disk, "absent", (load.state_of(load.read_tree(tree.office)),
                              "import", disk.path / "store", tree.office))
    must_be_right(disk.replay(CUTS, seed, "--store", "store", *names))
    works_from_here(disk, seed, "import", "STORE", tree.office)


@both_names
def test_a_restore(disk, seed, names, tree, tmp_path):
    store = tree.store()
    poctl("backup", store, tmp_path / "backup")
    recorded(disk, "absent", (state_of_store(store), "restore",
                              disk.path / "store", tmp_path / "backup"))
    must_be_right(disk.replay(CUTS, seed, "--store", "store", *names))
    works_from_here(disk, seed, "restore", "STORE", tmp_path / "backup")


# ---- a store that is there --------------------------------------------------


def test_an_import_beside_other_mail(disk, seed, tree):
    store = make_store(disk, ["PO"])
    before = state_of_store(store.path)
    with Disk() as other:
        shutil.copytree(store.path, other.path / "store")
        poctl("import", "--postoffice", "P2", other.path / "store",
              tree.office)
        after = state_of_store(other.path / "store")
    with disk.log() as log:
        log.begin("PO", 0, state_of_store(store.path, "PO"))
        log.acknowledge("PO", 0)
        log.begin("P2", 0, "absent")
        log.acknowledge("P2", 0)
        log.begin("P2", 1, load.state_of(load.read_tree(tree.office)))
        run(POCTL, "import", "--postoffice", "P2", store.path, tree.office,
            env={**os.environ, **disk.env()})
        log.acknowledge("P2", 1)
    assert before != state_of_store(store.path) == after
    must_be_right(disk.replay(CUTS, seed, "--store", "store"))


def make_older(store):
    """As a program before this one left it; returns what it was of."""
    return int(run(program("tests/torture/older"), store.path).stdout)


def test_a_store_of_an_older_format(disk, seed):
    store = make_store(disk, ["PO"])
    newest = make_older(store)
    state = state_of_store(store.path)
    with disk.log() as log:
        log.begin(".", 0, state)
        log.acknowledge(".", 0)
        with mounted(disk, store):
            pass
    assert make_older(store) == newest > 1
    must_be_right(disk.replay(CUTS, seed, "--store", "store"))


@pytest.mark.parametrize("is_served", [False, True], ids=["alone", "served"])
def test_a_repair_and_its_undoing(disk, seed, tree, is_served):
    """By poctl itself, or by the daemon that it asks."""
    tree.message("00000063")  # of which no mailbag knows
    shutil.copytree(tree.store(), disk.path / "store")
    store = disk.path / "store"
    repair = ("repair", "--assumed", "STORE", "P03")
    before = state_of_store(store)
    with Disk() as other:
        twin = other.path / "store"
        shutil.copytree(store, twin)
        poctl(*at(twin, repair))
        after = state_of_store(twin)
        done = json.loads(poctl("log", "--json", twin).stdout)["journal"][-1]
    assert before != after
    with mounted(disk, StoreAt(store)) if is_served else nullcontext():
        recorded(disk, before, (after, *at(store, repair)),
                 (before, "undo", store, done["id"]))
    must_be_right(disk.replay(CUTS, seed, "--store", "store"))


@both_names
@pytest.mark.parametrize("is_there", [False, True], ids=["new", "again"])
def test_a_backup_is_whole_once_it_has_its_name(disk, seed, names, is_there,
                                                tree, tmp_path):
    old, backup = tmp_path / "old", disk.path / "backup"
    poctl("backup", tree.store(), old)
    command = (f"sh -c 'if [ ! -e backup ]; then echo absent; "
               f"elif cmp -s backup {old}; then echo old; "
               f"elif {POCTL} verify --quiet backup >&2; then echo whole; "
               f"else echo torn; fi'")
    if is_there:
        shutil.copy(old, backup)
    tree.deliver("0000000A", "ONE MORE")
    recorded(disk, "old" if is_there else "absent",
             ("whole", "backup", *["--force"] * is_there, tree.store(),
              backup))
    must_be_right(disk.replay(max(CUTS // 2, 1), seed, "--command", command,
                              *names))


# ---- recovery ---------------------------------------------------------------


@both_names
def test_a_cut_while_it_recovers_from_a_cut(disk, seed, names):
    """And from that once more: what was promised before the first stays."""
    store = make_store(disk)
    with mounted(disk, store) as mount:
        work(mount.path, disk, seed, 30)
    for round_ in range(max(CUTS // 25, 2)):
        with disk.after_cut(seed + round_, *names) as other:
            with mounted(other, StoreAt(other.path / "store")):
                pass
            must_be_right(other.replay(max(CUTS // 4, 10), seed, "--store",
                                       "store", *names))
