# SPDX-License-Identifier: BSD-2-Clause
"""The share-mode bridge: smbd tells pofs what each client denies to others.

Between clients it changes nothing (smbd is the judge there), but that whoever
denies anything has the mailbag; and a local program, which can deny nothing,
meets the deny modes of clients. Elsewhere it must do nothing.
"""

import configparser
import contextlib
import errno
import json
import os
import pathlib
import signal

import pytest

from delivery import deliver
from harness import build_dir, fails_with, poctl, run, tool, wait_until
from place import ONLY_PLAIN, ONLY_POFS
from smb1 import Access, Command, Deny, Disconnected, Error, Mode, SmbError
from smbd import BRIDGE as EXAMPLE
from smbd import SHARE, SHARE_USER
from test_sharing import DENIED, DOES, is_denied, open_each_way
from torture import torture

BRIDGE = True
# Nobody waits; and the daemon is not root, so it must be told who is there.
SETTINGS = ["smbd:sharedelay = 0"]
MOUNT_OPTIONS = ["lock-wait-s=0", f"user={SHARE_USER}"]

FLAGS = {Access.READ: os.O_RDONLY, Access.WRITE: os.O_WRONLY,
         Access.BOTH: os.O_RDWR}
"""How a local program opens for the same."""

WAYS = [(access, deny) for access in Access for deny in DENIED]


@pytest.fixture
def local(office):
    """A file that any number of programs may write."""
    path = office.path / "GLB" / "SYSTEM.GLB"
    path.write_bytes(b"content")
    path.chmod(0o777)
    return path


@pytest.fixture
def name(office, local):
    """What a client calls it."""
    return office.smb("GLB", local.name)


@contextlib.contextmanager
def opened(path, flags):
    """A local program has it open."""
    fd = os.open(path, flags)
    try:
        yield fd
    finally:
        os.close(fd)


def is_open_refused(path, flags):
    """Whether a local program is kept from opening it."""
    try:
        with opened(path, flags):
            return False
    except OSError as error:
        assert error.errno == errno.ETXTBSY
        return True


# ---- between clients --------------------------------------------------------


@ONLY_POFS
def test_between_clients_nothing_changes(client, other, name):
    for access, deny in WAYS:
        with client.open(name, access, deny):
            for second, is_refused in open_each_way(other, name).items():
                assert is_refused == is_denied(access, deny, *second), second


@ONLY_POFS
def test_what_another_client_has_open_may_be_truncated(client, other, local,
                                                       name):
    with client.open(name) as reader:
        other.open(name, mode=Mode.TRUNCATE).close()
        assert reader.read(0, 10) == b""
        local.write_bytes(b"new")
        other.create(name).close()
        assert reader.read(0, 10) == b""


@ONLY_POFS
def test_who_denies_others_anything_has_the_mailbag(client, other, mail):
    def wants_lock(access, deny):
        return access != Access.READ or deny != Deny.NONE

    key = mail.smb("KEY", "A.KEY")
    mbg = mail.smb("MBG", "A.MBG")
    for access, deny in WAYS:
        with client.open(key, access, deny):
            for second, is_refused in open_each_way(other, mbg).items():
                assert is_refused == (wants_lock(access, deny) and
                                      wants_lock(*second)), second
    other.open(mbg, Access.BOTH, Deny.ALL).close()


# ---- clients and local programs ---------------------------------------------


@ONLY_POFS
def test_a_local_program_meets_a_client_s_deny_mode(client, local, name):
    for access, deny in WAYS:
        with client.open(name, access, deny):
            for wanted, flags in FLAGS.items():
                is_denied_it = bool(DENIED[deny] & DOES[wanted])
                for how in (flags, flags | os.O_CREAT):
                    assert is_open_refused(local, how) == is_denied_it, (
                        deny, wanted)
            with (fails_with(errno.ETXTBSY) if Access.WRITE in DENIED[deny]
                  else contextlib.nullcontext()):
                os.truncate(local, 3)
        assert not is_open_refused(local, os.O_RDWR | os.O_TRUNC)


@ONLY_POFS
def test_a_client_cannot_deny_what_a_local_program_does(client, local, name):
    for held, flags in FLAGS.items():
        with opened(local, flags):
            for (_, deny), is_refused in open_each_way(client, name).items():
                assert is_refused == bool(DENIED[deny] & DOES[held]), deny
    client.open(name, Access.BOTH, Deny.ALL).close()


@ONLY_POFS
def test_windows_share_modes_are_the_same(client, local, name):
    read_only, share_read = 0x00120089, 1
    with client.open_nt(name, access=read_only, share=share_read):
        assert is_open_refused(local, os.O_RDWR)
        assert not is_open_refused(local, os.O_RDONLY)


@ONLY_POFS
@pytest.mark.parametrize("mode", ["create", "truncate"])
def test_a_refusal_changes_nothing(client, local, name, refused, mode):
    """Not even what smbd would change before it has said what is denied."""
    def empty():
        if mode == "create":
            client.create(name).close()
        else:
            client.open(name, deny=Deny.ALL, mode=Mode.TRUNCATE).close()

    with opened(local, os.O_RDONLY) as fd:
        with refused(Error.SHARING_VIOLATION):
            empty()
        assert os.pread(fd, 100, 0) == b"content"
        assert os.fstat(fd).st_size == 7
    empty()
    assert local.read_bytes() == b""


@ONLY_POFS
def test_a_local_reader_of_a_mailbag_is_denied_only_what_it_reads(client, mail):
    with client.open(mail.smb("KEY", "A.KEY"), Access.READ, Deny.READ):
        assert is_open_refused(mail.path / "KEY" / "A.KEY", os.O_RDONLY)
        assert not is_open_refused(mail.path / "MBG" / "A.MBG", os.O_RDONLY)
        assert is_open_refused(mail.path / "MBG" / "A.MBG", os.O_RDWR)
    assert not is_open_refused(mail.path / "MBG" / "A.MBG", os.O_RDWR)


# ---- the end ----------------------------------------------------------------


@ONLY_POFS
def test_a_killed_smbd_denies_nothing_any_more(client, server, mail, local,
                                               name):
    client.open(name, deny=Deny.ALL)
    client.open(mail.smb("KEY", "A.KEY"), Access.READ, Deny.READ)
    assert is_open_refused(local, os.O_RDONLY)
    os.kill(server.process_of(client), signal.SIGKILL)
    wait_until(lambda: not is_open_refused(local, os.O_RDONLY), "it is free")
    wait_until(lambda: not is_open_refused(mail.path / "MBG" / "A.MBG",
                                           os.O_RDWR), "the mailbag, too")


@ONLY_POFS
def test_what_a_lost_client_had_staged_is_undone(client, other, mail):
    """Although smbd clears the share mode before it closes."""
    key = client.open(mail.smb("KEY", "A.KEY"), Access.READ, Deny.ALL)
    with client.open(mail.smb("MBG", "A.MBG")) as mbg:
        mbg.write(0, b"header")
    assert key.read(0, 1) == b"\0"
    client.reset()

    def taken():
        with contextlib.suppress(SmbError):
            return other.open(mail.smb("MBG", "A.MBG"))

    with wait_until(taken, "the mailbag is free") as mbg:
        assert mbg.read(0, 6) == b""


@ONLY_POFS
def test_who_was_undone_is_not_told_by_a_declaration(client, mail):
    """smbd would take that for a sharing violation, and try again."""
    drive = client.drive(SHARE)
    client.create_new(mail.smb("P1", "INQUEUE3.0LK")).close()
    deliver(client, mail).close()
    drive.open(mail.smb("KEY", "B.KEY")).write(0, b"x")
    drive.request(Command.TREE_DISCONNECT)
    client.open(mail.smb("KEY", "A.KEY"), Access.READ, Deny.WRITE).close()
    with pytest.raises(SmbError) as error:
        deliver(client, mail)
    assert error.value.code == Error.GENERAL_FAILURE


# ---- what the administrator sees --------------------------------------------


def rows(store, command):
    return json.loads(poctl(command, "--json", store.path).stdout)[command]


@ONLY_POFS
def test_the_lock_is_said_to_be_declared(client, mail, place):
    def forms():
        return [row["forms"] for row in rows(place.store, "locks")
                if row["path"] == f"/{mail.name}/A"]

    key = mail.smb("KEY", "A.KEY")
    with client.open(key, Access.READ, Deny.WRITE):
        assert forms() == ["declared"]
        with client.open(mail.smb("MBG", "A.MBG"), deny=Deny.NONE):
            assert forms() == ["open, declared"]
    with client.open(key, Access.READ, Deny.NONE):
        assert forms() == []


@ONLY_POFS
def test_it_says_where_a_client_is(client, place, name):
    with client.open(name):
        host, port = client.address
        assert f"{host}:{port}" in [row.get("peer") for row in
                                    rows(place.store, "sessions")]


# ---- the examples ----------------------------------------------------------


def test_smb_conf_takes_the_lines(tmp_path):
    config = tmp_path / "smb.conf"
    main = EXAMPLE.with_name("smb.conf").read_text()
    config.write_text(main + f"\tinclude = {EXAMPLE}\n")
    done = run(tool("testparm"), "-s", config)
    assert "vfs objects = gpfs" in done.stdout
    assert "kernel share modes = No" not in done.stdout
    assert "Unknown" not in done.stderr and "error" not in done.stderr.lower()


def test_smbd_is_told_where_it_is_installed():
    unit = configparser.ConfigParser()
    unit.optionxform = str
    unit.read(EXAMPLE.with_name("smbd-with-bridge.conf"))
    told = unit["Service"]["Environment"].removeprefix("LD_LIBRARY_PATH=")
    installed = json.loads((build_dir() / "meson-info" /
                            "intro-installed.json").read_text())
    assert [str(pathlib.Path(path).parent) for path in installed.values()
            if path.endswith("/libgpfs.so")] == [told]


# ---- everywhere else --------------------------------------------------------


@ONLY_POFS
@pytest.mark.parametrize("suite", [
    "base.denydos", "base.deny1", "base.deny2", "base.deny3", "base.ntdeny1",
    "base.ntdeny2", *[f"base.lock.LOCK{number}" for number in range(1, 8)]])
def test_smbtorture(server, place, suite):
    torture(server, place, suite)


@ONLY_POFS
def test_smbd_survives_the_daemon(server, machines, place, name):
    client = machines.new()
    file = client.open(name, deny=Deny.ALL)
    place.crash()
    with pytest.raises((SmbError, Disconnected)):
        file.read(0, 1)
    server.close_share(SHARE)
    with machines.new().open("NEW", deny=Deny.ALL, mode=Mode.CREATE):
        assert is_open_refused(place.path / "NEW", os.O_RDONLY)


@ONLY_PLAIN
def test_elsewhere_it_does_nothing(client, other, office, local, name):
    """As everywhere, between clients smbd sees to what they deny."""
    with client.open(name, deny=Deny.WRITE):
        other_way = open_each_way(other, name)
    assert {way for way, is_refused in other_way.items() if is_refused} == {
        way for way in other_way if is_denied(Access.BOTH, Deny.WRITE, *way)}
    client.open(name, deny=Deny.ALL, mode=Mode.TRUNCATE).close()
    assert local.read_bytes() == b""
    client.write_file(office.smb("GLB", "NEW.GLB"), b"new")
    assert client.read_file(office.smb("GLB", "NEW.GLB")) == b"new"
