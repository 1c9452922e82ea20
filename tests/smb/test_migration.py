# SPDX-License-Identifier: BSD-2-Clause
"""mount-examples/migration.md: its commands, as they stand there.

The old server is an smbd with a plain directory. Paths, servers and the
share's user are put in; systemctl is what the unit would do.
"""

import contextlib
import os
import pathlib
import re
import shutil
import sys
import tempfile

import pytest

import smbd
from deployed import EXAMPLES, USER, Samba
from harness import HarnessError, Mount, Store, program, run
from smb1 import Client, Deny, Mode

sys.path.append(str(pathlib.Path(__file__).parents[1] / "tools"))

import trees
from mailtree import BAG, RECORD_SIZE, MailTree, header_of

GUIDE = EXAMPLES / "migration.md"


class _Found(Store):
    """A store that the guide has made."""

    def __init__(self, path):  # pylint: disable=super-init-not-called
        self.path = path


class Machine:
    """Where the commands are given."""

    def __init__(self, directory, old):
        self.home = directory / "home"
        self.point = directory / "srv"
        self.lib = directory / "lib"
        self._old = old
        self._running = contextlib.ExitStack()
        self.server = None
        for made in (self.home, self.point):
            made.mkdir()
        # poctl is found like any installed program.
        (directory / "bin").mkdir()
        (directory / "bin" / "poctl").symlink_to(program("tools/poctl"))
        self._environment = {**os.environ, "PATH": f"{directory / 'bin'}:"
                             + os.environ["PATH"]}

    def do(self, section):
        """Gives the commands of a section."""
        text = GUIDE.read_text().partition(f"## {section}\n")[2]
        commands = re.findall(r"^    (.*)$", text.partition("\n## ")[0],
                              re.MULTILINE)
        assert commands, f"no section {section}"
        for command in commands:
            if command.startswith("systemctl"):
                self._systemctl(command)
            else:
                self._shell(command)

    def _systemctl(self, command):
        if command == "systemctl enable --now pofs@mail":
            self._running.enter_context(Mount(
                _Found(self.lib / "mail"), "-o", f"user={USER},umask=000",
                path=self.point))
            self.server = self._running.enter_context(
                Samba("smb.conf", self.point))
        elif command == "systemctl stop pofs@mail":
            self._running.close()
        else:
            raise HarnessError(f"{command}: is not known here")

    def _shell(self, command):
        here = "-s /dev/null -p"
        for old, new in (
                ("//OLDSERVER/MAILDATA -U ADMIN",
                 f"//127.0.0.1/MAILDATA -U % {here} {self._old.port}"),
                ("//localhost/mail", "//127.0.0.1/mail "
                 f"{here} {self.server.port if self.server else 0}"),
                ("/home/admin", str(self.home)),
                ("/var/lib/pofs", str(self.lib)),
                ("=pofs", f"={USER}"),
                ("-o pofs -g pofs", f"-o {USER} -g nogroup")):
            command = command.replace(old, new)
        run("/bin/sh", "-euc", command, env=self._environment, cwd="/")

    def close(self):
        self._running.close()


@pytest.fixture
def old_share():
    """A postoffice on the old server: some mail, and what it has lost."""
    with tempfile.TemporaryDirectory(prefix="old-") as directory:
        pathlib.Path(directory).chmod(0o711)
        tree = MailTree(pathlib.Path(directory))
        tree.deliver(BAG, "Lunch", stem="00000063")
        trees.write(tree.office / "P1" / "0000000E.0LK")
        trees.write(tree.office / "GLB" / "lower.glb", b"l")
        own(tree.office)
        yield tree.office


def own(top):
    for path in [top, *top.rglob("*")]:
        os.chown(path, *smbd.share_ids())
        path.chmod(0o777)


@pytest.fixture
def machine(old_share):
    with smbd.Smbd({"MAILDATA": old_share}) as old, \
            tempfile.TemporaryDirectory(prefix="new-") as directory:
        directory = pathlib.Path(directory)
        directory.chmod(0o711)
        made = Machine(directory, old)
        try:
            yield made
        finally:
            made.close()


def deliver(port):
    """One more message, by a client."""
    with Client(port, "mail") as client:
        client.write_file(r"MAI\MA4\00000064.MAI", b"M" * 3000)
        with client.open(rf"KEY\{BAG}.KEY", deny=Deny.ALL) as key, \
                client.open(rf"MBG\{BAG}.MBG") as bag:
            bag.write(bag.size, header_of("00000064"))
            key.write(0, b"\2\0")
        client.delete(r"GLB\LOWER.GLB")
        client.open(r"P1\0000000E.0LK", deny=Deny.ALL, mode=Mode.CREATE)


def test_a_postoffice_comes_and_goes_by_the_guide(machine, old_share):
    before = trees.describe_unread(old_share)

    machine.do("1. The rehearsal")
    assert not list(machine.home.iterdir()) + list(machine.lib.iterdir())
    machine.do("2. The day")
    trees.assert_same(trees.describe_unread(old_share), before)
    deliver(machine.server.port)

    shutil.rmtree(old_share)
    old_share.mkdir()
    own(old_share)
    machine.do("3. Back")

    after = {path: facts[4] for path, facts in
             trees.describe_unread(old_share).items()}
    assert after.keys() == (before.keys() | {"MAI/MA4/00000064.MAI"}) - {
        "P1/0000000E.0LK", "GLB/lower.glb"}
    assert after["MAI/MA4/00000064.MAI"] == 3000
    assert after[f"MBG/{BAG}.MBG"] == 2 * RECORD_SIZE
