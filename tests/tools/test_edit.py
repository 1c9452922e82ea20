# SPDX-License-Identifier: BSD-2-Clause
"""The commands that change mail, on a store that nobody serves."""

import contextlib
import datetime
import errno
import json
import os
import struct

import pytest

from commands import FAILED, USAGE, Existing, calls_of, refuses
from harness import Mount, Store, poctl, program, run, tool
from mailtree import (BAG, RECORD_SIZE, STEM, WHEN, MailTree, header_of, mail)

KEY, MBG = f"KEY/{BAG}.KEY", f"MBG/{BAG}.MBG"
CONTROL = "GLB/CONTROL.GLB"
OTHER = "00000064"
AGE = ("--older-than", "30d")


@pytest.fixture(name="tree")
def fixture_tree(tmp_path):
    """A postoffice, as yet without mail."""
    return MailTree(tmp_path)


class Files(dict):
    """What is in a store: {path: content}."""

    def __init__(self, store):
        super().__init__()
        top = store.parent / f"seen{len(os.listdir(store.parent))}"
        poctl("export", store, top)
        for path in top.rglob("*"):
            if path.is_file():
                self[str(path.relative_to(top))] = path.read_bytes()

    def stems(self, bag=BAG):
        """The messages that a mailbag's records name."""
        data = self[f"MBG/{bag}.MBG"]
        return [data[at + 0x43:at + 0x4B].decode()
                for at in range(0, len(data), RECORD_SIZE)]

    def live(self, bag=BAG):
        """Which of its records are live."""
        return mail.Key(self[f"KEY/{bag}.KEY"]).live_slots(
            len(self.stems(bag)))


def changes(store, *arguments):
    """What a command says that it has changed: {path: change}."""
    told = json.loads(poctl(*arguments[:1], "--json", *arguments[1:]).stdout)
    return {row["path"]: row["change"] for row in told["changes"]}


def entries(store):
    """What the journal has."""
    return json.loads(poctl("log", "--json", store).stdout)["journal"]


def says(*arguments):
    """What a command says that it has done, without the journal's entry."""
    *said, entry = poctl(*arguments).stdout.splitlines()
    assert entry.startswith("It is entry ")
    return said


def refuses_and_keeps(store, status, *arguments):
    """A command must fail, and change nothing; returns its sentence."""
    before = Files(store)
    reason = refuses(status, *arguments)
    assert Files(store) == before
    return reason


# ---- all of them ------------------------------------------------------------

@pytest.mark.parametrize("arguments", [
    ("reset", "STORE", BAG), ("rebuild", "STORE", BAG),
    ("requeue", "STORE", BAG, "0"), ("set-owners", "STORE", "00000066"),
    ("set-counter", "--auto", "STORE"),
    ("purge-orphans", *AGE, "STORE")], ids=lambda words: words[0])
def test_a_dry_run_changes_nothing(tree, arguments):
    tree.message()
    tree.delete(BAG, tree.put(BAG, "one", STEM))
    tree.put(BAG, "two", "00000099")
    tree.delete(BAG, 1)
    tree.message("00000077")
    tree.message("00000066", owners=0)
    tree.put("SYSTEM", "three", "00000066")
    tree.write(CONTROL, bytes(8))
    store = tree.store()
    before = Files(store)
    command, *rest = [store if word == "STORE" else word
                      for word in arguments]
    would = changes(store, command, "--dry-run", *rest)
    text = poctl(command, "-n", *rest).stdout
    assert Files(store) == before
    assert would and all(path in text for path in would)
    assert text.splitlines()[-1].startswith("Not done: ")
    assert changes(store, command, *rest) == would
    after = Files(store)
    different = {"/" + path for path in before.keys() | after.keys()
                 if before.get(path) != after.get(path)}
    assert different == set(would)
    poctl("check", "--quiet", store)


def test_a_snapshot_has_the_files_as_they_were(tree, tmp_path):
    tree.delete(BAG, tree.put(BAG, "gone"))
    store = tree.store()
    before = Files(store)
    kept = tmp_path / "kept"
    poctl("reset", "--dry-run", "--snapshot", kept, store, BAG)
    assert not kept.exists()
    poctl("reset", "--snapshot", kept, store, BAG)
    assert (kept / KEY).read_bytes() == before[KEY]
    assert (kept / MBG).read_bytes() == before[MBG]
    assert kept.stat().st_mode & 0o777 == 0o700
    assert (kept / KEY).stat().st_mode & 0o777 == 0o600
    poctl("set-counter", "--letter", "0x200", store)
    assert "File exists" in refuses_and_keeps(
        store, FAILED, "set-counter", "--letter", "0x300", "--snapshot",
        kept, store)


@contextlib.contextmanager
def small_disk(path, size):
    """A file system that is soon full."""
    path.mkdir()
    run(tool("mount"), "-t", "tmpfs", "-o", f"size={size}", "none", path)
    try:
        yield path
    finally:
        run(tool("umount"), path)


def test_a_snapshot_that_fits_no_disk_leaves_nothing(tree, tmp_path):
    tree.envelope("00000077")
    tree.write(tree.mai("00000077"), bytes(2 << 20))
    store = tree.store()
    with small_disk(tmp_path / "small", "1m") as small:
        for _ in range(2):
            reason = refuses_and_keeps(store, FAILED, "purge-orphans", *AGE,
                                       "--snapshot", small / "kept", store)
            assert reason.startswith(
                f"cannot copy /{tree.mai('00000077')} to {small}/kept, "
                "nothing was changed: ")
            assert os.strerror(errno.ENOSPC) in reason
            assert os.listdir(small) == []


def test_a_snapshot_keeps_what_has_gone(tree, tmp_path):
    """Though there is no room for what would have gone next."""
    for number in range(512):
        tree.write(f"P1/{number:08X}.P1", b"p")
    tree.write(tree.mai("00000077"), bytes(8 << 20))
    store = tree.store()
    with small_disk(tmp_path / "small", "8m") as small:
        done = poctl("purge-orphans", *AGE, "--snapshot", small / "kept/",
                     store, check=False)
        assert done.returncode == FAILED
        assert "after 512 files: cannot copy" in done.stderr
        assert {os.path.relpath(top, small / "kept"): files
                for top, _, files in os.walk(small) if files}.keys() == {"P1"}
        assert len(os.listdir(small / "kept/P1")) == 512
        assert (small / "kept/P1/000001FF.P1").read_bytes() == b"p"
        assert os.listdir(small / "kept") == ["P1"]


def test_a_snapshot_is_on_disk_before_anything_is_changed(tree, tmp_path):
    """With every directory on the way to it."""
    tree.put(BAG, "here")
    store = tree.store()
    calls = calls_of(tmp_path / "calls", "mkdir,rename,fsync,openat", "reset",
                     "--force", "--snapshot", tmp_path / "kept", store, BAG)
    synced = {}
    for number, call in enumerate(calls):
        if call.startswith("fsync("):
            synced[call.split("<")[1].split(">")[0]] = number
    made = {call.split('"')[-2]: number for number, call in enumerate(calls)
            if call.startswith(("mkdir(", "rename(")) and
            f"{tmp_path}/kept" in call}
    assert made.keys() == {f"{tmp_path}/kept{path}" for path in (
        "", "/KEY", f"/{KEY}", "/MBG", f"/{MBG}")}
    (change,) = (number for number, call in enumerate(calls)
                 if call.startswith("openat(") and "/writer" in call)
    for path, number in made.items():
        assert number < synced[os.path.dirname(path)] < change, path


def test_the_journal_has_each_change(tree):
    store = tree.store()
    for number in ("0x200", "0x300"):
        told = json.loads(poctl("set-counter", "--json", "--letter", number,
                                store).stdout)
        (who,) = [entry["who"] for entry in entries(store)
                  if entry["id"] == told["entry"]]
        assert who.endswith(": set-counter")
    assert "entry" not in json.loads(
        poctl("set-counter", "--json", "--auto", store).stdout)


def test_a_long_command_has_its_entry_named(tree, tmp_path):
    """The journal keeps the beginning of it."""
    folder = "x" * 250
    for bag in (BAG, "INQUEUE3"):
        tree.deliver(bag, "here")
    poctl("import", "--postoffice", folder, tmp_path / "store", tree.office)
    assert says("reset", "--force", tmp_path / "store", f"{folder}/{BAG}")
    with Existing(tmp_path / "store") as store, Mount(store):
        assert says("reset", "--force", store.path, f"{folder}/INQUEUE3")


def test_a_store_that_somebody_writes_to_without_a_daemon(tree, holder):
    store = tree.store()
    tree.put(BAG, "x")
    hold = holder(store)
    assert str(hold.pid) in refuses(
        FAILED, "set-counter", "--letter", "0x300", store)


def test_the_postoffice_is_named_where_there_are_several(tmp_path):
    with Store(tmp_path / "store", "--postoffice", "LAB", "--postoffice",
               "SALES") as store:
        assert "there are 2 postoffices" in refuses_and_keeps(
            store.path, USAGE, "reset", store.path, "INQUEUE3")
        assert "there are 2 postoffices" in refuses_and_keeps(
            store.path, USAGE, "set-counter", "--auto", store.path)
        poctl("set-counter", "--letter", "0x10", "--postoffice", "LAB",
              store.path)
        files = Files(store.path)
        assert files["LAB/" + CONTROL][4:] == b"\x10\0\0\0"
        assert files["SALES/" + CONTROL] == bytes(8)


# ---- reset ------------------------------------------------------------------

def test_reset_empties_a_mailbag(tree):
    tree.delete(BAG, tree.put(BAG, "gone"))
    tree.delete(BAG, tree.put(BAG, "gone, too"))
    store = tree.store()
    assert says("reset", store, BAG) == [
        f"Reset {BAG}, with 2 records, 0 of them live (assumed)."]
    files = Files(store)
    assert files[KEY] == bytes(560) and files[MBG] == b""
    assert poctl("reset", store, BAG).stdout == f"{BAG} is empty.\n"


def test_reset_spares_live_mail_unless_forced(tree):
    tree.deliver(BAG, "here")
    store = tree.store()
    assert refuses_and_keeps(store, FAILED, "reset", store, BAG) == \
        f"{BAG} has 1 live records (assumed): --force has them go, too"
    poctl("reset", "--force", store, BAG)
    assert Files(store)[MBG] == b""


def test_reset_mends_a_broken_pair(tree):
    tree.write(KEY, b"short")
    tree.write("KEY/0000000B.KEY", bytes(560))
    store = tree.store()
    poctl("reset", store, BAG.lower())
    poctl("reset", store, "0000000b")
    files = Files(store)
    assert files[KEY] == bytes(560) and files["MBG/0000000B.MBG"] == b""


def test_reset_empties_a_key_of_an_empty_mailbag(tree):
    tree.write(KEY, b"\7" + bytes(559))
    store = tree.store()
    poctl("reset", store, BAG)
    assert Files(store)[KEY] == bytes(560)


def test_reset_knows_the_mailbags(tree):
    store = tree.store()
    assert "no mailbag 0000000F" in refuses_and_keeps(
        store, FAILED, "reset", store, "0000000F")


# ---- set-counter ------------------------------------------------------------

def test_a_counter_is_set(tree):
    store = tree.store()
    assert says("set-counter", "--letter", "0x200", store) == [
        "The next mailbag is 00000020 (it was 00000020), the next message "
        "00000200 (it was 00000100)."]
    poctl("set-counter", "--mailbag", "1000", store)
    assert Files(store)[CONTROL] == struct.pack("<II", 1000, 0x200)


@pytest.mark.parametrize("where", [
    "MAI/MA3/00000283.MAI", "ATT/AT3/00000283.ATT", "P1/00000283.P1"])
def test_a_counter_does_not_go_back_to_a_number_in_use(tree, where):
    tree.write(where)
    store = tree.store()
    for number in ("0x100", "0x283"):
        assert "00000283 is in use" in refuses(
            FAILED, "set-counter", "--letter", number, store)
    assert Files(store)[CONTROL] == struct.pack("<II", 0x20, 0x100)
    poctl("set-counter", "--letter", "0x284", store)


def test_counters_are_set_above_what_is_in_use(tree):
    tree.message("00000283")
    tree.write("KEY/00000030.KEY")
    tree.write("USR/00000031.USR")
    store = tree.store()
    poctl("set-counter", "--auto", store)
    assert Files(store)[CONTROL] == struct.pack("<II", 0x32, 0x284)
    assert not changes(store, "set-counter", "--auto", store)


def test_counters_that_are_high_enough_stay(tree):
    tree.message("00000083")
    store = tree.store()
    assert not changes(store, "set-counter", "--auto", store)


def test_counters_wrap(tree):
    tree.message("FFFFFFF0")
    tree.message("00000010")
    store = tree.store()
    poctl("set-counter", "--auto", store)
    assert not changes(store, "set-counter", "--auto", store)
    assert Files(store)[CONTROL] == struct.pack("<II", 0x20, 0x100)
    tree.write(CONTROL, struct.pack("<II", 0x20, 0xFFFFFF00))
    store = tree.store()
    poctl("set-counter", "--auto", store)
    assert Files(store)[CONTROL] == struct.pack("<II", 0x20, 0x11)


@pytest.mark.parametrize("content", [None, b"1234567"])
def test_lost_counters_are_found_again(tree, content):
    tree.message("00000283")
    tree.remove(CONTROL)
    if content is not None:
        tree.write(CONTROL, content)
    store = tree.store()
    assert "lost its numbers" in refuses_and_keeps(
        store, FAILED, "set-counter", "--letter", "0x400", store)
    poctl("set-counter", "--auto", store)
    assert Files(store)[CONTROL] == struct.pack("<II", 0xB, 0x284)


def test_the_number_of_a_lost_message_is_in_use(tree):
    """Its header would show a message that is somebody else's."""
    tree.put(BAG, "lost", "00000283")
    tree.delete(BAG, tree.put(BAG, "gone", "00000383"))
    store = tree.store()
    (store / "pofs.conf").write_text("[key-layout]\nconfirmed=yes\n")
    found = poctl("check", "--mail", store, check=False).stdout
    assert "messages is 00000100, but 00000283 is in use" in found
    assert "00000283 is in use" in refuses_and_keeps(
        store, FAILED, "set-counter", "--letter", "0x200", store)
    poctl("set-counter", "--auto", store)
    assert Files(store)[CONTROL] == struct.pack("<II", 0x20, 0x284)


def test_set_counter_wants_a_number(tree):
    store = tree.store()
    before = Files(store)
    refuses(USAGE, "set-counter", store)
    for number in ("", "x", "-1", "0x", "4294967296"):
        refuses(USAGE, "set-counter", "--letter", number, store)
        refuses(USAGE, "set-counter", "--mailbag", number, store)
    assert Files(store) == before


# ---- set-owners -------------------------------------------------------------

def test_a_message_counts_its_headers(tree):
    tree.deliver(BAG, "one")
    tree.put("SYSTEM", "two")
    tree.delete("SYSTEM", tree.put("SYSTEM", "deleted"))
    store = tree.store()
    assert says("set-owners", store, STEM) == [
        f"Message {STEM} counts 2 owners (it was 1; assumed)."]
    assert Files(store)[tree.mai(STEM)][0x0B:0x0D] == b"\2\0"
    assert not changes(store, "set-owners", store, STEM)


def test_a_count_that_is_higher_stays(tree):
    tree.deliver(BAG, "one", owners=7)
    store = tree.store()
    assert not changes(store, "set-owners", store, STEM)
    assert "No such file" in refuses_and_keeps(
        store, FAILED, "set-owners", store, OTHER)
    assert "is no message's number" in refuses_and_keeps(
        store, USAGE, "set-owners", store, "first")


# ---- purge-orphans ----------------------------------------------------------

def test_what_no_mailbag_names_is_removed(tree):
    tree.deliver(BAG, "here")
    tree.submit("there", OTHER)
    tree.message("00000077")
    tree.envelope("00000078")
    store = tree.store()
    assert changes(store, "purge-orphans", *AGE, store) == {
        "/MAI/MA7/00000077.MAI": "removed", "/P1/00000078.P1": "removed"}
    files = Files(store)
    assert f"MAI/MA3/{STEM}.MAI" in files and f"P1/{OTHER}.P1" in files
    assert "MAI/MA7/00000077.MAI" not in files
    assert poctl("purge-orphans", *AGE, store).stdout == "Removed 0 orphans.\n"


def test_what_was_changed_lately_stays(tree):
    tree.message("00000077")
    tree.touch("MAI/MA7/00000077.MAI",
               datetime.datetime.now() - datetime.timedelta(days=2))
    store = tree.store()
    for age in ("3d", "200000d"):
        assert not changes(store, "purge-orphans", "--older-than", age, store)
    assert changes(store, "purge-orphans", "--older-than", "47h", store)


def test_a_client_cannot_make_a_file_old(tree):
    """It can set when a file was changed, and no other of its times."""
    old = tree.mai("00000077")
    tree.message("00000077")
    new = "P1/00000078.P1"
    with Existing(tree.store()) as store, Mount(store) as mount:
        (mount / new).write_bytes(b"just made")
        os.utime(mount / new, (0, 0))
        assert (mount / new).stat().st_mtime == 0
        assert list(changes(store.path, "purge-orphans", *AGE,
                            store.path)) == ["/" + old]
        poctl("undo", store.path, entries(store.path)[-1]["id"])
        # What was put back was touched just now.
        assert not changes(store.path, "purge-orphans", *AGE, store.path)
        os.utime(mount / old, (0, 0))
        assert not changes(store.path, "purge-orphans", *AGE, store.path)


def test_a_purge_shows_how_far_it_is(tree, tmp_path):
    tree.message()
    typescript = tmp_path / "typescript"
    command = f"{program('tools/poctl')} purge-orphans --older-than 30d " \
              f"{tree.store()} >/dev/null"
    run(tool("script"), "--quiet", "--return", "--command", command,
        typescript)
    assert b"purging [" in typescript.read_bytes()


def test_a_deleted_record_counts_until_the_layout_is_confirmed(tree):
    tree.delete(BAG, tree.deliver(BAG, "gone"))
    store = tree.store()
    assert not changes(store, "purge-orphans", *AGE, store)
    config = store / "pofs.conf"
    config.write_text("[key-layout]\nconfirmed=yes\n")
    assert changes(store, "purge-orphans", *AGE, store)


def test_an_envelope_is_an_inqueues(tree):
    """What a user's mailbag names needs none."""
    tree.deliver(BAG, "here")
    tree.envelope(STEM)
    store = tree.store()
    assert list(changes(store, "purge-orphans", *AGE, store)) == [
        f"/P1/{STEM}.P1"]


def test_attachments_go_only_if_older_than_all_messages(tree):
    old = WHEN - datetime.timedelta(days=1)
    tree.deliver(BAG, "here", "00000162")
    tree.write("ATT/AT1/00000061.ATT", b"old", old)
    tree.write("ATT/AT1/00000161.ATT", b"old, with a message near it", old)
    tree.write("ATT/AT2/00000062.ATT", b"young")
    tree.touch("ATT/AT2/00000062.ATT", WHEN + datetime.timedelta(days=1))
    store = tree.store()
    assert not changes(store, "purge-orphans", *AGE, store)
    assert list(changes(store, "purge-orphans", "--attachments", *AGE,
                        store)) == ["/ATT/AT1/00000061.ATT"]


def test_what_programs_left_goes_if_it_is_asked_for(tree):
    """But for a copy of a mailbag, while it may be the only one."""
    left = {f"/P1/{STEM}.PBB": "removed", "/MBG/COPY.MBG": "removed"}
    for path in left:
        tree.write(path[1:], b"left")
    store = tree.store()
    assert not changes(store, "purge-orphans", *AGE, store)
    tree.remove(MBG)
    broken = tree.store()
    assert list(changes(broken, "purge-orphans", "--leftovers", *AGE,
                        broken)) == [f"/P1/{STEM}.PBB"]
    assert changes(store, "purge-orphans", "--leftovers", *AGE, store) == left


def test_what_a_copy_of_a_mailbag_names_stays_with_it(tree):
    """It may be the only list of that mail: ADMIN Compress stopped."""
    tree.message("00000077")
    tree.envelope("00000077")
    tree.write("MBG/COPY.MBG", header_of("00000077"))
    tree.remove(MBG)
    store = tree.store()
    assert not changes(store, "purge-orphans", "--leftovers", *AGE, store)
    tree.write(MBG)
    store = tree.store()
    assert not changes(store, "purge-orphans", "--leftovers", *AGE, store)
    tree.put(BAG, "HELLO", "00000077")
    store = tree.store()
    assert set(changes(store, "purge-orphans", "--leftovers", *AGE,
                       store)) == {"/MBG/COPY.MBG"}


def test_a_copy_of_a_mailbag_stays_with_what_nobody_else_has(tree):
    """Who compressed it died before all of it was back: that others have got
    the same messages does not bring the headers back."""
    tree.add_bag("0000000B")
    tree.deliver("0000000B", "to both", owners=2)
    tree.write("MBG/COPY.MBG", header_of(STEM, "to both") +
               header_of(STEM, "to me"))
    store = tree.store()
    (store / "pofs.conf").write_text("[key-layout]\nconfirmed=yes\n")
    assert not changes(store, "purge-orphans", "--leftovers", *AGE, store)
    tree.delete(BAG, tree.put(BAG, "to me"))
    store = tree.store()
    assert list(changes(store, "purge-orphans", "--leftovers", *AGE,
                        store)) == ["/MBG/COPY.MBG"]


def test_a_copy_of_an_envelope_stays_while_that_is_lost(tree):
    """It may be the only one, and its message waits."""
    tree.submit("waits")
    tree.write(f"P1/{STEM}.PBB", tree.read(f"P1/{STEM}.P1"))
    store = tree.store()
    assert list(changes(store, "purge-orphans", "--leftovers", *AGE,
                        store)) == [f"/P1/{STEM}.PBB"]
    tree.remove(f"P1/{STEM}.P1")
    store = tree.store()
    assert not changes(store, "purge-orphans", "--leftovers", *AGE, store)


@pytest.mark.parametrize("lose", [
    lambda tree: tree.remove("MBG/INQUEUE3.MBG"),
    lambda tree: tree.write("MBG/INQUEUE3.MBG", bytes(RECORD_SIZE - 1)),
    lambda tree: tree.write("MBG/INQUEUE3.MBG",
                            header_of("00000090") + bytes(9)),
    lambda tree: tree.write("MBG/INQUEUE3.MBG",
                            bytes(RECORD_SIZE << 12) + header_of(STEM)),
    lambda tree: tree.write("MBG/INQUEUE3.MBG", bytes(RECORD_SIZE)),
    lambda tree: tree.patch("INQUEUE3", 0, 0x43, b"\xff"),
    lambda tree: [tree.remove(f"{kind}/INQUEUE.{kind}")
                  for kind in ("KEY", "MBG")]],
    ids=["no MBG", "half a record", "and one that names what is lost",
         "a record too many", "zeros", "garbage", "no INQUEUE"])
def test_what_a_mailbag_has_named_stays_while_its_list_is_lost(tree, lose):
    """Also if all is mended that costs nothing, again and again."""
    tree.submit("waits")
    tree.submit("waits, too", OTHER, queue="INQUEUE")
    tree.write("ATT/AT0/00000010.ATT", b"old",
               WHEN - datetime.timedelta(days=1))
    lose(tree)
    store = tree.store()
    before = Files(store)
    assert not changes(store, "purge-orphans", "--attachments", *AGE, store)
    for _ in range(2):
        poctl("repair", "--assumed", store, "all", check=False)
    after = Files(store)
    for path in (f"P1/{STEM}.P1", f"P1/{OTHER}.P1"):
        assert before[path] == after[path]


def test_a_mailbag_whose_name_is_too_long_may_name_anything(tree):
    """Five characters of it are more than eight bytes: nobody counts it."""
    tree.add_bag("\u00c9" * 5)
    tree.deliver("\u00c9" * 5, "here")
    tree.envelope("00000078")
    store = tree.store()
    assert not changes(store, "purge-orphans", *AGE, store)


@pytest.mark.parametrize("kind, gone", [
    ("messages", "/MAI/MA7/00000077.MAI"), ("envelopes", "/P1/00000078.P1"),
    ("delivered", f"/P1/{STEM}.P1"), ("leftovers", f"/P1/{STEM}.PBB"),
    ("attachments", "/ATT/AT0/00000010.ATT")])
def test_orphans_of_one_kind_go(tree, kind, gone):
    tree.deliver(BAG, "here")
    tree.message("00000077")
    for stem in (STEM, "00000078"):
        tree.envelope(stem)
    tree.write(f"P1/{STEM}.PBB", b"left")
    tree.write("ATT/AT0/00000010.ATT", b"old",
               WHEN - datetime.timedelta(days=1))
    store = tree.store()
    assert changes(store, "purge-orphans", "--only", kind, *AGE, store) == {
        gone: "removed"}
    assert "not all" in refuses(USAGE, "purge-orphans", "--only", "all", *AGE,
                                store)


def test_orphans_that_are_named_go(tree):
    """As the list calls them, of the orphans that there are."""
    tree.deliver(BAG, "here")
    for stem in ("00000077", "00000078", "00000079"):
        tree.message(stem)
    store = tree.store()
    gone, too, stays = (f"/{tree.mai(stem)}"
                        for stem in ("00000077", "00000078", "00000079"))
    assert changes(store, "purge-orphans", *AGE, "--file", gone, "--file",
                   too[1:].lower(), store) == {gone: "removed", too: "removed"}
    files = Files(store)
    assert stays[1:] in files
    for path in (gone[1:], tree.mai(STEM), "MAI"):
        assert refuses(FAILED, "purge-orphans", *AGE, "--file", path, "--only",
                       "messages", store) == \
            f"{path} stays: it is no orphan of that age and kind"
    assert Files(store) == files


def test_an_orphan_is_named_after_its_postoffice(tree, tmp_path):
    path = tree.mai("00000077")
    tree.message("00000077")
    store = tmp_path / "two"
    poctl("create", "--postoffice", "LAB", store)
    poctl("import", "--postoffice", "North", store, tree.office)
    assert "stays" in refuses(FAILED, "purge-orphans", *AGE, "--file", path,
                              store)
    assert list(changes(store, "purge-orphans", *AGE, "--file",
                        f"North/{path}", store)) == [f"/North/{path}"]


def test_many_orphans_go_in_turns(tree):
    for number in range(700):
        tree.write(tree.mai(f"{number:08X}"), b"m")
    store = tree.store()
    *lines, said = poctl("purge-orphans", *AGE, store).stdout.splitlines()
    assert lines[-1] == "Removed 700 orphans." and len(lines) == 702
    assert not [path for path in Files(store) if path.endswith(".MAI")]
    first, last = (entry["id"] for entry in entries(store)[-2:])
    assert said == f"They are entries {first} to {last} of the journal."
    for entry in (first, last):
        poctl("undo", store, entry)
    assert len([path for path in Files(store) if path.endswith(".MAI")]) == 700
    store = tree.store()
    told = json.loads(poctl("purge-orphans", "--json", *AGE, store).stdout)
    assert len(told["changes"]) == 700
    assert told["entries"] == [entry["id"] for entry in entries(store)[-2:]]
    assert told["entry"] == told["entries"][-1]


def test_a_rehearsal_counts_all_orphans(tree):
    """More than one list of edits takes."""
    count = 65536 + 700
    for number in range(count):
        tree.write(tree.mai(f"{number:08X}"))
    _, *rows, said = poctl("purge-orphans", "--dry-run", *AGE,
                           tree.store()).stdout.splitlines()
    assert said == f"Not done: Removed {count} orphans."
    assert sorted(row.split()[1] for row in rows) == sorted(
        f"/{tree.mai(f'{number:08X}')}" for number in range(count))


def test_what_was_removed_before_an_error_is_told(tree):
    """A program has one of those open that are the last in their turn."""
    for number in range(700):
        tree.write(tree.mai(f"{number:08X}"), b"m")
    with Existing(tree.store()) as store, \
            Mount(store, "-o", "lock-wait-s=1") as mount:
        with open(mount / tree.mai("000002AF"), "r+b"):
            done = poctl("purge-orphans", *AGE, store.path, check=False)
        assert done.returncode == FAILED
        *_, said, entry = done.stdout.splitlines()
        assert said == "Removed 512 orphans."
        number, = (entry["id"] for entry in entries(store.path)[-1:])
        assert entry == f"It is entry {number} of the journal."
        assert done.stderr.startswith("poctl: after 512 files: ")


def test_an_age_is_needed(tree):
    tree.message()
    store = tree.store()
    before = Files(store)
    refuses(USAGE, "purge-orphans", store)
    for age in ("", "3", "d", "0d", "-3d", "3y", "1.5h"):
        refuses(USAGE, "purge-orphans", "--older-than", age, store)
    assert Files(store) == before


# ---- rebuild ----------------------------------------------------------------

def test_rebuild_keeps_what_is_good(tree):
    for number in range(0x60, 0x66):
        tree.deliver(BAG, "x", f"{number:08X}")
    tree.delete(BAG, 1)
    tree.remove(tree.mai("00000063"))
    tree.patch(BAG, 4, 0x43, b"nonsense")
    tree.write(KEY, b"\7" * 48 + tree.read(KEY)[48:])
    store = tree.store()
    assert says("rebuild", store, BAG) == [
        f"Rebuilt {BAG}: kept 3 of 6 records (assumed); left out 2 without a "
        "message and 0 copies, made 0 stubs."]
    files = Files(store)
    assert files.stems() == ["00000060", "00000062", "00000065"]
    assert files[KEY] == b"\7" * 48 + bytes(512)
    poctl("check", "--quiet", store)


def test_rebuild_of_what_is_good_changes_nothing(tree):
    """So that what it did before can be undone: repair all may be a cron job."""
    tree.deliver(BAG, "here")
    tree.put(BAG, "lost", OTHER)
    store = tree.store()
    before = Files(store)
    poctl("rebuild", store, BAG)
    number = entries(store)[-1]["id"]
    poctl("rebuild", store, BAG)
    assert entries(store)[-1]["id"] == number
    poctl("undo", store, number)
    assert Files(store) == before


def test_rebuild_keeps_what_it_is_told(tree):
    for number in range(0x60, 0x66):
        tree.deliver(BAG, "x", f"{number:08X}")
    tree.delete(BAG, 1)
    store = tree.store()
    assert "has no record 6" in refuses_and_keeps(
        store, FAILED, "rebuild", "--keep", "6", store, BAG)
    assert "as asked" in poctl("rebuild", "--keep", "1,4-5", store,
                               BAG).stdout
    assert Files(store).stems() == ["00000061", "00000064", "00000065"]
    assert Files(store).live() == [0, 1, 2]


def test_rebuild_wants_a_list(tree):
    tree.put(BAG, "x")
    store = tree.store()
    before = Files(store)
    for records in ("x", "1-", "-1", "5-1", "1,,2", "4096"):
        refuses(USAGE, "rebuild", f"--keep={records}", store, BAG)
    assert Files(store) == before


def test_rebuild_makes_stubs(tree, tmp_path):
    stub = tmp_path / "stub"
    stub.write_bytes(mail.encode_message("A", ["B"] * 9, "LOST", WHEN, "-"))
    tree.put(BAG, "lost")
    tree.put("SYSTEM", "the same")
    store = tree.store()
    poctl("rebuild", "--stub-missing", stub, store, BAG)
    made = Files(store)[tree.mai(STEM)]
    assert made[0x0B:0x0D] == b"\2\0"
    assert made[0x0D:] == stub.read_bytes()[0x0D:]
    assert Files(store).stems() == [STEM]
    tree.put("INQUEUE3", "without an envelope")
    store = tree.store()
    poctl("rebuild", "--stub-missing", stub, store, "INQUEUE3")
    assert tree.mai(STEM) not in Files(store)


def test_a_stub_must_be_a_message(tree, tmp_path):
    stub = tmp_path / "stub"
    tree.put(BAG, "lost")
    store = tree.store()
    before = Files(store)
    for content in (b"", b"lost", bytes(100),
                    b"\x4d\x83\0\1\0" + b"x" * 50):
        stub.write_bytes(content)
        assert "cannot be a stub" in refuses(
            FAILED, "rebuild", "--stub-missing", stub, store, BAG)
    assert Files(store) == before


def test_rebuild_of_a_mailbag_without_a_key(tree):
    tree.deliver(BAG, "here")
    tree.remove(KEY)
    store = tree.store()
    assert "its KEY does not tell" in poctl("rebuild", store, BAG).stdout
    assert Files(store).live() == [0]


# ---- requeue ----------------------------------------------------------------

def test_a_deleted_record_is_brought_back(tree):
    tree.deliver(BAG, "one", OTHER)
    tree.delete(BAG, tree.deliver(BAG, "two", owners=3))
    store = tree.store()
    assert says("requeue", store, BAG, 1) == [
        f"Message {STEM} is in {BAG} again, as record 1 (assumed)."]
    files = Files(store)
    assert files.live() == [0, 1]
    assert files[tree.mai(STEM)][0x0B:0x0D] == b"\4\0"
    assert "is in the queue" in refuses_and_keeps(
        store, FAILED, "requeue", store, BAG, 1)


def test_an_inqueues_record_needs_its_envelope(tree):
    tree.delete("INQUEUE3", tree.submit("gone"))
    tree.delete("INQUEUE3", tree.put("INQUEUE3", "the same"))
    store = tree.store()
    poctl("requeue", store, "INQUEUE3", 0)
    assert f"message {STEM} is in INQUEUE3" in refuses_and_keeps(
        store, FAILED, "requeue", store, "INQUEUE3", 1)
    assert Files(store).live("INQUEUE3") == [0]
    tree.remove(f"P1/{STEM}.P1")
    store = tree.store()
    assert f"P1/{STEM}.P1 is gone" in refuses_and_keeps(
        store, FAILED, "requeue", store, "INQUEUE3", 0)


def test_a_record_needs_its_message(tree):
    tree.delete(BAG, tree.put(BAG, "gone"))
    tree.delete(BAG, tree.put(BAG, "worse", "nonsense"))
    store = tree.store()
    assert f"{STEM}.MAI is gone" in refuses_and_keeps(
        store, FAILED, "requeue", store, BAG, 0)
    assert "names no message" in refuses_and_keeps(
        store, FAILED, "requeue", store, BAG, 1)
    assert "has no record 2" in refuses_and_keeps(
        store, FAILED, "requeue", store, BAG, 2)
    refuses_and_keeps(store, USAGE, "requeue", store, BAG, "first")


def test_a_record_is_copied_to_the_inqueue(tree):
    tree.put("INQUEUE3", "one", OTHER)
    tree.delete("INQUEUE3", tree.put("INQUEUE3", "vacant", OTHER))
    tree.put("INQUEUE3", "three", OTHER)
    tree.deliver(BAG, "again")
    tree.envelope()
    store = tree.store()
    poctl("requeue", "--to-inqueue", store, BAG, 0)
    files = Files(store)
    assert files.stems("INQUEUE3") == [OTHER, STEM, OTHER]
    assert files.live("INQUEUE3") == [0, 1, 2]
    assert files[MBG] == tree.read(MBG)
    assert "is in INQUEUE3" in refuses_and_keeps(
        store, FAILED, "requeue", "--to-inqueue", store, BAG, 0)


def test_both_inqueues_are_one_where_a_message_would_come_twice(tree):
    tree.delete("INQUEUE3", tree.submit("once"))
    tree.put("INQUEUE", "once")
    store = tree.store()
    for words in (("--to-inqueue", store, "INQUEUE", 0),
                  (store, "INQUEUE3", 0)):
        assert f"message {STEM} is in INQUEUE (" in refuses_and_keeps(
            store, FAILED, "requeue", *words)
    tree.delete("INQUEUE", 0)
    store = tree.store()
    poctl("requeue", "--to-inqueue", store, "INQUEUE", 0)
    assert "is in INQUEUE3" in refuses_and_keeps(
        store, FAILED, "requeue", store, "INQUEUE", 0)


def test_a_record_is_added_to_the_inqueue(tree):
    tree.deliver(BAG, "again")
    tree.envelope()
    store = tree.store()
    poctl("requeue", "--to-inqueue", store, BAG, 0)
    assert Files(store).stems("INQUEUE3") == [STEM]
