# SPDX-License-Identifier: BSD-2-Clause
"""A delivery to a mailbag of an Office: a message file, a header in the MBG,
a mark in the KEY. What becomes of them is seen together, or not at all."""


def _message(office, mailbag):
    return office.smb("MAI", "MA7", f"000000{mailbag}7.MAI")


def begin_delivery(client, office, mailbag="A"):
    """All of a delivery but its end; returns the open KEY."""
    key = client.open(office.smb("KEY", f"{mailbag}.KEY"))
    client.write_file(_message(office, mailbag), b"message")
    with client.open(office.smb("MBG", f"{mailbag}.MBG")) as mbg:
        mbg.write(0, b"header")
    return key


def deliver(client, office, mailbag="A"):
    """All of it; returns the KEY, which is open still."""
    key = begin_delivery(client, office, mailbag)
    key.write(0, b"\1")
    return key


def is_delivered(client, office, mailbag="A"):
    """Whether a client sees all of it; None if it sees a part."""
    seen = {client.read_file(office.smb("KEY", f"{mailbag}.KEY"))[:1] == b"\1",
            client.read_file(office.smb("MBG", f"{mailbag}.MBG")) == b"header",
            bool(client.search(_message(office, mailbag)))}
    return seen.pop() if len(seen) == 1 else None
