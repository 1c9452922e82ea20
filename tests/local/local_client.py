# SPDX-License-Identifier: BSD-2-Clause
r"""The test's end of a program of another operating system; see obey.h.

    client.open(r"PO\KEY\A.KEY", deny=Deny.ALL)

A client has the calls of smb1.Client, with the same arguments and errors, so
the mail programs of ../mail run on it; what it cannot do is not there.
"""

import contextlib
from dataclasses import dataclass

from smb1 import Access, Attr, Deny, Mode, SmbError

CHUNK = 1024
"""Most bytes that a line carries: OBEY_BYTES_MAX."""


class CallError(SmbError):
    """The system refused a call: its number is the same as over SMB."""

    def __init__(self, verb, code):
        Exception.__init__(self, f"{verb}: error {code}")
        self.status = self.dos_class = None
        self.code = code


@dataclass(frozen=True)
class Entry:
    """What a search finds."""

    name: str


class LocalClient:
    """A program that has the mount as drive M:.

    Those who derive from it say how a line gets to it and one from it.
    """

    def _send(self, line):
        raise NotImplementedError

    def _receive(self):
        raise NotImplementedError

    def start(self, verb, *words):
        """Begins a call; a word is a number, bytes or text."""
        self._send(" ".join([verb, *map(_encode, words)]))

    def result(self, verb="call"):
        """Waits for the end of a call. Returns the words of its answer."""
        kind, *words = self._receive().split()
        if kind == "error":
            raise CallError(verb, int(words[0], 16))
        assert kind == "ok", kind
        return words

    def call(self, verb, *words):
        """Both."""
        self.start(verb, *words)
        return self.result(verb)

    def open(self, name, access=Access.BOTH, deny=Deny.NONE, mode=Mode.OPEN,
             attributes=Attr.NORMAL):
        assert attributes == Attr.NORMAL
        self.start_open(name, access, deny, mode)
        return self.opened()

    def start_open(self, name, access=Access.BOTH, deny=Deny.NONE,
                   mode=Mode.OPEN):
        """Begins to open; opened() waits for it."""
        self.start("open", int(access), int(deny), int(mode), _path(name))

    def opened(self):
        """The file that start_open() asked for."""
        handle, size = (int(word, 16) for word in self.result("open"))
        return File(self, handle, size)

    def create(self, name):
        return self.open(name, mode=Mode.CREATE | Mode.TRUNCATE)

    def create_new(self, name):
        return self.open(name, mode=Mode.CREATE)

    def read_file(self, name, deny=Deny.NONE):
        with self.open(name, Access.READ, deny) as file:
            return file.read(0, file.size)

    def write_file(self, name, content):
        with self.create(name) as file:
            file.write(0, content)

    def delete(self, name):
        self.call("delete", _path(name))

    def rename(self, name, new_name):
        self.call("rename", _path(name), _path(new_name))

    def search(self, name):
        """What there is of this name: one entry or none."""
        try:
            return [Entry(self.call("find", _path(name))[0])]
        except CallError as error:
            if error.code not in (2, 18):  # not found; no more files
                raise
            return []


class File:
    """An open file. Leaving a `with` block closes it."""

    def __init__(self, client, handle, size):
        self.client = client
        self.handle = handle
        self.size = size

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def read(self, offset, size):
        content = b""
        while len(content) < size:
            words = self.client.call("read", self.handle,
                                     offset + len(content),
                                     min(size - len(content), CHUNK))
            if not words:
                break
            content += bytes.fromhex(words[0])
        return content

    def write(self, offset, content):
        for at in range(0, len(content), CHUNK):
            self.client.call("write", self.handle, offset + at,
                             content[at:at + CHUNK])

    def truncate(self, size):
        self.client.call("truncate", self.handle, size)

    def lock(self, offset, size, timeout_ms=0):
        assert timeout_ms == 0
        self.client.call("lock", self.handle, offset, size)

    def unlock(self, offset, size):
        self.client.call("unlock", self.handle, offset, size)

    def close(self):
        self.client.call("close", self.handle)


def _path(name):
    return "M:\\" + name


def _encode(word):
    if isinstance(word, int):
        return f"{word:x}"
    return word.hex() if isinstance(word, bytes) else word


@contextlib.contextmanager
def refused(code):
    """Checks that the block is refused with this error and no other."""
    try:
        yield
    except SmbError as error:
        assert error.code == code, f"error {error.code}, not {code}"
    else:
        raise AssertionError(f"not refused with {code}")
