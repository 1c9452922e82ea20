# SPDX-License-Identifier: BSD-2-Clause
"""Errors of mail programs, and the logs they are in, explained."""

import datetime
import json
import os

import pytest

from commands import FAILED, USAGE, refuses
from harness import Mount, Store, poctl, program, run

SESSION_LOG = (
    b"11-20-26 23:58 START\r\n"
    b"11-21-26 00:10 File I/O: Error opening \"M:KEY\\INQUEUE3.KEY\" "
    b"error code=32\r\n"
    b"11-21-26 00:11 A Critical Error has occurred Error Code=1005 "
    b"Device Error=000C\r\n")

SYSTEM_LOG = (
    b"System log entry on: 05-14-93 11:32\r\n"
    b"External program has detected a mail problem.\r\n"
    b" Subject: gr\x81\xe1e \x1b[31m\r\n"
    b" [016] Message was not sent due to missing message file.\r\n"
    b" Missing file is M:MAI\\MA3\\000162B3.MAI.\r\n"
    b"-------------------------------------------------------\r\n")


@pytest.fixture(name="office")
def fixture_office(tmp_path):
    """Makes a store of this tree: {path: content}."""
    class Imported(Store):
        """A store with files."""

        def __init__(self, files):
            self.path = tmp_path / "store"
            for path, content in files.items():
                file = tmp_path / "tree" / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            poctl("import", self.path, tmp_path / "tree")
    return Imported


def explain(*arguments):
    """What `poctl explain --json` says."""
    return json.loads(poctl("explain", "--json", *arguments).stdout)


def stamp(time):
    """A time as a log has it."""
    return time.strftime("%m-%d-%y %H:%M").encode()


@pytest.mark.parametrize("code", ["021", "[021]", "0021", "[21]", "mail 21"])
def test_a_mail_error_is_explained(store, code):
    error, = explain(store.path, code)["codes"]
    assert (error["kind"], error["code"]) == ("mail error", "[021]")
    assert error["explained"] and "P1" in error["meaning"]
    assert "Q103960" in error["sources"] and "poctl log" in error["cure"]
    text = poctl("explain", store.path, code).stdout
    assert error["cause"] in text and error["sources"] in text


def test_a_plain_number_is_explained_for_all_who_use_it(store):
    kinds = {error["kind"] for error in explain(store.path, "8")["codes"]}
    assert kinds == {"mail error", "notice", "warning"}


def test_a_number_of_one_kind_is_explained_for_that(store):
    told = json.loads(poctl("explain", "--json", store.path, "[008]").stdout)
    assert [row["code"] for row in told["codes"]] == ["[008]"]


def test_what_nobody_explains_is_said_to_be_so(store):
    error, = explain(store.path, "[027]")["codes"]
    assert not error["explained"] and "cause" not in error
    assert "No public article" in poctl("explain", store.path, "[027]").stdout


def test_an_unknown_number_is_an_error(store):
    assert "777 is no error" in refuses(FAILED, "explain", store.path, "777")


def test_the_logs_of_all_postoffices_are_read(office):
    store = office({
        "A/KEY/00000001.KEY": bytes(560), "A/MBG/00000001.MBG": b"",
        "A/LOG/SESSION.LOG": SESSION_LOG,
        "B/KEY/00000001.KEY": bytes(560), "B/MBG/00000001.MBG": b"",
        "B/LOG/SYSTEM.LOG": SYSTEM_LOG, "B/LOG/SENT.LOG": SESSION_LOG,
        "C/LOG/SESSION.LOG": SESSION_LOG})
    errors = explain(store.path)["errors"]
    assert [(e["log"], e["line"], e["code"], e["time"]) for e in errors] == [
        ("/A/LOG/SESSION.LOG", 2, "32", "2026-11-21T00:10"),
        ("/A/LOG/SESSION.LOG", 3, "0C", "2026-11-21T00:11"),
        ("/B/LOG/SYSTEM.LOG", 1, "[016]", "1993-05-14T11:32")]
    text = poctl("explain", store.path).stdout
    assert "1993-05-14 11:32" in text and "Missing message file" in text
    assert "Subject: grüße \\033[31m" in text


def test_a_postoffice_without_logs(store):
    assert explain(store.path)["errors"] == []
    assert "no logs" in poctl("explain", store.path).stdout


def test_a_log_may_be_in_the_store_or_outside(office, tmp_path):
    store = office({"OLD/SESSION.LOG": SESSION_LOG, "21": SYSTEM_LOG})
    for name in ("/OLD/SESSION.LOG", "old\\session.log"):
        assert len(explain(store.path, name)["errors"]) == 2
    (tmp_path / "21").write_bytes(SYSTEM_LOG)
    assert len(explain(store.path, tmp_path / "21")["errors"]) == 1
    assert "none in the store" in refuses(
        FAILED, "explain", store.path, "NO.LOG")
    assert "Is a directory" in refuses(
        FAILED, "explain", store.path, "/OLD")


def test_errors_before_a_time_are_left_out(office):
    store = office({"A.LOG": SYSTEM_LOG + SESSION_LOG})

    def errors(*options):
        return len(explain(*options, store.path, "/A.LOG")["errors"])
    assert errors("--since", "1993-05-14 11:32") == 3
    assert errors("--since", "1993-05-14 11:33") == 2
    assert errors("--since", "2026-11-21T00:11:00") == 1
    assert errors("--since", "2026-11-22") == 0
    assert errors("--since", "100000d") == 3
    assert "is no time" in refuses(
        USAGE, "explain", "--since", "soon", store.path)


def test_dates_that_a_log_lacks_are_assumed(office):
    store = office({"A.LOG": b"[11:32] - error code=2\n"})
    error, = explain(store.path, "/A.LOG")["errors"]
    assert error["date_assumed"]
    assert datetime.datetime.fromisoformat(error["time"]).time() == \
        datetime.time(11, 32)
    assert "date assumed" in poctl("explain", store.path, "/A.LOG").stdout


def test_an_error_leads_to_who_did_what(office):
    now = datetime.datetime.now()
    before = now - datetime.timedelta(minutes=9)
    line = b" Error opening \"M:KEY\\00000001.KEY\" error code=32\n"
    store = office({
        "KEY/00000001.KEY": bytes(560), "MBG/00000001.MBG": b"",
        "P1/X": b"", "LOG/SESSION.LOG": (
            stamp(before) + line + stamp(now) + line + stamp(now) +
            b" Mailbag: 00000002 error code=32\n" + stamp(now) +
            b" error code=5\n")})
    for name, who in (("MBG/00000001.MBG", "first"), ("P1/NEW.P1", "second")):
        run(program("tests/tools/undo"), store.path, who, "it went away",
            "write", name, "x")

    def suspects(*options):
        return [[deed["who"] for deed in error["transactions"]
                 if deed["who"] in ("first", "second")]
                for error in explain(*options, store.path)["errors"]]
    # What is long ago is not meant, nor is another mailbag; and where no file
    # is named, anybody may be.
    assert suspects() == [[], ["first"], [], ["first", "second"]]
    assert suspects("--window", "15")[0] == ["first"]
    text = poctl("explain", store.path).stdout
    assert "first, changed /MBG/00000001.MBG; undone: it went away" in text
    assert "poctl show STORE" in text
    # Advice is given once.
    assert text.count("DOS error 32") == 3
    assert text.count("Cause:  Another program") == 1
    refuses(USAGE, "explain", "--window", "-1", store.path)


def test_a_missing_routing_file_leads_to_who_removed_it(tmp_path):
    now = datetime.datetime.now()
    with Store(tmp_path / "store") as store:
        with Mount(store) as mount:
            (mount / "LOG" / "SYSTEM.LOG").write_bytes(
                b"System log entry on: " + stamp(now) + b"\n [021] Message "
                b"was not delivered.\n M:P1\\00000062.P1\n" + b"-" * 40 +
                b"\n" + stamp(now) + b" M:KEY\\INQUEUE3.KEY error code=32")
            with open(mount / "KEY" / "INQUEUE3.KEY", "r+b") as key:
                (mount / "P1" / "00000062.P1").write_bytes(b"x")
                key.write(b"\1")
            with open(mount / "KEY" / "INQUEUE3.KEY", "r+b") as key:
                (mount / "P1" / "00000062.P1").unlink()
                key.write(b"\2")
        error, held = explain(store.path)["errors"]
    assert error["code"] == "[021]"
    assert [(deed["mailbags"], deed["files"])
            for deed in error["transactions"]] == [
        ("/INQUEUE", "created /P1/00000062.P1"),
        ("/INQUEUE", "removed /P1/00000062.P1")]
    assert all(str(os.getpid()) in deed["who"]
               for deed in error["transactions"])
    assert [deed["id"] for deed in held["transactions"][-2:]] == [
        deed["id"] for deed in error["transactions"]]


def test_who_merely_had_the_lock_is_told_and_both_inqueues_have_one(tmp_path):
    now = datetime.datetime.now()
    with Store(tmp_path / "store") as store:
        with Mount(store) as mount:
            (mount / "LOG" / "SESSION.LOG").write_bytes(
                stamp(now) + b" M:KEY\\INQUEUE3.KEY error code=32\n" +
                stamp(now) + b" M:KEY\\00000000.KEY error code=32\n")
            with open(mount / "KEY" / "INQUEUE3.KEY", "r+b"):
                (mount / "P1" / "00000062.P1").write_bytes(b"x")
        held, other = explain(store.path)["errors"]
    assert [(deed["mailbags"], deed["files"])
            for deed in held["transactions"] if deed["mailbags"]] == [
        ("/INQUEUE", "")]
    assert not any(deed["mailbags"] for deed in other["transactions"])


def test_rubbish_is_no_error(office):
    store = office({"A.LOG": bytes(range(256)) * 512 + b"[" * 70000})
    assert explain(store.path, "/A.LOG")["errors"] == []
