# SPDX-License-Identifier: BSD-2-Clause
"""What the daemon tells poctl, and whom it does not listen to."""

import json
import os
import pathlib
import pwd
import select
import socket
import struct
import threading

import pytest

from answerer import Answerer
from commands import FAILED, USAGE, refuses, start
from harness import DEADLINE_S, Mount, Store, build_dir, poctl, run, tool

VERSION = 1
REQUEST_MAX = 4096
CONNECTIONS_MAX = 16
NOBODY = pwd.getpwnam("nobody")


@pytest.fixture(name="store")
def fixture_store(tmp_path):
    """An empty store."""
    with Store(tmp_path / "store") as store:
        yield store


@pytest.fixture(name="mount")
def fixture_mount(store):
    """A daemon that serves it."""
    with Mount(store) as mount:
        yield mount


def status(store):
    """What the daemon says of itself."""
    return json.loads(poctl("status", "--json", store.path).stdout)


def connect(store):
    """A connection to the daemon's socket."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(DEADLINE_S)
    connection.connect(os.fspath(store.path / "control"))
    return connection


def frame(data):
    """Bytes as they travel."""
    return struct.pack("<I", len(data)) + data


def request(command, version=VERSION):
    """A whole request, in the serialised form of a GVariant (uss)."""
    body = struct.pack("=I", version) + command + b"\0"
    return frame(body + b"\0" + bytes([len(body)]))


def converse(store, data):
    """Sends bytes and returns all that comes back until the end."""
    with connect(store) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return read_all(connection)


def read_all(connection):
    """What comes until the other side ends it; a reset is an end, too."""
    data = b""
    try:
        while block := connection.recv(1 << 16):
            data += block
    except ConnectionResetError:
        pass
    return data


def as_nobody():
    """In a child before exec: become somebody whom nobody knows."""
    os.setgroups([])
    os.setgid(NOBODY.pw_gid)
    os.setuid(NOBODY.pw_uid)


# ---- status -----------------------------------------------------------------

def test_status_describes_the_mount(store, mount):
    told = status(store)
    assert told["pid"] == mount.server_pid
    assert told["store"] == str(store.path)
    assert told["mount_point"] == str(mount.path)
    assert 0 <= told["since_ago"] < DEADLINE_S
    assert 0 < told["room_free"] < told["room_total"]
    text = poctl("status", store.path).stdout
    assert str(mount.path) in text and str(mount.server_pid) in text


def test_a_store_that_nobody_serves(store):
    reason = f"pofs is not running for {store.path}"
    assert refuses(FAILED, "status", store.path) == reason
    with Mount(store):
        assert status(store)
    assert refuses(FAILED, "status", store.path) == reason
    assert not (store.path / "control").exists()


def test_a_directory_that_is_not_there(tmp_path):
    assert "No such file" in refuses(FAILED, "status", tmp_path / "none")


def test_a_daemon_that_only_reads_is_not_asked(store):
    with Mount(store, "-o", "ro"):
        assert "not running" in refuses(FAILED, "status", store.path)
        with Mount(store) as writer:
            assert status(store)["pid"] == writer.server_pid
    assert not (store.path / "control").exists()


def test_the_socket_of_a_killed_daemon_is_replaced(store):
    with Mount(store) as mount:
        mount.kill()
        assert (store.path / "control").is_socket()
        assert "not running" in refuses(FAILED, "status", store.path)
    with Mount(store) as mount:
        assert status(store)["pid"] == mount.server_pid


def test_what_is_no_socket_is_left_alone(store):
    (store.path / "control").write_text("mine")
    with Mount(store) as mount:
        (mount.path / "FILE").write_text("mail goes on")
        assert 'what=control reason="File exists"' in mount.stderr
    assert (store.path / "control").read_text() == "mine"


def test_a_path_longer_than_an_address(tmp_path):
    directory = tmp_path / ("d" * 120)
    directory.mkdir()
    with Store(directory / "store") as store:
        with Mount(store) as mount:
            assert status(store)["pid"] == mount.server_pid


def test_a_path_that_is_not_utf8(tmp_path):
    with Store(os.fsdecode(os.fsencode(tmp_path) + b"/st\xffre")) as store:
        with Mount(store) as mount:
            assert status(store)["pid"] == mount.server_pid


def test_many_ask_at_once(store, mount):
    askers = [start("status", store.path) for _ in range(40)]
    for asker in askers:
        assert asker.wait(DEADLINE_S) == 0, asker.stderr.read()
        asker.stderr.close()
    assert status(store)["pid"] == mount.server_pid


def test_the_daemon_answers_while_it_works(store, mount):
    stop = threading.Event()

    def write():
        while not stop.is_set():
            (mount.path / "FILE").write_bytes(bytes(1 << 20))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(20):
            assert status(store)["pid"] == mount.server_pid
    finally:
        stop.set()
        writer.join(DEADLINE_S)
    assert not writer.is_alive()


# ---- who is heard -----------------------------------------------------------

def test_the_socket_is_the_owners(store, mount):
    assert mount.server_pid
    assert (store.path / "control").stat().st_mode & 0o777 == 0o600


def test_others_are_not_heard(public_path):
    with Store(public_path / "store") as store, Mount(store) as mount:
        denied = refuses(FAILED, "status", store.path, preexec_fn=as_nobody)
        assert "Permission denied" in denied
        store.path.chmod(0o755)
        (store.path / "control").chmod(0o666)
        reason = refuses(FAILED, "status", store.path, preexec_fn=as_nobody)
        assert "pofs does not answer" in reason
        assert f"event=control-refused uid={NOBODY.pw_uid}" in mount.stderr
        assert status(store)["pid"] == mount.server_pid


def test_the_daemons_own_user_and_root_are_heard(public_path):
    place = public_path / "mnt"
    place.mkdir()
    with Store(public_path / "store", "--owner", "nobody") as store:
        with Mount(store, "-o", "user=nobody", path=place) as mount:
            assert status(store)["pid"] == mount.server_pid
            poctl("status", store.path, preexec_fn=as_nobody)


# ---- what comes over the socket ---------------------------------------------

@pytest.mark.parametrize("data", [
    b"",
    b"\x01",
    struct.pack("<I", 100),
    frame(b""),
    frame(b"\xff" * 100),
    frame(b"\0" * REQUEST_MAX),
    struct.pack("<I", REQUEST_MAX + 1) + bytes(REQUEST_MAX + 1),
    struct.pack("<I", 0xFFFFFFFF) + bytes(100),
    request(b"status")[:-1],
    request(b"st\xfftus"),
    bytes(range(256)) * 40,
], ids=lambda data: f"{len(data)}-{data[:6].hex()}")
def test_what_is_no_request_gets_no_answer(store, mount, data):
    assert converse(store, data) == b""
    assert status(store)["pid"] == mount.server_pid


def test_what_follows_a_request_is_not_looked_at(store, mount):
    answer = converse(store, request(b"status") + bytes(10000))
    assert str(mount.path).encode() in answer


def test_a_request_may_come_byte_by_byte(store, mount):
    with connect(store) as connection:
        for byte in request(b"status"):
            connection.sendall(bytes([byte]))
        assert str(mount.path).encode() in read_all(connection)


def test_another_version_is_told_so(store, mount):
    assert mount.server_pid
    answer = converse(store, request(b"status", version=77))
    assert b"version 1 of the control protocol, not 77" in answer


def test_an_unknown_command_is_told_so(store, mount):
    assert mount.server_pid
    assert b"does not know the command dance" in converse(
        store, request(b"dance"))


def test_silence_keeps_nobody_out(store, mount):
    silent = [connect(store) for _ in range(CONNECTIONS_MAX)]
    silent[0].sendall(request(b"status")[:3])
    (mount.path / "FILE").write_text("mail goes on")
    # It waits for its turn, which comes when those before are given up.
    assert status(store)["pid"] == mount.server_pid
    for connection in silent:
        assert read_all(connection) == b""
        connection.close()


def test_who_does_not_read_is_not_waited_for(store):
    # More than fits between the two: 384 KiB from less than an argument may
    # have.
    size = 12288 * 32
    long = f"@a(tttt) [{','.join(['(1,1,1,1)'] * 12288)}]"
    with Answerer(store, talk=long, status="@a{sv} {}") as answerer:
        with connect(store) as deaf:
            deaf.sendall(request(b"talk"))
            assert answerer.question() == "talk "
            assert status(store) == {}
            assert answerer.question() == "status "
            assert 0 < len(read_all_later(deaf)) < size
        assert len(converse(store, request(b"talk"))) > size


def read_all_later(connection):
    """As read_all(), but begins when the other side has given up."""
    hung_up = select.poll()
    hung_up.register(connection, select.POLLRDHUP)
    assert hung_up.poll(DEADLINE_S * 1000), "it was not given up"
    return read_all(connection)


# ---- what is made of an answer ----------------------------------------------

SESSIONS = """[
  {'id': <uint64 12>, 'kind': <'smbd'>, 'pid': <uint32 4711>,
   'slot': <uint32 3>, 'peer': <'10.0.0.7'>, 'command': <'smbd'>,
   'handles': <uint32 5>, 'lock-files': <uint32 1>, 'locks': <uint32 2>,
   'waits': <uint32 4>,
   'staged-files': <uint32 3>, 'staged-bytes': <uint64 2048>,
   'transaction-age-us': <int64 83500000>, 'state': <'holding'>},
  {'id': <uint64 13>, 'kind': <'local'>, 'pid': <uint32 4712>,
   'command': <'evil \\u001b[31m\\nname'>, 'state': <'idle'>}]"""

LOCKS = """[
  {'key': <'7'>, 'what': <'inqueue'>, 'path': <'/PO/INQUEUE'>,
   'session': <uint64 12>, 'forms': <'open, lock file'>,
   'since-us-ago': <int64 3100000>, 'waiters': <[
     {'session': <uint64 14>, 'since-us-ago': <int64 1500000>,
      'how': <'waits'>},
     {'session': <uint64 15>, 'since-us-ago': <int64 200000>,
      'how': <'away'>}]>},
  {'key': <'8'>, 'what': <'update'>, 'path': <'/PO/KEY/00000001.KEY'>,
   'session': <uint64 13>, 'forms': <'range'>, 'since-us-ago': <int64 0>,
   'waiters': <@aa{sv} []>}]"""


def test_sessions_as_a_table(store):
    with Answerer(store, sessions=SESSIONS):
        lines = poctl("sessions", store.path).stdout.splitlines()
    assert lines[0].split()[:4] == ["SESSION", "KIND", "PROCESS", "CLIENT"]
    assert lines[1].split() == [
        "12", "smbd", "4711", "10.0.0.7", "holding", "5", "2", "1", "4", "3",
        "2.0", "KiB", "1", "min", "23", "s", "smbd"]
    assert lines[2].endswith("evil \\033[31m\\012name")
    assert len(lines) == 3
    starts = [line.index(word) for line, word in zip(
        lines, ("STATE", "holding", "idle"))]
    assert len(set(starts)) == 1


def test_sessions_as_json(store):
    with Answerer(store, sessions=SESSIONS):
        told = json.loads(poctl("sessions", "--json", store.path).stdout)
    assert told["sessions"][0] == {
        "id": 12, "kind": "smbd", "pid": 4711, "slot": 3,
        "peer": "10.0.0.7", "command": "smbd", "handles": 5, "lock_files": 1,
        "locks": 2, "waits": 4, "staged_files": 3, "staged_bytes": 2048,
        "transaction_age": 83.5, "state": "holding"}
    assert told["sessions"][1]["command"] == "evil \x1b[31m\nname"


def test_locks_as_a_table(store):
    with Answerer(store, locks=LOCKS):
        lines = poctl("locks", store.path).stdout.splitlines()
    assert "14 for 1.5 s, 15 for 0.2 s (away)" in lines[1]
    for fact in ("inqueue", "/PO/INQUEUE", "12", "3.1 s", "open, lock file"):
        assert fact in lines[1]
    assert lines[2].endswith("-")


def test_locks_as_json(store):
    with Answerer(store, locks=LOCKS):
        told = json.loads(poctl("locks", "--json", store.path).stdout)
    assert told["locks"][0]["waiters"] == [
        {"session": 14, "since_ago": 1.5, "how": "waits"},
        {"session": 15, "since_ago": 0.2, "how": "away"}]
    assert told["locks"][1]["waiters"] == []


def test_break_names_the_session(store):
    with Answerer(store, **{"break": "'Session 12 was broken.'"}) as answerer:
        assert poctl("break", store.path, "12").stdout == \
            "Session 12 was broken.\n"
        assert answerer.question() == "break 12"
        assert poctl("break", "-q", store.path, "12").stdout == ""
        told = json.loads(poctl("break", "--json", store.path, "12").stdout)
        assert told == {"result": "Session 12 was broken."}


@pytest.mark.parametrize("session", ["smbd", "-1", "0", "12x", " 12"])
def test_break_wants_a_number(store, session):
    with Answerer(store, **{"break": "'done'"}):
        assert "no session's number" in refuses(
            USAGE, "break", store.path, "--", session)


def test_an_error_of_the_daemon_is_the_tools(store):
    with Answerer(store, **{"break": "!there is no session \x1b[1m12"}):
        assert refuses(FAILED, "break", store.path, "12") == \
            "there is no session \\033[1m12"


@pytest.mark.parametrize("answer", ["'text'", "@as []", "{'pid': <1>}"])
def test_an_answer_of_another_shape_is_an_error(store, answer):
    with Answerer(store, sessions=answer):
        assert "another version" in refuses(FAILED, "sessions", store.path)


def test_facts_of_another_type_are_left_out(store):
    odd = "[{'id': <(1, 2)>, 'staged-bytes': <'many'>, 'waiters': <7>}]"
    with Answerer(store, sessions=odd, locks=odd):
        done = poctl("sessions", store.path)
        assert "many" not in done.stdout and done.stderr == ""
        assert poctl("locks", store.path).stderr == ""


@pytest.mark.parametrize("command", ["status", "sessions", "locks"])
def test_a_server_that_talks_nonsense(store, command):
    path = pathlib.Path(store.path) / "control"
    for data in (b"", b"\1\0", frame(b"\xff" * 50),
                 struct.pack("<I", 0xFFFFFFFF)):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.fspath(path))
            listener.listen()
            asker = start(command, store.path)
            connection, _ = listener.accept()
            connection.recv(1000)
            connection.sendall(data)
            connection.close()
            _, stderr = asker.communicate(timeout=DEADLINE_S)
            assert asker.returncode == FAILED
            assert stderr.startswith("poctl: pofs does not answer for ")
            path.unlink()


def test_the_completion_knows_the_sessions(store):
    tools = pathlib.Path(__file__).resolve().parents[2] / "tools"
    script = (f'. "{tools}/poctl.bash"; COMP_WORDS=(poctl break "$1" 1);'
              "COMP_CWORD=3; _poctl; printf '%s\\n' \"${COMPREPLY[@]}\"")
    path = f"{build_dir() / 'tools'}:{os.environ['PATH']}"
    with Answerer(store, sessions=SESSIONS):
        done = run(tool("bash"), "-c", script, "bash", store.path,
                   env={**os.environ, "PATH": path})
    assert done.stdout.split() == ["12", "13"]
