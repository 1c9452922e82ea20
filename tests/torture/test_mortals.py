# SPDX-License-Identifier: BSD-2-Clause
"""Local programs that are killed while they change a mailbag, a thousand times
over, and those who look at it meanwhile: nothing is half there, and nothing is
lost. mortals.c does it.

POFS_DEATHS says how often one is killed, of those who lock in each form,
POFS_LOOKERS how many there are who lock it only to look.
"""

import json
import os

import pytest

from harness import Mount, Store, program, run, tally

DEATHS = int(os.environ.get("POFS_DEATHS", "420"))
LOOKERS = int(os.environ.get("POFS_LOOKERS", "1"))

EACH_FORM = pytest.mark.parametrize("form", ["flock", "ofd", "posix"])

PATIENCE = "idle-open-s=3600,lock-wait-s=3600,silent-limit-s=0"
"""Their turn comes at last, however slow the machine is, and then stays theirs."""


def mortals(directory, seed, form, deaths=DEATHS):
    """What became of the mailbag in a postoffice."""
    done = run(program("tests/torture/mortals"), directory, deaths, LOOKERS,
               seed, form, timeout=None)
    print(done.stdout, done.stderr)
    return json.loads(done.stdout)


@EACH_FORM
def test_who_dies_in_the_middle_has_changed_nothing(tmp_path, seed, form):
    with Store(tmp_path / "store", "--postoffice", "PO") as store:
        with Mount(store, "-o", PATIENCE) as mount:
            told = mortals(mount / "PO", seed, form)
            mount.unmount()
        store.check()
    assert (told["torn"], told["lost"], told["failed"]) == (0, 0, 0), told
    # A run in which nobody did anything would prove nothing.
    assert told["acknowledged"] > DEATHS / 20
    assert told["locked"] > DEATHS / 5 and told["unlocked"] > DEATHS
    assert told["shared"] > DEATHS / 20
    assert told["killed"] > 0.9 * DEATHS  # nobody else had ended it
    tally("deaths", told["killed"])
    locked = told["locked"] + told["shared"]
    tally("looks", locked + told["unlocked"])
    tally("looks with the lock", locked)


@EACH_FORM
def test_on_plain_files_the_same_is_torn(tmp_path, seed, form):
    for name in ("KEY", "MBG"):
        (tmp_path / name).mkdir()
    assert mortals(tmp_path, seed, form, 100)["torn"] > 0
