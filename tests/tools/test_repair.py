# SPDX-License-Identifier: BSD-2-Clause
"""poctl repair: what check --mail finds and a command mends is mended, once."""

import datetime
import json
import resource

import pytest

from commands import FAILED, OK, Existing, refuses
from harness import Mount, poctl
from mailtree import BAG, RECORD_SIZE, STEM, MailTree
from test_check_mail import FAULTS, check, counter_behind_messages, \
    make_mail, no_counter, no_envelope, no_message, stem_that_is_none


def journal(store):
    """What the journal has."""
    return json.loads(poctl("log", "--json", store).stdout)["journal"]


@pytest.fixture(name="tree")
def fixture_tree(tmp_path):
    """A postoffice in use."""
    tree = MailTree(tmp_path)
    make_mail(tree)
    return tree


@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__)
def test_a_fault_is_mended_if_a_command_does(tree, plant):
    name = plant(tree)
    store = tree.store()
    before = check(store)
    is_mended = "mend" in before[name]
    done = poctl("repair", "--json", store, name, check=False)
    assert json.loads(done.stdout)["findings"] == [
        {"id": name, "mended": is_mended}]
    assert done.returncode == (OK if is_mended else FAILED)
    if is_mended:
        assert name not in check(store)
    else:
        assert check(store) == before
        assert poctl("repair", "--dry-run", store, name,
                     check=False).returncode == FAILED


def test_what_is_too_young_to_be_mended_names_no_command(tree):
    """An orphan is told of after a day, and goes after a month."""
    path = tree.mai("00000090")
    tree.message("00000090")
    tree.touch(path, datetime.datetime.now() - datetime.timedelta(days=2))
    found = check(tree.store())
    assert list(found) == ["P03 00000090"]
    assert "mend" not in found["P03 00000090"]
    tree.touch(path, datetime.datetime.now() - datetime.timedelta(days=40))
    assert "mend" in check(tree.store())["P03 00000090"]


def test_a_rule_is_named_for_all_that_it_finds(tree):
    names = {f"P02 {BAG}/{tree.put(BAG, 'lost', stem)}"
             for stem in ("00000090", "00000091")}
    store = tree.store()
    assert names <= set(check(store))
    result = json.loads(poctl("repair", "--json", store, "P02").stdout)
    assert {row["id"] for row in result["findings"]} == names
    assert check(store) == {}


def test_all_leaves_alone_what_somebody_has_to_decide(tree):
    lost = no_message(tree)
    short = "P06 0000000E"
    tree.add_bag("0000000E")
    tree.write("KEY/0000000E.KEY", bytes(512))
    counter_behind_messages(tree)
    store = tree.store()
    lines = poctl("repair", store, "all").stdout.splitlines()
    assert f"{lost}: left alone: it may be none: name it, or use --assumed" \
        in lines
    assert f"{short}: left alone: headers would go: name it if they may" \
        in lines
    assert lines[-1] == "1 of 3 findings mended, 2 left."
    assert set(check(store)) == {lost, short}
    poctl("repair", "--assumed", store, "all")
    assert set(check(store)) == {short}
    poctl("repair", store, short)
    assert check(store) == {}


def test_all_takes_nothing_with_it_that_it_leaves_alone(tree):
    tree.deliver(BAG, "delivered", "00000090")
    tree.envelope("00000090")
    tree.envelope("00000091")
    tree.message("00000092")
    tree.write(f"P1/{STEM}.PBB", b"left")
    store = tree.store()
    left = {"P05 P1/00000090.P1", "P05 P1/00000091.P1", "P03 00000092"}
    gone = {f"P11 P1/{STEM}.PBB"}
    assert set(check(store)) == left | gone
    lines = poctl("repair", store, "all").stdout.splitlines()
    assert lines[-1] == "1 of 4 findings mended, 3 left."
    assert set(check(store)) == left
    for name in left:
        poctl("repair", store, name)
    assert check(store) == {}


def test_a_postoffice_may_be_called_as_the_help_calls_the_store(tmp_path):
    """And the store as another one: each has its own counters."""
    tree = MailTree(tmp_path)
    make_mail(tree)
    counter_behind_messages(tree)
    poctl("create", "--postoffice", "NORTH", tmp_path / "LAB")
    for office in ("LAB", "STORE"):
        poctl("import", "--postoffice", office, tmp_path / "LAB", tree.office)
    here, there = (f"P18 {office}/GLB/CONTROL.GLB"
                   for office in ("LAB", "STORE"))
    assert set(check(tmp_path / "LAB")) == {here, there}
    poctl("repair", "LAB", there, cwd=tmp_path)
    assert set(check(tmp_path / "LAB")) == {here}


def test_a_mailbag_may_be_called_as_the_help_calls_the_store(tree, tmp_path):
    tree.add_bag("STORE")
    lost = f"P02 STORE/{tree.put('STORE', 'lost', '00000090')}"
    store = tree.store()
    assert lost in check(store)
    poctl("repair", store, lost)
    assert lost not in check(store)


@pytest.mark.parametrize("make, names", [
    (MailTree.message, [f"P03 000000{last:02X}" for last in range(0x90, 0x95)]),
    (MailTree.envelope,
     [f"P05 P1/000000{last:02X}.P1" for last in range(0x90, 0x95)])],
    ids=["messages", "envelopes"])
def test_one_of_many_orphans_is_mended_alone(tree, make, names):
    """Of the others nobody has said that no DOS client has them; who names the
    rule means all of them, in one transaction."""
    for last in range(0x90, 0x95):
        make(tree, f"000000{last:02X}")
    store = tree.store()
    assert set(check(store)) == set(names)
    poctl("repair", store, names[2])
    names.remove(names[2])
    assert set(check(store)) == set(names)
    entries = len(journal(store))
    lines = poctl("repair", store, names[0][:3]).stdout.splitlines()
    assert {line.split(": run: ")[0] for line in lines
            if ": run: " in line} == set(names)
    assert check(store) == {}
    assert len(journal(store)) == entries + 1


def test_a_message_in_the_wrong_directory_keeps_its_header(tree):
    """It has to be moved; without a header nobody would know whose it is."""
    here = tree.deliver(BAG, "here")
    tree.put(BAG, "lost", "00000090")
    wrong = f"MAI/MA0/{STEM}.MAI"
    tree.write(wrong, tree.read(tree.mai(STEM)))
    tree.remove(tree.mai(STEM))
    store = tree.store()
    (store / "pofs.conf").write_text("[key-layout]\nconfirmed=yes\n")
    name = f"P02 {BAG}/{here}"
    assert "mend" not in check(store)[name]
    assert wrong in check(store)[name]["sentence"]
    poctl("repair", store, "all")
    kept, moved = sorted(check(store))
    assert kept.startswith(f"P02 {BAG}/") and moved == f"R08 {wrong}"
    assert wrong in check(store)[kept]["sentence"]


@pytest.mark.parametrize("lose", [
    lambda tree: [tree.remove(f"{kind}/INQUEUE3.{kind}")
                  for kind in ("KEY", "MBG")],
    lambda tree: tree.write("MBG/INQUEUE3.MBG"),
    lambda tree: tree.delete("INQUEUE3", 1)],
    ids=["both files", "all records", "a bit"])
def test_an_envelope_whose_header_may_be_lost_goes_if_it_is_named(tree, lose):
    """A list can be lost so that nobody sees it."""
    tree.submit("queued")
    lose(tree)
    store = tree.store()
    (store / "pofs.conf").write_text("[key-layout]\nconfirmed=yes\n")
    name = f"P05 P1/{STEM}.P1"
    for _ in range(2):
        lines = poctl("repair", "--assumed", store, "all").stdout.splitlines()
        assert f"{name}: left alone: the header that named it may be lost: " \
            "name it if not" in lines
    poctl("repair", store, name)
    assert name not in check(store)


@pytest.mark.parametrize("plant", [no_envelope, stem_that_is_none],
                         ids=lambda plant: plant.__name__)
def test_all_leaves_a_header_whose_message_may_be_there(tree, plant):
    """Nor does it go with another of the mailbag, whose message is lost."""
    name = plant(tree)
    bag = name.split()[1].split("/")[0]
    lost = f"P02 {bag}/{tree.put(bag, 'lost', '00000090')}"
    store = tree.store()
    (store / "pofs.conf").write_text("[key-layout]\nconfirmed=yes\n")
    lines = poctl("repair", "--assumed", store, "all").stdout.splitlines()
    assert f"{lost}: left alone: what mends it would mend what is left " \
        "alone, too" in lines
    assert {name, lost} <= set(check(store))
    poctl("repair", store, lost)
    assert not {name, lost} & set(check(store))


def test_all_leaves_a_deleted_header_that_nothing_else_is_left_of(tree):
    """A bit of the KEY may have turned: then that brings the mail back."""
    record = tree.submit("waits", "00000090")
    lost = f"P02 INQUEUE3/{tree.put('INQUEUE3', 'lost', '00000091')}"
    tree.envelope("00000091")
    tree.delete("INQUEUE3", record)
    store = tree.store()
    (store / "pofs.conf").write_text("[key-layout]\nconfirmed=yes\n")
    lines = poctl("repair", "--assumed", store, "all").stdout.splitlines()
    assert f"{lost}: left alone: the last header of a message would go, a " \
        "deleted one: requeue that, or name it" in lines
    poctl("requeue", store, "INQUEUE3", str(record))
    poctl("repair", store, "all")
    assert set(check(store)) == {"P05 P1/00000091.P1"}


def test_all_leaves_the_copy_of_a_mailbag(tree):
    """Nor does it go with a copy of an envelope, which is no list of mail. Who
    compressed the mailbag had emptied it; that another one got the message, too,
    is no comfort."""
    tree.add_bag("0000000B")
    tree.deliver(BAG, "to both", "00000090", owners=2)
    tree.put("0000000B", "to both", "00000090")
    tree.write("MBG/COPY.MBG", tree.read(f"MBG/{BAG}.MBG"))
    tree.write(f"MBG/{BAG}.MBG")
    tree.write(f"P1/{STEM}.PBB", b"left")
    store = tree.store()
    assert {"P15 MBG/COPY.MBG", f"P11 P1/{STEM}.PBB"} <= set(check(store))
    poctl("repair", "--assumed", store, "all")
    assert "P15 MBG/COPY.MBG" in check(store)
    assert f"P11 P1/{STEM}.PBB" not in check(store)


def test_the_only_copy_of_an_envelope_is_not_mended(tree):
    name = no_envelope(tree)
    stem = tree.read("MBG/INQUEUE3.MBG")[-RECORD_SIZE:][0x43:0x4B].decode()
    copy = f"P11 P1/{stem}.PBB"
    tree.write(f"P1/{stem}.PBB", b"envelope")
    store = tree.store()
    assert "mend" not in check(store)[copy]
    poctl("repair", "--assumed", store, "all")
    assert {name, copy} <= set(check(store))


def test_a_rehearsal_changes_nothing(tree):
    name = no_counter(tree)
    store = tree.store()
    before = check(store)
    text = poctl("repair", "--dry-run", store, "all").stdout
    assert f"{name}: run: poctl set-counter --auto STORE" in text
    assert "GLB/CONTROL.GLB" in text
    assert check(store) == before


def test_what_is_not_found_is_refused(tree):
    store = tree.store()
    name = no_message(tree)
    store = tree.store()
    for word in ("P06 0000000A", name[:2], name[:-1]):
        assert refuses(FAILED, "repair", store, word) == \
            f"{word} is not found in {store} (any more)"
    poctl("repair", store, name)
    assert "0 of 0 findings mended" in poctl("repair", store, "all").stdout


def test_many_that_are_still_found_take_no_longer_each(tree):
    """Orphans that are too young to go."""
    count = 60000
    when = datetime.datetime.now() - datetime.timedelta(days=2)
    for number in range(1, count + 1):
        tree.write(tree.mai(f"{number:08X}"), b"m", when)
    store = tree.store()
    done = poctl("repair", "--quiet", store, "P03", check=False,
                 preexec_fn=lambda: resource.setrlimit(
                     resource.RLIMIT_CPU, (3, 3)))
    assert done.returncode == FAILED
    found = [line for line in done.stderr.splitlines()
             if line.endswith(" is still found")]
    assert count - 100 < len(found) <= count


def test_what_could_not_be_mended_is_an_error(tree):
    """A program has the mailbag open all the time."""
    name = no_message(tree)
    with Existing(tree.store()) as store, \
            Mount(store, "-o", "lock-wait-s=1") as mount:
        with open(mount / f"KEY/{BAG}.KEY", "r+b") as key:
            key.read()
            done = poctl("repair", "--json", store.path, name, check=False)
        assert done.returncode == FAILED
        assert f"{name}: /{BAG} is locked by session " in done.stderr
        assert json.loads(done.stdout)["findings"] == [
            {"id": name, "mended": False}]
        poctl("repair", store.path, name)


def test_a_command_knows_the_layout_that_was_given(tmp_path):
    """Where a live record has a 1, none of the live ones is left out."""
    tree = MailTree(tmp_path)
    tree.deliver(BAG, "here")
    lost = tree.put(BAG, "lost", "00000090")
    tree.write(f"KEY/{BAG}.KEY", bytes(48) + b"\3" + bytes(511))
    config = tmp_path / "layout"
    config.write_text("[key-layout]\ndeleted=0\n")
    store = tree.store()
    poctl("repair", "--config", config, store, f"P02 {BAG}/{lost}")
    records = json.loads(poctl("queue", "--json", "--config", config, store,
                               BAG).stdout)["records"]
    assert [row["message"] for row in records] == [STEM]
