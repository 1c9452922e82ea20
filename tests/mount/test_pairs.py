# SPDX-License-Identifier: BSD-2-Clause
"""Many programs that change two postoffices at once, in any order, while some
of them die, and in the end the daemon does: all or nothing, each time."""

import pytest

from actor import Actor
from harness import DEADLINE_S, Mount, Store, wait_until
from postoffice import HEADER, Office, records



@pytest.mark.parametrize("seed", range(3))
def test_what_belongs_together_stays_together(tmp_path, seed):
    with Store(tmp_path / "store", "--postoffice", "ONE", "--postoffice",
               "TWO") as store:
        acknowledged = run_crowd(store, tmp_path, seed)
        with Mount(store) as mount:
            one, two = (records(mount / name / "MBG" / "A.MBG")
                        for name in ("ONE", "TWO"))
        store.check()
    assert sorted(one) == sorted(two)
    assert len(set(one)) == len(one)
    assert set(acknowledged) <= set(one)
    # What was not acknowledged was under way when the daemon was killed.
    assert len(set(one) - set(acknowledged)) <= 3


def run_crowd(store, directory, seed):
    """Lets six programs work, of which three die, and then the daemon does;
    returns the records that were acknowledged."""
    lasts = [10, 20, 30] + [10 ** 9] * 3
    crowd = [Actor() for _ in lasts]
    notes = [directory / f"acknowledged-{number}"
             for number in range(len(lasts))]
    try:
        with Mount(store) as mount:
            offices = [Office(mount / name) for name in ("ONE", "TWO")]
            for number, actor in enumerate(crowd):
                notes[number].touch()
                actor.start("client.pair", offices, f"{seed}-{number}",
                            lasts[number], notes[number])
            for actor in crowd[:3]:
                actor.process.wait(DEADLINE_S)
            await_progress(notes[3:])
            mount.kill()
    finally:
        for actor in crowd:
            actor.kill()
    return [record for note in notes for record in records(note)]


def await_progress(notes):
    """Waits until each has got ten more records acknowledged."""
    goals = {note: note.stat().st_size + 10 * len(HEADER) for note in notes}
    wait_until(lambda: all(note.stat().st_size >= goal
                           for note, goal in goals.items()),
               "everybody gets on")
