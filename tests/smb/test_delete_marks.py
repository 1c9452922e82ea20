# SPDX-License-Identifier: BSD-2-Clause
"""The mark that a killed smbd leaves at what it was about to delete.

smbd marks a file in a database of its own, by its inode number, and unlinks it.
If it is killed before it has taken the mark away, the next smbd that closes a
file of this number deletes it, whatever its client wanted; see fs/number.h.
"""

import collections
import contextlib
import re
import subprocess

import pytest

from harness import DEADLINE_S, tool, wait_until
from place import ONLY_PLAIN, ONLY_POFS
from smb1 import Deny, Disconnected, SmbError

CONTENT = b"a route"
VICTIM = "127.0.2.1"

ENOUGH = 40
"""System calls of a deletion, at least; there are some ninety."""

UNLINK = "inject=unlinkat:signal=KILL"
NEXT_CALL = "inject=close:signal=KILL"
"""When smbd is killed: before it unlinks, and after that."""


@contextlib.contextmanager
def traced(server, client, what, log="/dev/null"):
    """A client's smbd, with what strace is to do with its system calls."""
    with subprocess.Popen(
            [tool("strace"), "-p", str(server.process_of(client)), "-o", log,
             "-e", what], stderr=subprocess.PIPE, text=True) as tracer:
        try:
            assert "attached" in tracer.stderr.readline()
            yield
        finally:
            tracer.terminate()
            tracer.communicate(timeout=DEADLINE_S)


def dies_deleting(server, client, name, when):
    """Whether a client's smbd was killed before it had deleted the file."""
    with traced(server, client, when):
        try:
            client.delete(name)
        except Disconnected:
            return True
        return False


def instants(server, client, name, log):
    """Before each system call by which smbd deletes the file."""
    with traced(server, client, "trace=all", log):
        client.delete(name)
    count = collections.Counter()
    for call in re.findall(r"^(\w+)\(", log.read_text(), re.MULTILINE):
        count[call] += 1
        yield f"inject={call}:signal=KILL:when={count[call]}"


def obtain(step):
    """What `step` returns, as soon as nobody is in its way."""
    def attempt():
        with contextlib.suppress(SmbError):
            return step()
    return wait_until(attempt, "nobody has the lock")


def take_queue(client, mail):
    return obtain(lambda: client.open(mail.smb("KEY", "INQUEUE3.KEY"),
                                      deny=Deny.ALL))


def is_left(client, name):
    """Whether a file is there when it has been read."""
    assert client.read_file(name) == CONTENT
    return bool(client.search(name))


@pytest.fixture
def route(client, mail):
    """The P1 of a message that waits."""
    name = mail.smb("P1", "00000005.P1")
    client.write_file(name, CONTENT)
    return name


@ONLY_PLAIN
def test_who_reads_a_marked_file_deletes_it(server, client, other, route):
    assert dies_deleting(server, client, route, UNLINK)
    assert not is_left(other, route)


@ONLY_POFS
@pytest.mark.parametrize("has_staged", [False, True])
def test_who_reads_what_was_not_deleted_after_all_does_not_either(
        server, machines, other, mail, route, tmp_path, has_staged):
    """The queue is taken by who dies, and by who comes next."""
    deaths, lost = 0, []
    spare = mail.smb("P1", "00000006.P1")
    other.write_file(spare, CONTENT)
    for instant in instants(server, other, spare, tmp_path / "log"):
        client = machines.new(source=VICTIM)
        key = take_queue(client, mail)
        if has_staged:
            key.write(0, b"\1")
        deaths += dies_deleting(server, client, route, instant)
        client.reset()
        with take_queue(other, mail):
            if not is_left(other, route):
                lost.append(instant)
                other.write_file(route, CONTENT)
    assert deaths > ENOUGH
    assert lost == [], f"{len(lost)} of {deaths}"


@ONLY_POFS
def test_the_mark_outlives_the_mount_and_does_no_harm(
        server, machines, mail, place, client, route):
    take_queue(client, mail)
    assert dies_deleting(server, client, route, NEXT_CALL)
    place.restart()
    assert is_left(machines.new(), route)


@ONLY_POFS
def test_a_lock_file_has_no_mark_of_the_one_before(server, machines, other,
                                                   mail, tmp_path):
    name = mail.smb("P1", "INQUEUE3.0LK")
    deaths, lost = 0, []
    other.create_new(name).close()
    for instant in instants(server, other, name, tmp_path / "log"):
        client = machines.new(source=VICTIM)
        client.create_new(name).close()
        deaths += dies_deleting(server, client, name, instant)
        obtain(lambda: other.create_new(name)).close()
        if other.search(name):
            other.delete(name)
        else:
            lost.append(instant)
    assert deaths > ENOUGH
    assert lost == [], f"{len(lost)} of {deaths}"
