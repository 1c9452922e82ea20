# SPDX-License-Identifier: BSD-2-Clause
"""What the administrator is told in the log, and that it is documented."""

import contextlib
import errno
import fcntl
import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import sys

import pytest

from actor import Actor
from events import events, parse
from harness import DEADLINE_S, Mount, fails_with, program, run, tool, wait_until
from postoffice import Office, deliver

FS = pathlib.Path(__file__).resolve().parents[2] / "fs"


def table():
    """What `pofs --events` prints: name to (priority, keys)."""
    rows = [line.split("\t")
            for line in run(program("fs/pofs"), "--events").stdout.splitlines()]
    assert all(len(row) == 4 and row[3].endswith(".") for row in rows)
    return {row[0]: (row[1], row[2].split()) for row in rows}


# ---- what is written down ---------------------------------------------------


def test_the_manual_page_has_every_event():
    page = (FS / "pofs.8").read_text(encoding="ascii")
    section = page.split("\n.Sh EVENTS\n")[1].split("\n.Sh ")[0]
    told = re.findall(r"^\.It Ic (\S+) Pq (\w+)\n\.Va (.*) \.\n(?=[A-Z.])",
                      section, re.MULTILINE)
    assert {name: (priority, keys.split())
            for name, priority, keys in told} == table()
    assert len(told) == section.count("\n.It ")


def test_the_manual_page_is_sound():
    run(tool("mandoc"), "-T", "lint", "-W", "warning", FS / "pofs.8")


def test_every_event_is_written_with_the_keys_of_the_table():
    used = set()
    for file in sorted(FS.glob("*.c")):
        for event, words in re.findall(r"fs_log\(\s*FS_EVENT_(\w+),(.*?)\);",
                                       file.read_text(), re.DOTALL):
            name = event.lower().replace("_", "-")
            keys = re.findall(r'FS_LOG_(?:TEXT|NUMBER)\(\s*"([a-z-]+)"', words)
            assert keys == table()[name][1], (file.name, event)
            used.add(name)
    # Written otherwise, and looked at below.
    assert set(table()) - used == {"lock-timeout", "lock-circle", "suppressed"}


# ---- start and end ----------------------------------------------------------


def test_a_start_and_an_end_are_told(store):
    with Mount(store) as mount:
        ready, = events(mount)
        assert ready == {"event": "ready", "store": str(store.path),
                         "mountpoint": str(mount.path),
                         "access": "read-write",
                         "version": ready["version"]}
        mount.unmount()
        assert [one["event"] for one in events(mount)] == [
            "ready", "stopping", "stopped"]


def test_that_it_was_killed_is_told_and_that_it_was(store):
    with Mount(store) as mount:
        fd = os.open(mount / "FILE", os.O_CREAT | os.O_RDWR)
        os.fsync(fd)
        os.close(fd)
        mount.kill()
        assert events(mount, "killed") == [
            {"event": "killed", "signal": "9", "reason": "Killed"}]
    with Mount(store) as mount:
        assert events(mount, "unclean")
    with Mount(store) as mount:
        assert not events(mount, "unclean")


def journal(command, path):
    """Runs it as systemd would that keeps its standard error: what it said."""
    with open(path, "w+b") as log:
        there = os.fstat(log.fileno())
        subprocess.run(command, stderr=log, check=False, env={
            **os.environ, "JOURNAL_STREAM": f"{there.st_dev}:{there.st_ino}"})
        log.seek(0)
        return log.read().decode()


def test_the_journal_is_told_the_priority_and_a_person_the_reason(tmp_path):
    command = [program("fs/pofs"), "-f", str(tmp_path / "no store"),
               str(tmp_path)]
    said = journal(command, tmp_path / "log")
    assert said.startswith("<3>event=failed ") and said.count("\n") == 1
    assert "no store" in parse(said[3:-1])["reason"]
    person = run(*command, check=False).stderr
    assert person == f"pofs: {parse(said[3:-1])['reason']}\n"


BACKGROUND = """
mount --bind /dev "$1/dev" && mount -t tmpfs -o mode=755 tmpfs /dev || exit
for name in fuse null zero urandom; do
	touch /dev/$name && mount --bind "$1/dev/$name" /dev/$name || exit
done
ln -s "$1/log" /dev/log && exec "$2" "$3" "$1/mount" "${@:4}"
"""
"""Starts it where /dev has no log but the test's own."""


@contextlib.contextmanager
def a_system_log(store, directory, *options):
    """The log that a pofs in the background tells, and its number.

    Only its own processes see where it is mounted, at "mount".
    """
    for name in ("dev", "mount"):
        (directory / name).mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(directory / "log"))
        log.settimeout(DEADLINE_S)
        run(tool("unshare"), "--mount", tool("bash"), "-c", BACKGROUND, "bash",
            directory, program("fs/pofs"), store.path, *options)
        yield log, store.writer_pid


def test_in_the_background_the_system_log_is_told(store, tmp_path):
    with a_system_log(store, tmp_path) as (log, server):
        os.kill(server, signal.SIGTERM)
        said = [log.recv(4096).decode() for _ in range(3)]
    # The facility of daemons, and the priority of the event.
    assert all(line.startswith("<29>") for line in said), said
    assert [parse(line.split("]: ")[1])["event"] for line in said] == [
        "ready", "stopping", "stopped"]


# ---- nobody reads it --------------------------------------------------------


LIFE = ["ready", "stopping", "stopped"]
LINES = 20000
"""More than wait to be read."""


def ask(point, times=LINES):
    """A line of a log that has all, each."""
    for _ in range(times):
        assert not os.path.exists(point / "NOBODY")


@contextlib.contextmanager
def a_full_pipe(store, path, *options):
    """A mount whose log is a short pipe, and the end where nobody reads."""
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
    try:
        with Mount(store, *options, "-v", prefix=(
                tool("bash"), "-c", 'exec "$@" 2>"$0"', path)) as mount:
            ask(mount)
            yield mount, reader
    finally:
        os.close(reader)


def test_who_reads_again_is_told_what_was_left_out(store, tmp_path):
    with a_full_pipe(store, tmp_path / "log") as (mount, reader):
        os.set_blocking(reader, True)
        mount.launcher.send_signal(signal.SIGTERM)
        with os.fdopen(reader, closefd=False) as log:
            told = [parse(line) for line in log.read().splitlines()]
        assert mount.wait() == 0
    assert [one["event"] for one in told if one["event"] in LIFE] == LIFE
    left_out = sum(int(one["count"]) for one in told
                   if one.get("name") == "request")
    lookups = [one for one in told if one.get("op") == "lookup"]
    assert left_out > 0 and LINES <= len(lookups) + left_out <= LINES + 100


def test_an_end_does_not_wait_for_who_does_not_read(store, tmp_path):
    with a_full_pipe(store, tmp_path / "log") as (mount, _):
        mount.unmount()


def test_nor_does_one_that_is_killed(store, tmp_path):
    with a_full_pipe(store, tmp_path / "log") as (mount, _):
        mount.kill()


def test_a_system_log_that_does_not_read_keeps_nobody_waiting(store, tmp_path):
    with a_system_log(store, tmp_path, "-v") as (log, server):
        stat = pathlib.Path(f"/proc/{server}/stat").read_text()
        launcher = os.pidfd_open(int(stat.rsplit(")", 1)[1].split()[1]))
        ask(pathlib.Path(f"/proc/{server}/root{tmp_path}/mount"))
        os.kill(server, signal.SIGTERM)
        assert select.select([launcher], [], [], DEADLINE_S)[0]
        os.close(launcher)
        ready = log.recv(4096).decode()
    assert parse(ready.split("]: ")[1])["event"] == "ready"


# ---- clients ----------------------------------------------------------------


def test_what_a_client_is_called_makes_no_line_of_its_own(store):
    """Its command line is its own affair."""
    name = 'x\nevent=forged "quoted" \\ \x1b[2J \N{LATIN SMALL LETTER E WITH ACUTE}'
    script = ("import os; os.write(os.open('A.KEY', os.O_RDWR), b'x');"
              "print(flush=True); input()")
    with Mount(store) as mount:
        Office(mount / "PO")
        with subprocess.Popen(
                [sys.executable, "-c", script, name], cwd=mount / "PO/KEY",
                stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
            client.stdout.readline()
            # So that it is found out who it is before it is gone.
            run(program("tools/poctl"), "sessions", store.path)
            client.kill()
        wait_until(lambda: events(mount, "undone"), "it is undone")
        one, = events(mount, "undone")
        assert one["client"].endswith(name) and one["why"] == "death"
        assert not events(mount, "forged")


def test_a_client_cannot_fill_the_log(store):
    with Mount(store) as mount:
        with Actor() as creator:
            path = mount / "PO/MAI/MA7/00000017.MAI"
            path.parent.mkdir(parents=True, exist_ok=True)
            creator.call("client.put", path, b"a message")
            for _ in range(50):
                with fails_with(errno.ETXTBSY):
                    os.truncate(path, 0)
        assert len(events(mount, "truncate-refused")) == 20
        mount.unmount()
        assert events(mount, "suppressed") == [
            {"event": "suppressed", "name": "truncate-refused",
             "count": "30"}]


def test_an_undone_transaction_is_told_with_its_number(store, a):
    with Mount(store) as mount:
        office = Office(mount / "PO")
        deliver(a, office)
        a.kill()
        wait_until(lambda: events(mount, "undone"), "it is undone")
        one, = events(mount, "undone")
        assert int(one["pid"]) == a.pid
        assert (one["why"], one["files"]) == ("death", "3")
        assert int(one["bytes"]) > 3000
        (reason, files), = wait_until(store.undone, "it is kept")
        assert one["reason"] in reason and len(files) == 3
        run(program("tools/poctl"), "quarantine", "show", store.path,
            one["quarantine"])
        assert b"mmmm" not in mount.stderr.encode()


def test_a_lock_waited_for_in_vain_is_told_with_its_holder(store, a, b):
    with Mount(store, "-o", "lock-wait-s=1") as mount:
        office = Office(mount / "PO")
        a.call("os.open", office.key("INQUEUE3"), os.O_RDWR)
        with fails_with(errno.ETXTBSY):
            b.call("os.open", office.key("INQUEUE"), os.O_RDWR)
        one, = events(mount, "lock-timeout")
        assert list(one)[1:] == table()["lock-timeout"][1]
        assert (int(one["pid"]), int(one["holder-pid"])) == (b.pid, a.pid)
        assert one["lock"] == "/PO/INQUEUE (inqueue)"
        assert int(one["waited-ms"]) >= 1000
        assert int(one["held-ms"]) >= int(one["waited-ms"])
        assert "actor.py" in one["client"]
        assert "actor.py" in one["holder-client"]


def test_a_wait_that_could_never_end_is_told(store, a, b):
    with Mount(store, "-o", "idle-open-s=3600") as mount:
        office = Office(mount / "PO")
        fd = a.call("os.open", office.key("A"), os.O_RDWR)
        b.call("os.open", office.key("B"), os.O_RDWR)
        b.start("os.open", office.key("A"), os.O_RDWR)
        b.wait_blocked()
        with fails_with(errno.ETXTBSY):
            a.call("os.open", office.key("B"), os.O_RDWR)
        one, = events(mount, "lock-circle")
        assert set(one) - {"event"} <= set(table()["lock-circle"][1])
        assert (int(one["pid"]), int(one["holder-pid"])) == (a.pid, b.pid)
        a.call("os.close", fd)
        b.result()


def test_what_is_routine_is_told_on_request_only(store, a):
    for flags in ((), ("-v",)):
        with Mount(store, *flags) as mount:
            a.call("os.listdir", mount.path)
            told = {one["event"] for one in events(mount)}
            assert {"request", "session-begin"} <= told or not flags
            assert told == {"ready"} or flags


@pytest.mark.parametrize("option", ["--events", "--help", "--version"])
def test_what_is_printed_needs_no_store(option):
    assert run(program("fs/pofs"), option).stderr == ""
