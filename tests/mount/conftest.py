# SPDX-License-Identifier: BSD-2-Clause
"""A mount that the tests of one file share, and a place in it for each."""

import itertools

import pytest

from actor import Actor
from harness import Mount, Store
from postoffice import Office

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def shared_mount(tmp_path_factory):
    """A mounted store with the postoffice PO; checked in the end. However
    slow the machine is, no open mailbag is taken for idle."""
    directory = tmp_path_factory.mktemp("shared")
    with Store(directory / "store", "--postoffice", "PO") as store:
        with Mount(store, "-o", "idle-open-s=3600") as mount:
            yield mount
            mount.unmount()
        store.check()


@pytest.fixture
def place(shared_mount):
    """A new directory outside any postoffice."""
    path = shared_mount.path / f"T{next(_numbers)}"
    path.mkdir()
    return path


@pytest.fixture
def post(shared_mount):
    """A postoffice's KEY directory of the test's own."""
    path = shared_mount.path / f"PO{next(_numbers)}"
    for name in ("KEY", "MBG", "MAI", "P1", "GLB"):
        (path / name).mkdir(parents=True)
    return path


@pytest.fixture(params=["plain", "mailbag"])
def target(request, place, post):
    """A file of either kind, of the shared mount."""
    path = place / "FILE" if request.param == "plain" else (
        post / "KEY" / "A.KEY")
    path.write_bytes(b"content")
    return path


@pytest.fixture
def office(shared_mount):
    """A postoffice of the test's own, with mailbags."""
    return Office(shared_mount.path / f"PO{next(_numbers)}")


@pytest.fixture
def second_office(shared_mount):
    """Another one on the same mount."""
    return Office(shared_mount.path / f"PO{next(_numbers)}")


@pytest.fixture
def a():
    """A program."""
    with Actor() as actor:
        yield actor


@pytest.fixture
def b():
    """A second one."""
    with Actor() as actor:
        yield actor


@pytest.fixture
def c():
    """A third one."""
    with Actor() as actor:
        yield actor
