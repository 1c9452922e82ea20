# SPDX-License-Identifier: BSD-2-Clause
"""Hours of mail, and of what may happen to it, at random: programs die, and
machines vanish from smbd, the disk is full, somebody looks and makes a backup,
pofs is killed or stopped.
Nothing is half done or lost, and what pofs has in memory, in descriptors and on
the disk does not grow, for which it needs its time.

POFS_SOAK_S says how many seconds, POFS_SEED what happens.
"""

import contextlib
import errno
import os
import pathlib
import random
import shutil
import signal
import statistics
import sys
import time

import pytest

import load
import mail
from harness import poctl, tally, wait_until
from powercut import Disk, Log
from scene import SUBJECTS, StoreAt, make_store, mounted

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "smb"))

import smb1  # noqa: E402
import smbd  # noqa: E402
from remote import Remote  # noqa: E402
from test_calls import descriptors_of
from test_disk import PAGES_MAX, attempt, is_well, leave, small_disk
from test_hostile import MIB, memory
from test_mortals import PATIENCE, mortals

SOAK_S = int(os.environ["POFS_SOAK_S"])
LIVES = (0.7, 0.1, 0.1, 0.1)
"""How often pofs is started in that time, and what share of it each one has:
what grows a little in each hour shows in a long life only."""

DISK_MIB = 160
"""The 200,000 lines of the journal take up most of it."""

LIMITS = f"journal-max-mib=1,quarantine-max-mib=1,{PATIENCE}"
FORMS = ("flock", "ofd", "posix")
MACHINES = 8


class Reuse:
    """Of a mail program for long: in the mailbag a vacant record comes before a
    new one (Q77926), as a KEY has bits for so many only."""

    def _add_header(self, stem):
        key = mail.Key(self.files[load.KEY])
        slot = key.vacant_slot(self._slots)
        key.mark_deleted(slot, False)
        self.files[load.KEY] = key.encode()
        record = mail.Header("ANNA", f"NO {stem}", load.WHEN, stem).encode()
        at = slot * mail.RECORD_SIZE
        mbg = self.files[load.MBG]
        self.files[load.MBG] = (mbg[:at] + record
                                + mbg[at + mail.RECORD_SIZE:])
        self._live.append((slot, stem))
        self._slots = max(self._slots, slot + 1)
        return record, at


class Program(Reuse, load.Program):
    """One here."""


class Machine(Reuse, Remote):
    """One on another machine."""


class Soak:
    """What happens in one life of pofs. The mail programs are in PO and, behind
    smbd, in P3; those who die are in P2."""

    def __init__(self, top, mount, server, programs, rand):
        self._top = top
        self._mount = mount
        self._server = server
        self._program, self._machine = programs
        self._random = rand
        self._figures = []

    def mail(self):
        """Most of the time nothing else happens."""
        for _ in range(100):
            self._program.step(load.KINDS)

    def deaths(self):
        """Who dies has changed nothing."""
        told = mortals(self._mount / "P2", self._random.randrange(1 << 30),
                       self._random.choice(FORMS), 50)
        assert (told["torn"], told["lost"], told["failed"]) == (0, 0, 0), told
        tally("deaths", told["killed"])

    @contextlib.contextmanager
    def _connected(self):
        """The machine, or another one, as a client of smbd."""
        address = f"127.0.3.{self._random.randint(1, MACHINES)}"
        with smb1.Client(self._server.port, smbd.SHARE,
                         source=address) as client:
            self._machine.sit_at(client)
            yield client

    def _vanish(self, client):
        """It does, or what serves it is killed, before a commit."""
        def end():
            if self._random.random() < 0.5:
                os.kill(self._server.process_of(client), signal.SIGKILL)
            client.reset()
            raise smb1.Disconnected

        self._machine.before_commit = end
        with pytest.raises(smb1.Disconnected):
            self._machine.step(["deliver"])
        self._machine.before_commit = lambda: None
        tally("vanished clients")

    def machine(self):
        """It works, and may vanish: then all is as before."""
        with self._connected() as client:
            for _ in range(20):
                self._machine.step(load.KINDS)
            if self._random.random() < 0.5:
                client.disconnect()
                return
            self._vanish(client)
        with self._connected() as client:
            client.open(f"P3\\KEY\\{load.BAG}.KEY").close()
            assert not self._machine.resume()
            client.disconnect()

    def full(self):
        """Somebody else takes all the room before a commit."""
        self._program.before_commit = lambda: leave(
            self._top, self._random.randrange(PAGES_MAX))
        answer = attempt(self._program, "deliver")
        self._program.before_commit = lambda: None
        assert answer in (0, errno.ENOSPC)
        assert self._program.resume() == (answer == 0)
        (self._top / "ballast").unlink()
        wait_until(lambda: is_well(self._mount.path), "there is room")
        tally("full disks")

    def look(self):
        """The administrator does, and has a copy."""
        store, backup = self._mount.store.path, self._top / "backup"
        poctl("check", "--quiet", store)
        poctl("backup", store, backup)
        poctl("verify", "--quiet", backup)
        backup.unlink()
        tally("backups")

    def live(self, seconds):
        """Anything, for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._random.choice((self.mail, self.mail, self.machine,
                                 self.deaths, self.full, self.look))()
            self._figures.append((memory(self._mount),
                                  descriptors_of(self._mount)))

    def must_not_have_grown(self):
        """In the last quarter it has what it had in the second."""
        count = len(self._figures) // 4
        for what, figures in zip(("memory", "descriptors"),
                                 zip(*self._figures)):
            before = statistics.median(figures[count:2 * count])
            after = statistics.median(figures[-count:])
            slack = MIB if what == "memory" else 1
            assert after <= 1.05 * before + slack, (what, figures)


@pytest.fixture(name="store")
def fixture_store(tmp_path):
    """A store on a small disk, which what grows without an end fills."""
    with small_disk(tmp_path, DISK_MIB) as top, Disk() as disk:
        yield StoreAt(shutil.copytree(make_store(disk, (*SUBJECTS, "P3")).path, top / "store"))


def test_a_long_time(store, seed):
    uid, gid = smbd.share_ids()
    options = f"{LIMITS},uid={uid},gid={gid},umask=000"
    rand = random.Random(seed)
    began = time.monotonic()
    programs = []
    with contextlib.closing(Log(os.devnull)) as log:
        for life, share in enumerate(LIVES):
            with mounted(None, store, "-o", options) as mount:
                if not programs:
                    programs = [Program(mount / "PO", "PO", seed, log),
                                Machine(None, mount.path, "P3", seed, log)]
                for program, subject in zip(programs, ("PO", "P3")):
                    program.move_to(mount / subject)
                    program.resume()
                with smbd.Smbd({smbd.SHARE: mount.path}) as server:
                    soak = Soak(store.path.parent, mount, server, programs,
                                rand)
                    soak.live(SOAK_S * share)
                soak.must_not_have_grown()
                if life % 2 == 0:
                    mount.kill()
                else:
                    mount.unmount()
            poctl("check", "--quiet", store.path)
    tally("seconds", round(time.monotonic() - began))
