# SPDX-License-Identifier: BSD-2-Clause
"""poctl message: one message, and who has it."""

import json

import pytest

from commands import FAILED, USAGE, refuses
from harness import poctl
from mailtree import BAG, STEM, MailTree

LONELY = "00000064"


@pytest.fixture(name="tree")
def fixture_tree(tmp_path):
    """A postoffice, as yet without mail."""
    return MailTree(tmp_path)


def message(store, stem=STEM, *arguments):
    """What is told of a message."""
    return json.loads(
        poctl("message", "--json", store, stem, *arguments).stdout)


def test_a_message_is_described(tree):
    content = tree.message()
    tree.envelope()
    found = message(tree.store())
    assert found["message"] == STEM
    assert found["state"] == "good"
    assert found["size"] == found["declared"] == len(content)
    assert found["owners"] == 1
    assert found["envelope"] is True
    assert found["envelope_size"] == len(tree.read(f"P1/{STEM}.P1"))
    assert found["headers"] == [] and found["references"] == 0
    assert "hex" not in found


def test_every_header_is_found(tree):
    tree.message(owners=3)
    for bag in (BAG, "0000000B", "0000000C"):
        tree.add_bag(bag)
        tree.put(bag, "another", LONELY)
        tree.put(bag, "this one")
    tree.delete("0000000C", 1)
    found = message(tree.store())
    assert [(row["mailbag"], row["record"], row["live"])
            for row in found["headers"]] == [
                (BAG, 1, True), ("0000000B", 1, True), ("0000000C", 1, False)]
    assert all(row["subject"] == "this one" for row in found["headers"])
    assert (found["references"], found["live"]) == (3, 2)


@pytest.mark.parametrize("owners, bags, words", [
    (1, [BAG], "as many owners"),
    (1, [BAG, "00000000"], "erased before"),
    (2, [BAG], "external recipients"),
    (2, ["INQUEUE3"], "in an inqueue"),
    (0, [], "as many owners"),
])
def test_owners_are_compared_with_headers(tree, owners, bags, words):
    tree.message(owners=owners)
    for bag in bags:
        tree.put(bag, "here")
    assert words in message(tree.store())["ownership"]


def test_the_elements_are_a_tree(tree):
    content = tree.message()
    found = message(tree.store())["elements"]
    assert [row["element"] for row in found if row["depth"] == 1] == [
        "Vendor-Defined 0x31", "Field From", "Field To", "Field Posted-Date",
        "Field Subject", "Field Text"]
    assert found[0]["depth"] == 0 and found[0]["offset"] == 0
    text = found[-1]
    assert text["element"] == "ASCII-String" and text["depth"] == 2
    assert text["offset"] + 2 + text["length"] == len(content)
    shown = poctl("message", tree.store(), STEM).stdout
    assert "  Field From" in shown and "    ASCII-String" in shown


def test_damage_is_named(tree):
    tree.write(tree.mai(STEM), tree.message()[:-30])
    assert "short" in message(tree.store())["state"]
    tree.remove(tree.mai(STEM))
    tree.put(BAG, "no more")
    found = message(tree.store())
    assert found["state"] == "MAI missing"
    assert len(found["headers"]) == 1 and found["elements"] == []


def test_attachments_are_guessed_from_their_numbers(tree):
    for number in (0x60, 0x63, 0x6A):
        tree.message(f"{number:08X}")
    for number in (0x5F, 0x61, 0x62, 0x64, 0x6B):
        tree.write(f"ATT/AT{number & 15:X}/{number:08X}.ATT", b"x" * number)
    rows = message(tree.store())["attachments_guess"]
    assert sorted((row["attachment"], row["size"]) for row in rows) == [
        ("00000061", 0x61), ("00000062", 0x62), ("00000064", 0x64)]
    assert "guess" in poctl("message", tree.store(), STEM).stdout


def test_bytes_are_shown_if_asked(tree):
    content = tree.message()
    store = tree.store()
    assert bytes.fromhex(message(store, STEM, "--hex")["hex"]) == content
    text = poctl("message", "--hex", store, STEM).stdout
    assert "00000000  4D 83 00" in text and "|" not in text
    assert "LAB/ANNA" in text.replace("\n", "")


def test_a_number_may_be_short(tree):
    tree.message()
    assert message(tree.store(), "63")["message"] == STEM
    store = tree.store()
    for word in ("63.MAI", "000000063", "-1", "g"):
        refuses(USAGE, "message", "--", store, word)


def test_no_such_message(tree):
    store = tree.store()
    assert LONELY in refuses(FAILED, "message", store, LONELY)
    refuses(FAILED, "message", store, f"NOWHERE/{STEM}")


def test_any_bytes_will_do(tree):
    contents = [
        b"", b"\x4d", b"\x4d\x80" + b"\x4d\x80" * 500, b"\0" * 4096,
        b"\x4d\x84\xff\xff\xff\xff\x01", b"\xff" * 100,
        bytes(range(256)) * 16, b"\x4c\x84\x7f\xff\xff\xff\x01" * 20]
    for number, content in enumerate(contents):
        tree.write(tree.mai(f"{number:08X}"), content)
        tree.put(BAG, "hostile", f"{number:08X}")
    store = tree.store()
    for number, content in enumerate(contents):
        found = message(store, f"{number:X}", "--hex")
        assert bytes.fromhex(found["hex"]) == content
        assert found["state"] != "good"
        poctl("message", store, f"{number:X}")
    poctl("queue", store, BAG)
