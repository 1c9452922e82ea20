# SPDX-License-Identifier: BSD-2-Clause
"""A client that leaves a mailbag open (Q92439), and comes back to it."""

import pytest

from place import ONLY_POFS
from smb1 import Attr, Error

pytestmark = ONLY_POFS

IDLE_S = 1
MOUNT_OPTIONS = [f"idle-open-s={IDLE_S}"]


def visit(client, name, content=None):
    """Has the mailbag in between, once it has been idle for long enough, and
    changes it or not."""
    with client.open(name) as key:
        if content is not None:
            key.write(0, content)


@pytest.mark.parametrize("attributes", [Attr.NORMAL, Attr.ARCHIVE])
def test_it_goes_on_where_nothing_has_changed(client, other, mail, attributes):
    """Also where smbd sets the archive bit before it writes."""
    name = mail.smb("KEY", "A.KEY")
    client.set_info(name, attributes)
    with client.open(name) as key:
        visit(other, name)
        key.write(0, b"mine")
    assert (mail.path / "KEY" / "A.KEY").read_bytes()[:4] == b"mine"


@pytest.mark.parametrize("attributes", [Attr.NORMAL, Attr.ARCHIVE])
def test_it_is_told_what_has_changed(client, other, mail, refused, attributes):
    name = mail.smb("KEY", "A.KEY")
    client.set_info(name, attributes)
    key = client.open(name)
    visit(other, name, b"theirs")
    client.set_info(name, Attr.ARCHIVE | Attr.HIDDEN)
    with refused(Error.SHARING_VIOLATION):
        key.write(0, b"mine")
    key.close()
    assert (mail.path / "KEY" / "A.KEY").read_bytes()[:6] == b"theirs"
