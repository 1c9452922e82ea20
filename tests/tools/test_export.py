# SPDX-License-Identifier: BSD-2-Clause
"""poctl export: a tree or a tar stream of one moment."""

import errno
import json
import os
import subprocess

import trees
from commands import FAILED, USAGE, refuses
from harness import poctl, program, run, tool


def imported(tmp_path, source, *options):
    poctl("import", *options, tmp_path / "store", source)
    return tmp_path / "store"


def test_a_tar_stream_holds_the_same_tree(source, tmp_path):
    trees.write(source / "read-only", b"r", mode=0o444)
    trees.write(source / ("\N{CJK UNIFIED IDEOGRAPH-90F5}" * 85), b"long")
    os.setxattr(source / "GLB" / "CONTROL.GLB", "user.x", b"\0binary\xff")
    with open(source / "sparse", "wb") as file:
        file.truncate(50_000_000)
        file.seek(20_000_000)
        file.write(b"data")
    with open(source / "all hole", "wb") as file:
        file.truncate(40_000_000)
    with open(source / "one hole", "wb") as file:
        file.truncate(1)
    trees.set_directory_times(source)
    store = imported(tmp_path, source)

    (tmp_path / "out").mkdir()
    with open(tmp_path / "tar", "wb") as tar:
        subprocess.run([program("tools/poctl"), "export", store, "-"],
                       check=True, stdout=tar, stderr=subprocess.DEVNULL)
    assert (tmp_path / "tar").stat().st_size < 1_000_000
    run(tool("tar"), "--extract", "--xattrs", "--xattrs-include=user.*",
        "--same-owner", "--same-permissions", "--atime-preserve=system",
        "--file", tmp_path / "tar", "--directory", tmp_path / "out")

    # GNU tar restores no access times.
    trees.assert_same(trees.describe_unread(tmp_path / "out"),
                      trees.describe_unread(source))


def test_the_standard_output_is_only_the_tar(source, tmp_path):
    store = imported(tmp_path, source)
    done = poctl("export", store, "-", text=False)
    listing = run(tool("tar"), "--list", "--file", "-", input=done.stdout,
                  text=False)
    assert b"./" in listing.stdout or b"GLB/CONTROL.GLB" in listing.stdout
    assert done.stderr.startswith(b"Exported ")


def test_a_part_can_be_exported(tmp_path):
    poctl("create", "--postoffice", "A", "--postoffice", "B",
          tmp_path / "store")
    poctl("export", "--postoffice", "b", tmp_path / "store", tmp_path / "b")
    assert (tmp_path / "b" / "KEY" / "INQUEUE.KEY").is_file()
    poctl("export", "--postoffice", "A/KEY", tmp_path / "store",
          tmp_path / "key")
    assert (tmp_path / "key" / "INQUEUE.KEY").is_file()


def test_a_missing_part_is_refused(tmp_path):
    poctl("create", tmp_path / "store")
    for name in ("NOWHERE", "KEY/INQUEUE.KEY"):
        refuses(FAILED, "export", "--postoffice", name, tmp_path / "store",
                tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_the_summary_counts_what_is_there(source, tmp_path):
    store = imported(tmp_path, source)
    done = poctl("export", "--json", store, tmp_path / "out")
    result = json.loads(done.stdout)
    files = [p for p in source.rglob("*") if p.is_file()]
    assert result["files"] == len(files)
    assert result["directories"] == len(list(source.rglob("*"))) - len(files)
    assert result["bytes"] == sum(p.stat().st_size for p in files)


def test_an_export_beside_a_writer(source, tmp_path, holder):
    store = imported(tmp_path, source)
    holder(store)
    poctl("export", store, tmp_path / "out")
    trees.assert_same(trees.describe(tmp_path / "out"),
                      trees.describe(source))


def test_a_target_with_something_in_it_is_kept(source, tmp_path):
    store = imported(tmp_path, source)
    trees.write(tmp_path / "out" / "mine", b"m")
    before = trees.describe_unread(tmp_path / "out")
    assert "is not empty" in refuses(FAILED, "export", store, tmp_path / "out")
    trees.assert_same(trees.describe_unread(tmp_path / "out"), before)


def test_an_ordinary_user_gets_a_copy_of_his_own(public_path):
    trees.make_postoffice(public_path / "source")
    public_path.chmod(0o777)
    poctl("import", public_path / "store", public_path / "source", user=65534)
    poctl("export", public_path / "store", public_path / "out", user=65534)
    assert (public_path / "out" / "KEY").stat().st_uid == 65534


def test_a_full_disk_leaves_an_incomplete_copy_and_says_so(source, tmp_path):
    trees.write(source / "BIG", os.urandom(4_000_000))
    store = imported(tmp_path, source)
    small = tmp_path / "small"
    small.mkdir()
    run(tool("mount"), "-t", "tmpfs", "-o", "size=1m", "none", small)
    try:
        (small / "out").mkdir()
        reason = refuses(FAILED, "export", store, small / "out")
    finally:
        run(tool("umount"), small)
    assert f"{small / 'out'} is incomplete: cannot write BIG" in reason
    assert os.strerror(errno.ENOSPC) in reason


def test_a_reader_that_goes_away_is_an_error(source, tmp_path):
    trees.write(source / "BIG", os.urandom(4_000_000))
    store = imported(tmp_path, source)
    process = subprocess.Popen(
        [program("tools/poctl"), "export", store, "-"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.read(1)
    process.stdout.close()
    stderr = process.stderr.read()
    process.stderr.close()
    assert process.wait(30) == FAILED
    assert b"the tar stream is incomplete" in stderr


def test_attributes_that_the_target_cannot_keep_are_one_warning(
        source, tmp_path):
    for name in ("KEY", "MBG"):
        os.setxattr(source / name, "user.x", b"x")
    store = imported(tmp_path, source)
    plain = tmp_path / "plain"
    plain.mkdir()
    # ramfs has no user attributes on any kernel.
    run(tool("mount"), "-t", "ramfs", "none", plain)
    try:
        (plain / "out").mkdir()
        done = poctl("export", store, plain / "out")
        found = trees.describe(plain / "out", with_xattrs=False)
    finally:
        run(tool("umount"), plain)
    assert done.stderr.count("poctl: ") == 1, done.stderr
    assert "2 files or directories could not be given all" in done.stderr
    trees.assert_same(found, trees.describe(source, with_xattrs=False))


def test_json_and_tar_do_not_mix(tmp_path):
    poctl("create", tmp_path / "store")
    refuses(USAGE, "export", "--json", tmp_path / "store", "-")
