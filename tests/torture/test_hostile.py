# SPDX-License-Identifier: BSD-2-Clause
"""Clients that mean harm: whatever one asks for is refused with an errno, takes
bounded memory, changes nothing, and keeps nobody else from work.
"""

import contextlib
import errno
import fcntl
import itertools
import json
import os
import pathlib
import sys

import pytest

import harm
from harness import Mount, Store, poctl, wait_until

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "mount"))

from actor import Actor  # noqa: E402
from postoffice import Office, deliver, is_delivered  # noqa: E402

CROWD = int(os.environ.get("POFS_CROWD", "16"))
"""How many programs want one queue; 64 for a release."""

STAGED = int(os.environ.get("POFS_STAGED_MIB", "64"))
"""How much is written in one transaction; 256 for a release."""

MIB = 1 << 20

_numbers = itertools.count(1)

# Small, so that a client is soon at its limit. However slow the machine is,
# nobody waits in vain for who has a lock, nor takes it for hanging.
LIMITS = ("idle-open-s=3600,lock-wait-s=3600,silent-limit-s=0,"
          "client-handles=512,all-handles=2048,"
          "client-ranges=1024,all-ranges=4096,listings-max-mib=1,"
          "staged-limit-mib=1,staged-max-mib=4,staged-all-mib=16")


@pytest.fixture(scope="module", name="mount")
def fixture_mount(tmp_path_factory):
    """A mount with little of everything, whole in the end."""
    directory = tmp_path_factory.mktemp("hostile")
    with Store(directory / "store", "--postoffice", "PO") as store:
        with Mount(store, "-o", LIMITS) as made:
            yield made
            made.unmount()
        store.check()


@pytest.fixture(name="office")
def fixture_office(mount):
    """A postoffice of the test's own."""
    return Office(mount.path / f"P{next(_numbers)}")


@pytest.fixture(scope="module", name="client")
def fixture_client():
    """A program that leaves nothing behind, so that one does for many tests."""
    with Actor() as actor:
        yield actor


@pytest.fixture(name="crowd")
def fixture_crowd():
    """Makes programs."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(Actor())


def memory(mount):
    """What the server has in memory of its own, in bytes; 0 with a sanitizer,
    which keeps what is freed."""
    process = pathlib.Path(f"/proc/{mount.server_pid}")
    if "libasan" in (process / "maps").read_text():
        return 0
    for line in (process / "status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no RssAnon")


@contextlib.contextmanager
def takes_at_most(mount, size):
    """The server has so much more in memory afterwards at most."""
    before = memory(mount)
    yield
    assert memory(mount) - before <= size


def works(program, office, mailbag="B"):
    """Somebody else delivers a message and sees it."""
    office.mai = office.mai.with_name(f"{mailbag}.MAI")
    fd = deliver(program, office, mailbag)
    program.call("os.close", fd)
    assert is_delivered(program, office, mailbag)
    program.call("client.put", office.path / "GLB/PLAIN.GLB", b"plain")


# ---- names ------------------------------------------------------------------


@pytest.mark.parametrize("place", ["KEY", "MBG", "P1", "MAI/MA7", "ATT/AT7",
                                   "GLB", ""])
def test_no_bad_name_is_made_in_any_way(office, client, place):
    top = office.path / place
    (top / "GOOD").write_bytes(b"good")
    before = sorted(os.listdir(top))
    names = [*harm.BAD_ANYWHERE, *harm.TOO_LONG]
    if place:
        names += harm.BAD_IN_OFFICE
    assert len(harm.BAD_ANYWHERE) >= 76
    assert client.call("harm.create_all", top, names, top / "GOOD") == []
    assert sorted(os.listdir(top)) == before
    assert (top / "GOOD").read_bytes() == b"good"


def test_plain_files_take_nearly_all_of_those_names(client, tmp_path):
    """What pofs refuses is refused by nobody else."""
    made = client.call("harm.create_all", tmp_path,
                        harm.BAD_ANYWHERE, tmp_path / "none")
    taken = {name for what, name, code in made
             if what == "create" and code == 0}
    assert len(taken) > len(harm.BAD_ANYWHERE) * 9 // 10


# ---- offsets, attributes, requests -------------------------------------------


@pytest.fixture(params=["KEY/A.KEY", "MBG/A.MBG", "MAI/MA7/00000001.MAI",
                        "P1/00000001.P1", "GLB/CONTROL.GLB", "PLAIN"],
                name="target")
def fixture_target(request, office):
    """A file of each kind."""
    path = office.path / request.param
    if not path.exists():
        path.write_bytes(b"content")
    return path


def test_nothing_is_beyond_the_largest_file(mount, target, client):
    before = target.read_bytes()
    with takes_at_most(mount, 8 * MIB):
        answers = client.call("harm.reach_far", target)
    assert answers <= {0, errno.EFBIG, errno.EINVAL, errno.ENXIO}
    assert {errno.EFBIG, errno.EINVAL} <= answers
    assert target.read_bytes() == before


def test_a_hole_of_4_gib_takes_no_memory(mount, office, client):
    path = office.path / "HOLE"
    path.write_bytes(b"x")
    with takes_at_most(mount, 8 * MIB):
        for _ in range(20):
            client.call("os.truncate", path, (1 << 32) - 1)
            client.call("os.truncate", path, 1)
    assert path.read_bytes() == b"x"


def test_attributes_are_bounded(mount, target, client):
    with takes_at_most(mount, 24 * MIB):
        answers = client.call("harm.name_attributes", target)
        # 0: to remove an access list from a file that has none; the kernel
        # asks nobody.
        assert answers <= {0, errno.EOPNOTSUPP, errno.EINVAL, errno.ERANGE,
                           errno.E2BIG}
        assert os.listxattr(target) == []
        code, count = client.call("harm.fill_attributes", target)
        assert code == errno.ENOSPC and count == 64
    for name in os.listxattr(target):
        os.removexattr(target, name)


def test_a_request_that_there_is_not_is_refused(target, client, seed):
    before = target.read_bytes()
    answers = client.call("harm.ask_all", target, False, seed) | \
        client.call("harm.ask_all", target.parent, True, seed)
    # 0: FIONREAD, which the kernel answers.
    assert answers <= {0, errno.ENOTTY, errno.EINVAL, errno.EOPNOTSUPP,
                       errno.EBADF, errno.EPERM}
    assert errno.ENOTTY in answers
    assert target.read_bytes() == before


def test_a_lock_file_is_as_safe(mount, office, client):
    lock = office.lock_file("INQUEUE3.0LK")
    fd = client.call("os.open", lock, os.O_RDWR | os.O_CREAT)
    with takes_at_most(mount, 8 * MIB):
        assert client.call("harm.reach_far", lock) <= {
            0, errno.EFBIG, errno.EINVAL, errno.ENXIO, errno.EOPNOTSUPP}
        assert client.call("harm.name_attributes", lock) <= {
            0, errno.EOPNOTSUPP, errno.EINVAL, errno.ERANGE, errno.E2BIG}
        assert client.call("os.listxattr", lock) == []
        assert client.call("harm.fill_attributes", lock)[0] == errno.ENOSPC
        assert errno.ENOTTY in client.call("harm.ask_all", lock, False, 1)
    client.call("os.unlink", lock)
    client.call("os.close", fd)


# ---- too much -----------------------------------------------------------------


def test_open_files_are_bounded_and_others_open_theirs(mount, office, crowd):
    greedy = [crowd() for _ in range(5)]
    with takes_at_most(mount, 8 * MIB):
        codes = [program.call("harm.open_many", office.control, 1000)
                 for program in greedy]
        assert codes[0] == (errno.EMFILE, 512)
        assert codes[-1][0] == errno.ENFILE
        assert sum(count for _, count in codes) <= 2048
        works(crowd(), office)
    for program in greedy:
        assert program.call("harm.close_all") == 0
    assert greedy[-1].call("harm.open_many", office.control, 400) == (0, 400)


def test_ranges_are_bounded_and_others_lock_theirs(mount, office, crowd):
    path = office.path / "PLAIN"
    path.write_bytes(bytes(10))
    greedy = [crowd() for _ in range(5)]
    for number, program in enumerate(greedy):
        program.call("client.put", f"{path}{number}", b"")
    with takes_at_most(mount, 8 * MIB):
        codes = [program.call("harm.lock_many", f"{path}{number}", 2000)
                 for number, program in enumerate(greedy)]
        assert {code for code, _ in codes} == {errno.ENOLCK}
        assert 1022 <= codes[0][1] <= 1024
        assert sum(count for _, count in codes) <= 4096
        other = crowd()
        fd = other.call("os.open", path, os.O_RDWR)
        other.call("syscalls.lock", fd, fcntl.F_WRLCK, 0, 1)
        works(other, office)
    other.call("client.put", f"{path} TOO", b"")
    assert greedy[1].call("harm.lock_many", f"{path} TOO", 5)[0] == \
        errno.ENOLCK
    greedy[0].kill()
    assert other.call("harm.lock_many", f"{path} TOO", 500) == (0, 500)


def test_5000_ranges_and_4000_handles_harm_nobody(tmp_path, crowd):
    """With the limits that there are if nobody says otherwise."""
    with Store(tmp_path / "store", "--postoffice", "PO") as store, \
            Mount(store) as mount:
        office = Office(mount / "PO")
        program = crowd()
        with takes_at_most(mount, 16 * MIB):
            assert program.call("harm.lock_many", office.mbg("A"),
                                5000) == (0, 5000)
            assert program.call("harm.open_many", office.control,
                                4000) == (0, 4000)
            works(crowd(), office)
            program.kill()
        wait_until(lambda: json.loads(poctl(
            "locks", "--json", store.path).stdout)["locks"] == [],
            "its locks are gone")
        works(crowd(), office, "A")


def test_directories_that_are_half_read_are_bounded(mount, office, crowd):
    top = office.path / "LARGE"
    top.mkdir()
    for number in range(1000):
        os.mknod(top / f"A RATHER LONG NAME {number:0100}")
    with takes_at_most(mount, 8 * MIB):
        # Of these, seven have room.
        assert crowd().call("harm.list_many", top, 100) == [1000] * 100


def test_what_is_staged_is_bounded_and_others_have_room(mount, office, crowd):
    greedy = []
    for number in range(6):
        name = f"{number:08}"
        office.key(name).write_bytes(bytes(560))
        office.mbg(name).write_bytes(bytes(8 * MIB))
        greedy.append((crowd(), name))
    with takes_at_most(mount, 24 * MIB):
        codes = [program.call("harm.stage_in_place", office.key(name),
                              office.mbg(name), 8 * MIB)
                 for program, name in greedy]
        assert {code for code, _ in codes} == {errno.ENOSPC}
        assert 2 * MIB < codes[0][1] <= 4 * MIB
        assert sum(size for _, size in codes) <= 16 * MIB
        works(crowd(), office)
    for program, name in greedy:
        # It is told, and nothing of it is done.
        assert program.call("harm.close_all") == errno.ENOSPC
        assert office.mbg(name).read_bytes() == bytes(8 * MIB)


def test_a_large_transaction_waits_on_the_disk(mount, office, crowd):
    program, other = crowd(), crowd()
    with takes_at_most(mount, 24 * MIB):
        program.call("harm.stage_new", office.key("A"), office.mai,
                     STAGED * MIB)
        assert not office.mai.exists()
        works(other, office)
    program.kill()


# ---- locks ---------------------------------------------------------------------


def line_of(store):
    """How many wait for the first lock that there is."""
    locks = json.loads(poctl("locks", "--json", store.path).stdout)["locks"]
    return len(locks[0]["waiters"]) if locks else 0


@pytest.mark.parametrize("mailbag", ["A", "INQUEUE3"])
def test_a_crowd_is_served_as_it_came(mount, office, crowd, mailbag):
    holder, crew = crowd(), crowd()
    fd = holder.call("os.open", office.key(mailbag), os.O_RDWR)
    for number in range(CROWD):
        crew.call("harm.queue_up", office.key(mailbag), number)
        wait_until(lambda: line_of(mount.store) == number + 1, "it waits")
    holder.call("os.close", fd)
    assert crew.call("harm.order") == list(range(CROWD))
