# SPDX-License-Identifier: BSD-2-Clause
"""The mark that a killed smbd leaves at what it was about to delete.

smbd marks a file in a database of its own, by its inode number, and unlinks it.
If it is killed before it has taken the mark away, the next smbd that closes a
file of this number deletes it, whatever its client wanted; see fs/number.h.
"""

import collections
import contextlib
import json
import os
import re
import signal
import subprocess

import pytest

from harness import DEADLINE_S, poctl, tool, wait_until
from place import ONLY_PLAIN, ONLY_POFS
from smb1 import Deny, Disconnected, SmbError

CONTENT = b"a route"
VICTIM = "127.0.2.1"

ENOUGH = 20
"""System calls of a deletion, at least; there are some ninety, or 25 of a close
that deletes."""

DELETE = 0x10000
READ = 0x120089

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


def at_once(client, name, _):
    """As DOS deletes: returns what is still to be done."""
    return lambda: client.delete(name)


def closed(access):
    """As NT deletes, with several requests: the file is opened, said to be
    deleted when it is closed, and closed."""
    def marked(client, name, beside):
        file = client.open_nt(name, access, share=7)
        client.set_deleted(file)
        # Another thread does something else.
        assert client.search(beside)
        return file.close
    return marked


WAYS = [pytest.param(at_once, id="at_once"),
        pytest.param(closed(DELETE), id="only_to_delete"),
        pytest.param(closed(DELETE | READ), id="to_read_and_delete")]


def dies_deleting(server, client, name, when, way=at_once, beside=None):
    """Whether a client's smbd was killed before it had deleted the file."""
    delete = way(client, name, beside)
    with traced(server, client, when):
        try:
            delete()
        except Disconnected:
            return True
        return False


def instants(server, client, name, way, beside, log):
    """Before each system call by which smbd deletes the file."""
    delete = way(client, name, beside)
    with traced(server, client, "trace=all", log):
        delete()
    count = collections.Counter()
    for call in re.findall(r"^(\w+)\(", log.read_text(), re.MULTILINE):
        count[call] += 1
        yield f"inject={call}:signal=KILL:when={count[call]}"


def has_waiters(place):
    """Whether somebody is in line for a lock."""
    locks = poctl("locks", "--json", place.store.path).stdout
    return any(lock["waiters"] for lock in json.loads(locks)["locks"])


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


@pytest.fixture
def beside(client, mail):
    """Another one."""
    name = mail.smb("P1", "00000007.P1")
    client.write_file(name, CONTENT)
    return name


@ONLY_PLAIN
def test_who_reads_a_marked_file_deletes_it(server, client, other, route):
    assert dies_deleting(server, client, route, UNLINK)
    assert not is_left(other, route)


@ONLY_POFS
@pytest.mark.parametrize("has_staged", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_who_reads_what_was_not_deleted_after_all_does_not_either(
        server, machines, other, mail, route, beside, tmp_path, way,
        has_staged):
    """The queue is taken by who dies, and by who comes next."""
    deaths, lost = 0, []
    spare = mail.smb("P1", "00000006.P1")
    other.write_file(spare, CONTENT)
    for instant in instants(server, other, spare, way, beside,
                            tmp_path / "log"):
        client = machines.new(source=VICTIM)
        key = take_queue(client, mail)
        if has_staged:
            key.write(0, b"\1")
        deaths += dies_deleting(server, client, route, instant, way, beside)
        client.reset()
        with take_queue(other, mail):
            if not is_left(other, route):
                lost.append(instant)
                other.write_file(route, CONTENT)
    assert deaths > ENOUGH
    assert lost == [], f"{len(lost)} of {deaths}"


@ONLY_POFS
def test_who_has_a_marked_file_open_does_not_delete_it(
        server, machines, other, mail, route):
    client = machines.new(source=VICTIM)
    take_queue(client, mail)
    file = other.open_nt(route, READ, share=7)
    client.set_deleted(client.open_nt(route, DELETE, share=7))
    os.kill(server.process_of(client), signal.SIGKILL)
    take_queue(other, mail).close()
    with contextlib.suppress(SmbError):
        file.close()
    assert is_left(other, route)
    other.delete(route)
    assert not other.search(route)


@ONLY_POFS
def test_the_mark_outlives_the_mount_and_does_no_harm(
        server, machines, mail, place, client, route):
    take_queue(client, mail)
    assert dies_deleting(server, client, route, NEXT_CALL)
    place.restart()
    assert is_left(machines.new(), route)


@ONLY_POFS
@pytest.mark.parametrize("way", WAYS)
def test_a_lock_file_has_no_mark_of_the_one_before(
        server, machines, other, mail, beside, tmp_path, way):
    name = mail.smb("P1", "INQUEUE3.0LK")
    deaths, lost = 0, []
    other.create_new(name).close()
    for instant in instants(server, other, name, way, beside,
                            tmp_path / "log"):
        client = machines.new(source=VICTIM)
        client.create_new(name).close()
        deaths += dies_deleting(server, client, name, instant, way, beside)
        obtain(lambda: other.create_new(name)).close()
        if other.search(name):
            other.delete(name)
        else:
            lost.append(instant)
    assert deaths > ENOUGH
    assert lost == [], f"{len(lost)} of {deaths}"


@ONLY_POFS
def test_who_waited_for_a_marked_file_does_not_delete_it(
        server, machines, other, mail, place):
    """Its smbd had asked for the number before it waited."""
    name = mail.smb("KEY", "INQUEUE3.KEY")
    client = machines.new(source=VICTIM)
    client.create_new(mail.smb("P1", "INQUEUE3.0LK")).close()

    def delete():
        other.send(*other.open_request(name, deny=Deny.ALL))
        wait_until(lambda: has_waiters(place), "the other one waits")
        client.delete(name)

    assert dies_deleting(server, client, name, UNLINK, lambda *_: delete)
    other.opened(other.receive()).close()
    assert other.search(name)
