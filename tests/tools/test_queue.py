# SPDX-License-Identifier: BSD-2-Clause
"""poctl queue: what is in which mailbag, and in what state."""

import json
import resource

import pytest

from commands import FAILED, USAGE, Existing, refuses
from harness import Mount, poctl
from mailtree import BAG, RECORD_SIZE, STEM, WHEN, MailTree

OTHER = "00000064"


@pytest.fixture(name="tree")
def fixture_tree(tmp_path):
    """A postoffice, as yet without mail."""
    return MailTree(tmp_path)


def on_day(day):
    """A date in the month of the tests."""
    return WHEN.replace(day=day)


def queue(store, *arguments, **options):
    """The rows of a listing."""
    result = json.loads(
        poctl("queue", "--json", store, *arguments, **options).stdout)
    assert result["live_is_assumed"] is True
    return result["records"] if "records" in result else result["mailbags"]


def bag_of(store, name, *arguments, **options):
    """The row of one mailbag."""
    (row,) = [row for row in queue(store, *arguments, **options)
              if row["mailbag"] == name]
    return row


def names(rows):
    return [row["mailbag"] for row in rows]


def states(store, bag, *arguments):
    """What is said of each record."""
    return [row["state"] for row in queue(store, bag, *arguments)]


def test_a_new_postoffice_has_four_empty_mailbags(tmp_path):
    poctl("create", tmp_path / "store")
    rows = queue(tmp_path / "store")
    assert [(row["mailbag"], row["kind"]) for row in rows] == [
        ("00000000", "user"), ("INQUEUE", "inqueue"),
        ("INQUEUE3", "inqueue"), ("SYSTEM", "system")]
    for row in rows:
        assert row["records"] == row["live"] == row["size"] == 0
        assert "oldest" not in row and "lock" not in row
        assert row["postoffice"] == "" and row["changed"]


def test_a_mailbag_is_counted_and_dated(tree):
    tree.put(BAG, "one", when=on_day(3))
    tree.put(BAG, "two", when=on_day(1))
    tree.put(BAG, "three", when=on_day(2))
    tree.delete(BAG, tree.put(BAG, "gone", when=on_day(9)))
    row = bag_of(tree.store(), BAG)
    assert (row["records"], row["live"]) == (4, 3)
    assert row["size"] == 4 * RECORD_SIZE
    assert row["oldest"] == "1994-08-01T12:00"
    assert row["newest"] == "1994-08-03T12:00"


def test_the_queues_have_their_owners(tree):
    tree.add_network("NORTH", xtn="00000021")
    tree.add_postoffice("00000021", "LAB", "0000000B")
    tree.add_network("FAX", mbg="0000000C")
    tree.add_user(0xA, "Bert")
    for bag in ("0000000B", "0000000C"):
        tree.add_bag(bag)
    store = tree.store()
    assert [(bag_of(store, bag)["kind"], bag_of(store, bag)["owner"])
            for bag in (BAG, "0000000B", "0000000C")] == [
                ("user", "Bert"), ("external", "NORTH/LAB"),
                ("gateway", "FAX")]
    assert names(queue(store, "--kind", "external")) == ["0000000B"]


def test_a_list_that_is_named_again_and_again_is_read_once(tree):
    """For each of two networks, which is enough to tell that it has several:
    who may write to NETWORK.GLB could keep a tool busy for an hour."""
    for name in ("NORTH", "SOUTH"):
        tree.add_network(name, xtn="00000021")
    tree.write("GLB/NETWORK.GLB", tree.read("GLB/NETWORK.GLB") * 10000)
    tree.add_postoffice("00000021", "LAB", "0000000B")
    record = tree.read("XTN/00000021.XTN")
    tree.write("XTN/00000021.XTN", record * ((16 << 20) // len(record)))
    tree.add_bag("0000000B")
    store = tree.store()

    def limit():
        resource.setrlimit(resource.RLIMIT_CPU, (5, 5))

    assert bag_of(store, "0000000B", preexec_fn=limit)["owner"] == "NORTH/LAB"
    found = poctl("check", "--mail", store, check=False,
                  preexec_fn=limit).stdout
    assert "P26 0000000B: the mailbag is that of several, NORTH/LAB being " \
        "the first" in found


def test_half_a_mailbag_is_listed(tree):
    tree.remove(f"MBG/{BAG}.MBG")
    tree.write("KEY/0000000B.KEY", b"too short")
    tree.write("MBG/0000000B.MBG", bytes(2 * RECORD_SIZE))
    store = tree.store()
    assert "size" not in bag_of(store, BAG)
    assert "live" not in bag_of(store, "0000000B")
    assert bag_of(store, "0000000B")["records"] == 2


def test_only_waiting_mailbags(tree):
    tree.deliver(BAG, "here")
    tree.delete("SYSTEM", tree.deliver("SYSTEM", "gone", OTHER))
    assert names(queue(tree.store(), "--waiting")) == [BAG]


def test_a_kind_that_there_is_not_is_refused(tree):
    assert refuses(USAGE, "queue", tree.store(), "--kind", "inqueues") == \
        "queue: no mailbag is of kind inqueues"


def test_any_column_sorts(tree):
    for _ in range(3):
        tree.put(BAG, "x")
    tree.put("SYSTEM", "x")
    store = tree.store()
    by_records = names(queue(store, "--sort", "records"))
    assert by_records[-2:] == ["SYSTEM", BAG]
    assert names(queue(store, "--sort", "records", "--reverse")) == \
        by_records[::-1]
    reason = refuses(USAGE, "queue", store, "--sort", "weight")
    assert "mailbag" in reason and "records" in reason


def test_a_record_is_described(tree):
    number = tree.deliver(BAG, "Ärger", STEM, owners=2)
    (row,) = queue(tree.store(), BAG)
    assert row["record"] == number == 0
    assert row["live"] is True
    assert (row["sender"], row["subject"]) == ("ANNA", "Ärger")
    assert row["date"] == "1994-08-06T12:00"
    assert row["message"] == STEM
    assert row["owners"] == 2
    assert row["size"] == len(tree.read(tree.mai(STEM)))
    assert row["state"] == "ok"


def test_states_are_words(tree):
    tree.put(BAG, "no message", "0000FFF0")
    tree.deliver(BAG, "twice")
    tree.put(BAG, "twice")
    tree.patch(BAG, tree.put(BAG, "bad stem"), 0x43, b"nonsense")
    tree.patch(BAG, tree.put(BAG, "bad time", STEM), 0x38, b"\xff\xff")
    tree.write(tree.mai(OTHER), tree.message(OTHER)[:-30])
    tree.put(BAG, "torn", OTHER)
    found = states(tree.store(), BAG)
    assert found[0] == "MAI missing"
    assert found[1] == "ok"
    assert found[2] == "duplicate"
    assert "name" in found[3] or "stem" in found[3]
    assert "time" in found[4] and "duplicate" in found[4]
    assert "short" in found[5]


def test_an_inqueue_needs_envelopes(tree):
    tree.submit("whole")
    tree.deliver("INQUEUE3", "no envelope", OTHER)
    tree.deliver(BAG, "delivered", "00000065")
    store = tree.store()
    assert states(store, "INQUEUE3") == ["ok", "P1 missing"]
    assert states(store, BAG) == ["ok"]


def test_deleted_records_are_shown_if_asked(tree):
    tree.delete(BAG, tree.put(BAG, "gone", OTHER))
    tree.deliver(BAG, "here")
    store = tree.store()
    assert [row["record"] for row in queue(store, BAG)] == [1]
    assert states(store, BAG, "--all") == ["deleted, MAI missing", "ok"]


def test_the_layout_of_key_files_can_be_told(tree):
    """With a 0 for deleted, what was live is gone, and the other way."""
    tree.put(BAG, "one")
    tree.delete(BAG, tree.put(BAG, "two"))
    store = tree.store()
    (store / "pofs.conf").write_text(
        "[store]\nsync-ms = 500\n"
        "[key-layout]\ndeleted = 0\nconfirmed = yes\n")
    result = json.loads(poctl("queue", "--json", store, BAG).stdout)
    assert result["live_is_assumed"] is False
    assert [row["subject"] for row in result["records"]] == ["two"]
    assert "(assumed)" not in poctl("queue", store).stdout

    (store.parent / "other.conf").write_text("[key-layout]\n")
    assert [row["subject"] for row in queue(
        store, BAG, "--config", store.parent / "other.conf")] == ["one"]
    with Mount(Existing(store)):
        pass


def test_a_bad_layout_is_refused(tree):
    store = tree.store()
    for line in ("offset = 49", "order = big", "polarity = 1"):
        (store / "pofs.conf").write_text(f"[key-layout]\n{line}\n")
        assert "pofs.conf" in refuses(FAILED, "queue", store)
    refuses(FAILED, "queue", store, "--config", store / "missing.conf")


def test_a_table_is_for_people(tree):
    tree.deliver(BAG, "look\x1b[31m")
    store = tree.store()
    head, *lines = poctl("queue", store).stdout.splitlines()
    assert head.startswith("MAILBAG ") and "LIVE (assumed)" in head
    assert any(line.startswith(f"{BAG}  user") for line in lines)
    text = poctl("queue", store, BAG).stdout
    assert "look\\033[31m" in text and "\x1b" not in text


def test_every_postoffice_is_listed(tmp_path):
    poctl("create", tmp_path / "store", "--postoffice", "LAB",
          "--postoffice", "NORTH")
    store = tmp_path / "store"
    rows = queue(store)
    assert {row["postoffice"] for row in rows} == {"LAB", "NORTH"}
    assert len(rows) == 8
    assert poctl("queue", store).stdout.startswith("POSTOFFICE ")
    assert {row["postoffice"] for row in queue(
        store, "--postoffice", "north")} == {"NORTH"}
    assert queue(store, "NORTH/SYSTEM") == []
    assert "/SYSTEM" in refuses(USAGE, "queue", store, "SYSTEM")
    assert queue(store, "--postoffice", "LAB", "SYSTEM") == []


def test_what_is_not_there_is_refused(tree):
    store = tree.store()
    assert "0000BEEF" in refuses(FAILED, "queue", store, "0000BEEF")
    assert "NOWHERE" in refuses(FAILED, "queue", store, "NOWHERE/SYSTEM")
    refuses(FAILED, "queue", store, "--postoffice", "NOWHERE")


def test_a_lock_is_shown_while_somebody_has_it(tree):
    store = tree.store()
    with Mount(Existing(store)) as mount:
        with (mount / f"KEY/{BAG}.KEY").open("r+b"):
            assert "update by session" in bag_of(store, BAG)["lock"]
        with (mount / "KEY/INQUEUE3.KEY").open("r+b"):
            for bag in ("INQUEUE", "INQUEUE3"):
                assert "inqueue by session" in bag_of(store, bag)["lock"]
            assert "lock" not in bag_of(store, BAG)
