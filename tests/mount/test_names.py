# SPDX-License-Identifier: BSD-2-Clause
"""Names: any case finds, the right case is kept, the wrong ones are refused."""

import errno
import os
import stat
import subprocess
import sys

import pytest

import syscalls
from harness import fails_with

# One name and another spelling of it under Unicode simple folding.
SPELLINGS = [
    ("Readme.txt", "README.TXT"),
    ("Über.txt", "üBER.TXT"),
    ("ΟΔΥΣΣΕΥΣ", "οδυσσευς"),  # final sigma folds to sigma
    ("Привет", "ПРИВЕТ"),
    ("ŁÓDŹ", "łódź"),
    ("ǅ", "ǆ"),
    ("ſtraße", "STRAßE"),  # long s folds to s; sharp s has no simple folding
    ("ẞ", "ß"),
    ("\u212b", "\u00e5"),  # the Angstrom sign
    ("ꭰ", "Ꭰ"),  # Cherokee folds upwards
    ("𐐀", "𐐨"),  # Deseret, four bytes of UTF-8
]


@pytest.mark.parametrize("name, other", SPELLINGS)
def test_a_name_is_found_in_any_case_and_keeps_its_own(place, name, other):
    (place / name).write_text("x")
    assert (place / other).read_text() == "x"
    assert os.listdir(place) == [name]
    with fails_with(errno.EEXIST):
        os.close(os.open(place / other, os.O_CREAT | os.O_EXCL))
    with fails_with(errno.EEXIST):
        os.mkdir(place / other)
    os.unlink(place / other)
    assert os.listdir(place) == []
    assert not (place / name).exists()


@pytest.mark.parametrize("one, two", [
    ("strasse", "straße"), ("i", "ı"), ("İ", "i"), ("\ufb01", "fi"),
    ("\u00e9", "e\u0301"),
])
def test_names_that_fold_apart_are_two(place, one, two):
    (place / one).write_text("1")
    (place / two).write_text("2")
    assert sorted(os.listdir(place)) == sorted([one, two])
    assert (place / one).read_text() == "1"


def test_one_file_has_one_inode_in_every_spelling(place):
    (place / "File").write_text("x")
    assert {os.stat(place / n).st_ino
            for n in ("File", "FILE", "file", "fILE")} == {
                os.stat(place / "File").st_ino}


def test_a_stale_spelling_is_never_answered(place):
    """What the kernel remembers of one spelling must follow the others."""
    for _ in range(3):
        (place / "Name").write_text("1")
        for spelling in ("Name", "NAME", "name"):
            assert (place / spelling).read_text() == "1"
        os.unlink(place / "nAmE")
        for spelling in ("Name", "NAME", "name", "nAmE"):
            assert not (place / spelling).exists(), spelling
        (place / "NAME").mkdir()
        for spelling in ("Name", "NAME", "name", "nAmE"):
            assert (place / spelling).is_dir(), spelling
        os.rmdir(place / "name")
        for spelling in ("Name", "NAME", "name", "nAmE"):
            assert not (place / spelling).exists(), spelling


def test_no_stale_name_between_spellings(place):
    """The kernel's memory of one spelling never outlives the file, not even
    for the moment until it has been told."""
    for number in range(1000):
        (place / "Name").write_text(str(number))
        for spelling in ("Name", "NAME"):
            assert (place / spelling).read_text() == str(number)
        os.unlink(place / "nAmE")
        if number % 2:
            assert not (place / "Name").exists(), number
        else:
            os.close(os.open(place / "Name", os.O_CREAT | os.O_EXCL))
            os.unlink(place / "Name")


def test_what_is_written_after_an_unlink_is_not_lost(place):
    for number in range(1000):
        (place / "Name").write_text("old")
        os.unlink(place / "nAmE")
        (place / "Name").write_text("new")
        assert (place / "NAME").read_text() == "new", number


def test_rename_in_another_spelling_leaves_no_old_name(place):
    (place / "One").write_text("1")
    assert (place / "one").exists() and (place / "ONE").exists()
    os.rename(place / "ONE", place / "Two")
    for spelling in ("One", "one", "ONE"):
        assert not (place / spelling).exists(), spelling
    assert (place / "two").read_text() == "1"
    assert os.listdir(place) == ["Two"]


def test_the_case_changes_by_way_of_another_name(place):
    """In one step the kernel finds that both names are one file and, as for
    two links of one inode, does nothing and says so to nobody."""
    (place / "case.txt").write_text("x")
    os.rename(place / "case.txt", place / "CASE.txt")
    assert os.listdir(place) == ["case.txt"]
    os.rename(place / "case.txt", place / "other")
    os.rename(place / "OTHER", place / "CASE.txt")
    assert os.listdir(place) == ["CASE.txt"]
    for spelling in ("case.txt", "CASE.txt", "Case.Txt"):
        assert (place / spelling).read_text() == "x", spelling


def test_rename_replaces_a_name_of_another_spelling(place):
    (place / "old").write_text("new content")
    (place / "Target").write_text("old content")
    (place / "TARGET").stat()
    os.rename(place / "old", place / "tARGET")
    assert len(os.listdir(place)) == 1
    for spelling in ("Target", "TARGET", "tARGET"):
        assert (place / spelling).read_text() == "new content", spelling


def test_directories_are_walked_in_any_case(place):
    (place / "Aa" / "Bb").mkdir(parents=True)
    (place / "AA" / "BB" / "f").write_text("x")
    assert (place / "aa" / "bB" / "F").read_text() == "x"
    os.rename(place / "aA", place / "Cc")
    assert not (place / "Aa" / "Bb").exists()
    assert (place / "cc" / "BB" / "F").read_text() == "x"


# ---- names that no DOS or Windows client can use ----------------------------

BAD = ["CON", "con.txt", "PRN", "AUX", "NUL", "nul.a.b", "COM1", "com9.log",
       "LPT1", "LPT9.x", "trailing.", "trailing ", "dots..", "a:b", "a\\b",
       "a*b", "a?b", 'a"b', "a<b", "a>b", "a|b", "bell\x07", "\x01",
       "new\nline",
       "\x1f.txt"]


@pytest.mark.parametrize("name", BAD)
def test_a_name_no_client_can_use_is_refused(place, name):
    (place / "good").write_text("x")
    (place / "goodd").mkdir()
    attempts = {
        "create": lambda p: os.close(os.open(p, os.O_CREAT | os.O_WRONLY)),
        "mkdir": os.mkdir,
        "mknod": lambda p: os.mknod(p, 0o644 | stat.S_IFREG),
        "rename": lambda p: os.rename(place / "good", p),
        "rename dir": lambda p: os.rename(place / "goodd", p),
    }
    for attempt in attempts.values():
        with fails_with(errno.EINVAL):
            attempt(os.path.join(place, name))
    with fails_with(errno.ENOENT):
        os.stat(os.path.join(place, name))
    assert sorted(os.listdir(place)) == ["good", "goodd"]


def test_a_name_that_is_not_utf8_is_refused(place):
    for name in (b"\xff\xfe", b"a\x80", b"\xc3", b"\xed\xa0\x80"):
        with fails_with(errno.EINVAL):
            os.mkdir(os.fsencode(place) + b"/" + name)
        with fails_with(errno.ENOENT):
            os.stat(os.fsencode(place) + b"/" + name)
    assert os.listdir(place) == []


@pytest.mark.parametrize("name", [
    "CONSOLE", "CON1", "COM0x", "COM", "LPT", "NULL", ".hidden", " lead",
    "a.b.c.d", "plus+,;=[]", "~tilde$", "𝄞", "COM10"])
def test_a_name_that_only_looks_reserved_is_not(place, name):
    (place / name).write_text("x")
    assert os.listdir(place) == [name]


def test_the_longest_name_is_255_bytes(place):
    for name in ("x" * 255, "ü" * 127 + "x", "€" * 85):
        assert len(os.fsencode(name)) == 255
        (place / name).write_text("x")
        assert name in os.listdir(place)
        assert (place / name.upper()).read_text() == "x"
        with fails_with(errno.ENAMETOOLONG):
            os.mkdir(place / (name + "y"))
        with fails_with(errno.ENAMETOOLONG):
            os.rename(place / name, place / (name + "y"))
        with fails_with(errno.ENAMETOOLONG):
            os.stat(place / (name + "y"))


# ---- things that DOS does not have ------------------------------------------


def test_links_devices_and_sockets_are_refused(place):
    (place / "file").write_text("x")
    for attempt in (
            lambda: os.link(place / "file", place / "link"),
            lambda: os.symlink("file", place / "symlink"),
            lambda: os.mkfifo(place / "fifo"),
            lambda: os.mknod(place / "sock", 0o600 | stat.S_IFSOCK),
            lambda: os.mknod(place / "chr", 0o600 | stat.S_IFCHR,
                             os.makedev(1, 3)),
            lambda: os.mknod(place / "blk", 0o600 | stat.S_IFBLK,
                             os.makedev(7, 0))):
        with fails_with(errno.EPERM):
            attempt()
    assert os.listdir(place) == ["file"]
    with fails_with(errno.EINVAL):
        os.readlink(place / "file")


def test_mknod_makes_a_regular_file(place):
    os.mknod(place / "node", 0o640 | stat.S_IFREG)
    found = os.stat(place / "node")
    assert stat.S_ISREG(found.st_mode) and found.st_size == 0
    assert found.st_nlink == 1
    with fails_with(errno.EEXIST):
        os.mknod(place / "NODE", 0o640 | stat.S_IFREG)


# ---- rename with flags ------------------------------------------------------


def test_noreplace_refuses_an_existing_target(place):
    (place / "a").write_text("a")
    (place / "b").write_text("b")
    for target in ("b", "B"):
        with fails_with(errno.EEXIST):
            syscalls.renameat2(place / "a", place / target,
                               syscalls.RENAME_NOREPLACE)
    syscalls.renameat2(place / "a", place / "c", syscalls.RENAME_NOREPLACE)
    assert sorted(os.listdir(place)) == ["b", "c"]
    assert (place / "b").read_text() == "b"


def test_exchange_swaps_files_and_directories(place):
    (place / "file").write_text("content")
    (place / "dir" / "sub").mkdir(parents=True)
    syscalls.renameat2(place / "FILE", place / "dir",
                       syscalls.RENAME_EXCHANGE)
    assert (place / "dir").read_text() == "content"
    assert (place / "file" / "sub").is_dir()
    with fails_with(errno.ENOENT):
        syscalls.renameat2(place / "dir", place / "none",
                           syscalls.RENAME_EXCHANGE)
    assert sorted(os.listdir(place)) == ["dir", "file"]


def test_exchange_across_directories_keeps_parents_right(place):
    (place / "a" / "x").mkdir(parents=True)
    (place / "b" / "y").mkdir(parents=True)
    (place / "a" / "x" / "in_x").write_text("")
    syscalls.renameat2(place / "a" / "x", place / "b" / "y",
                       syscalls.RENAME_EXCHANGE)
    assert os.listdir(place / "b" / "y") == ["in_x"]
    assert os.path.samefile(place / "b" / "y" / "..", place / "b")


def test_unknown_rename_flags_are_refused(place):
    (place / "a").write_text("a")
    with fails_with(errno.EINVAL):
        syscalls.renameat2(place / "a", place / "b",
                           syscalls.RENAME_WHITEOUT)
    assert os.listdir(place) == ["a"]


# What smbd does: it takes hold of a path, and opens it later (15: PR_SET_NAME).
OPEN_LATE = """
import ctypes, errno, os, sys
ctypes.CDLL(None).prctl(15, sys.argv[1].encode())
held = os.open(sys.argv[2], os.O_PATH)
os.unlink(sys.argv[2])
try:
    os.open(f"/proc/self/fd/{held}", os.O_RDONLY)
except OSError as error:
    print(errno.errorcode[error.errno])
"""


@pytest.mark.parametrize("caller, error", [("smbd[10.0.0.7]", "EAGAIN"),
                                           ("python", "ESTALE")])
@pytest.mark.parametrize("name", ["GLB/SESSION.LOG", "P1/00000001.P1"])
def test_what_was_removed_before_it_is_opened_is_looked_up_again(post, name,
                                                                 caller, error):
    """smbd asks again in a second when it is told to wait; upon any other error
    its client is told that it may not, which is not so."""
    (post / name).write_text("x")
    done = subprocess.run(
        [sys.executable, "-c", OPEN_LATE, caller, post / name], check=True,
        capture_output=True, text=True)
    assert done.stdout.strip() == error


# ---- inside a postoffice ----------------------------------------------------


@pytest.mark.parametrize("directory, name", [
    ("KEY", "0000000e.key"), ("MBG", "copy.mbg"), ("P1", "0000000e.0lk"),
    ("GLB", "Control.Glb"), ("MAI", "ma0")])
def test_lower_case_is_stored_upper(post, directory, name):
    path = post / directory / name
    path.write_text("x")
    assert os.listdir(post / directory) == [name.upper()]
    for spelling in (name, name.upper(), name.title()):
        assert (post / directory / spelling).read_text() == "x"
    os.unlink(path)
    for spelling in (name, name.upper(), name.title()):
        assert not (post / directory / spelling).exists(), spelling


def test_no_stale_name_after_create_in_lower_and_unlink_in_upper(post):
    key = post / "KEY"
    for _ in range(3):
        (key / "a.key").write_text("1")
        assert (key / "a.key").read_text() == "1"
        os.unlink(key / "A.KEY")
        assert not (key / "a.key").exists()
        assert not (key / "A.KEY").exists()
        (key / "A.KEY").write_text("2")
        os.unlink(key / "a.key")
        assert not (key / "A.KEY").exists()
        assert not (key / "a.key").exists()


def test_rename_into_a_postoffice_stores_upper(post):
    outside = post.parent / f"{post.name}x"
    outside.mkdir()
    (outside / "mixed.Key").write_text("x")
    os.rename(outside / "mixed.Key", post / "KEY" / "mixed.Key")
    assert os.listdir(post / "KEY") == ["MIXED.KEY"]
    for spelling in ("mixed.Key", "MIXED.KEY", "mixed.key"):
        assert (post / "KEY" / spelling).read_text() == "x", spelling
    os.rename(post / "KEY" / "mixed.key", post / "KEY" / "other.key")
    assert os.listdir(post / "KEY") == ["OTHER.KEY"]
    for spelling in ("mixed.Key", "MIXED.KEY", "mixed.key"):
        assert not (post / "KEY" / spelling).exists(), spelling
    assert (post / "KEY" / "other.key").read_text() == "x"


@pytest.mark.parametrize("name", [
    "longername.key", "a.keyx", "a.b.c", "a b.key", "a+b", ".key", "a,b",
    "a;b", "a=b", "a[b", "日本"])
def test_a_name_that_is_not_8_3_is_refused_in_a_postoffice(post, name):
    with fails_with(errno.EINVAL):
        os.mknod(post / "KEY" / name, 0o644 | stat.S_IFREG)
    with fails_with(errno.ENOENT):
        os.stat(post / "KEY" / name)
    (post.parent / f"{post.name}f").write_text("")
    with fails_with(errno.EINVAL):
        os.rename(post.parent / f"{post.name}f", post / "KEY" / name)
    assert os.listdir(post / "KEY") == []


def test_names_beside_a_postoffice_are_free(post):
    path = post.parent / f"{post.name} a long name with lower case"
    path.mkdir()
    assert path.name in os.listdir(post.parent)


def test_two_postoffices_do_not_meet(shared_mount, post):
    other = shared_mount.path / "PO"
    (post / "KEY" / "same.key").write_text("mine")
    (other / "KEY" / "same.key").write_text("theirs")
    assert (post / "KEY" / "SAME.KEY").read_text() == "mine"
    assert (other / "KEY" / "SAME.KEY").read_text() == "theirs"
    os.rename(post / "KEY" / "same.key", other / "KEY" / "moved.key")
    assert os.listdir(post / "KEY") == []
    assert (other / "KEY" / "MOVED.KEY").read_text() == "mine"
    os.unlink(other / "KEY" / "same.key")
    os.unlink(other / "KEY" / "moved.key")


def test_create_makes_the_skeleton(shared_mount):
    post = shared_mount.path / "PO"
    assert {"KEY", "MBG", "MAI", "ATT", "P1", "GLB"} <= set(os.listdir(post))
    assert (post / "KEY" / "INQUEUE.KEY").stat().st_size == 560
    assert (post / "mbg" / "inqueue.mbg").stat().st_size == 0
    assert (post / "KEY" / "inqueue3.KEY").stat().st_size == 560
    assert {f"MA{i:X}" for i in range(16)} <= set(os.listdir(post / "MAI"))
