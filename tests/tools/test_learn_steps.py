# SPDX-License-Identifier: BSD-2-Clause
"""What poctl learn finds out with an administrator and a licensed copy."""

import json

import pytest

from commands import FAILED, USAGE, refuses
from harness import Mount, Store, poctl
from licensed import Administrator, Licensed

MAILBAG = "0000000A"


@pytest.fixture(name="office")
def fixture_office(tmp_path):
    """A mounted postoffice."""
    with Store(tmp_path / "store") as store, Mount(store) as mount:
        yield mount


def learn(office, copy, *words, **options):
    """The administrator after a lesson, and how it ended."""
    administrator = Administrator(copy, "--mailbag", copy.mailbag, *words,
                                  office.store.path, **options)
    return administrator.run(), administrator


def report(office):
    """What is known from the notes."""
    return json.loads(poctl("learn", "--report", "--json",
                            office.store.path).stdout)


def findings(office, about):
    """{certainty: [sentence]} of what is about that."""
    found = {}
    for one in report(office)["findings"]:
        if one["about"] == about:
            found.setdefault(one["certainty"], []).append(one["sentence"])
    return found


def layout(office):
    """The layout that was written, or None."""
    path = office.store.path / "pofs.conf"
    if not path.exists():
        return None
    return dict(line.split("=") for line in
                path.read_text().split("[key-layout]\n")[1].split())


@pytest.mark.parametrize("options", [
    {"counters": [("unread", 0, 2, "little")]},
    {"offset": 0, "order": "msb", "counters": [("live", 520, 4, "big")]},
    {"offset": 16, "deleted": 0, "word": 2,
     "counters": [("records", 2, 1, "little"), ("fresh", 540, 2, "big")]},
    {"offset": 40, "order": "msb", "deleted": 0, "word": 4}], ids=str)
def test_a_layout_is_learnt_step_by_step(office, options):
    copy = Licensed(office.path, **options)
    status, administrator = learn(office, copy)
    assert status == 0, administrator.said
    assert "Wrote this layout" in administrator.said
    assert layout(office) == {
        "offset": str(copy.offset), "order": copy.order,
        "deleted": str(copy.deleted), "word": str(copy.word),
        "confirmed": "yes"}
    assert len(copy.slots) == 33 - 1  # compressed in the end
    assert "follows" in findings(office, "KEY bitmap")
    assert "fits" in findings(office, "MBG records")
    assert "33 records became 32" in findings(office, "compress")["seen"][0]
    for what, offset, width, order in copy.counters:
        low = offset if order == "little" else offset + width - 1
        told = findings(office, f"KEY 0x{low:03x}")
        sentence, = told.get("fits", []) + told.get("open", [])
        name = {"unread": "unread messages", "live": "messages",
                "records": "records of the MBG",
                "fresh": "since the owner last"}[what]
        assert name in sentence
        assert f"{width} byte{'s' * (width > 1)} at 0x{offset:03x}" in sentence
