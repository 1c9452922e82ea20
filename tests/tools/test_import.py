# SPDX-License-Identifier: BSD-2-Clause
"""poctl import: a whole tree, or nothing."""

import json
import os
import signal
import socket
import struct

import pytest

import trees
from commands import FAILED, USAGE, Existing, end, refuses, start
from harness import DEADLINE_S, Mount, Store, poctl, wait_until

NOBODY = 65534
STAGING = "~IMPORT~.TMP"


def exported(store, target):
    poctl("export", store, target)
    return trees.describe(target)


def dos_attribute(attributes):
    """What smbd writes to user.DOSATTRIB."""
    return b"\0\0\5\0" + struct.pack("<IIIQ", 5, 0x11, attributes, 1 << 56)


def make_nasty(top):
    """A tree of everything that a copy tends to lose."""
    trees.make_postoffice(top / "PO", messages=300)
    trees.write(top / "empty")
    (top / "empty folder" / "in a folder").mkdir(parents=True)
    trees.write(top / "read-only", b"r", mode=0o444)
    trees.write(top / "strange mode", b"m", mode=0o4751)
    trees.write(top / "\N{GREEK SMALL LETTER FINAL SIGMA} ünï", b"u")
    trees.write(top / ("\N{CJK UNIFIED IDEOGRAPH-90F5}" * 85), b"255 bytes")
    trees.write(top / "new\u2028line", b"n")
    trees.write(top / "before 1970", b"b", -1_500_000_000_123_456_789)
    trees.write(top / "owned", b"o")
    os.chown(top / "owned", 1234, 4321)

    for name, size in (("sparse", 5_000_000), ("all hole", 3_000_000)):
        with open(top / name, "wb") as file:
            file.truncate(size)
    with open(top / "sparse", "r+b") as file:
        for offset in (0, 1_000_001, 4_096_000):
            file.seek(offset)
            file.write(os.urandom(10_000))

    trees.write(top / "attributes", b"a")
    os.setxattr(top / "attributes", "user.DOSATTRIB", dos_attribute(0x27))
    os.setxattr(top / "attributes", "user.empty", b"")
    os.setxattr(top / "attributes", "user.binary", bytes(range(256)) * 4)
    os.setxattr(top / "empty folder", "user.folder", b"f")
    trees.write(top / "read-only, and says so", b"r", mode=0o444)
    os.setxattr(top / "read-only, and says so", "user.DOSATTRIB",
                dos_attribute(0x21))
    os.setxattr(top, "user.top", b"t")
    top.chmod(0o751)
    trees.set_directory_times(top)


def test_import_then_export_changes_nothing(tmp_path):
    make_nasty(tmp_path / "source")
    wanted = trees.describe(tmp_path / "source")

    poctl("import", tmp_path / "store", tmp_path / "source")

    poctl("check", tmp_path / "store")
    trees.assert_same(exported(tmp_path / "store", tmp_path / "out"), wanted)
    trees.assert_same(trees.describe(tmp_path / "source"), wanted)


def test_holes_stay_holes(tmp_path):
    (tmp_path / "source").mkdir()
    with open(tmp_path / "source" / "sparse", "wb") as file:
        file.truncate(50_000_000)
        file.seek(20_000_000)
        file.write(os.urandom(10_000))

    poctl("import", tmp_path / "store", tmp_path / "source")
    poctl("export", tmp_path / "store", tmp_path / "out")

    stat = json.loads(poctl("stat", "--json", tmp_path / "store").stdout)
    assert stat["disk_used"] < 1_000_000
    assert (tmp_path / "out" / "sparse").stat().st_blocks * 512 < 100_000


def test_an_imported_store_is_ready_for_its_owner(source, tmp_path):
    poctl("import", "--owner", f"{NOBODY}:7", tmp_path / "store", source)

    files = [tmp_path / "store", *(tmp_path / "store").iterdir()]
    assert {(p.stat().st_uid, p.stat().st_gid) for p in files} == {(NOBODY, 7)}
    facts = exported(tmp_path / "store", tmp_path / "out")
    assert {fact[1:3] for fact in facts.values()} == {(NOBODY, 7)}


def test_a_mode_that_says_read_only_becomes_the_dos_attribute(tmp_path):
    trees.write(tmp_path / "source" / "HELP.HLP", b"h", mode=0o444)
    poctl("import", tmp_path / "store", tmp_path / "source")

    # A store never shows an attribute that import would derive again; with
    # another mode than the one it came from, it does.
    trees.write(tmp_path / "other" / "HELP.HLP", b"h", mode=0o644)
    os.setxattr(tmp_path / "other" / "HELP.HLP", "user.DOSATTRIB",
                dos_attribute(0x01))
    poctl("import", "--postoffice", "OTHER", tmp_path / "store",
          tmp_path / "other")
    facts = exported(tmp_path / "store", tmp_path / "out")
    assert facts["HELP.HLP"][7] == {}
    assert facts["OTHER/HELP.HLP"][7] == {
        "user.DOSATTRIB": dos_attribute(0x01)}


def test_names_of_a_postoffice_become_upper_case(tmp_path):
    top = tmp_path / "source"
    for name in ("KEY", "MBG", "P1"):
        (top / name).mkdir(parents=True)
    trees.write(top / "P1" / "0000000a.p1", b"p")
    trees.write(top / "KEY" / "inqueue.key", bytes(560))
    trees.write(top / "gateway" / "Long name of its own.txt", b"g")

    done = poctl("import", "--json", tmp_path / "store", top)

    assert json.loads(done.stdout)["upper_cased"] == 2
    names = exported(tmp_path / "store", tmp_path / "out")
    assert {"P1/0000000A.P1", "KEY/INQUEUE.KEY",
            "gateway/Long name of its own.txt"} <= names.keys()


def test_lock_files_that_were_left_behind_are_skipped(source, tmp_path):
    wanted = trees.describe(source)
    for name in ("0000000E.0LK", "INQUEUE.OLK", "0000000e.005"):
        trees.write(source / "P1" / name)

    done = poctl("import", tmp_path / "store", source)

    for name in ("0000000E.0LK", "INQUEUE.OLK", "0000000e.005"):
        assert f"P1/{name}: skipped: a lock file" in done.stderr
    assert "3 skipped" in done.stdout
    found = exported(tmp_path / "store", tmp_path / "out")
    assert found.keys() == wanted.keys()


def add_refused(top):
    """Adds one of each kind that a store cannot keep: {path: a reason}."""
    (top / "link").symlink_to("KEY")
    os.mkfifo(top / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(top / "socket"))
    os.mknod(top / "device", 0o600 | 0o020000, os.makedev(1, 3))
    with open(top / "huge", "wb") as file:
        file.truncate(1 << 32)
    trees.write(top / "a:b")
    trees.write(top / "aux.txt")
    trees.write(top / "ends with a dot.")
    (top / "tab\there" / "below").mkdir(parents=True)
    trees.write(top / "from the future", b"f", 13_000_000_000 * 10**9)
    trees.write(top / "Twins")
    trees.write(top / "tWINS")
    with open(os.fsencode(top) + b"/latin1-\xe9", "wb"):
        pass
    trees.write(top / "MAI" / "MA0" / "far too long.MAI")
    return {
        "link": "symbolic link", "pipe": "named pipe", "socket": "socket",
        "device": "device", "huge": "4 GiB - 1", "a:b": "could use its name",
        "aux.txt": "could use its name", "ends with a dot.": "its name",
        "tab\\011here": "could use its name", "tWINS": "same name as Twins",
        "from the future": "its time is", "latin1-\\351": "not UTF-8", "MAI/MA0/far too long.MAI": "not 8.3",
    }


def test_what_cannot_be_kept_is_listed_and_nothing_imported(source, tmp_path):
    reasons = add_refused(source)

    done = poctl("import", tmp_path / "store", source, check=False)

    assert done.returncode == FAILED
    lines = done.stderr.splitlines()
    assert len(lines) == len(reasons) + 1, done.stderr
    for path, reason in reasons.items():
        line = next(line for line in lines
                    if line.startswith(f"poctl: {path}: refused: "))
        assert reason in line
    assert "nothing was imported: 13 files or directories" in lines[-1]
    assert sorted(os.listdir(tmp_path)) == ["source"]


def make_deep(top, name, levels):
    """Nests directories, however long that makes their path."""
    fd = os.open(top, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)


def test_deep_trees_are_kept(tmp_path):
    (tmp_path / "source").mkdir()
    make_deep(tmp_path / "source", "d" * 15, 200)
    wanted = trees.describe(tmp_path / "source")
    poctl("import", tmp_path / "store", tmp_path / "source")
    trees.assert_same(exported(tmp_path / "store", tmp_path / "out"), wanted)


def test_trees_that_no_program_could_use_are_refused(tmp_path):
    for name, reason in (("d" * 200, "path is longer"), ("d", "too deeply")):
        source = tmp_path / f"source{len(name)}"
        source.mkdir()
        make_deep(source, name, 300 if len(name) == 1 else 30)
        done = poctl("import", tmp_path / "store", source, check=False)
        assert done.returncode == FAILED
        assert reason in done.stderr
        assert not (tmp_path / "store").exists()


def test_the_rest_is_imported_on_request(source, tmp_path):
    wanted = trees.describe(source)
    reasons = add_refused(source)
    trees.write(source / "PLAIN", b"p")

    done = poctl("import", "--skip-refused", tmp_path / "store", source)

    assert f"{len(reasons)} refused" in done.stdout
    found = exported(tmp_path / "store", tmp_path / "out")
    assert found.keys() == wanted.keys() | {"PLAIN", "Twins"}


def test_refusals_are_in_the_json(source, tmp_path):
    (source / "link").symlink_to("KEY")
    done = poctl("import", "--json", tmp_path / "store", source, check=False)
    result = json.loads(done.stdout)
    assert done.returncode == FAILED
    assert not result["imported"]
    assert [refused["path"] for refused in result["refused"]] == ["link"]


def test_unreadable_files_are_refused(public_path):
    source = public_path / "source"
    trees.make_postoffice(source)
    trees.write(source / "secret", b"s", mode=0o600)
    (source / "closed").mkdir(mode=0o700)
    public_path.chmod(0o777)

    done = poctl("import", public_path / "store", source, check=False,
                 user=NOBODY)

    assert done.returncode == FAILED
    assert "poctl: secret: refused: Permission denied" in done.stderr
    assert "poctl: closed: refused: Permission denied" in done.stderr
    assert os.listdir(public_path) == ["source"]


def test_an_ordinary_user_may_import(public_path):
    source = public_path / "source"
    trees.make_postoffice(source)
    public_path.chmod(0o777)
    poctl("import", public_path / "store", source, user=NOBODY)
    poctl("check", public_path / "store", user=NOBODY)


# ---- a rehearsal


def test_a_dry_run_only_says_what_would_be(source, tmp_path):
    done = poctl("import", "--dry-run", tmp_path / "store", source)
    assert done.stdout.startswith("Would import 13 files and ")
    assert sorted(os.listdir(tmp_path)) == ["source"]


def rehearse(*arguments, **options):
    """An import and its rehearsal, which must end alike: the exit code."""
    told = []
    for dry_run in (["--dry-run"], []):
        done = poctl("import", "--json", *dry_run, *arguments, check=False,
                     **options)
        result = json.loads(done.stdout) if done.stdout else {}
        result.pop("seconds", None)
        done_at_last = result.pop("imported", False)
        assert done_at_last == (not dry_run and done.returncode == 0)
        told.append((done.returncode, result, done.stderr))
    assert told[0] == told[1]
    return told[0][0]


def test_a_rehearsal_ends_as_the_import_will(source, tmp_path):
    """Where all is well it comes last: that import makes the store."""
    store = tmp_path / "store"
    trees.write(source / "P1" / "0000000E.0LK")
    trees.write(source / "P1" / "0000000a.p1")
    assert rehearse(store, tmp_path / "none") == FAILED
    assert rehearse(source / "store", source) == USAGE
    assert rehearse(tmp_path / "none" / "store", source) == FAILED
    assert rehearse(source, source / "KEY") == FAILED
    (source / "link").symlink_to("KEY")
    assert rehearse(store, source) == FAILED
    assert os.listdir(tmp_path) == ["source"]
    assert rehearse("--skip-refused", store, source) == 0
    assert rehearse("--skip-refused", store, source) == FAILED
    assert rehearse("--skip-refused", "--postoffice", "N", store, source) == 0


def test_a_rehearsal_foresees_what_an_ordinary_user_may_not(public_path):
    source = public_path / "source"
    trees.make_postoffice(source)
    (public_path / "store").mkdir(mode=0o755)
    user = {"user": NOBODY}
    assert rehearse(public_path / "new", source, **user) == FAILED
    assert rehearse(public_path / "store", source, **user) == FAILED
    public_path.chmod(0o777)
    assert rehearse("--owner", "root", public_path / "new", source,
                    **user) == FAILED
    assert rehearse(public_path / "new", source, **user) == 0


def test_a_rehearsal_foresees_too_little_room(tmp_path):
    trees.write(tmp_path / "source" / "BIG", os.urandom(20_000_000))
    with open(tmp_path / "source" / "HOLE", "wb") as file:
        file.truncate(1 << 31)
    poctl("create", "--map-size-mib", "8", "--postoffice", "PO",
          tmp_path / "store")
    for dry_run in (["--dry-run"], []):
        assert "20000000 bytes are more than" in refuses(
            FAILED, "import", *dry_run, tmp_path / "store",
            tmp_path / "source")
    (tmp_path / "source" / "BIG").unlink()
    assert rehearse(tmp_path / "store", tmp_path / "source") == 0


def test_a_rehearsal_disturbs_nobody(source, tmp_path, holder):
    poctl("create", "--postoffice", "PO", tmp_path / "store")
    holder(tmp_path / "store")
    before = exported(tmp_path / "store", tmp_path / "before")
    poctl("import", "--dry-run", tmp_path / "store", source)
    trees.assert_same(exported(tmp_path / "store", tmp_path / "after"), before)


def test_a_second_postoffice_joins_the_first(source, tmp_path):
    poctl("create", "--postoffice", "OLD", tmp_path / "store")
    before = exported(tmp_path / "store", tmp_path / "before")

    poctl("import", "--postoffice", "NEW", tmp_path / "store", source)

    poctl("check", tmp_path / "store")
    found = exported(tmp_path / "store", tmp_path / "out")
    for path, facts in before.items():
        assert path == "." or found[path] == facts
    poctl("export", "--postoffice", "NEW", tmp_path / "store",
          tmp_path / "new")
    trees.assert_same(trees.describe(tmp_path / "new"),
                      trees.describe(source))


def test_folders_join_those_in_the_root(tmp_path):
    trees.make_postoffice(tmp_path / "source" / "NEW")
    trees.set_directory_times(tmp_path / "source")
    poctl("create", "--postoffice", "OLD", tmp_path / "store")

    poctl("import", tmp_path / "store", tmp_path / "source")

    poctl("check", tmp_path / "store")
    found = exported(tmp_path / "store", tmp_path / "out")
    assert "OLD/KEY/INQUEUE.KEY" in found
    wanted = trees.describe(tmp_path / "source")
    assert wanted.pop(".") != found.pop(".")
    trees.assert_same({path: found[path] for path in wanted}, wanted)


def test_names_that_are_taken_are_kept(source, tmp_path):
    poctl("create", tmp_path / "store")
    before = exported(tmp_path / "store", tmp_path / "before")
    reason = refuses(FAILED, "import", tmp_path / "store", source)
    assert "has a KEY already" in reason
    trees.assert_same(exported(tmp_path / "store", tmp_path / "after"), before)


def test_a_folder_that_is_taken_is_kept(source, tmp_path):
    poctl("create", "--postoffice", "PO", tmp_path / "store")
    before = exported(tmp_path / "store", tmp_path / "before")
    reason = refuses(FAILED, "import", "--postoffice", "po",
                     tmp_path / "store", source)
    assert "has a po already" in reason
    trees.assert_same(exported(tmp_path / "store", tmp_path / "after"), before)


def test_an_open_store_is_refused_with_its_pid(source, tmp_path, holder):
    poctl("create", "--postoffice", "PO", tmp_path / "store")
    process = holder(tmp_path / "store")
    reason = refuses(FAILED, "import", "--postoffice", "B",
                     tmp_path / "store", source)
    assert str(process.pid) in reason


def test_a_new_store_may_be_named_with_a_slash(source, tmp_path):
    for name, options in (("a/", ()), ("b//", ("--dry-run",)), ("b//", ())):
        poctl("import", *options, name, source, cwd=tmp_path)
    for name in ("a", "b"):
        poctl("check", tmp_path / name)


def test_a_missing_source_changes_nothing(tmp_path):
    reason = refuses(FAILED, "import", tmp_path / "store", tmp_path / "no")
    assert "No such file or directory" in reason
    trees.write(tmp_path / "file")
    reason = refuses(FAILED, "import", tmp_path / "store", tmp_path / "file")
    assert "not a directory" in reason
    assert sorted(os.listdir(tmp_path)) == ["file"]


def test_a_store_inside_its_source_is_a_mistake(source):
    reason = refuses(USAGE, "import", source / "store", source)
    assert "inside" in reason
    assert not (source / "store").exists()


def test_something_else_is_no_store(source, tmp_path):
    trees.write(tmp_path / "other" / "letter", b"mine")
    before = trees.describe_unread(tmp_path / "other")
    refuses(FAILED, "import", tmp_path / "other", source)
    trees.assert_same(trees.describe_unread(tmp_path / "other"), before)


def test_too_little_room_changes_nothing(tmp_path):
    # The content alone would fit, so it is known in the middle only.
    for number in range(500):
        trees.write(tmp_path / "source" / f"{number}", b"s" * 2500)
    poctl("create", "--map-size-mib", "2", "--postoffice", "PO",
          tmp_path / "store")
    before = exported(tmp_path / "store", tmp_path / "before")

    reason = refuses(FAILED, "import", tmp_path / "store",
                     tmp_path / "source")

    assert "No space left on device" in reason
    poctl("check", tmp_path / "store")
    trees.assert_same(exported(tmp_path / "store", tmp_path / "after"), before)


def stopped_import(store, source):
    """An import that has brought much, but not all, and is held there."""
    process = start("import", "--postoffice", "NEW", store, source)
    wait_until(lambda: process.poll() is not None or
               (store / "data.mdb").stat().st_size > 64 << 20,
               "the import did not begin")
    process.send_signal(signal.SIGSTOP)
    tar = poctl("export", store, "-", text=False).stdout
    assert STAGING.encode() in tar, "it was done before it could be stopped"
    return process


@pytest.fixture
def large_source(tmp_path):
    trees.make_postoffice(tmp_path / "source", messages=8)
    for number in range(300):
        trees.write(tmp_path / "source" / "big" / f"{number}",
                    os.urandom(1 << 20))
    return tmp_path / "source"


def test_an_interrupted_import_leaves_nothing(large_source, tmp_path):
    poctl("create", "--postoffice", "PO", tmp_path / "store")
    before = exported(tmp_path / "store", tmp_path / "before")

    process = stopped_import(tmp_path / "store", large_source)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)

    assert "interrupted: nothing was imported" in end(process)
    assert process.returncode == FAILED
    poctl("check", tmp_path / "store")
    trees.assert_same(exported(tmp_path / "store", tmp_path / "after"), before)


def test_an_interrupted_import_leaves_no_new_store(large_source, tmp_path):
    process = start("import", tmp_path / "store", large_source)
    wait_until(lambda: process.poll() is not None or
               len(os.listdir(tmp_path)) > 1, "the import did not begin")
    process.send_signal(signal.SIGTERM)
    assert "interrupted" in end(process)
    assert os.listdir(tmp_path) == ["source"]


def test_the_next_import_sweeps_what_a_killed_one_left(
        large_source, source, tmp_path):
    poctl("create", "--postoffice", "PO", tmp_path / "store")

    process = stopped_import(tmp_path / "store", large_source)
    process.kill()
    process.wait(DEADLINE_S)
    process.stderr.close()

    reason = refuses(FAILED, "check", tmp_path / "store")
    assert "1 finding" in reason
    poctl("import", "--postoffice", "NEXT", tmp_path / "store", source)
    poctl("check", tmp_path / "store")
    poctl("export", tmp_path / "store", tmp_path / "out")
    assert sorted(os.listdir(tmp_path / "out")) == ["NEXT", "PO"]


def test_a_folder_called_as_imports_call_theirs_is_kept(source, tmp_path):
    """A client may call one so: that it goes with the next import, nobody has
    said. An empty one may be what an import had just begun with."""
    with Store(tmp_path / "store", "--postoffice", "PO") as store:
        with Mount(store) as mount:
            (mount.path / STAGING.lower()).mkdir()
            (mount.path / STAGING / "letter").write_text("precious")
        for option in ((), ("--dry-run",)):
            assert f"has a {STAGING} that no import has made" in refuses(
                FAILED, "import", *option, "--postoffice", "NEXT", store.path,
                source)
        poctl("check", store.path)
        with Mount(store) as mount:
            assert (mount.path / STAGING / "letter").read_text() == "precious"
            (mount.path / STAGING / "letter").unlink()
        poctl("import", "--postoffice", "NEXT", store.path, source)
        assert {path for path in exported(store.path, tmp_path / "out")
                if "/" not in path} == {".", "NEXT", "PO"}


def test_nothing_is_imported_by_the_name_of_what_imports_make(
        source, tmp_path):
    for name in (STAGING, STAGING.lower()):
        assert f"no folder can be called {name}" in refuses(
            USAGE, "import", "--postoffice", name, tmp_path / "store", source)
        (tmp_path / "tree" / name).mkdir(parents=True)
        assert f"has a {name}: nothing was imported" in refuses(
            FAILED, "import", tmp_path / "store", tmp_path / "tree")
        assert not (tmp_path / "store").exists()
        (tmp_path / "tree" / name).rmdir()


def test_a_folder_does_not_show_that_it_was_imported(source, tmp_path):
    trees.write(tmp_path / "tree" / "PO" / "file", b"f")
    for option in ((), ("--postoffice", "PO2")):
        poctl("import", *option, tmp_path / "store", tmp_path / "tree")
    with Existing(tmp_path / "store") as store, Mount(store) as mount:
        for path in (mount.path, mount.path / "PO", mount.path / "PO2"):
            assert os.listxattr(path) == []


def test_a_file_that_changes_meanwhile_ends_the_import(
        large_source, tmp_path):
    poctl("create", "--postoffice", "PO", tmp_path / "store")
    process = stopped_import(tmp_path / "store", large_source)
    trees.write(large_source / "later", b"l")
    process.send_signal(signal.SIGCONT)
    stderr = end(process)
    assert process.returncode == FAILED
    assert "changed while it was read" in stderr
    poctl("check", tmp_path / "store")
