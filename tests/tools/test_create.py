# SPDX-License-Identifier: BSD-2-Clause
"""poctl create: a new store, or nothing."""

import json
import os
import resource

import trees
from commands import FAILED, USAGE, refuses
from harness import poctl

NOBODY = 65534
HEX = "0123456789ABCDEF"


def export(store, target, *options):
    poctl("export", *options, store, target)
    return target


def test_an_empty_postoffice_has_its_skeleton(tmp_path):
    poctl("create", tmp_path / "store")
    top = export(tmp_path / "store", tmp_path / "out")

    for name in [f"MAI/MA{x}" for x in HEX] + [f"ATT/AT{x}" for x in HEX]:
        assert (top / name).is_dir()
    for stem in ("00000000", "INQUEUE", "INQUEUE3", "SYSTEM"):
        assert (top / "KEY" / f"{stem}.KEY").read_bytes() == bytes(560)
        assert (top / "MBG" / f"{stem}.MBG").read_bytes() == b""
    assert (top / "GLB" / "CONTROL.GLB").read_bytes() == bytes(8)


def test_every_directory_has_a_read_only_populate_msm(tmp_path):
    poctl("create", tmp_path / "store")
    top = export(tmp_path / "store", tmp_path / "out")

    directories = [path for path, _, _ in os.walk(top)][1:]
    assert len(directories) >= 51
    for path in directories:
        name = os.path.join(path, "POPULATE.MSM")
        value = os.getxattr(name, "user.DOSATTRIB")
        assert os.path.getsize(name) == 1
        assert value[12] == 0x01, name


def test_postoffices_go_into_their_folders(tmp_path):
    poctl("create", "--postoffice", "LONDON", "--postoffice", "Paris",
          tmp_path / "store")
    top = export(tmp_path / "store", tmp_path / "out")

    assert sorted(os.listdir(top)) == ["LONDON", "Paris"]
    assert (top / "LONDON" / "KEY" / "INQUEUE.KEY").is_file()
    assert (top / "Paris" / "P1").is_dir()


def test_files_can_be_executed_by_dos(tmp_path):
    poctl("create", tmp_path / "store")
    top = export(tmp_path / "store", tmp_path / "out")
    assert os.stat(top / "KEY" / "INQUEUE.KEY").st_mode & 0o777 == 0o777


def test_an_empty_directory_may_be_there(tmp_path):
    (tmp_path / "store").mkdir(0o755)
    (tmp_path / "link").symlink_to(tmp_path / "store")
    poctl("create", tmp_path / "link")
    poctl("check", tmp_path / "store")


def test_a_directory_that_others_may_write_to_is_none(tmp_path):
    """Nothing would serve the store."""
    (tmp_path / "store").mkdir()
    for mode in (0o770, 0o707):
        (tmp_path / "store").chmod(mode)
        reason = refuses(FAILED, "create", tmp_path / "store")
        assert f"others may write to the store's directory: its mode is {mode:o}" \
            in reason
        assert os.listdir(tmp_path / "store") == []


def test_the_owner_gets_the_store_and_what_is_in_it(tmp_path):
    poctl("create", "--owner", f"{NOBODY}:7", tmp_path / "store")
    paths = [tmp_path / "store", *(tmp_path / "store").iterdir()]
    assert {(p.stat().st_uid, p.stat().st_gid) for p in paths} == {(NOBODY, 7)}

    facts = trees.describe(export(tmp_path / "store", tmp_path / "out"))
    assert {fact[1:3] for fact in facts.values()} == {(NOBODY, 7)}


def test_an_empty_directory_keeps_its_owner(tmp_path):
    (tmp_path / "store").mkdir()
    os.chown(tmp_path / "store", NOBODY, NOBODY)
    poctl("create", tmp_path / "store")
    assert {p.stat().st_uid for p in (tmp_path / "store").iterdir()} == {NOBODY}


def test_root_leaves_no_file_that_the_owner_cannot_open(tmp_path):
    poctl("create", "--owner", str(NOBODY), tmp_path / "store")
    for name in ("lock.mdb",):
        (tmp_path / "store" / name).unlink()
    poctl("stat", tmp_path / "store")
    assert {p.stat().st_uid for p in (tmp_path / "store").iterdir()} == {NOBODY}


def test_the_result_can_be_json(tmp_path):
    done = poctl("create", "--json", "--postoffice", "PO", tmp_path / "store")
    assert json.loads(done.stdout)["postoffices"] == ["PO"]


def test_what_is_there_already_is_kept(tmp_path):
    trees.write(tmp_path / "store" / "letter", b"mine")
    before = trees.describe_unread(tmp_path)
    assert "is there already" in refuses(FAILED, "create", tmp_path / "store")
    trees.assert_same(trees.describe_unread(tmp_path), before)


def test_a_file_is_no_place_for_a_store(tmp_path):
    trees.write(tmp_path / "store", b"mine")
    refuses(FAILED, "create", tmp_path / "store")
    assert (tmp_path / "store").read_bytes() == b"mine"


def test_a_missing_parent_is_reported(tmp_path):
    reason = refuses(FAILED, "create", tmp_path / "no" / "store")
    assert "No such file or directory" in reason


def test_bad_names_are_a_usage_error(tmp_path):
    for names in (["A:B"], ["CON"], ["po", "PO"], ["x" * 256], [""],
                  ["~IMPORT~.TMP"], ["~import~.tmp"]):
        options = [word for name in names for word in ("--postoffice", name)]
        refuses(USAGE, "create", *options, tmp_path / "store")
        assert os.listdir(tmp_path) == []


def test_an_unknown_owner_is_a_usage_error(tmp_path):
    assert "no such user" in refuses(
        USAGE, "create", "--owner", "no-such-user", tmp_path / "store")
    assert "no such group" in refuses(
        USAGE, "create", "--owner", "0:no-such-group", tmp_path / "store")
    assert os.listdir(tmp_path) == []


def test_a_failure_leaves_nothing_behind(tmp_path):
    def no_big_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))

    refuses(FAILED, "create", tmp_path / "store", preexec_fn=no_big_files)
    assert os.listdir(tmp_path) == []

    (tmp_path / "store").mkdir()
    refuses(FAILED, "create", tmp_path / "store", preexec_fn=no_big_files)
    assert os.listdir(tmp_path / "store") == []


def test_an_owner_that_cannot_be_given_leaves_nothing(public_path):
    public_path.chmod(0o777)
    reason = refuses(FAILED, "create", "--owner", "root",
                     public_path / "store", user=NOBODY)
    assert "Operation not permitted" in reason
    assert os.listdir(public_path) == []
