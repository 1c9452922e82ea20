# SPDX-License-Identifier: BSD-2-Clause
"""One client machine in a process of its own: what an Actor calls. What it
opens is told by its fid; what the server refuses is not told."""

import smb1
from smbd import SHARE

_machine = {}


def connect(port, source):
    """Comes to the share. Returns the connection's address."""
    client = smb1.Client(port, SHARE, source=source, timeout=None)
    _machine.update(client=client, files={})
    return client.address


def _answer(function, *arguments):
    try:
        found = function(*arguments)
    except smb1.SmbError:
        return None
    if not isinstance(found, smb1.File):
        return None
    _machine["files"][found.fid] = found
    return found.fid


def call(name, *arguments):
    """Calls a function of the client's."""
    return _answer(getattr(_machine["client"], name), *arguments)


def call_file(fid, name, *arguments):
    """Calls a function of an open file's."""
    return _answer(getattr(_machine["files"][fid], name), *arguments)


def leave_drive():
    """Gives up its drive letter, with all that is open there, and takes it
    again."""
    client = _machine["client"]
    client.request(smb1.Command.TREE_DISCONNECT)
    _machine.update(client=client.drive(SHARE), files={})
