# SPDX-License-Identifier: BSD-2-Clause
"""mount-examples/: what goes to the clients' disks, and what is said of them."""

import pathlib
import re
import struct
import time

import pytest

from deployed import EXAMPLES, Deployed
from harness import run, tool
from smb1 import Client

BATCH = EXAMPLES / "connect.bat"
HOSTS = EXAMPLES / "lmhosts"

DOS_LINE = 127
"""How long a command may be."""


@pytest.fixture(scope="module")
def site():
    with Deployed("smb-aliases.conf") as made:
        yield made


def names_of(example):
    """What a server answers to, by its smb.conf."""
    found = re.findall(r"^\tnetbios (?:name|aliases) = (.*)$",
                       (EXAMPLES / example).read_text(), re.MULTILINE)
    return " ".join(found).split()


@pytest.mark.parametrize("file", [BATCH, HOSTS])
def test_dos_can_read_it(file):
    content = file.read_bytes()
    assert content.isascii()
    lines = content.split(b"\r\n")
    assert lines.pop() == b""
    for line in lines:
        assert b"\n" not in line and b"\t" not in line
        assert len(line) <= DOS_LINE
        # COMMAND.COM obeys these in a remark, too.
        assert not (line.startswith(b"REM") and set(line) & set(b"<>|")), line


def test_each_jump_has_a_place():
    text = BATCH.read_text().upper()
    assert set(re.findall(r"GOTO (\w+)$", text, re.MULTILINE)) == set(
        re.findall(r"^:(\w+)$", text, re.MULTILINE))


def test_every_share_of_the_batch_file_is_there(site):
    text = BATCH.read_text()
    used = re.findall(r"^NET USE \w: \\\\(\w+)\\(\w+)$", text, re.MULTILINE)
    assert used
    for server, share in used:
        assert server in names_of("smb.conf")
        with Client(site.server.port, share, server=server,
                    dialect="LANMAN1.0") as client:
            assert client.info("GLB")
    shares = [word for example in EXAMPLES.glob("smb*.conf") for word in
              re.findall(r"^\[(\w+)\]", example.read_text(), re.MULTILINE)]
    for server, share in re.findall(r"\\\\(\w+)\\(\w+)", text):
        assert server in names_of("smb-aliases.conf")
        assert share.lower() in shares


def test_the_batch_file_sees_a_postoffice_that_is_new(site):
    looked_for, = re.findall(r"^IF NOT EXIST M:\\(\S+) ", BATCH.read_text(),
                             re.MULTILINE)
    with Client(site.server.port, "MAIL", dialect="LANMAN1.0") as client:
        assert client.info(looked_for)


@pytest.mark.parametrize("dialect", ["LANMAN1.0", "LANMAN2.1", "NT LM 0.12"])
def test_net_time_gets_an_answer(site, dialect):
    """NetRemoteTOD, as NET TIME asks it."""
    with Client(site.server.port, "IPC$", dialect=dialect) as client:
        answer = client.remote_call(
            91, b"WrL\0DDBBBBWWBBWB\0" + struct.pack("<H", 100), 100)
    seconds, = struct.unpack_from("<I", answer)
    assert abs(seconds - time.time()) < 60


def test_lmhosts_names_what_the_servers_are_called():
    lines = [line.split() for line in HOSTS.read_text().splitlines()
             if not line.startswith("#")]
    assert [line[1] for line in lines] == names_of("smb-aliases.conf")
    assert {line[2] for line in lines} == {"#PRE"}
    assert len({line[0] for line in lines}) == 1


def test_a_client_finds_the_server_by_lmhosts(site, tmp_path):
    """Samba's own client, with the file where it looks for it."""
    (tmp_path / "lmhosts").write_text(
        HOSTS.read_text().replace("192.0.2.10", "127.0.0.1"))
    for name in names_of("smb-aliases.conf"):
        run(tool("unshare"), "--mount", "sh", "-euc", """
            mount --bind "$1" /etc/samba
            shift
            exec "$@"
            """, "sh", tmp_path, tool("smbclient"), f"//{name}/mail", "-p",
            site.server.port, "-U%", "-s", "/dev/null",
            "--option=name resolve order=lmhosts", "-c", "ls")


def test_each_test_that_the_notes_name_is_there():
    text = (EXAMPLES / "clients.md").read_text()
    named = set(re.findall(r"`(smb|local)_(\w+)`", text))
    tests = pathlib.Path(__file__).parents[1]
    assert named
    for suite, name in named:
        assert (tests / suite / f"test_{name}.py").is_file(), name


def test_each_client_is_said_to_be_tested_or_not():
    text = (EXAMPLES / "clients.md").read_text()
    table, = re.findall(r"^\| client \|.*?\n\n", text, re.MULTILINE | re.DOTALL)
    rows = [line.split("|")[1:-1] for line in table.splitlines() if line]
    assert len(rows) > 5
    for client, _, tested in rows[2:]:
        assert re.search(r"`(smb|local)_|untested", tested), client
