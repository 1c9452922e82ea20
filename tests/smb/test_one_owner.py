# SPDX-License-Identifier: BSD-2-Clause
"""CONTROL.GLB is for one program at a time, whatever deny mode it asks for.

Programs whose server lets two of them in make the same message twice, and the
second empties the first's (Q99204). Here every open is deny-none: what keeps
the others out is pofs alone.
"""

import contextlib
import os
import select
import threading
import time

import pytest

import smb1
import smbd
from harness import wait_until
from place import ONLY_POFS, Office, PofsPlace
from smb1 import Access, Client, Command, Error, Mode

MACHINES = 8


@pytest.fixture
def control(office):
    """The name of a CONTROL.GLB that exists."""
    path = office.path / "GLB" / "CONTROL.GLB"
    path.write_bytes(bytes(8))
    path.chmod(0o777)
    return office.smb("GLB", "CONTROL.GLB")


class Opening:
    """An open on its way. An echo sent behind it tells whether it waits."""

    def __init__(self, client, name, access=Access.BOTH):
        self.client = client
        self.id = client.send(*client.open_request(name, access))
        client.send(*client.echo_request())
        first = client.receive()
        self.waits = first.command == Command.ECHO
        if not self.waits:
            self.file = client.opened(first)
            assert client.receive().command == Command.ECHO

    def result(self):
        """Waits for the file, or raises SmbError."""
        if self.waits:
            self.file = self.client.opened(self.client.receive())
            self.waits = False
        return self.file

    def fileno(self):
        """For select(): readable when the answer has come."""
        return self.client.fileno()


# ---- waiting ----------------------------------------------------------------


@ONLY_POFS
def test_a_second_client_waits_and_is_served_meanwhile(client, other, control,
                                                       office):
    with client.open(control) as file:
        opening = Opening(other, control)
        assert opening.waits
        # Between two of smbd's attempts, not once but again and again.
        for _ in range(20):
            other.send(*other.echo_request())
            assert other.receive().command == Command.ECHO
        file.write(0, b"12345678")
    with opening.result() as second:
        assert second.read(0, 8) == b"12345678"
        second.write(0, b"87654321")
    assert (office.path / "GLB" / "CONTROL.GLB").read_bytes() == b"87654321"


@ONLY_POFS
def test_a_short_wait_ends_without_asking_again(server, client, other,
                                                control):
    """What is let go within half a second is handed over at once."""
    times = []
    for _ in range(5):
        file = client.open(control)
        other.send(*other.open_request(control))
        wait_until(server.is_blocked, "the other's open is parked")
        began = time.monotonic()
        file.close()
        other.opened(other.receive()).close()
        times.append(time.monotonic() - began)
    assert min(times) < 0.3, times


def test_who_waits_too_long_is_told_of_a_sharing_violation(refused):
    with contextlib.ExitStack() as stack:
        place = PofsPlace("lock-wait-s=2")
        stack.callback(place.close)
        server = stack.enter_context(smbd.Smbd({smbd.SHARE: place.path}))
        office = Office(place)
        (office.path / "GLB" / "CONTROL.GLB").write_bytes(bytes(8))
        control = office.smb("GLB", "CONTROL.GLB")
        client, other = (stack.enter_context(
            Client(server.port, smbd.SHARE, source=f"127.0.6.{number}"))
            for number in (1, 2))
        file = client.open(control)
        began = time.monotonic()
        with refused(Error.SHARING_VIOLATION):
            other.open(control)
        assert 1.9 < time.monotonic() - began < 20
        file.close()
        other.open(control).close()
        client.open(control).close()
        client.disconnect()
        other.disconnect()
        place.end()


@ONLY_POFS
def test_a_client_that_vanishes_frees_it(machines, other, control):
    holder = machines.new()
    holder.open(control)
    opening = Opening(other, control)
    assert opening.waits
    holder.reset()
    opening.result().close()


@ONLY_POFS
def test_a_client_that_vanishes_does_not_wait(machines, client, other,
                                              control):
    waiter = machines.new()
    with client.open(control):
        assert Opening(waiter, control).waits
        waiter.reset()
        opening = Opening(other, control)
        assert opening.waits
    opening.result().close()


def test_readers_are_not_kept_out(client, other, control):
    with client.open(control) as file:
        file.write(0, b"12345678")
        with other.open(control, Access.READ) as reader:
            assert reader.read(0, 8) == b"12345678"
            file.write(0, b"87654321")
            assert reader.read(0, 8) == b"87654321"


@ONLY_POFS
def test_clients_and_local_programs_wait_for_each_other(client, control,
                                                        office):
    local = os.open(office.path / "GLB" / "CONTROL.GLB", os.O_RDWR)
    opening = Opening(client, control)
    assert opening.waits
    os.pwrite(local, b"12345678", 0)
    os.close(local)
    file = opening.result()
    opened = []
    thread = threading.Thread(target=lambda: opened.append(
        os.open(office.path / "GLB" / "CONTROL.GLB", os.O_RDWR)))
    thread.start()
    assert file.read(0, 8) == b"12345678"
    file.write(0, b"87654321")
    assert not opened
    file.close()
    thread.join(60)
    assert os.pread(opened[0], 8, 0) == b"87654321"
    os.close(opened[0])


def test_a_message_is_emptied_by_its_creator_only(client, other, office, place,
                                                  refused):
    name = office.smb("MAI", "MA1", "00000001.MAI")
    client.write_file(name, b"first")
    client.write_file(name, b"again")
    if place.is_pofs:
        for attempt in (lambda: other.create(name),
                        lambda: other.open(name, mode=Mode.TRUNCATE)):
            with refused(Error.SHARING_VIOLATION):
                attempt()
        assert other.read_file(name) == b"again"
    else:
        other.create(name).close()
        assert client.read_file(name) == b""


# ---- numbers ----------------------------------------------------------------


class Program:
    """A mail program that allocates numbers as Q87386 says: read, create the
    message of the next number, and if that worked, write the number back."""

    def __init__(self, client, office, name):
        self.client = client
        self.office = office
        self.name = name
        self.file = None
        self.number = 0

    def read(self, file):
        self.file = file
        self.number = int.from_bytes(file.read(4, 4), "little") + 1

    def message(self, number):
        stem = f"{number:08X}"
        return self.office.smb("MAI", f"MA{stem[-1]}", f"{stem}.MAI")

    def create(self):
        self.client.write_file(self.message(self.number), self.name)

    def write_back(self):
        """Returns the number that is now its own."""
        self.file.write(4, self.number.to_bytes(4, "little"))
        self.file.close()
        return self.number

    def take(self, file):
        self.read(file)
        self.create()
        return self.write_back()


@pytest.fixture
def programs(machines, office):
    return [Program(machines.new(timeout=120), office, b"program %d" % number)
            for number in range(MACHINES)]


def owners(programs, taken):
    """How many of the messages still are what their programs wrote."""
    client = programs[0].client
    return sum(client.read_file(program.message(number)) == program.name
               for program, number in taken)


def test_numbers_are_given_out_once(programs, control, place):
    """Steered: whoever is let in reads before anybody writes."""
    openings = {program: Opening(program.client, control)
                for program in programs}
    inside = [p for p in programs if not openings[p].waits]
    for program in inside:
        program.read(openings[program].file)
    for program in inside:
        program.create()
    taken = [(program, program.write_back()) for program in inside]

    waiting = {p.client.fileno(): p for p in programs if p not in inside}
    while waiting:
        ready, _, _ = select.select(list(waiting), [], [], 60)
        assert ready, "nobody is let in"
        assert len(ready) == 1, "two are let in"
        program = waiting.pop(ready[0])
        taken.append((program, program.take(openings[program].result())))

    numbers = [number for _, number in taken]
    assert len(numbers) == MACHINES
    if place.is_pofs:
        assert len(inside) == 1
        assert sorted(numbers) == list(range(1, MACHINES + 1))
        assert owners(programs, taken) == MACHINES
    else:
        # Q99204, as it happens where the server lets everybody in.
        assert set(numbers) == {1}
        assert owners(programs, taken) == 1


@ONLY_POFS
def test_numbers_are_given_out_once_in_any_order(programs, control):
    """All at once, each as fast as it can."""
    taken, failures = [], []

    def work(program):
        try:
            for _ in range(25):
                number = program.take(program.client.open(control))
                taken.append((program, number))
        except (smb1.SmbError, OSError) as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(program,))
               for program in programs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert not failures
    numbers = sorted(number for _, number in taken)
    assert numbers == list(range(1, 25 * MACHINES + 1))
    assert owners(programs, taken) == 25 * MACHINES
