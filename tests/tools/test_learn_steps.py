# SPDX-License-Identifier: BSD-2-Clause
"""What poctl learn finds out with an administrator and a licensed copy."""

import fcntl
import functools
import json
import os
import re
import shutil

import pytest

from commands import FAILED, USAGE, refuses
from harness import Mount, Store, poctl
from licensed import Administrator, Licensed

MAILBAG = "0000000A"


@pytest.fixture(name="mounted", scope="module")
def fixture_mounted(tmp_path_factory):
    """A mounted postoffice for all tests."""
    top = tmp_path_factory.mktemp("learn")
    with Store(top / "store") as store, Mount(store) as mount:
        yield mount


@pytest.fixture(name="office")
def fixture_office(mounted):
    """It, as if it were new."""
    yield mounted
    for folder in ("KEY", "MBG", "MAI", "ATT", "P1"):
        for path in (mounted / folder).rglob("[0-9A-F]*.*"):
            path.unlink()
    shutil.rmtree(mounted.store.path / "learn", ignore_errors=True)
    (mounted.store.path / "pofs.conf").unlink(missing_ok=True)


def learn(office, copy, *words, **options):
    """The administrator after a lesson, and how it ended."""
    administrator = Administrator(copy, "--mailbag", copy.mailbag, *words,
                                  office.store.path, **options)
    return administrator.run(), administrator


@functools.lru_cache(maxsize=1)
def report_of(store, _changed_ns):
    """What is known from the notes as they are now."""
    return json.loads(poctl("learn", "--report", "--json", store).stdout)


def report(office):
    """What is known from the notes."""
    notes = office.store.path / "learn" / "notes"
    return report_of(office.store.path, notes.stat().st_mtime_ns)


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
    # Whatever depends on the layout has it now, and says no more "assumed".
    copy.delete(20)
    told = json.loads(poctl("queue", "--json", "--all", office.store.path,
                            MAILBAG).stdout)
    assert not told["live_is_assumed"]
    assert [row["record"] for row in told["records"]
            if not row["live"]] == [20]
    assert "follows" in findings(office, "KEY bitmap")
    assert "fits" in findings(office, "MBG records")
    assert "of the MBG none" in findings(office, "reading")["seen"][0]
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


def other_message(copy):
    """Deletes the second message instead of the first."""
    copy.delete(1)


def message_into_its_place(copy):
    """Deletes the first; before anybody looks, mail comes into its place."""
    copy.delete(0)
    copy.deliver(1)


def only_reads(copy):
    """Reads the first instead of deleting it."""
    copy.read(0)


def deletes_unasked(copy):
    """Sends what was asked for, and deletes what was there."""
    copy.deliver(3)
    copy.delete(0)


def nothing(_copy):
    """Presses Enter."""


DELETE = r'Delete the message .*\(record 0 of'
COUNTERS = [("unread", 4, 2, "little")]


@pytest.mark.parametrize("pattern, stray, answer, said", [
    ("Send 1 message to", nothing, None, "0 of 1 are in mailbag"),
    (DELETE, nothing, None, "KEY has not changed yet"),
    (DELETE, other_message, "1", "record 1 has lost an owner"),
    (DELETE, other_message, "?", "tells nothing of a record from 0 to 7"),
    (DELETE, message_into_its_place, "", "nothing of a record from 0 to 7"),
    (DELETE, only_reads, "none", "as many owners as before"),
    ("Send 3 messages", deletes_unasked, "0", "record 0 has lost an owner"),
], ids=lambda value: getattr(value, "__name__", str(value)[:20]))
def test_an_administrator_who_does_something_else(office, pattern, stray,
                                                  answer, said):
    """In the end it is right, or nothing is said."""
    copy = Licensed(office.path, offset=8, order="msb", counters=COUNTERS)
    status, administrator = learn(
        office, copy, strays={pattern: stray},
        answers=[("Which records were deleted", answer),
                 ("are in mailbag .* so far", lambda copy, _: copy.deliver(1)),
                 ("not changed yet", lambda copy, _: copy.delete(0))])
    assert said in administrator.said
    assert status == 0, administrator.said
    assert layout(office) == {"offset": "8", "order": "msb", "deleted": "1",
                              "word": "1", "confirmed": "yes"}


def test_who_insists_is_not_believed(office):
    """No layout fits: none is written, and the report says since when."""
    copy = Licensed(office.path)
    status, administrator = learn(
        office, copy, strays={DELETE: other_message},
        answers=[("Which records were deleted", "")])
    assert status == FAILED
    assert "contradicts what was seen before" in administrator.said
    assert "no layout that is known fits" in administrator.said
    assert layout(office) is None
    sentence, = findings(office, "KEY bitmap")["contradicts"]
    assert "from this note on" in sentence
    note = next(one["note"] for one in report(office)["notes"]
                if one["task"] == "a deletion")
    status, administrator = learn(office, copy)
    assert status == FAILED and "press Enter" not in administrator.said
    assert "To begin anew, take another mailbag" in administrator.said
    assert {"certainty": "contradicts", "about": "KEY bitmap",
            "sentence": sentence, "notes": str(note)} in \
        report(office)["findings"]
    status, administrator = learn(
        office, copy, "--notes", office.store.path / "learn" / "anew")
    assert status == 0 and layout(office)["offset"] == "48"


def test_without_messages_the_bitmap_is_the_witness(office):
    """What was sent has no MAI that would tell: another deletion fits no
    layout."""
    copy = Licensed(office.path)
    copy.path = lambda *_: office.store.path.parent / "elsewhere"
    status, administrator = learn(
        office, copy, strays={DELETE: other_message},
        answers=[("Which records were deleted", "1")])
    assert "What is in the KEY now does not fit that." in administrator.said
    assert "It would fit if record 1 was deleted." in administrator.said
    assert "has lost an owner" not in administrator.said
    assert status == 0 and layout(office)["offset"] == "48"


def ends(_copy):
    """The end of the input."""
    return "\x04"


def test_a_lesson_goes_on_where_it_ended(office):
    copy = Licensed(office.path, order="msb", word=2)
    status, administrator = learn(
        office, copy, strays={r"record 8 of": ends})
    assert status == FAILED
    assert "the input ended" in administrator.said
    assert layout(office) is None
    sentence, = findings(office, "KEY bitmap")["open"]
    assert "record is 8 to 15" in sentence
    before = report(office)["notes"]
    status, administrator = learn(office, copy)
    assert status == 0, administrator.said
    assert "Send 1 message to" not in administrator.said
    assert layout(office)["word"] == "2"
    notes = report(office)["notes"]
    assert notes[:len(before)] == before
    # All is done: nothing is asked for.
    status, administrator = learn(office, copy)
    assert status == 0 and "press Enter" not in administrator.said


def test_what_happened_meanwhile_is_not_taken_for_known(office):
    copy = Licensed(office.path)
    learn(office, copy, strays={r"Send 5 messages": ends})
    copy.deliver(1)
    copy.delete(1)
    status, administrator = learn(office, copy, answers=[
        ("records so far", lambda copy, _: copy.deliver(1))])
    assert "has changed since the last note" in administrator.said
    assert status == 0 and layout(office)["order"] == "lsb"


@pytest.mark.parametrize("old", [3, 10])
def test_a_mailbag_that_has_messages(office, old):
    """Of those, nothing is known; where they are in the way, that is said
    before the mailbag is filled."""
    copy = Licensed(office.path)
    copy.deliver(old)
    status, administrator = learn(office, copy)
    if old < 8:
        assert status == 0 and layout(office)["offset"] == "48"
    else:
        assert status == FAILED and layout(office) is None
        assert "no record from 0 to 7 that is known" in administrator.said
        assert len(copy.slots) == old + 5


def test_what_nobody_knows_contradicts_nothing(office):
    """Records were freed before messages came, or mailbags were compressed."""
    copy = Licensed(office.path)
    learn(office, copy, strays={"Send 9 messages": ends})
    copy.delete(1)
    copy.deliver(1)
    learn(office, copy, strays={"": ends})
    copy.delete(2)
    copy.compress()
    learn(office, copy, strays={"": ends})
    assert "9 records became 7" in findings(office, "compress")["seen"][0]
    assert not [one for one in report(office)["findings"]
                if one["certainty"] == "contradicts"]


def test_counters_that_fit_alike_are_not_told_apart_but_by_more(office):
    copy = Licensed(office.path, counters=[
        ("live", 2, 1, "little"), ("unread", 10, 2, "little"),
        ("records", 20, 2, "big")])
    learn(office, copy)
    sentence, = findings(office, "KEY 0x00a")["fits"]
    assert "1 byte at 0x00a" in sentence and "step wide" in sentence
    assert "2 bytes at 0x009, highest first" in sentence
    status, administrator = learn(office, copy, "--step", "wide")
    assert status == 0, administrator.said
    assert "as 1 byte at 0x002" in findings(office, "KEY 0x002")["fits"][0]
    for low, way in (("00a", "2 bytes at 0x00a, lowest first"),
                     ("015", "2 bytes at 0x014, highest first")):
        sentence, = findings(office, f"KEY 0x{low}")["fits"]
        assert way in sentence and "step wide" not in sentence
        assert "1 byte at" not in sentence


def test_what_a_header_says_of_a_message(office):
    copy = Licensed(office.path)
    status, administrator = learn(
        office, copy, "--step", "headers",
        strays={"with 2 files": lambda copy: copy.deliver(1),
                "with a return receipt": lambda copy: copy.deliver(2)},
        answers=[("keep", "")])
    assert status == FAILED  # for the layout, nothing was learnt
    assert "It has 0 attachments, not 2" in administrator.said
    assert "2 messages came" in administrator.said
    for about, sentence in (
            ("0x36", "the priority"),
            ("0x37", "whether there is a return receipt"),
            ("0x4c", "the attachments")):
        told = findings(office, f"MBG {about}")
        assert list(told) == ["fits"] and sentence in told["fits"][0]
    assert "alike" in findings(office, "MBG 0x6c")["seen"][0]
    told = findings(office, "MBG 0x4e")
    assert any("size of the MAI less 11" in sentence
               for sentence in told["fits"])
    vendor = "Vendor-Defined 32 / Integer"
    assert f"priority 5: has {vendor}: 05 00; the plain one has {vendor}: " \
        "03 00" in findings(office, "MAI")["seen"]
    text = poctl("learn", "--report", office.store.path).stdout
    assert "fits: MBG 0x36: may say the priority" in text


def test_notes_have_nobody_elses_mail(office):
    copy = Licensed(office.path)
    other = Licensed(office.path, "0000000B")
    other.letter = 0x900

    def both(copy):
        copy.deliver(1)
        other.deliver(1)

    status, administrator = learn(office, copy, "--step", "first",
                                  strays={"Send 1 message": both})
    assert status == FAILED and "Delivered: 1" in administrator.said
    assert [[file["path"] for file in note["files"]]
            for note in report(office)["notes"]] == [
        [f"KEY/{MAILBAG}.KEY", f"MBG/{MAILBAG}.MBG"],
        ["MAI/MA1/00000101.MAI", f"MBG/{MAILBAG}.MBG"]]
    station = Station(office, "programs",
                      acts={"external": lambda: other.deliver(1)})
    assert station.run() == 0, station.said
    assert {(file["path"], file["after"])
            for file in report(office)["notes"][-1]["files"]} == {
        ("MAI/MA2/00000902.MAI", ""), ("MBG/0000000B.MBG", "")}


def test_a_postoffice_in_a_folder(office):
    copy = Licensed(office.path / "LAB", offset=24)
    status, administrator = learn(office, copy, "--postoffice", "lab",
                                  "--mailbag", MAILBAG.lower())
    assert status == 0 and layout(office)["offset"] == "24"
    shutil.rmtree(office / "LAB")
    assert "no postoffice LAB" in learn(
        office, copy, "--postoffice", "LAB", "--step", "wide")[1].said


def test_a_step_alone_and_what_makes_no_sense(office):
    store = office.store.path
    assert "there are no notes" in refuses(FAILED, "learn", "--report", store)
    assert "x is no step" in refuses(
        USAGE, "learn", "--mailbag", MAILBAG, "--step", "x", store)
    assert "needs --mailbag" in refuses(
        USAGE, "learn", "--step", "headers", store)
    assert "takes no step" in refuses(
        USAGE, "learn", "--report", "--step", "first", store)
    assert "keeps traces" in refuses(
        USAGE, "learn", "-n", "--step", "programs", store)
    copy = Licensed(office.path)
    elsewhere = store.parent / "elsewhere"
    elsewhere.mkdir()
    (store / "learn").symlink_to(elsewhere)
    status, administrator = learn(office, copy, "--step", "first")
    assert status == FAILED and "learn is not a directory" in administrator.said
    assert not list(elsewhere.iterdir())
    (store / "learn").unlink()
    status, administrator = learn(office, copy, "-n", "--step", "first")
    assert status == FAILED and "record is 0 to 7" in administrator.said
    assert not (store / "learn").exists()
    status, administrator = learn(
        office, copy, "--step", "first", "--notes", store / "x")
    assert (store / "x" / "notes").exists()
    status, administrator = learn(
        office, copy, "--step", "compress",
        strays={"Storage Compress": lambda copy: "skip"})
    assert [one["task"] for one in report(office)["notes"]] == ["look"]
    for damage in (b"[poctl learn]\nversion=2\n", b"\xff", b"x",
                   b"[poctl learn]\nversion=1\n[note 1]\nstep=first\n",
                   b"[poctl learn]\nversion=1\n[note 1]\nstep=a\ntask=b\n"
                   b"did=c\nfile-1=KEY/x\nbefore-1=none\nafter-1=0g\n"):
        (store / "learn" / "notes").write_bytes(damage)
        assert (store / "learn" / "notes").name in refuses(
            FAILED, "learn", "--report", store)


def own_session(office):
    """The number of this process's session."""
    os.scandir(office.path).close()
    told = json.loads(poctl("sessions", "--json", office.store.path).stdout)
    return str(next(session["id"] for session in told["sessions"]
                    if session["pid"] == os.getpid()))


def change(key):
    """A program writes a KEY."""
    with open(key, "r+b", buffering=0) as file:
        content = bytearray(file.read())
        content[3] ^= 1
        file.seek(0)
        file.write(content)


def external(office, *, lock="0000000E.0LK", is_early=False):
    """An External works a queue off, and then delivers something; is_early is
    one before 3.5.20."""
    lock = office / "P1" / lock
    lock.write_bytes(b"LOCKED")
    if is_early:
        lock.unlink()
    change(office / "KEY" / "0000000E.KEY")
    if not is_early:
        lock.unlink()
    change(office / "KEY" / "INQUEUE3.KEY")


def lock_and_append(office):
    """A client that locks bytes of a KEY and writes half a record."""
    with open(office / "KEY" / "INQUEUE3.KEY", "r+b", buffering=0) as key, \
            open(office / "MBG" / "INQUEUE3.MBG", "r+b", buffering=0) as mbg:
        fcntl.lockf(key, fcntl.LOCK_EX, 2, 4)
        mbg.write(bytes(60))
        fcntl.lockf(key, fcntl.LOCK_UN, 2, 4)


class Station(Administrator):
    """Who has programs traced: `acts` are {task: what the program does}, `said`
    what it says."""

    def __init__(self, office, step, *words, acts, said="3.5.1"):
        self.task, self.acts, self.line = None, acts, said
        self.session = own_session(office)
        super().__init__(None, "--step", step, *words, office.store.path)

    def _do(self, text):
        found = re.search(r"^([\w-]+): [^\n]*\nWhich client", text, re.M) or \
            re.search(r"open (.* so that others are denied .*), and keep",
                      text)
        self.task = found[1] if found else self.task
        if self.task not in self.acts:
            return "skip"
        if "Which client" in text:
            return self.session
        if "is traced. Now" in text:
            self.acts[self.task]()
            return ""
        return self.line if re.search("Which version|it say", text) else ""


def test_what_programs_do_is_recorded(office):
    """Each trace is kept: a test vector."""
    Licensed(office.path, "0000000E")
    acts = {"external": lambda: external(office),
            "queue-delete": lambda: external(office, is_early=True),
            "compress": lambda: external(office, lock="0000000E.005"),
            "dos-poll": lambda: lock_and_append(office)}
    station = Station(office, "programs", acts=acts)
    assert station.run() == 0, station.said
    traces = {path.name for path in (office.store.path / "learn").iterdir()}
    assert traces == {"notes", "1-external.trace", "2-queue-delete.trace",
                      "3-compress.trace", "4-dos-poll.trace"}
    lock = findings(office, "/P1/0000000E.0LK")
    assert any("6 bytes of content: 4c4f434b4544" in sentence
               for sentence in lock["seen"])
    assert "external deleted its lock file after the KEY" in lock["fits"][0]
    sentence, = lock["contradicts"]
    assert "before 3.5.20" in sentence and "queue-delete" in sentence
    assert "compress deleted its lock file after the KEY" in findings(
        office, "/P1/0000000E.005")["fits"][0]
    key = "".join(findings(office, "/KEY/INQUEUE3.KEY")["seen"])
    assert "dos-poll opened it 1 times (open how=read+write" in key
    assert "byte ranges 2 (offset=4 size=2 type=exclusive" in key
    mbg = findings(office, "/MBG/INQUEUE3.MBG")
    assert "1 of 1 writes are not of whole records" in mbg["contradicts"][0]
    assert "external: create /P1/0000000E.0LK, write /P1/0000000E.0LK, " \
        "write /KEY/0000000E.KEY, unlink /P1/0000000E.0LK, " \
        "write /KEY/INQUEUE3.KEY" in findings(office, "order")["seen"]
    assert report(office)["notes"][0]["said"] == "3.5.1"


def test_a_program_that_did_nothing_tells_nothing(office):
    acts = {"windows": lambda: acts.pop("windows")}
    station = Station(office, "programs", acts=acts)
    station.strays = {"windows: ": lambda _: setattr(
        station, "task", "windows") or "999999"}
    assert station.run() == 0
    assert "no session 999999" in station.said
    assert "That session did nothing" in station.said
    assert not (office.store.path / "learn" / "notes").exists()
    assert "there are no notes" in refuses(
        FAILED, "learn", "--report", office.store.path)


def test_a_denied_file_is_tried_again(office):
    """Another process holds the lock; what is said is typed in."""
    Licensed(office.path)
    path = f"KEY/{MAILBAG}.KEY"

    def attempt():
        (office / path).read_bytes()
        os.close(os.open(office / path, os.O_RDONLY))

    acts = {f"{path} so that others are denied writing": attempt,
            f"{path} so that others are denied reading": own_session}
    acts[f"{path} so that others are denied reading"] = \
        lambda: acts.pop(f"{path} so that others are denied reading")
    station = Station(office, "denials", "--mailbag", MAILBAG, acts=acts,
                      said="Error 32, sharing violation")
    assert station.run() == FAILED  # of the layout, nothing is known
    assert "did nothing" in station.said
    sentence, = findings(office, f"/{path}")["seen"]
    assert re.search(r"denied writing: tried 2 times to open it \(ok; ok, "
                     r"unused after \d+\.\d s\); said \"Error 32, sharing "
                     r"violation\"",
                     sentence)


@pytest.mark.parametrize("words", [("--postoffice", "lab net"), ()], ids=str)
def test_a_file_is_denied_in_a_folder(tmp_path, words):
    """Its path in a trace has the folder, whether that is named or not."""
    with Store(tmp_path / "store", "--postoffice", "LAB NET") as store, \
            Mount(store) as mount:
        path = "LAB NET/GLB/CONTROL.GLB"
        Licensed(mount / "LAB NET")
        station = Station(
            mount, "denials", "--mailbag", MAILBAG, *words,
            acts={f"{path} so that others are denied writing":
                  (mount / path).read_bytes}, said="")
        assert station.run() == FAILED  # of the layout, nothing is known
        sentence, = findings(mount, f"/{path}")["seen"]
        assert "denied writing: tried 1 times to open it (ok)" in sentence


def test_recipients_and_owners(office):
    """As many headers as owners; an envelope has names in clear."""
    copy = Licensed(office.path)
    other = Licensed(office.path, "0000000B")

    def route(to, size=None):
        stem = copy.send()
        copy.write()
        if len(to) > 1:
            # pylint: disable-next=protected-access
            other._enter(stem, 3, 0, 0, "POFS", 40)
            other.write()
        mai = copy.path("MAI", stem)
        content = bytearray(mai.read_bytes())
        content[0x0B] = len(to)
        if size is not None:  # more than is looked at
            content.extend(bytes(size - len(content)))
            content[2:5] = (size - 5).to_bytes(3, "big")
        mai.write_bytes(content)
        return stem

    def inbound(content):
        stem = copy.send()
        (office / "P1" / f"{stem}.P1").write_bytes(content)

    administrator = Administrator(
        copy, "--step", "recipients", office.store.path,
        strays={"to one user here.": lambda _: route(["A"]) and "",
                "to two users here.": lambda _: route(["A", "B"]) and "",
                "to five users here.":
                lambda _: route(["A", "B"], 70000) and "",
                "with a copy .Cc. to another one here.":
                lambda _: route(["A", "B"]) and "",
                "from another postoffice to one user here, with":
                lambda _: inbound(bytes(16) + b"GUEST\0" + bytes(10)),
                "from another postoffice to two users here, with":
                lambda _: inbound(b"\x4c\x08\x05\x02\x05GUEST")},
        answers=[("Who gets it", "NET/PO/GUEST cc NET/PO/MARTIAN"),
                 ("", "skip")])
    assert administrator.run() == 0
    assert "contradicts" not in administrator.said
    told = findings(office, "MAI 0x0b")
    assert "headers that name the message: 3 times" in told["fits"][0]
    assert "two local: 2 owners, 2 headers that name it; to NET/PO/GUEST" in \
        "".join(told["seen"])
    assert "begins as a message of FIPS 98 with its size and one integer " \
        "(a guess): 5 times" in findings(office, "MAI 0x00")["fits"][0]
    opaque, fields = findings(office, "P1")["seen"]
    assert "32 bytes for 2 recipients; names in clear: NET/PO/GUEST at " \
        "0x10; it is not elements" in opaque
    assert "all of it is elements" in fields
