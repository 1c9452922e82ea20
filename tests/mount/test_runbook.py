# SPDX-License-Identifier: BSD-2-Clause
"""The runbook of mount-examples/README.md, each procedure carried out in the
trouble that it is for: its commands are read from there, one after the other,
and run with the paths, the service and the other machine of the test's own."""

import errno
import json
import os
import pathlib
import re
import shutil
import signal
import sys

import pytest

from events import events
from harness import (HarnessError, Mount, build_dir, fails_with, is_mounted,
                     poctl, program, run, tool, unmount_lazily, wait_until)
from postoffice import HEADER, Office, deliver, is_delivered

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))

from mailtree import BAG, STEM, MailTree  # after its place is known

README = pathlib.Path(__file__).resolve().parents[2] / \
    "mount-examples" / "README.md"


def procedures():
    """The commands under each heading of the runbook."""
    text = README.read_text(encoding="utf-8").split("\n## Runbook\n")[1]
    found = {}
    for part in ("first" + text.split("\n## ")[0]).split("\n### "):
        name, _, rest = part.partition("\n")
        found[name] = re.findall(r"^    (\S.*)$", rest, re.MULTILINE)
    return found


class SiteStore:
    """What Mount wants to know of a store that somebody else has made."""

    def __init__(self, path):
        self.path = path

    @property
    def writer_pid(self):
        """Who has it open for writing."""
        return int((self.path / "writer").read_text().split()[0])


class Site:
    """A machine, as the runbook knows it: paths, a service, and its log."""

    def __init__(self, directory, name):
        self.directory = directory / name
        self.store = SiteStore(self.directory / "pofs" / "mail")
        self.point = self.directory / "srv"
        self.mount = None
        self.stopped = []
        for made in (self.store.path.parent, self.point):
            made.mkdir(parents=True)

    def map(self, command):
        """`command` with the paths of this machine."""
        top = self.directory.parent
        for theirs, own in (("/var/lib/pofs", self.store.path.parent),
                            ("/srv/mail", self.point),
                            ("/srv/backup", top / "backup"),
                            ("/usr/local/bin", top / "bin"),
                            ("/home/admin/MAILDATA", top / "MAILDATA"),
                            ("--owner=pofs", "--owner=root")):
            command = command.replace(theirs, str(own))
        return command

    def start(self):
        """Starts the service."""
        self.mount = Mount(self.store, path=self.point)

    def service(self, verb):
        """What systemctl would do."""
        if verb == "start":
            self.start()
        elif verb == "stop":
            if self.mount is not None:
                if self.mount.launcher.poll() is None:
                    self.mount.unmount()
                self.stopped.append(self.mount)
            self.mount = None
        elif verb != "disable" or is_mounted(self.point):
            raise HarnessError(f"systemctl {verb}")

    def close(self):
        """Leaves nothing behind."""
        for mount in (*self.stopped, self.mount):
            if mount is not None:
                mount.close()


class Runbook:
    """Carries out procedures on a machine, and perhaps a new one."""

    def __init__(self, directory):
        self.here, self.new = Site(directory, "here"), Site(directory, "new")
        for name in ("backup", "bin"):
            (directory / name).mkdir()
        self.bin = directory / "bin"
        self.backup = directory / "backup"
        self.said = []

    def close(self):
        """Leaves nothing behind."""
        self.here.close()
        self.new.close()

    def follow(self, name, *, blanks=None, finds=()):
        """Runs all commands of a procedure; `blanks` fill in its words in
        capitals, and `finds` are commands that find something."""
        left = set(finds)
        for command in procedures()[name]:
            for blank, value in (blanks or {}).items():
                command = command.replace(blank, str(value))
            assert not re.search(r" (SESSION|ENTRY|MAILBAG)\b", command)
            self._run(command, command in left)
            left.discard(command)
        assert not left

    def _run(self, command, finds):
        site = self.new if command.startswith("ssh NEW ") else self.here
        plain = command.removeprefix("ssh NEW ")
        if plain.startswith("systemctl "):
            verb, unit = plain.split()[1:]
            assert unit == "pofs@mail"
            site.service(verb)
        elif plain.startswith("journalctl "):
            self._grep(site, plain)
        else:
            self._shell(command, site, finds)

    def _grep(self, site, command):
        """Only of the service, and only what is there at last."""
        found = re.fullmatch(r"journalctl -u pofs@mail -g event=([a-z-]+)",
                             command)
        assert found, command
        wait_until(lambda: events(site.mount, found[1]), command)

    def _shell(self, command, site, finds):
        left, there, right = command.partition("| ssh NEW ")
        if there:
            script = f"{self.here.map(left)} | {self.new.map(right)}"
        elif command.startswith("scp "):
            script = "cp " + self.here.map(command[4:].split("NEW:")[0]) + \
                self.new.map(command.split("NEW:")[1])
        else:
            script = site.map(command.removeprefix("ssh NEW "))
        done = run(tool("bash"), "-o", "pipefail", "-c", script, check=False,
                   env={**os.environ, "PATH": f"{self.bin}:"
                        f"{build_dir() / 'tools'}:{os.environ['PATH']}"})
        assert done.returncode == (1 if finds else 0), \
            f"{command}\n{done.stdout}{done.stderr}"
        self.said.append((command, done.stdout + done.stderr))

    def told(self, command):
        """What a command of the procedure has said, the last time."""
        return [text for one, text in self.said if one.startswith(command)][-1]


@pytest.fixture(name="runbook")
def fixture_runbook(tmp_path):
    """Machines without a store yet."""
    made = Runbook(tmp_path)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(name="site")
def fixture_site(runbook, tmp_path):
    """The machine here, which serves a postoffice with a message in it."""
    tree = MailTree(tmp_path)
    tree.deliver(BAG, "Lunch")
    tree.add_bag("INQUEUE3")
    site = runbook.here
    poctl("import", site.store.path, tree.office)
    (site.store.path / "pofs.conf").write_text("[locks]\nlock-wait-s = 1\n")
    site.start()
    return site


def message(site):
    """The message's file."""
    return site.point / MailTree.mai(STEM)


def sync(site):
    """Waits until everything so far is on disk."""
    fd = os.open(site.point, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(fd)
    os.close(fd)


def has_mail(site):
    """Whether the message and its header are there."""
    return b"Please find it here." in message(site).read_bytes() and \
        b"Lunch" in (site.point / f"MBG/{BAG}.MBG").read_bytes()


def test_every_procedure_is_carried_out_here():
    text = pathlib.Path(__file__).read_text(encoding="utf-8")
    named = set(re.findall(r'follow\(\s*"([^"]+)"', text))
    assert set(procedures()) == named | {"first"}
    assert all(procedures().values())


def test_the_log_is_asked_for_as_pofs_writes_it():
    log, status = procedures()["first"]
    assert log == "journalctl -u pofs@mail -p warning"
    assert status == "poctl status /var/lib/pofs/mail"


def test_the_disk_is_full(runbook, a):
    site = runbook.here
    run(tool("mount"), "-t", "tmpfs", "-o", "size=16m", "tmpfs",
        site.store.path.parent)
    try:
        poctl("create", site.store.path)
        site.start()
        office = Office(site.point)
        fd = deliver(a, office)
        a.call("client.put", office.att, b"x" * 3_000_000)
        with fails_with(errno.ENOSPC), \
                open(site.store.path.parent / "monday.pofs", "wb",
                     buffering=0) as other:
            while True:
                other.write(bytes(4096))
        with fails_with(errno.ENOSPC):
            a.call("os.close", fd)
        wait_until(lambda: events(site.mount, "store-full"), "it is told")
        server = site.mount.server_pid
        runbook.follow("The disk is full")
        first = next(text for one, text in runbook.said if "status" in one)
        assert "full" in first
        assert "well" in runbook.told("poctl status")
        assert site.store.path.parent.joinpath("mail/writer").exists()
        assert site.mount.server_pid == server
        a.call("os.close", deliver(a, office))
        assert is_delivered(a, office)
        site.service("stop")
    finally:
        site.close()
        unmount_lazily(site.store.path.parent)


def test_a_lock_that_nobody_gives_back(runbook, site, a, b):
    office = Office(site.point, create=False)
    deliver(a, office, "INQUEUE3")
    a.process.send_signal(signal.SIGSTOP)
    try:
        with fails_with(errno.ETXTBSY):
            b.call("os.open", office.key("INQUEUE3"), os.O_RDWR)
        told, = events(site.mount, "lock-timeout")
        assert int(told["holder-pid"]) == a.pid
        runbook.follow("A lock that nobody gives back",
                       blanks={"SESSION": told["holder"]})
        assert "INQUEUE" not in runbook.told("poctl locks")
        assert "broken by the administrator" in \
            runbook.told("poctl quarantine list")
        assert events(site.mount, "break")
        b.call("os.close", deliver(b, office, "INQUEUE3"))
    finally:
        a.process.send_signal(signal.SIGCONT)
    with fails_with(errno.EIO):
        a.call("client.append", office.mbg("INQUEUE3"), HEADER)


def test_a_corrupt_import(runbook, tmp_path):
    tree = tmp_path / "MAILDATA"
    poctl("create", tmp_path / "empty")
    poctl("export", tmp_path / "empty", tree)
    (tree / "GLB" / "CONTROL.GLB").unlink()
    (tree / "MAI" / "a:b").write_bytes(b"no name for DOS")
    check = "poctl check --mail /var/lib/pofs/mail"
    rehearsal = procedures()["A corrupt import"][0]
    runbook.follow("A corrupt import", finds=[rehearsal, check])
    assert "a:b" in runbook.told("poctl import --dry-run")
    assert "CONTROL.GLB" in runbook.said[2][1]
    assert "sound" in runbook.told("poctl check")
    assert (runbook.here.point / "GLB" / "CONTROL.GLB").stat().st_size > 0
    assert (tree / "MAI" / "a:b").exists()


def test_mail_was_deleted(runbook, site, a):
    fd = a.call("os.open", site.point / f"KEY/{BAG}.KEY", os.O_RDWR)
    a.call("os.unlink", message(site))
    a.call("os.close", fd)
    entry, = [one["id"] for one in json.loads(poctl(
        "log", "--json", site.store.path).stdout)["journal"]
        if [file["what"] for file in one["files"]] == ["removed"]]
    runbook.follow("Mail was deleted or spoiled", blanks={"ENTRY": entry})
    assert has_mail(site)
    assert message(site).name in runbook.told("poctl show")
    assert events(site.mount, "edit")


def test_the_power_was_cut(runbook, site, a):
    key = site.point / f"KEY/{BAG}.KEY"
    fd = a.call("os.open", key, os.O_RDWR)
    a.call("os.pwrite", fd, b"half", 0)
    a.call("os.fsync", fd)
    site.mount.kill()
    site.start()
    sync(site)
    assert events(site.mount, "unclean")
    runbook.follow("The power was cut, or pofs was killed")
    assert f"pid {a.pid}" in runbook.told("poctl quarantine list")
    assert has_mail(site) and key.read_bytes()[:4] == bytes(4)


def test_the_store_is_damaged(runbook, site):
    poctl("backup", site.store.path, runbook.backup / "mail.pofs")
    site.service("stop")
    os.truncate(site.store.path / "data.mdb", 16384)
    with pytest.raises(HarnessError, match="damaged"):
        site.start()
    runbook.follow("The store is damaged or lost: restore a backup")
    assert has_mail(site)
    assert os.path.getsize(
        site.store.path.with_suffix(".damaged") / "data.mdb") == 16384
    assert "lock-wait-s" in (site.store.path / "pofs.conf").read_text()


PROGRAMS = {"pofs": "fs/pofs", "poctl": "tools/poctl"}


def install_old(runbook, meson):
    """Installs programs that differ in their last byte from those that
    `meson` will install."""
    lines = ["#!/bin/sh -e\n", "test \"$*\" = 'install -C build'\n"]
    for name, path in PROGRAMS.items():
        built, own = program(path), runbook.bin / name
        shutil.copy2(built, own)
        with open(own, "ab") as file:
            file.write(b"!")
        lines += [f"cp -p {built} {own}.new\n", f"mv {own}.new {own}\n"]
    meson.write_text("".join(lines))
    meson.chmod(0o755)


def test_another_version(runbook, site, tmp_path, monkeypatch):
    site.service("stop")
    install_old(runbook, runbook.bin / "meson")
    sizes = [os.path.getsize(program("fs/pofs"))]
    for name, path in PROGRAMS.items():
        link = tmp_path / "programs" / path
        link.parent.mkdir(parents=True)
        link.symlink_to(runbook.bin / name)
    monkeypatch.setenv("POFS_BUILD", str(tmp_path / "programs"))
    start = site.start

    def start_and_see():
        start()
        sizes.append(os.stat(f"/proc/{site.mount.server_pid}/exe").st_size)
        assert has_mail(site)
    monkeypatch.setattr(site, "start", start_and_see)
    site.start()
    runbook.follow("Another version of pofs")
    new = sizes[0]
    assert sizes == [new, new + 1, new, new + 1]
    poctl("verify", runbook.backup / "before.pofs")


def test_moving_to_another_machine(runbook, site):
    runbook.follow("Moving to another machine")
    assert has_mail(runbook.new)
    assert not is_mounted(site.point)
    assert "lock-wait-s" in \
        (runbook.new.store.path / "pofs.conf").read_text()
    uuids = {json.loads(poctl("stat", "--json", one.store.path).stdout)["uuid"]
             for one in (site, runbook.new)}
    assert len(uuids) == 1
