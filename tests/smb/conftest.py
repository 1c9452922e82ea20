# SPDX-License-Identifier: BSD-2-Clause
"""What the smb tests share: a place to serve, an smbd, clients.

Each test runs twice: on `pofs` and on a `plain` directory, which shows that it
asks for what DOS programs get from any server. Where the two must differ the
test says so (`place.is_pofs`, ONLY_POFS).

A place and its smbd live for one test file; a test has a postoffice of its
own in them. The file may name MOUNT_OPTIONS for pofs, SETTINGS
for smbd, and have the share-mode BRIDGE.

POFS_CONTROLS=no leaves the runs on a plain directory out: they say nothing of
a build of pofs that they do not use, a sanitized one for instance.
"""

import contextlib
import os
import pathlib
import sys

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "demo"), str(TESTS / "mail")]

import smb1
import smbd
from history import History
from hub import Crew, Hub
from place import Office, Place, PofsPlace
from turns import Turns

# smbd tries a refused open again for so many microseconds; its default of
# 0.95 s would make up most of the time that these tests take.
QUICK_REFUSAL = "smbd:sharedelay = 20000"

LOG_SHOWN = 8000
"""How many characters of smbd's log are shown with a failure."""


def pytest_collection_modifyitems(items):
    if os.environ.get("POFS_CONTROLS") == "no":
        items[:] = [item for item in items if not hasattr(item, "callspec")
                    or item.callspec.params.get("place") != "plain"]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """Shows the end of smbd's log with a failure."""
    report = (yield).get_result()
    server = item.funcargs.get("server")
    if report.failed and server is not None and server.log.exists():
        report.sections.append(("smbd", server.log.read_text(
            errors="replace")[-LOG_SHOWN:]))


@pytest.fixture(scope="module", params=["plain", "pofs"])
def place(request):
    options = getattr(request.module, "MOUNT_OPTIONS", ())
    made = PofsPlace(*options) if request.param == "pofs" else Place()
    with contextlib.closing(made):
        yield made
        made.end()


@pytest.fixture(scope="module")
def server(request, place):
    settings = getattr(request.module, "SETTINGS", [QUICK_REFUSAL])
    bridge = getattr(request.module, "BRIDGE", False)
    with smbd.Smbd({smbd.SHARE: place.path}, *settings, bridge=bridge) as made:
        yield made


@pytest.fixture
def office(place):
    return Office(place)


@pytest.fixture
def mail(office):
    """The postoffice, with mailbags in it."""
    for mailbag in ("A", "B", "INQUEUE", "INQUEUE3"):
        office.add_mailbag(mailbag)
    return office


@pytest.fixture
def hub(place, office):
    """A postoffice with mailbags, for mail programs."""
    return Hub(place, office, History())


@pytest.fixture
def crew(hub, server):
    """The mail programs on it; the test gives them their turns."""
    with Turns() as turns, Crew(hub, server, turns) as made:
        yield made


class Machines:
    """Makes clients, each a machine with an address of its own."""

    def __init__(self, server):
        self._server = server
        self._clients = []

    def new(self, **options):
        options.setdefault("source", f"127.0.1.{len(self._clients) + 1}")
        client = smb1.Client(self._server.port, smbd.SHARE, **options)
        self._clients.append(client)
        return client

    def close(self):
        for client in self._clients:
            client.__exit__()


@pytest.fixture
def machines(server):
    made = Machines(server)
    yield made
    made.close()


@pytest.fixture
def client(machines):
    return machines.new()


@pytest.fixture
def other(machines):
    """A second client machine."""
    return machines.new()


@pytest.fixture(params=smb1.DIALECTS)
def any_client(request, machines):
    """A client of each generation."""
    return machines.new(dialect=request.param)


@pytest.fixture
def refused():
    """Expects that the server answers with a DOS error code."""
    return _refused


class _refused:
    def __init__(self, code):
        self._code = code
        self._raises = pytest.raises(smb1.SmbError)

    def __enter__(self):
        self._info = self._raises.__enter__()
        return self._info

    def __exit__(self, *error):
        result = self._raises.__exit__(*error)
        assert self._info.value.code == self._code, str(self._info.value)
        return result
