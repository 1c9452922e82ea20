# SPDX-License-Identifier: BSD-2-Clause
"""poctl check --mail: every fault is found by its number, and nothing else."""

import datetime
import json
import struct

import pytest

from commands import FAILED, refuses
from harness import poctl
from mailtree import BAG, LETTER, LONG_AGO, RECORD_SIZE, STEM, WHEN, MailTree

OTHER = "00000064"
NETWORK_BAG = "0000000B"
DAY = datetime.timedelta(days=1)


def check(store, *arguments):
    """What check --mail finds: {id: finding}, notes apart."""
    done = poctl("check", "--mail", "--json", store, *arguments, check=False)
    result = json.loads(done.stdout)
    assert result["findings"] == []
    found = {row["id"]: row for row in result["mail"]}
    assert {row["severity"] for row in found.values()} <= {
        "note", "suspicious", "warning", "error"}
    wrong = {name: row for name, row in found.items()
             if row["severity"] != "note"}
    assert result["count"] == len(wrong)
    assert done.returncode == (FAILED if wrong else 0)
    assert len(found) == len(result["mail"]), "an id is there twice"
    return found


def make_mail(tree):
    """What any postoffice in use has: mail that is waiting, delivered, half
    read, on its way out, with attachments, or just being written."""
    tree.add_network("NORTH", xtn="00000012")
    tree.add_postoffice("00000012", "LAB", NETWORK_BAG)
    for bag in (NETWORK_BAG, "0000000C"):
        tree.add_bag(bag)
    tree.add_user(0xA, "Bert")
    tree.add_user(0xC, "Anna")
    tree.submit("waiting", "00000070")
    tree.message("00000071", owners=3)
    for bag in (BAG, "0000000C", NETWORK_BAG):
        tree.put(bag, "to all", "00000071")
    tree.delete(BAG, tree.put(BAG, "read and gone", "00000072"))
    tree.patch(BAG, 1, 0x43, b"\xff\xff")
    tree.write("ATT/AT3/00000073.ATT", b"picture")
    tree.deliver(BAG, "with a picture", "00000074")
    for path in (tree.mai("00000080"), "P1/00000081.P1",
                 "ATT/AT2/00000082.ATT"):
        tree.write(path, b"", when=None)


# ---- faults: what is done to a postoffice, and what is found for it

def no_envelope(tree):
    tree.submit("lost")
    tree.remove(f"P1/{STEM}.P1")
    return "P01 INQUEUE3/1"


def no_message(tree):
    return f"P02 {BAG}/{tree.put(BAG, 'lost')}"


def orphan(tree):
    tree.message()
    return f"P03 {STEM}"


def orphan_of_a_deleted_header(tree):
    tree.delete(BAG, tree.deliver(BAG, "deleted"))
    return f"P03 {STEM}"


def attachment_alone(tree):
    tree.write("ATT/AT5/00000005.ATT", b"picture")
    return "P04 ATT/AT5/00000005.ATT"


def envelope_alone(tree):
    tree.envelope()
    return f"P05 P1/{STEM}.P1"


def envelope_of_a_delivered_message(tree):
    tree.envelope()
    tree.deliver(BAG, "delivered")
    return f"P05 P1/{STEM}.P1"


def key_too_short(tree):
    tree.write(f"KEY/{BAG}.KEY", bytes(512))
    return f"P06 {BAG}"


def mailbag_with_half_a_record(tree):
    path = f"MBG/{BAG}.MBG"
    tree.write(path, tree.read(path) + b"half")
    return f"P06 {BAG}"


def no_key(tree):
    tree.remove("KEY/SYSTEM.KEY")
    return "P07 SYSTEM"


def no_mbg(tree):
    tree.remove("MBG/SYSTEM.MBG")
    return "P07 SYSTEM"


def no_mailbag_of_a_postoffice(tree):
    tree.add_postoffice("00000012", "LAB", "0000000D")
    return "P07 0000000D"


def no_inqueue(tree):
    tree.remove("KEY/INQUEUE.KEY")
    tree.remove("MBG/INQUEUE.MBG")
    return "P07 INQUEUE"


def key_stands_still(tree):
    tree.touch(f"MBG/{BAG}.MBG", LONG_AGO + DAY)
    return f"P08 {BAG}"


def key_read_only(tree):
    (tree.office / f"KEY/{BAG}.KEY").chmod(0o444)
    return f"P08 {BAG}"


def number_given_twice(tree):
    tree.deliver(BAG, "first", owners=2)
    tree.put("0000000C", "second")
    return f"P09 {STEM}"


def torn(tree):
    tree.deliver(BAG, "torn")
    tree.write(tree.mai(STEM), tree.read(tree.mai(STEM))[:-9])
    return f"P10 {STEM}"


def zero_tail(tree):
    tree.deliver(BAG, "torn")
    path = tree.mai(STEM)
    tree.write(path, tree.read(path)[:-16] + bytes(16))
    return f"P10 {STEM}"


def not_a_message(tree):
    tree.deliver(BAG, "text")
    tree.write(tree.mai(STEM), b"Dear Bert, please find it here.\r\n" * 9)
    return f"P10 {STEM}"


def copy_of_an_envelope(tree):
    tree.write(f"P1/{STEM}.PBB", b"envelope")
    return f"P11 P1/{STEM}.PBB"


def empty_message(tree):
    tree.put(BAG, "disk full")
    tree.write(tree.mai(STEM))
    return f"P13 {STEM}"


def compress_stopped(tree):
    tree.write("MBG/COPY.MBG", bytes(RECORD_SIZE))
    return "P15 MBG/COPY.MBG"


def full_mailbag(tree):
    tree.add_bag("0000000E")
    tree.put("0000000E", "again")
    tree.set_counters(0x20, 0x200000)
    record = tree.read("MBG/0000000E.MBG")
    tree.write("MBG/0000000E.MBG", b"".join(
        record[:0x43] + b"%08X" % (0x100000 + number) + record[0x4B:]
        for number in range(4000)))
    return "P16 0000000E"


def stem_that_is_none(tree):
    number = tree.deliver(BAG, "bad")
    tree.put(BAG, "good")
    tree.patch(BAG, number, 0x43, b"nonsense")
    return f"P17 {BAG}/{number}"


def time_that_is_none(tree):
    number = tree.deliver(BAG, "bad")
    tree.patch(BAG, number, 0x38, struct.pack("<H", 60))
    return f"P17 {BAG}/{number}"


def graphics_in_a_subject(tree):
    number = tree.deliver(BAG, "bad")
    tree.patch(BAG, number, 0x0D, b"\xdb\xdb\xdb")
    return f"P17 {BAG}/{number}"


def counter_behind_messages(tree):
    tree.set_counters(0x20, 0x70)
    return "P18 GLB/CONTROL.GLB"


def counter_behind_mailbags(tree):
    tree.set_counters(5, LETTER)
    return "P18 GLB/CONTROL.GLB"


def counter_wrapped(tree):
    tree.set_counters(0x20, 0xFFFFFFF0)
    return "P18 GLB/CONTROL.GLB"


def counter_cut(tree):
    tree.write("GLB/CONTROL.GLB", bytes(4))
    return "P18 GLB/CONTROL.GLB"


def no_counter(tree):
    tree.remove("GLB/CONTROL.GLB")
    return "P18 GLB/CONTROL.GLB"


def import_stopped(tree):
    tree.write("USR/IMPORT.USR", bytes(53))
    return "P20 USR/IMPORT.USR"


def header_twice(tree):
    tree.deliver("SYSTEM", "twice", owners=2)
    return f"P21 SYSTEM/{tree.put('SYSTEM', 'twice')}"


def wrong_clock(tree):
    tree.message()
    return f"P23 {BAG}/{tree.put(BAG, 'soon', when=WHEN + 3 * DAY)}"


def id_of_two_users(tree):
    tree.add_user(0xA, "Carla")
    return f"P26 {BAG}"


def fewer_owners(tree):
    tree.deliver(BAG, "to two")
    tree.put("0000000C", "to two")
    return f"R07 {STEM}"


def message_in_the_wrong_place(tree):
    tree.write(f"MAI/MA4/{STEM}.MAI", tree.message())
    tree.remove(tree.mai(STEM))
    return f"R08 MAI/MA4/{STEM}.MAI"


def wrong_size(tree):
    tree.write("GLB/GROUP.GLB", bytes(4 + 51 + 1))
    return "R09 GLB/GROUP.GLB"


def lists_of_users_differ(tree):
    tree.write("GLB/ACCESS.GLB", bytes(2 * 586))
    tree.write("GLB/ACCESS2.GLB", bytes(2 * 69))
    tree.write("GLB/ACCESS3.GLB", bytes(3 * 512))
    return "R09 GLB/ACCESS.GLB"


def synchronization_stopped(tree):
    tree.write("GLB/REQTRANS.GLB", b"left")
    return "R09 GLB/REQTRANS.GLB"


def no_directory(tree):
    tree.remove("MAI/MAF/POPULATE.MSM")
    (tree.office / "MAI/MAF").rmdir()
    return "R15 MAI/MAF"


FAULTS = [
    no_envelope, no_message, orphan, orphan_of_a_deleted_header,
    attachment_alone, envelope_alone, envelope_of_a_delivered_message,
    key_too_short, mailbag_with_half_a_record, no_key, no_mbg,
    no_mailbag_of_a_postoffice, no_inqueue, key_stands_still, key_read_only,
    number_given_twice, torn, zero_tail, not_a_message, copy_of_an_envelope,
    empty_message, compress_stopped, full_mailbag, stem_that_is_none,
    time_that_is_none, graphics_in_a_subject, counter_behind_messages,
    counter_behind_mailbags, counter_wrapped, counter_cut, no_counter,
    import_stopped, header_twice, wrong_clock, id_of_two_users, fewer_owners,
    message_in_the_wrong_place, wrong_size, lists_of_users_differ,
    synchronization_stopped, no_directory]

ALSO = {
    # It has 4000 headers, and not one message.
    full_mailbag: "P02 0000000E/",
}
"""What else a fault cannot but bring about: how that begins."""


@pytest.fixture(name="tree")
def fixture_tree(tmp_path):
    """A postoffice in use."""
    tree = MailTree(tmp_path)
    make_mail(tree)
    return tree


def test_a_new_postoffice_has_no_fault(tmp_path):
    poctl("create", tmp_path / "store")
    assert check(tmp_path / "store") == {}
    assert "is sound" in poctl("check", "--mail", tmp_path / "store").stdout


def test_a_postoffice_in_use_has_no_fault(tree):
    assert check(tree.store()) == {}


@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__)
def test_a_fault_is_found_and_nothing_else(tree, plant):
    wanted = plant(tree)
    found = check(tree.store())
    also = ALSO.get(plant, wanted)
    others = {name for name in found
              if name != wanted and not name.startswith(also)}
    assert others == set()
    assert found[wanted]["sentence"] and found[wanted]["articles"][0] == "Q"


def test_what_rests_on_assumptions_is_suspicious(tree):
    no_message(tree)
    store = tree.store()
    (suspect,) = check(store).values()
    assert suspect["severity"] == "suspicious"
    (store / "pofs.conf").write_text("[key-layout]\nconfirmed = yes\n")
    (certain,) = check(store).values()
    assert certain["severity"] == "error"


def test_what_is_only_worth_knowing_is_no_failure(tree):
    tree.deliver(BAG, "to one here and one elsewhere", owners=2)
    tree.write("MBG/README.TXT", b"by hand")
    tree.write("GLB/SORT0001.GLB", b"left")
    store = tree.store()
    found = check(store)
    assert set(found) == {f"R07 {STEM}", "R11 MBG/README.TXT",
                          "R11 GLB/SORT0001.GLB"}
    assert "note: R11 MBG/README.TXT: " in \
        poctl("check", "--mail", store).stdout
    assert poctl("check", "--mail", "--quiet", store).stdout == ""


def test_young_files_are_left_alone(tree):
    """A program may be about to use them."""
    tree.write(tree.mai(STEM), tree.message(), when=None)
    tree.write(f"P1/{STEM}.P1", b"", when=None)
    tree.write(f"P1/{STEM}.PBB", b"", when=None)
    tree.write("MBG/COPY.MBG", b"", when=None)
    tree.write("GLB/REQTRANS.GLB", b"works", when=None)
    tree.write("ATT/AT5/00000005.ATT", b"picture", when=None)
    assert check(tree.store()) == {}


def test_a_finding_is_a_line(tree):
    key_too_short(tree)
    store = tree.store()
    done = poctl("check", "--mail", store, check=False)
    assert done.returncode == FAILED
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"error: P06 {BAG}: KEY/{BAG}.KEY has 512 bytes, ")
    assert "(Q77926" in line
    assert line.endswith(f"; mend: poctl reset --force STORE {BAG}")
    assert done.stderr.endswith("1 finding\n")


def test_a_finding_names_its_postoffice(tmp_path):
    poctl("create", tmp_path / "store", "--postoffice", "LAB")
    tree = MailTree(tmp_path)
    key_too_short(tree)
    poctl("import", "--postoffice", "NORTH", tmp_path / "store", tree.office)
    ((name, finding),) = check(tmp_path / "store").items()
    assert name == f"P06 NORTH/{BAG}"
    assert finding["mend"].endswith(f"STORE NORTH/{BAG}")
    assert check(tmp_path / "store", "--postoffice", "LAB") == {}


def test_a_store_without_a_postoffice_is_refused(tmp_path):
    (tmp_path / "source").mkdir()
    poctl("import", tmp_path / "store", tmp_path / "source")
    poctl("check", tmp_path / "store")
    assert "no postoffice" in refuses(FAILED, "check", "--mail",
                                      tmp_path / "store")


def test_without_being_asked_mail_is_not_looked_at(tree):
    key_too_short(tree)
    poctl("check", tree.store())


def test_any_bytes_will_do(tree):
    """Files of nonsense, everywhere: nothing but findings comes of it."""
    noise = bytes(range(256)) * 7
    for path in (f"KEY/{BAG}.KEY", f"MBG/{BAG}.MBG", "GLB/CONTROL.GLB",
                 "GLB/NETWORK.GLB", "XTN/00000012.XTN", "NME/ADMIN.NME",
                 tree.mai(STEM), f"P1/{STEM}.P1", "GLB/MASTER.GLB"):
        tree.write(path, noise)
    store = tree.store()
    assert len(check(store)) > 5
    poctl("queue", store)
    poctl("queue", "--all", store, BAG)
