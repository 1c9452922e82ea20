# SPDX-License-Identifier: BSD-2-Clause
"""Numbers are given out once (Q99204, Q87386).

Programs that create mail take its number from CONTROL.GLB: read, create the
message file, write the number back, close. Nothing but the server keeps two of
them apart, for here all opens are deny-none. The file is created, not created
anew, so the second of two empties the first one's message.
"""

import os
import threading

import pytest

from checker import check, judge
from history import History
from machine import Machine
from place import ONLY_PLAIN, ONLY_POFS
from smb1 import Access, Mode

PROGRAMS = 8

NUMBERS = int(os.environ.get("POFS_NUMBERS", 10_000))
"""How many numbers all programs take together."""

CONTROL = r"GLB\CONTROL.GLB"


class Allocator(Machine):
    """A program that does nothing but take numbers."""

    def take(self):
        """Returns the steps of taking one, to be made one by one."""
        with self.operation("number", CONTROL) as facts, \
                self.open(CONTROL) as file:
            yield
            number = int.from_bytes(file.read(4, 4), "little") + 1
            yield
            self.write_file(self.message(number), self.program.encode())
            file.write(4, number.to_bytes(4, "little"))
            facts["number"] = number

    @staticmethod
    def message(number):
        return rf"MAI\MA{number % 16:X}\{number:08X}.MAI"


@pytest.fixture
def history():
    return History()


@pytest.fixture
def allocators(machines, office, history):
    control = office.path / "GLB" / "CONTROL.GLB"
    control.write_bytes(bytes(8))
    control.chmod(0o777)
    return [Allocator(machines.new(timeout=120), f"program {number}", history,
                      office.name) for number in range(PROGRAMS)]


def owners(history, reader):
    """How many messages still are what their programs wrote."""
    return sum(reader.client.read_file(reader.path(reader.message(
        event.facts["number"]))) == event.program.encode()
               for event in history.of("number"))


@ONLY_PLAIN
def test_a_plain_directory_gives_a_number_to_all(allocators, history):
    """All read before anybody writes: nothing hinders them."""
    steps = [allocator.take() for allocator in allocators]
    for _ in range(3):
        for step in steps:
            next(step, None)
    verdicts = judge(history)
    given = [verdict for verdict in verdicts if "number 1 of" in verdict]
    assert len(given) == PROGRAMS - 1, verdicts
    held = [verdict for verdict in verdicts if "was held twice" in verdict]
    assert len(held) == len(verdicts) - len(given)
    assert len(held) >= PROGRAMS - 1
    # And the message of all but the last is gone.
    assert owners(history, allocators[0]) == 1


@ONLY_POFS
def test_pofs_gives_each_number_once(allocators, history, office):
    failures = []

    def work(allocator):
        try:
            for _ in range(NUMBERS // PROGRAMS):
                for _ in allocator.take():
                    pass
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(allocator,), daemon=True)
               for allocator in allocators]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(600)
        assert not thread.is_alive()
    assert not failures
    check(history, judge(history))
    numbers = [event.facts["number"] for event in history.of("number")]
    assert sorted(numbers) == list(range(1, NUMBERS + 1))
    with allocators[0].open(CONTROL, Access.READ, mode=Mode.OPEN) as file:
        assert int.from_bytes(file.read(4, 4), "little") == NUMBERS
    assert owners(history, allocators[0]) == NUMBERS
