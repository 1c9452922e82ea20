# SPDX-License-Identifier: BSD-2-Clause
"""The live screen, on a terminal, with a daemon and without one."""

import contextlib
import json
import os
import pathlib
import re
import signal

import pytest

from answerer import Answerer
from commands import FAILED, USAGE, refuses
from harness import Mount, Store, poctl, program, wait_until
from terminal import PROMPT, Terminal

STATUS = ("@a{sv} {'version': <'1'>, 'mount-point': <'/srv/mail'>, "
          "'pid': <uint32 77>, 'since-us-ago': <int64 3000000>}")
METRICS = ("@a{sv} {'waiters': <uint64 1>, 'staged-bytes': <uint64 2048>, "
           "'quarantine-entries': <uint64 5>, 'store-free-bytes': "
           "<uint64 1048576>, 'transactions-committed': <uint64 9>}")
SESSIONS = ("[{'id': <uint64 12>, 'pid': <uint32 312>, 'kind': <'smbd'>, "
            "'peer': <'10.0.0.5'>, 'state': <'holding'>, "
            "'locks': <uint32 1>, 'staged-bytes': <uint64 2048>, "
            "'command': <'evil\\u001b[31m'>}, "
            "{'id': <uint64 13>, 'pid': <uint32 411>, 'kind': <'local'>, "
            "'state': <'waiting'>, 'locks': <uint32 0>, "
            "'waits': <uint32 1>, 'command': <'external'>}, "
            "{'id': <uint64 14>, 'pid': <uint32 200>, 'kind': <'smbd'>, "
            "'state': <'idle'>, 'locks': <uint32 5>, "
            "'command': <'smbd'>}]")
LOCKS = ("[{'key': <'U:2:A'>, 'what': <'update'>, 'path': <'/PO/A'>, "
         "'session': <uint64 12>, 'since-us-ago': <int64 3200000>, 'forms': "
         "<'open'>, 'waiters': <[{'session': <uint64 13>, 'since-us-ago': "
         "<int64 200000>, 'how': <'waits'>}]>}]")
RECORD = 116


@pytest.fixture(name="store")
def fixture_store(tmp_path):
    """A store with one postoffice."""
    with Store(tmp_path / "store", "--postoffice", "PO") as store:
        yield store


@pytest.fixture(name="daemon")
def fixture_daemon(store):
    """Somebody who answers as a daemon would."""
    with answering(store) as daemon:
        yield daemon


@pytest.fixture(name="terminal")
def fixture_terminal():
    """A terminal with a shell."""
    with Terminal() as terminal:
        yield terminal


def answering(store, **answers):
    """A daemon's stand-in, with three sessions and a lock."""
    return Answerer(store, **{
        "status": STATUS, "metrics": METRICS, "sessions": SESSIONS,
        "locks": LOCKS, "break": "'Session 13 was broken; nothing was staged.'",
        **answers})


def watch(terminal, store, *options):
    """Starts the screen."""
    terminal.enter(program("tools/poctl"), "top", "-d", "0.1", *options,
                   store.path)
    terminal.wait_for("Sessions: ")


def ids(lines):
    """The sessions on the screen, from the top."""
    return [int(found[1]) for found in (
        re.match(r"(\d+)  +(smbd|local) ", line) for line in lines) if found]


def selected(terminal):
    """The session that a b would break."""
    terminal.press("b")
    terminal.wait_for("? (y/n)")
    session = re.search(r"Break session (\d+)\?",
                        "\n".join(terminal.lines()))[1]
    terminal.press("n")
    terminal.wait_for("q quits")
    return int(session)


# ---- looking ----------------------------------------------------------------

@pytest.mark.usefixtures("daemon")
def test_everything_is_on_the_screen(store, terminal):
    watch(terminal, store)
    terminal.wait_for("Queues: 4, by RECORDS")
    lines = terminal.lines()
    assert lines[0] == "pofs 1 serves /srv/mail for 3.0 s, process 77"
    for figure in ("waiting 1", "staged 2.0 KiB", "undone 5", "room 1.0 MiB"):
        assert figure in lines[1]
    text = "\n".join(lines)
    assert re.search(r"^12 +smbd +312 +10\.0\.0\.5 +holding ", text, re.M)
    assert re.search(r"^update +/PO/A +12 +3\.2 s +open +13 for 0\.2 s", text,
                     re.M)
    assert re.search(r"^PO/INQUEUE3 +0 +\+0 +0 bytes ", text, re.M)


@pytest.mark.usefixtures("daemon")
def test_a_client_cannot_write_on_the_screen(store, terminal):
    terminal.resize(160, 30)
    watch(terminal, store)
    terminal.wait_for("evil\\033[31m")


@pytest.mark.usefixtures("daemon")
def test_rows_are_sorted_as_the_keys_say(store, terminal):
    watch(terminal, store)
    terminal.wait_for("Sessions: 3, by SESSION")
    for key, by, order in (("k", "SESSION", [12, 13, 14]),
                           ("s", "KIND", [13, 12, 14]),
                           ("s", "PROCESS", [14, 12, 13]),
                           ("r", "PROCESS", [13, 12, 14])):
        terminal.press(key)
        terminal.wait_until(lambda lines, by=by, order=order:
                            f"Sessions: 3, by {by}" in lines and
                            ids(lines) == order, f"sorted by {by}")


@pytest.mark.usefixtures("daemon")
def test_a_row_stays_selected_wherever_it_goes(store, terminal):
    watch(terminal, store)
    assert selected(terminal) == 12
    terminal.press("j", "Down")
    assert selected(terminal) == 14
    terminal.press("r")
    terminal.wait_until(lambda lines: ids(lines) == [14, 13, 12], "sorted")
    assert selected(terminal) == 14
    terminal.press("k", "Up", "Down")
    assert selected(terminal) == 13


@pytest.mark.usefixtures("daemon")
def test_the_screen_follows_its_size(store, terminal):
    watch(terminal, store)
    terminal.wait_for("Locks: 1")
    terminal.resize(40, 9)
    terminal.wait_until(
        lambda lines: not any("Locks:" in line for line in lines) and
        lines[-1].startswith("q quits") and ids(lines) == [12, 13, 14],
        "one table only")
    terminal.press("Tab")
    terminal.wait_for("Locks: 1")
    terminal.resize(100, 30)
    terminal.wait_for("Queues: 4")
    terminal.wait_for("Sessions: 3")


@pytest.mark.usefixtures("daemon")
def test_help_says_what_the_keys_do(store, terminal):
    watch(terminal, store)
    terminal.press("?")
    terminal.wait_for("sort by the next column")
    terminal.press("q")
    terminal.wait_for("Sessions: 3")


def test_it_waits_for_a_daemon(store, terminal):
    with answering(store):
        watch(terminal, store)
        terminal.wait_for("Sessions: 3")
    terminal.wait_for(f"pofs is not running for {store.path}")
    terminal.wait_for("Sessions: 0")
    terminal.wait_for("Queues: 4")
    with answering(store):
        terminal.wait_for("pofs 1 serves")
        terminal.wait_for("Sessions: 3")


# ---- breaking ---------------------------------------------------------------

def asked_for(daemon, command):
    """The next argument that the daemon was given with this command."""
    while True:
        name, _, argument = daemon.question().partition(" ")
        if name == command:
            return argument


def test_a_session_is_broken_after_a_yes_only(store, terminal, daemon):
    watch(terminal, store)
    terminal.press("Down", "b")
    terminal.wait_for("Break session 13? (y/n)")
    terminal.press("x")
    terminal.wait_for("q quits")
    terminal.press("Up", "b")
    terminal.wait_for("Break session 12? (y/n)")
    terminal.press("y")
    assert asked_for(daemon, "break") == "12"
    terminal.wait_for("was broken; nothing was staged.")


def test_the_holder_of_a_lock_can_be_broken(store, terminal, daemon):
    watch(terminal, store)
    terminal.press("Tab", "b")
    terminal.wait_for("Break session 12? (y/n)")
    terminal.press("y")
    assert asked_for(daemon, "break") == "12"
    terminal.press("Tab", "b")
    terminal.wait_for("No session is selected.")


# ---- the end ----------------------------------------------------------------

def is_running(pid):
    """Whether it is more than an entry that nobody has asked for."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def is_restored(terminal):
    """Fails unless the shell has its screen back, and echoes."""
    terminal.wait_until(lambda lines: lines[-1] != "q quits, ? helps" and
                        not any("Sessions:" in line for line in lines),
                        "the shell's screen")
    terminal.enter("sh", "-c", "echo status-$0; stty -a", "$?")
    terminal.wait_until(lambda lines: any(
        re.search(r"(^| )echo ", line) for line in lines), "echo is on")


@pytest.mark.usefixtures("daemon")
@pytest.mark.parametrize("end", ["q", "C-c", signal.SIGTERM, signal.SIGHUP])
def test_the_terminal_is_given_back(store, terminal, end):
    watch(terminal, store)
    terminal.wait_for("Queues: 4")
    if isinstance(end, str):
        terminal.press(end)
    else:
        os.kill(terminal.child(), end)
    is_restored(terminal)
    assert any(PROMPT in line for line in terminal.lines())


@pytest.mark.usefixtures("daemon")
def test_it_ends_with_its_terminal(store):
    with Terminal() as terminal:
        watch(terminal, store)
        child = terminal.child()
    wait_until(lambda: not is_running(child), "the end of top")


def test_a_terminal_that_can_nothing_is_refused(store, terminal):
    terminal.enter("env", "TERM=nothing", program("tools/poctl"), "top",
                   store.path)
    terminal.wait_for("cannot use this terminal: TERM is nothing")


def test_no_terminal_is_a_usage_error(store):
    assert "no terminal" in refuses(USAGE, "top", store.path)
    refuses(USAGE, "top", "--json", store.path)
    refuses(USAGE, "top", "-b", "1", "-d", "0", store.path)
    refuses(USAGE, "top", "-b", "-1", store.path)


def test_no_store_is_an_error(tmp_path):
    refuses(FAILED, "top", "-b", "1", tmp_path / "none")


# ---- as text ----------------------------------------------------------------

@pytest.mark.usefixtures("daemon")
def test_text_has_all_that_the_screen_has(store):
    text = poctl("top", "-b", "2", "-d", "0.1", store.path).stdout
    looks = text.split("pofs 1 serves")[1:]
    assert len(looks) == 2
    for look in looks:
        assert "waiting 1" in look and "13 for 0.2 s" in look
        assert "PO/INQUEUE3" in look and "evil\\033[31m" in look


@pytest.mark.usefixtures("daemon")
def test_json_has_the_tables(store):
    told = json.loads(poctl("top", "-b", "1", "--json", store.path).stdout)
    assert [row["id"] for row in told["sessions"]] == [12, 13, 14]
    assert told["locks"][0]["waiters"][0]["session"] == 13
    assert {row["mailbag"] for row in told["queues"]} >= {"PO/INQUEUE3"}


# ---- a real mount -----------------------------------------------------------

def test_a_mount_under_work(store, terminal):
    with Mount(store) as mount, contextlib.ExitStack() as opened:
        key, mbg = mount / "PO/KEY/SYSTEM.KEY", mount / "PO/MBG/SYSTEM.MBG"
        watch(terminal, store)
        terminal.wait_for(f"serves {mount.path}")

        def is_at_work(lines):
            with open(mbg, "ab", buffering=0) as file:
                file.write(bytes(RECORD))
            return re.search(r"commits [\d.]*[1-9]/s, p50 [\d.]+ ms, "
                             r"p99 [\d.]+ ms", lines[1]) and \
                re.search(r"^PO/SYSTEM +(\d+) +\+\1 ", "\n".join(lines), re.M)
        terminal.wait_until(is_at_work, "commits, and a queue that grows")

        file = opened.enter_context(open(key, "r+b", buffering=0))
        file.write(b"\1")
        terminal.wait_for("update")
        terminal.press("Tab", "b")
        terminal.wait_for("Break session ")
        terminal.press("y")
        terminal.wait_for("is in the quarantine")
        wait_until(lambda: "Locks: 0" in "\n".join(terminal.lines()),
                   "its lock is gone")
        with contextlib.suppress(OSError):
            file.close()
