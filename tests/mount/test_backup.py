# SPDX-License-Identifier: BSD-2-Clause
"""Backups while mail flows: each is a moment between two transactions.

POFS_BACKUPS says how many.
"""

import os
import shutil

from actor import Actor
from harness import Mount, Store, poctl, tally, wait_until
from postoffice import HEADER, Office, records

BACKUPS = int(os.environ.get("POFS_BACKUPS", "5"))
ENDLESS = 10 ** 9


def back_up(store, directory, notes):
    """Backups, each some deliveries after the one before: (what had been
    acknowledged when it began, its file)."""
    backups = []
    for number in range(BACKUPS):
        known = {record for note in notes for record in records(note)}
        poctl("backup", store.path, directory / f"{number}")
        backups.append((known, directory / f"{number}"))
        wait_until(lambda seen=len(known): sum(
            note.stat().st_size for note in notes) >= (seen + 5) * len(HEADER),
            "nobody delivers any more")
    return backups


def restored(directory, backup):
    """What the mailbags of both postoffices are in a backup."""
    poctl("restore", directory / "restored", backup)
    poctl("check", directory / "restored")
    poctl("export", directory / "restored", directory / "tree")
    found = [records(directory / "tree" / name / "MBG" / "A.MBG")
             for name in ("ONE", "TWO")]
    shutil.rmtree(directory / "restored")
    shutil.rmtree(directory / "tree")
    return found


def test_a_backup_tears_no_transaction_apart(tmp_path):
    """Two programs put each record into two mailbags at once."""
    with Store(tmp_path / "store", "--postoffice", "ONE", "--postoffice",
               "TWO") as store:
        notes = [tmp_path / f"acknowledged-{number}" for number in range(2)]
        with Mount(store) as mount:
            offices = [Office(mount / name) for name in ("ONE", "TWO")]
            crowd = [Actor() for _ in notes]
            try:
                for number, actor in enumerate(crowd):
                    notes[number].touch()
                    actor.start("client.pair", offices, f"{number}", ENDLESS,
                                notes[number])
                backups = back_up(store, tmp_path, notes)
            finally:
                for actor in crowd:
                    actor.kill()
        earlier = set()
        for known, backup in backups:
            one, two = restored(tmp_path, backup)
            assert sorted(one) == sorted(two)
            assert known <= set(one), "what was acknowledged is missing"
            assert earlier <= set(one)
            earlier = set(one)
            tally("backups")
        assert len(earlier) >= 5 * (BACKUPS - 1)
