# SPDX-License-Identifier: BSD-2-Clause
"""How KEY files lie: learnt from a mailbag that is watched."""

import json
import os
import pty
import subprocess

import pytest

from commands import FAILED, USAGE, refuses
from harness import Mount, Store, poctl, program, wait_until

MAILBAG = "0000000A"


class Mailbag:
    """A mailbag of mail programs with this layout, counters and all."""

    def __init__(self, top, offset=48, order="lsb", deleted=1):
        self.top = top
        self.offset, self.order, self.deleted = offset, order, deleted
        self.key = bytearray(560)
        self.mbg = bytearray()
        self.vacant = []
        for kind in ("KEY", "MBG"):
            (top / kind).mkdir(parents=True, exist_ok=True)
        self.write()

    def write(self):
        """Puts it on disk, as the programs leave it."""
        for kind, content in (("MBG", self.mbg), ("KEY", self.key)):
            (self.top / kind / f"{MAILBAG}.{kind}").write_bytes(content)

    def mark(self, record, is_deleted):
        """Sets the bit of a record."""
        bit = record % 8 if self.order == "lsb" else 7 - record % 8
        at = self.offset + record // 8
        self.key[at] &= 0xFF ^ 1 << bit
        self.key[at] |= (is_deleted == self.deleted) << bit

    def deliver(self, messages):
        """Delivers: to the first vacant records, then behind the last."""
        for _ in range(messages):
            record = self.vacant.pop(0) if self.vacant else \
                len(self.mbg) // 116
            header = b"\0\0Martian".ljust(13, b"\0") + \
                f"message {os.urandom(4).hex()}".encode()
            self.mbg[record * 116:(record + 1) * 116] = header.ljust(
                116, b"\0")
            self.mark(record, False)
        self.write()

    def delete(self, record):
        """Deletes."""
        self.mark(record, True)
        self.vacant.append(record)
        self.write()


def steps_of(tmp_path, **layout):
    """The arguments for a whole lesson with such a mailbag."""
    mailbag = Mailbag(tmp_path / "live", **layout)
    words = []

    def keep(deleted=""):
        copy = tmp_path / f"step{len(words) // 2}"
        Mailbag(copy).key = mailbag.key
        for kind in ("KEY", "MBG"):
            name = f"{kind}/{MAILBAG}.{kind}"
            (copy / name).write_bytes((mailbag.top / name).read_bytes())
        words.extend(["--after" if words else "--before",
                      f"{copy}{deleted}"])
    keep()
    mailbag.deliver(4)
    keep()
    mailbag.delete(1)
    keep(":1")
    mailbag.deliver(8)
    keep()
    mailbag.delete(9)
    keep(":9")
    return ["--mailbag", MAILBAG, *words]


@pytest.mark.parametrize("layout", [
    {}, {"offset": 0}, {"order": "msb"}, {"deleted": 0},
    {"offset": 17, "order": "msb", "deleted": 0}], ids=str)
def test_a_layout_is_learnt_and_written(store, tmp_path, layout):
    words = steps_of(tmp_path, **layout)
    config = store.path / "pofs.conf"
    config.write_text("# mine\n[mount]\nuid = 5\n")
    told = json.loads(poctl("learn", "--json", *words, store.path).stdout)
    wanted = {"offset": 48, "order": "lsb", "deleted": 1, **layout}
    assert told == {"settled": True, "left": 1, "candidates": [wanted],
                    "written": str(config)}
    text = config.read_text()
    assert text.startswith("# mine\n") and "[mount]\nuid=5\n" in text
    lines = text.split("[key-layout]\n")[1].split()
    assert lines == [f"{key}={value}" for key, value in wanted.items()] + [
        "confirmed=yes"]


def test_a_dry_run_and_another_file(store, tmp_path):
    words = steps_of(tmp_path)
    text = poctl("learn", "-n", *words, store.path).stdout
    assert "offset=48 order=lsb deleted=1 confirmed=yes" in text
    assert "KEY 0x030: 00 -> 02" in text
    assert not (store.path / "pofs.conf").exists()
    poctl("learn", "--config", tmp_path / "other", *words, store.path)
    assert "confirmed=yes" in (tmp_path / "other").read_text()
    assert not (store.path / "pofs.conf").exists()


def test_nothing_is_written_of_what_is_not_settled(store, tmp_path):
    words = steps_of(tmp_path)
    assert "layouts fit" in refuses(
        FAILED, "learn", *words[:6], store.path)
    assert "whose record is 8 or later" in refuses(
        FAILED, "learn", *words[:8], store.path)
    told = json.loads(poctl("learn", "--json", *words[:6], store.path,
                            check=False).stdout)
    assert not told["settled"] and len(told["candidates"]) == told["left"] > 1
    # The wrong record is said to be deleted.
    assert "no layout that is known" in refuses(
        FAILED, "learn", *words[:-1], words[-1].replace(":9", ":8"),
        store.path)
    assert not (store.path / "pofs.conf").exists()


def test_what_makes_no_sense_is_refused(store, tmp_path):
    words = steps_of(tmp_path)
    for given, sentence in (
            ([], "needs --mailbag"),
            (["--mailbag", MAILBAG], "on a terminal"),
            (words[:4], "need each other"),
            (["--mailbag", "../X", *words[2:]], "is no mailbag"),
            ([*words[:-1], words[-1] + "x"], "is no record's number")):
        assert sentence in refuses(USAGE, "learn", *given, store.path)
    assert "no record 99" in refuses(
        FAILED, "learn", *words[:-1], words[-1].replace(":9", ":99"),
        store.path)
    assert "cannot read" in refuses(
        FAILED, "learn", *words[:-1], tmp_path / "none", store.path)
    (tmp_path / "step0" / "KEY" / f"{MAILBAG}.KEY").write_bytes(b"short")
    assert "has not 560 bytes" in refuses(
        FAILED, "learn", *words, store.path)


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, *words):
        self.fd, other = pty.openpty()
        self.process = subprocess.Popen(
            [str(word) for word in words], stdin=other, stdout=other,
            stderr=other)
        os.close(other)
        os.set_blocking(self.fd, False)
        self.text = ""

    def read(self):
        """What it has printed so far."""
        try:
            self.text += os.read(self.fd, 65536).decode()
        except (BlockingIOError, OSError):
            pass
        return self.text

    def await_text(self, text):
        """Waits for it, and forgets what came before."""
        wait_until(lambda: text in self.read(), f"{text}: {self.text}")
        self.text = self.text.split(text, 1)[1]

    def enter(self):
        """Presses Enter."""
        os.write(self.fd, b"\n")


def test_an_administrator_is_led_through_the_steps(tmp_path):
    with Store(tmp_path / "store") as store, Mount(store) as mount:
        mailbag = Mailbag(mount.path, offset=16, order="msb")
        terminal = Terminal(program("tools/poctl"), "learn", "--mailbag",
                            MAILBAG, store.path)
        terminal.await_text("Send 1 message to mailbag 0000000A")
        terminal.await_text("press Enter: ")
        terminal.enter()
        terminal.await_text("0 of 1 are in mailbag")
        mailbag.deliver(1)
        terminal.enter()
        terminal.await_text("Send 3 messages")
        mailbag.deliver(3)
        terminal.enter()
        terminal.await_text("(record 0 of mailbag 0000000A)")
        terminal.enter()
        terminal.await_text("KEY has not changed yet")
        mailbag.delete(0)
        terminal.enter()
        terminal.await_text("Read the message ")
        terminal.await_text("(record 1 of mailbag 0000000A)")
        mailbag.key[3] = 1
        mailbag.write()
        terminal.enter()
        terminal.await_text("KEY 0x003: 00 -> 01")
        terminal.await_text("Send 7 messages")
        mailbag.deliver(7)
        terminal.enter()
        terminal.await_text("(record 8 of")
        mailbag.delete(8)
        terminal.enter()
        terminal.await_text("Wrote this layout")
        assert terminal.process.wait(30) == 0
        os.close(terminal.fd)
        text = (store.path / "pofs.conf").read_text()
        assert "offset=16\norder=msb\ndeleted=1\nconfirmed=yes" in text
