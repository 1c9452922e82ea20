# SPDX-License-Identifier: BSD-2-Clause
"""What a session does, recorded and shown."""

import json
import os
import stat
import subprocess

import pytest

from commands import FAILED, USAGE, refuses
from harness import Mount, Store, poctl, program, wait_until


@pytest.fixture(name="office")
def fixture_office(tmp_path):
    """A mounted postoffice."""
    with Store(tmp_path / "store") as store, Mount(store) as mount:
        yield mount


def own_session(mount):
    """The number of this process's session."""
    (mount / "KEY" / "INQUEUE.KEY").stat()
    done = poctl("sessions", "--json", mount.store.path)
    return next(session["id"]
                for session in json.loads(done.stdout)["sessions"]
                if session["pid"] == os.getpid())


def shown(mount, session):
    """The rows of a trace."""
    done = poctl("trace", "show", "--json", mount.store.path, session)
    return json.loads(done.stdout)["trace"]


def deliver(mount):
    """A message, as a program hands it over."""
    (mount / "MAI" / "MA2" / "00000062.MAI").write_bytes(b"secret text")
    with open(mount / "KEY" / "INQUEUE3.KEY", "r+b", buffering=0) as key, \
            open(mount / "MBG" / "INQUEUE3.MBG", "r+b", buffering=0) as mbg:
        key.read(560)
        mbg.seek(2 * 116)
        mbg.write(bytes(116))
        key.seek(0x30)
        key.write(b"\x05")


def test_a_delivery_is_told_in_its_order(office):
    session = own_session(office)
    said = poctl("trace", "start", office.store.path, session).stdout
    path = office.store.path / f"trace-{session}.log"
    assert str(path) in said
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    deliver(office)
    poctl("trace", "stop", office.store.path, session)
    rows = shown(office, session)
    told = [(row["op"], row["path"]) for row in rows]
    steps = [("create", "/MAI/MA2/00000062.MAI"),
             ("write", "/MAI/MA2/00000062.MAI"),
             ("open", "/KEY/INQUEUE3.KEY"), ("open", "/MBG/INQUEUE3.MBG"),
             ("read", "/KEY/INQUEUE3.KEY"), ("write", "/MBG/INQUEUE3.MBG"),
             ("write", "/KEY/INQUEUE3.KEY"), ("close", "/MBG/INQUEUE3.MBG"),
             ("key", "/KEY/INQUEUE3.KEY"), ("close", "/KEY/INQUEUE3.KEY")]
    places = [told.index(step) for step in steps]
    assert places == sorted(places), told
    of_step = dict(zip(steps, (rows[place] for place in places)))
    assert "how=read+write lock=inqueue" in of_step[steps[2]]["detail"]
    assert of_step[steps[2]]["result"] == "ok"
    assert "offset=232 size=116 record=2" in of_step[steps[5]]["detail"]
    assert of_step[steps[5]]["result"] == "116 bytes"
    assert of_step[steps[8]]["detail"] == "0x030 00>05 +bit0 +bit2"
    assert "committed" in [row["op"] for row in rows]
    assert rows[0]["op"] == "start" and rows[-1]["op"] == "end"
    assert b"secret" not in path.read_bytes()
    text = poctl("trace", "show", office.store.path, path).stdout
    assert "0x030 00>05 +bit0 +bit2" in text


def test_refusals_are_told(office):
    session = own_session(office)
    poctl("trace", "start", office.store.path, session)
    (office / "P1" / "00000009.0LK").write_bytes(b"")
    with pytest.raises(FileExistsError):
        os.open(office / "P1" / "00000009.0LK", os.O_CREAT | os.O_EXCL)
    with pytest.raises(FileNotFoundError):
        os.unlink(office / "P1" / "0000000A.0LK")
    os.unlink(office / "P1" / "00000009.0LK")
    poctl("trace", "stop", office.store.path, "all")
    rows = shown(office, session)
    assert ("create", "/P1/00000009.0LK") in [
        (row["op"], row["path"]) for row in rows]
    assert any("lock=processing" in row["detail"] for row in rows)
    assert any(row["path"] == "/P1/0000000A.0LK" and
               row["result"] == "No such file or directory" for row in rows)


def test_others_are_not_recorded_and_a_session_ends_its_trace(office):
    """The other process works until its input ends."""
    with subprocess.Popen(
            ["sh", "-c", 'read x <"$0/KEY/INQUEUE.KEY"; echo; read y; '
             'echo hello >"$0/P1/00000001.P1"', office.path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        done = poctl("sessions", "--json", office.store.path)
        session = next(row["id"]
                       for row in json.loads(done.stdout)["sessions"]
                       if row["pid"] == other.pid)
        poctl("trace", "start", office.store.path, session)
        deliver(office)
        with subprocess.Popen(
                [program("tools/poctl"), "trace", "show", "--follow",
                 "--json", office.store.path, str(session)],
                stdout=subprocess.PIPE, text=True) as follower:
            assert json.loads(follower.stdout.readline())["op"] == "start"
            other.communicate(b"\n", timeout=30)
            rows = [json.loads(line) for line in follower.stdout]
            assert follower.wait(30) == 0
    assert rows[-1]["op"] == "end"
    paths = {row["path"] for row in rows}
    assert "/P1/00000001.P1" in paths
    assert "/KEY/INQUEUE3.KEY" not in paths
    assert "not traced" in refuses(
        FAILED, "trace", "stop", office.store.path, session)


def test_what_makes_no_sense_is_refused(office):
    store = office.store.path
    assert "there is no session 777" in refuses(
        FAILED, "trace", "start", store, 777)
    assert "not traced" in refuses(FAILED, "trace", "stop", store, 777)
    assert "no session is traced" in refuses(
        FAILED, "trace", "stop", store, "all")
    assert "needs a session or --peer" in refuses(
        USAGE, "trace", "start", store)
    assert "needs a session or --peer" in refuses(
        USAGE, "trace", "start", "--peer", "10.0.0.7", store, 1)
    assert "cannot read" in refuses(FAILED, "trace", "show", store, 777)
    session = own_session(office)
    poctl("trace", "start", store, session)
    assert "traced already" in refuses(FAILED, "trace", "start", store,
                                       session)
    poctl("trace", "stop", store, session)
    assert "move it away" in refuses(FAILED, "trace", "start", store, session)


def test_a_client_may_be_waited_for(office):
    with subprocess.Popen(
            [program("tools/poctl"), "trace", "start", "--peer", "10.0.0.7",
             office.store.path], stderr=subprocess.PIPE, text=True) as waiter:
        assert waiter.poll() is None
        wait_until(lambda: own_session(office), "the daemon answers")
        office.unmount()
        # It may have been asking just then.
        said = waiter.communicate(timeout=30)[1]
        assert "pofs is not running" in said or "pofs does not answer" in said


def test_rubbish_is_shown_as_far_as_it_goes(office, tmp_path):
    (tmp_path / "x").write_bytes(
        b'at=1 call=1 op=open path="un\x1b[31mended\\\ncall=1 r=-26\n='
        b'\nevent=key path="/K" 0:1 zz:qq>rr 030:00>80\n\xff\n')
    text = poctl("trace", "show", office.store.path, tmp_path / "x").stdout
    assert "0x030 00>80 +bit7" in text and "\x1b" not in text
