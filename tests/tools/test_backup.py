# SPDX-License-Identifier: BSD-2-Clause
"""poctl backup, verify and restore: a whole store as one stream."""

import contextlib
import datetime
import errno
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess

import pytest

import streams
import trees
from commands import FAILED, USAGE, end, refuses, start
from harness import poctl, program, run, tool, wait_until


@pytest.fixture(name="store")
def fixture_store(tmp_path, source):
    """A store with some mail, and an undone transaction."""
    poctl("import", tmp_path / "store", source)
    run(program("tests/tools/undo"), tmp_path / "store", "who", "why",
        "write", "P1/NEW.P1", "a new one")
    return tmp_path / "store"


@pytest.fixture(name="large_store", scope="module")
def fixture_large_store(tmp_path_factory):
    """A store whose backup takes its time; nobody changes it."""
    top = tmp_path_factory.mktemp("large")
    for number in range(60):
        trees.write(top / "source" / f"{number}", os.urandom(1 << 20))
    poctl("import", top / "store", top / "source")
    return top / "store"


@pytest.fixture(name="stream")
def fixture_stream(store):
    """A backup of it."""
    return poctl("backup", store, "-", text=False).stdout


def facts(command, *arguments):
    """What a command says in JSON."""
    return json.loads(poctl(*command.split(), "--json", *arguments).stdout)


def exported(store, path):
    poctl("export", store, path)
    return trees.describe_unread(path)


def refuses_stream(stream, tmp_path):
    """Restores it, which must leave nothing; returns why."""
    (tmp_path / "bad").write_bytes(stream)
    before = sorted(os.listdir(tmp_path))
    reason = refuses(FAILED, "restore", tmp_path / "restored",
                     tmp_path / "bad")
    assert sorted(os.listdir(tmp_path)) == before
    return reason


# ---- what comes back


@pytest.mark.parametrize("options", [[], ["--compress"]])
def test_what_comes_back_is_what_was_there(store, tmp_path, options):
    poctl("backup", *options, store, tmp_path / "file")
    poctl("restore", tmp_path / "restored", tmp_path / "file")
    poctl("check", tmp_path / "restored")
    trees.assert_same(exported(tmp_path / "restored", tmp_path / "after"),
                      exported(store, tmp_path / "before"))
    lists = [facts("quarantine list", path)
             for path in (store, tmp_path / "restored")]
    assert len(lists[0]["quarantine"]) == 1
    assert lists[1] == lists[0]


def test_a_backup_of_what_comes_back_is_the_same(store, tmp_path, stream):
    (tmp_path / "file").write_bytes(stream)
    poctl("restore", "--keep-uuid", tmp_path / "restored", tmp_path / "file")
    again = poctl("backup", tmp_path / "restored", "-", text=False).stdout
    assert streams.take_apart(again)[1] == streams.take_apart(stream)[1]


def test_a_compressed_backup_is_of_zstd(store, tmp_path, stream):
    poctl("backup", "--compress", store, tmp_path / "file")
    assert (tmp_path / "file").read_bytes()[:4] == b"\x28\xb5\x2f\xfd"
    poctl("restore", "--keep-uuid", tmp_path / "restored", tmp_path / "file")
    again = poctl("backup", tmp_path / "restored", "-", text=False).stdout
    assert streams.take_apart(again)[1] == streams.take_apart(stream)[1]


def test_a_pipe_carries_it(store, tmp_path):
    with subprocess.Popen(
            [program("tools/poctl"), "backup", "--compress", store, "-"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True) as process:
        poctl("restore", tmp_path / "restored", "-", stdin=process.stdout)
        assert process.stderr.read().startswith("Backed up ")
    assert process.returncode == 0
    poctl("check", tmp_path / "restored")


def test_a_backup_beside_a_writer(store, tmp_path, holder):
    holder(store)
    poctl("backup", store, tmp_path / "file")
    poctl("verify", tmp_path / "file")


def test_what_root_reads_of_somebody_elses_store_stays(large_store, tmp_path):
    """LMDB knows by a lock who reads; what nobody does is written over."""
    store = tmp_path / "store"
    shutil.copytree(large_store, store)
    for path in (store, *store.iterdir()):
        os.chown(path, 65534, 65534)
    with subprocess.Popen([program("tools/poctl"), "backup", store, "-"],
                          stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as process:
        process.stdout.read(1)
        locks = pathlib.Path("/proc/locks").read_text().splitlines()
        assert [lock for lock in locks if str(process.pid) in lock.split()]
        process.stdout.close()


def test_what_is_closed_is_not_the_database(store):
    """A file that is opened gets the lowest number that is free."""
    shell = ["sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', program("tools/poctl")]
    before = (store / "lock.mdb").stat().st_size
    assert run(*shell, "backup", store, "-", check=False).returncode == FAILED
    assert (store / "lock.mdb").stat().st_size == before
    poctl("check", store)


def test_a_restored_store_is_another_one_unless_told(store, tmp_path):
    poctl("backup", store, tmp_path / "file")
    uuid = facts("stat", store)["uuid"]
    told = facts("restore", tmp_path / "copy", tmp_path / "file")
    assert told["uuid"] == uuid
    assert facts("stat", tmp_path / "copy")["uuid"] == told["store_uuid"]
    assert told["store_uuid"] != uuid
    told = facts("restore", "--keep-uuid", tmp_path / "same",
                 tmp_path / "file")
    assert facts("stat", tmp_path / "same")["uuid"] == uuid
    assert told["store_uuid"] == uuid


def test_what_a_backup_says_of_itself(store, tmp_path):
    before = datetime.datetime.now().astimezone()
    told = facts("backup", store, tmp_path / "file")
    found = facts("verify", tmp_path / "file")
    del told["seconds"]
    assert told == found
    assert found["uuid"] == facts("stat", store)["uuid"]
    assert found["bytes"] == (tmp_path / "file").stat().st_size
    taken = datetime.datetime.fromisoformat(found["taken"])
    assert abs((taken - before).total_seconds()) < 300
    _, records = streams.take_apart((tmp_path / "file").read_bytes())
    assert found["records"] == len(records)
    text = poctl("verify", tmp_path / "file").stdout
    assert "is whole" in text and found["uuid"] in text


def test_a_terminal_sees_progress(store, tmp_path):
    for command in ("backup", "restore"):
        run(tool("script"), "--quiet", "--return", "--command",
            f"{program('tools/poctl')} {command} "
            f"{store if command == 'backup' else tmp_path / 'restored'} "
            f"{tmp_path / 'file'} >/dev/null", tmp_path / command)
    assert b"backing up [" in (tmp_path / "backup").read_bytes()
    assert b"restoring [" in (tmp_path / "restore").read_bytes()


# ---- where it goes


def test_the_file_is_its_owners_only(store, tmp_path):
    run("sh", "-c", 'umask 0; exec "$0" backup "$1" "$2"',
        program("tools/poctl"), store, tmp_path / "file")
    assert (tmp_path / "file").stat().st_mode & 0o7777 == 0o600


def test_a_file_that_is_there_is_kept_unless_told(store, tmp_path):
    (tmp_path / "file").write_bytes(b"mine")
    before = sorted(os.listdir(tmp_path))
    reason = refuses(FAILED, "backup", store, tmp_path / "file")
    assert "is there already" in reason
    assert (tmp_path / "file").read_bytes() == b"mine"
    poctl("backup", "--force", store, tmp_path / "file")
    poctl("verify", tmp_path / "file")
    assert sorted(os.listdir(tmp_path)) == before


def test_what_is_no_file_is_never_replaced(store, tmp_path):
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("elsewhere")
    before = trees.describe_unread(tmp_path / "directory")
    for name in ("directory", "pipe", "link"):
        reason = refuses(FAILED, "backup", "--force", store, tmp_path / name)
        assert f"{name} is not a file" in reason
    assert (tmp_path / "link").is_symlink()
    trees.assert_same(trees.describe_unread(tmp_path / "directory"), before)


def test_a_missing_directory_is_an_error(store, tmp_path):
    reason = refuses(FAILED, "backup", store, tmp_path / "no" / "file")
    assert os.strerror(errno.ENOENT) in reason


def test_a_missing_store_leaves_no_file(tmp_path):
    refuses(FAILED, "backup", tmp_path / "store", tmp_path / "file")
    assert os.listdir(tmp_path) == []


@contextlib.contextmanager
def small_disk(path):
    """A file system of a mebibyte."""
    path.mkdir()
    run(tool("mount"), "-t", "tmpfs", "-o", "size=1m", "none", path)
    try:
        yield path
    finally:
        run(tool("umount"), path)


def test_a_full_disk_leaves_nothing(large_store, tmp_path):
    poctl("backup", large_store, tmp_path / "file")
    with small_disk(tmp_path / "small") as small:
        reason = refuses(FAILED, "backup", large_store, small / "file")
        assert os.strerror(errno.ENOSPC) in reason
        assert os.listdir(small) == []
        refuses(FAILED, "restore", small / "store", tmp_path / "file")
        assert os.listdir(small) == []


def test_a_limit_on_files_leaves_nothing(large_store, tmp_path):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    before = sorted(os.listdir(tmp_path))
    reason = refuses(FAILED, "backup", large_store, tmp_path / "file",
                     preexec_fn=limit)
    assert os.strerror(errno.EFBIG) in reason
    assert sorted(os.listdir(tmp_path)) == before


def test_a_reader_that_goes_away_is_an_error(large_store):
    with subprocess.Popen(
            [program("tools/poctl"), "backup", large_store, "-"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.read(1)
        process.stdout.close()
        assert b"the backup was not written" in process.stderr.read()
    assert process.returncode == FAILED


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_backup_leaves_nothing(large_store, tmp_path, signum):
    before = sorted(os.listdir(tmp_path))
    process = start("backup", large_store, tmp_path / "file")
    wait_until(lambda: process.poll() is not None or
               sorted(os.listdir(tmp_path)) != before, "it did not begin")
    process.send_signal(signum)
    assert "interrupted" in end(process).lower()
    assert process.returncode == FAILED
    assert sorted(os.listdir(tmp_path)) == before


def test_what_nohup_keeps_away_interrupts_nothing(stream, tmp_path):
    """Nor does a key that is for another job of the shell."""
    def ignore():
        for number in (signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
    process = start("restore", tmp_path / "restored", "-",
                    stdin=subprocess.PIPE, preexec_fn=ignore)
    wait_until(lambda: any(name.startswith("restored.new-")
                           for name in os.listdir(tmp_path)), "it reads")
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGINT)
    process.stdin.buffer.write(stream)
    process.stdin.close()
    assert process.wait() == 0, process.stderr.read()
    poctl("check", tmp_path / "restored")


def test_an_interrupted_restore_leaves_nothing(large_store, tmp_path):
    stream = poctl("backup", large_store, "-", text=False).stdout
    before = sorted(os.listdir(tmp_path))
    process = start("restore", tmp_path / "restored", "-",
                    stdin=subprocess.PIPE)
    process.stdin.buffer.write(stream[:len(stream) // 2])
    process.stdin.flush()
    # It waits for more.
    [draft] = set(os.listdir(tmp_path)) - set(before)
    assert os.listdir(tmp_path / draft) != []
    process.send_signal(signal.SIGTERM)
    assert "interrupted" in process.stderr.read()
    end(process)
    assert process.returncode == FAILED
    assert sorted(os.listdir(tmp_path)) == before


def test_json_and_the_stream_do_not_mix(store):
    refuses(USAGE, "backup", "--json", store, "-")


# ---- where it comes from


def test_damage_is_named_with_its_place(tmp_path, stream):
    for at in (0, 10, 60, 90, 500, len(stream) // 2, len(stream) - 1):
        damaged = bytearray(stream)
        damaged[at] ^= 0x40
        (tmp_path / "file").write_bytes(damaged)
        reason = refuses(FAILED, "verify", tmp_path / "file")
        assert str(tmp_path / "file") in reason
        if at >= 500:
            place = int(reason.split(" at byte ")[1].split(":")[0])
            assert at - 20_000 <= place <= at
        assert refuses_stream(damaged, tmp_path).split(": ")[1:] == \
            reason.split(": ")[1:]


def test_a_cut_is_named_with_its_place(tmp_path, stream):
    for size in (0, 1, 95, 96, 500, len(stream) - 1):
        (tmp_path / "file").write_bytes(stream[:size])
        reason = refuses(FAILED, "verify", tmp_path / "file")
        assert reason == f"{tmp_path / 'file'}: cut off at byte {size}"
        assert f"cut off at byte {size}" in refuses_stream(
            stream[:size], tmp_path)


def test_damage_of_a_compressed_backup_is_found(store, tmp_path):
    poctl("backup", "--compress", store, tmp_path / "file")
    whole = (tmp_path / "file").read_bytes()
    for at in range(0, len(whole), len(whole) // 20):
        damaged = bytearray(whole)
        damaged[at] ^= 0x40
        for content in (whole[:at], damaged):
            (tmp_path / "file").write_bytes(content)
            refuses(FAILED, "verify", tmp_path / "file")
    assert "cut off" not in refuses_stream(whole + b"x", tmp_path)


def test_something_else_is_no_backup(store, tmp_path):
    for content in (b"a letter\n" * 100, bytes(10_000), os.urandom(10_000),
                    (store / "data.mdb").read_bytes(),
                    poctl("export", store, "-", text=False).stdout):
        assert "not a backup" in refuses_stream(content, tmp_path)
    assert os.strerror(errno.EISDIR) in refuses(FAILED, "verify", store)
    assert os.strerror(errno.ENOENT) in refuses(FAILED, "verify",
                                                tmp_path / "nothing")


def test_a_backup_without_what_makes_a_store_is_refused(tmp_path, stream):
    header, records = streams.take_apart(stream)
    for key in (b"mformat", b"mnext", b"mseq"):
        rest = {k: v for k, v in records.items() if k != key}
        refuses_stream(streams.put_together(header, rest), tmp_path)
    refuses_stream(streams.put_together(header, {}), tmp_path)


def test_a_store_of_a_newer_format_is_refused(tmp_path, stream):
    header, records = streams.take_apart(stream)
    records[b"mformat"] = (99).to_bytes(8, "little")
    assert "format 99 is newer" in refuses_stream(
        streams.put_together(header, records), tmp_path)


def test_what_the_check_finds_is_restored_on_request_only(tmp_path, stream):
    header, records = streams.take_apart(stream)
    records[b"zzz"] = b"of no table"
    (tmp_path / "file").write_bytes(streams.put_together(header, records))

    poctl("verify", tmp_path / "file")
    reason = refuses_stream((tmp_path / "file").read_bytes(), tmp_path)
    assert "1 finding" in reason
    done = poctl("restore", "--force", tmp_path / "restored",
                 tmp_path / "file")
    assert "belongs to no table" in done.stderr
    assert "1 finding" in refuses(FAILED, "check", tmp_path / "restored")


def test_a_damaged_store_is_not_backed_up(tmp_path):
    marker = b"the one and only letter"
    trees.write(tmp_path / "source" / "LETTER", marker * 10)
    poctl("import", tmp_path / "store", tmp_path / "source")
    data = (tmp_path / "store" / "data.mdb").read_bytes()
    assert marker in data
    (tmp_path / "store" / "data.mdb").write_bytes(
        data.replace(marker, marker.swapcase()))
    before = sorted(os.listdir(tmp_path))
    assert "is damaged" in refuses(FAILED, "backup", tmp_path / "store",
                                   tmp_path / "file")
    assert sorted(os.listdir(tmp_path)) == before


def test_a_store_is_never_replaced(store, tmp_path, stream):
    (tmp_path / "file").write_bytes(stream)
    before = (store / "data.mdb").read_bytes()
    for options in ([], ["--force"]):
        reason = refuses(FAILED, "restore", *options, store,
                         tmp_path / "file")
        assert "is there already" in reason
    assert (store / "data.mdb").read_bytes() == before


def test_an_empty_directory_stays_its_owners(public_path, tmp_path, stream):
    (tmp_path / "file").write_bytes(stream)
    place = public_path / "store"
    place.mkdir()
    os.chown(place, 65534, 65534)
    inode = place.stat().st_ino
    (tmp_path / "bad").write_bytes(stream[:-1])
    refuses(FAILED, "restore", place, tmp_path / "bad")
    assert os.listdir(place) == []
    poctl("restore", place, tmp_path / "file")
    assert place.stat().st_ino == inode
    assert (place / "data.mdb").stat().st_uid == 65534


def test_a_restored_store_is_given_to_its_owner(tmp_path, stream):
    (tmp_path / "file").write_bytes(stream)
    poctl("restore", "--owner", "65534", tmp_path / "restored",
          tmp_path / "file")
    assert (tmp_path / "restored").stat().st_uid == 65534
    assert (tmp_path / "restored" / "data.mdb").stat().st_uid == 65534
    refuses(USAGE, "restore", "--owner", "nobody at all",
            tmp_path / "other", tmp_path / "file")
    assert not (tmp_path / "other").exists()
