# SPDX-License-Identifier: BSD-2-Clause
"""Many programs that change two postoffices at once, in any order, while some
of them are killed, and in the end the daemon: all or nothing, each time."""

import pytest

from actor import Actor
from harness import Mount, Store, wait_until
from postoffice import Office

RECORD = 116


def records(path):
    """The records of a mailbag, in order."""
    content = path.read_bytes()
    assert len(content) % RECORD == 0
    return [content[at:at + RECORD] for at in range(0, len(content), RECORD)]


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
    # What was not acknowledged was under way when its program, or the daemon,
    # was killed: one each at most.
    assert len(set(one) - set(acknowledged)) <= 6


def run_crowd(store, directory, seed):
    """Lets six programs work, kills three of them, and then the daemon;
    returns the records that were acknowledged."""
    crowd = [Actor() for _ in range(6)]
    notes = [directory / f"acknowledged-{number}"
             for number in range(len(crowd))]
    try:
        with Mount(store) as mount:
            offices = [Office(mount / name) for name in ("ONE", "TWO")]
            for number, (actor, note) in enumerate(zip(crowd, notes)):
                note.touch()
                actor.start("client.pair", offices, number,
                            f"{seed}-{number}", note)
            for victim in (None, 0, 2, 4):
                if victim is not None:
                    crowd[victim].kill()
                await_progress([note for number, note in enumerate(notes)
                                if crowd[number].process.poll() is None])
            mount.kill()
    finally:
        for actor in crowd:
            actor.kill()
    return [record for note in notes for record in records(note)]


def await_progress(notes):
    """Waits until each has got ten more records acknowledged."""
    goals = {note: note.stat().st_size + 10 * RECORD for note in notes}
    wait_until(lambda: all(note.stat().st_size >= goal
                           for note, goal in goals.items()),
               "everybody gets on")
