# SPDX-License-Identifier: BSD-2-Clause
"""Where a store lies, and where it is mounted: links that somebody has put
there, and files that are not the owner's alone, are refused and left as they
are.
"""

import os
import pathlib

import pytest

from harness import Mount, is_mounted, poctl, program, run

SOMEBODY = 1234
FILES = ("data.mdb", "lock.mdb", "writer")


@pytest.fixture(name="served")
def fixture_served(store):
    """A store that has been served once, so that it has all its files, and can
    be once more."""
    with Mount(store) as mount:
        (mount / "f").write_text("content")
        mount.unmount()
    yield store
    with Mount(store) as mount:
        assert (mount / "f").read_text() == "content"
        mount.unmount()
    store.check()


def state(path):
    """All that is in a store's directory."""
    return {entry.name: (entry.lstat().st_mode, entry.lstat().st_uid,
                         os.readlink(entry) if entry.is_symlink()
                         else entry.read_bytes()) for entry in path.iterdir()}


def is_refused(store, point, *words):
    """In one sentence, by who serves, and nothing is changed."""
    before = state(pathlib.Path(store))
    done = run(program("fs/pofs"), "-f", store, point, check=False)
    assert done.returncode == 1 and done.stdout == ""
    line, = done.stderr.splitlines()
    assert line.startswith("pofs: ")
    assert all(str(word) in line for word in words), line
    assert not is_mounted(point)
    assert state(pathlib.Path(store)) == before


def is_not_written(store, *words):
    """Nor by poctl, which says the same."""
    done = poctl("set-counter", "--auto", store, check=False)
    assert done.returncode == 1
    assert all(str(word) in done.stderr for word in words), done


# ---- links ------------------------------------------------------------------


def test_a_link_in_place_of_a_directory(served, point, tmp_path):
    link = tmp_path / "link"
    for end in ("", "/", "/."):
        link.symlink_to(served.path)
        is_refused(f"{link}{end}", point, link, "a symbolic link")
        link.unlink()
        link.symlink_to(point)
        is_refused(served.path, f"{link}{end}", link, "a symbolic link")
        link.unlink()


def test_a_link_on_the_way_there_is_the_administrators(store, tmp_path):
    (tmp_path / "way").symlink_to(tmp_path)
    (tmp_path / "point").mkdir()
    with Mount(store, path=tmp_path / "way" / "point") as mount:
        assert is_mounted(tmp_path / "point")
        mount.unmount()


def test_a_link_in_place_of_a_file(served, point, tmp_path):
    """Nor does who only reads follow it, which may be root."""
    for name in FILES:
        path, other = served.path / name, tmp_path / "other"
        path.rename(other)
        before = other.read_bytes()
        path.symlink_to(other)
        is_refused(served.path, point, path, "a symbolic link")
        is_not_written(served.path, path, "a symbolic link")
        done = poctl("queue", served.path, check=False)
        assert done.returncode == 1 and "a symbolic link" in done.stderr
        assert other.read_bytes() == before
        path.unlink()
        other.rename(path)


# ---- owners and modes -------------------------------------------------------


def test_a_file_that_is_open_to_others(served, point):
    for name in FILES:
        path = served.path / name
        for mode in (0o666, 0o640, 0o601):
            path.chmod(mode)
            is_refused(served.path, point, path, f"{mode:03o}", "not 600")
            is_not_written(served.path, path, "open to others")
        # Of who only reads nobody has a thing to fear.
        poctl("queue", served.path)
        path.chmod(0o600)


def test_a_file_of_another_user(served, point):
    for name in FILES:
        path = served.path / name
        os.chown(path, SOMEBODY, SOMEBODY)
        is_refused(served.path, point, path, "another user")
        is_not_written(served.path, path, "another user")
        os.chown(path, 0, 0)


def test_a_directory_that_others_may_write_to(served, point):
    for mode in (0o777, 0o770, 0o702):
        served.path.chmod(mode)
        is_refused(served.path, point, served.path, f"{mode:03o}", "not 700")
        is_not_written(served.path, "others may write")
    served.path.chmod(0o755)


def test_what_root_has_made_in_anothers_store_is_no_fault(store):
    os.chown(store.path, SOMEBODY, SOMEBODY)
    os.chown(store.path / "data.mdb", SOMEBODY, SOMEBODY)
    (store.path / "lock.mdb").unlink()
    poctl("set-counter", "--auto", store.path)
    assert {path.stat().st_uid for path in store.path.iterdir()} == {SOMEBODY}
