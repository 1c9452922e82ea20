# SPDX-License-Identifier: BSD-2-Clause
"""Directories: making, moving, listing, and copying whole trees."""

import errno
import os
import stat
import subprocess

import pytest

from harness import Mount, Store, fails_with, run, tool


def test_mkdir_and_rmdir(place):
    os.mkdir(place / "d", 0o750)
    assert stat.S_ISDIR(os.stat(place / "d").st_mode)
    with fails_with(errno.EEXIST):
        os.mkdir(place / "d")
    (place / "d" / "f").write_text("x")
    with fails_with(errno.ENOTEMPTY):
        os.rmdir(place / "d")
    with fails_with(errno.ENOTDIR):
        os.rmdir(place / "d" / "f")
    with fails_with(errno.EISDIR):
        os.unlink(place / "d")
    with fails_with(errno.ENOTDIR):
        os.stat(place / "d" / "f" / "g")
    os.unlink(place / "d" / "f")
    os.rmdir(place / "d")
    with fails_with(errno.ENOENT):
        os.rmdir(place / "d")
    with fails_with(errno.ENOENT):
        os.mkdir(place / "none" / "d")


def test_a_directory_counts_its_children(place):
    """find(1) and others take 2 + subdirectories, or 1 for "not counted"."""
    before = os.stat(place).st_nlink
    (place / "d").mkdir()
    (place / "f").write_text("")
    after = os.stat(place).st_nlink
    assert (before, after) in ((1, 1), (2, 3), (2, 2))
    assert run(tool("find"), place, "-mindepth", 1).stdout.count("\n") == 2


def test_rename_follows_posix(place):
    for name in ("d1", "d2", "full"):
        (place / name).mkdir()
    (place / "full" / "f").write_text("x")
    (place / "f1").write_text("1")
    with fails_with(errno.EISDIR):
        os.rename(place / "f1", place / "d1")
    with fails_with(errno.ENOTDIR):
        os.rename(place / "d1", place / "f1")
    with fails_with(errno.ENOTEMPTY):
        os.rename(place / "d1", place / "full")
    with fails_with(errno.EINVAL):
        os.rename(place / "d1", place / "d1" / "inside")
    with fails_with(errno.ENOENT):
        os.rename(place / "none", place / "x")
    os.rename(place / "full", place / "d1")
    assert (place / "d1" / "f").read_text() == "x"
    os.rename(place / "d1", place / "d2" / "moved")
    assert (place / "d2" / "moved" / "f").read_text() == "x"
    os.rename(place / "f1", place / "f1")
    assert sorted(os.listdir(place)) == ["d2", "f1"]


def test_a_directory_cannot_move_below_itself(place):
    (place / "a" / "b" / "c").mkdir(parents=True)
    for target in ("a/x", "a/b/x", "A/B/C/x"):
        with fails_with(errno.EINVAL):
            os.rename(place / "a", place / target)
    assert (place / "a" / "b" / "c").is_dir()


def test_dot_dot_follows_a_move(place):
    (place / "a" / "sub").mkdir(parents=True)
    (place / "b").mkdir()
    fd = os.open(place / "a" / "sub", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.rename(place / "a" / "sub", place / "b" / "sub")
        assert os.path.samestat(os.stat("..", dir_fd=fd),
                                os.stat(place / "b"))
    finally:
        os.close(fd)


def test_a_removed_directory_stays_usable_while_open(place):
    (place / "d").mkdir()
    fd = os.open(place / "d", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.rmdir(place / "d")
        assert os.listdir(fd) == []
        with pytest.raises(OSError) as caught:
            os.mkdir("x", dir_fd=fd)
        assert caught.value.errno in (errno.ENOENT, errno.ESTALE)
    finally:
        os.close(fd)


def test_a_change_touches_the_directorys_times(place):
    os.utime(place, ns=(10**18, 10**18))
    assert os.stat(place).st_mtime_ns == 10**18
    (place / "f").write_text("x")
    created = os.stat(place)
    assert created.st_mtime_ns > 10**18 + 10**9
    os.utime(place, ns=(10**18, 10**18))
    os.unlink(place / "f")
    assert os.stat(place).st_mtime_ns > 10**18 + 10**9


def test_a_listing_has_types_and_inodes(place):
    (place / "d").mkdir()
    (place / "f").write_text("x")
    with os.scandir(place) as entries:
        found = {e.name: (e.is_dir(), e.inode()) for e in entries}
    assert found == {"d": (True, os.stat(place / "d").st_ino),
                     "f": (False, os.stat(place / "f").st_ino)}
    raw = run(tool("ls"), "-fa", place).stdout.split()
    assert raw[:2] == [".", ".."]


def test_a_listing_is_ordered_by_folded_name(place):
    for name in ("b", "A", "C", "a1"):
        (place / name).write_text("")
    assert os.listdir(place) == ["A", "a1", "b", "C"]


def test_10000_files_are_listed_once_each(place):
    names = {f"File{i:05}.dat" for i in range(10000)}
    for name in names:
        os.close(os.open(place / name, os.O_CREAT | os.O_WRONLY))
    listed = os.listdir(place)
    assert len(listed) == 10000 and set(listed) == names
    with os.scandir(place) as entries:
        assert all(e.stat().st_size == 0 for e in entries)
    # It is listed in pieces; of the first one nothing is left to be read.
    stay = sorted(names)[9000:]
    with os.scandir(place) as entries:
        seen = [next(entries).name]
        for name in names - set(stay):
            os.unlink(place / name.upper())
        seen += [entry.name for entry in entries]
    assert len(seen) == len(set(seen)) and set(stay) <= set(seen) <= names
    for name in stay:
        os.unlink(place / name.upper())
    assert os.listdir(place) == []


def test_removing_while_listing_skips_nothing_that_stays(place):
    """What exists from opendir to the end is listed exactly once."""
    for i in range(2000):
        (place / f"f{i:04}").touch()
    seen = []
    with os.scandir(place) as entries:
        for number, entry in enumerate(entries):
            seen.append(entry.name)
            if number % 2 == 0:
                os.unlink(entry.path)
                (place / f"new{number:04}").touch()
    stayed = {f"f{i:04}" for i in range(1, 2000, 2)}
    assert stayed <= set(seen)
    old = [name for name in seen if name.startswith("f")]
    assert len(old) == len(set(old)) == 2000


def test_what_is_replaced_while_it_is_listed_is_there(place):
    """As a mailbag is, when it is compressed during a backup."""
    names = [f"f{i:04}" for i in range(2000)]
    for name in (*names, "new"):
        (place / name).touch()
    with os.scandir(place) as entries:
        seen = [next(entries).name]
        os.stat(place / seen[0])  # names are looked up as they are listed
        os.rename(place / "new", place / names[-1])
        for entry in entries:
            seen.append(entry.name)
            os.stat(entry.path)
    assert [name for name in seen if name != "new"] == names


def test_what_is_damaged_is_listed(tmp_path):
    """Or a backup would be without it, and say nothing."""
    with Store(tmp_path / "store") as store:
        with Mount(store) as mount:
            for name in ("A", "B", "C"):
                (mount / name).write_text(f"the content of {name}")
        database = store.path / "data.mdb"
        database.write_bytes(database.read_bytes().replace(
            b"content of B", b"CONTENT OF B"))
        with Mount(store) as mount:
            assert {"A", "B", "C"} <= set(os.listdir(mount.path))
            with fails_with(errno.EIO):
                os.stat(mount / "B")


SEEKDIR = r"""
#include <dirent.h>
#include <stdio.h>
#include <string.h>
int main(int argc, char **argv)
{
	char names[300][256];
	long places[300];
	struct dirent *e;
	int n = 0;
	DIR *d = opendir(argv[1]);

	while (n < 300 && (places[n] = telldir(d), (e = readdir(d)) != NULL))
		strcpy(names[n++], e->d_name);
	for (int i = n - 1; i >= 0; i--) {
		seekdir(d, places[i]);
		e = readdir(d);
		if (e == NULL || strcmp(e->d_name, names[i]) != 0)
			return 1;
	}
	remove(argv[2]);
	rewinddir(d);
	while ((e = readdir(d)) != NULL)
		if (strcmp(e->d_name, argv[3]) == 0)
			return 2;
	printf("%d", n);
	return 0;
}
"""


def test_telldir_seekdir_and_rewinddir(place, tmp_path):
    (tmp_path / "seek.c").write_text(SEEKDIR)
    run(tool("cc"), "-w", "-o", tmp_path / "seek", tmp_path / "seek.c")
    for i in range(200):
        (place / f"f{i:03}").touch()
    done = run(tmp_path / "seek", place, place / "f100", "f100")
    assert done.stdout == "202"


def make_tree(path):
    """A tree with most of what a file system can hold."""
    for name in ("empty", "deep/er/and/deeper", "Mixed Case"):
        (path / name).mkdir(parents=True)
    (path / "zero").write_bytes(b"")
    (path / "deep" / "bytes").write_bytes(bytes(range(256)) * 1000)
    (path / "Mixed Case" / "Ünïcode €.txt").write_text("x" * 5000)
    with open(path / "sparse", "wb") as sparse:
        sparse.truncate(3_000_000)
        sparse.seek(2_000_000)
        sparse.write(b"island")
    os.chmod(path / "zero", 0o440)
    os.chmod(path / "deep", 0o710)
    os.setxattr(path / "deep" / "bytes", "user.note", b"an attribute")
    for number, found in enumerate(sorted(path.rglob("*"), reverse=True)):
        os.utime(found, ns=(10**18 + number, 10**18 + 12345 * number))


def snapshot(path):
    """Everything that a copy must keep."""
    result = {}
    for found in sorted(path.rglob("*")):
        st = os.stat(found)
        result[str(found.relative_to(path))] = (
            st.st_mode, st.st_uid, st.st_gid, st.st_mtime_ns,
            None if found.is_dir() else found.read_bytes(),
            {name: os.getxattr(found, name) for name in os.listxattr(found)
             if name.startswith("user.")})
    return result


def test_cp_brings_a_tree_in_and_out_again(place, tmp_path):
    (tmp_path / "in").mkdir()
    make_tree(tmp_path / "in")
    run(tool("cp"), "-a", tmp_path / "in", place / "tree")
    assert snapshot(place / "tree") == snapshot(tmp_path / "in")
    run(tool("cp"), "-a", place / "tree", tmp_path / "out")
    assert snapshot(tmp_path / "out") == snapshot(tmp_path / "in")


def test_tar_brings_a_tree_in_and_out_again(place, tmp_path):
    (tmp_path / "in").mkdir()
    make_tree(tmp_path / "in")
    (place / "tree").mkdir()
    tar = tool("tar")
    pack = [tar, "--format=pax", "--xattrs", "-c", "-C", str(tmp_path / "in"),
            "."]
    with subprocess.Popen(pack, stdout=subprocess.PIPE) as source:
        subprocess.run([tar, "--xattrs", "-xp", "-C", str(place / "tree")],
                       stdin=source.stdout, check=True)
    assert source.returncode == 0
    assert snapshot(place / "tree") == snapshot(tmp_path / "in")
    run(tar, "--xattrs", "-cf", tmp_path / "out.tar", "-C", place / "tree", ".")
    run(tar, "-df", tmp_path / "out.tar", "-C", place / "tree")


def test_ls_and_find_and_rm_walk_a_tree(place):
    (place / "tree").mkdir()
    make_tree(place / "tree")
    long = run(tool("ls"), "-laR", place).stdout
    assert "Ünïcode €.txt" in long and "?" not in long
    found = run(tool("find"), place / "tree", "-type", "f").stdout
    assert found.count("\n") == 4
    run(tool("rm"), "-r", place / "tree")
    assert os.listdir(place) == []
