# SPDX-License-Identifier: BSD-2-Clause
"""A program that does not take turns with others, and a link that is cut."""

import socket

PAUSES_MAX = 20


class Solo:
    """A player (see turns.py) who is alone on the stage, or among others who
    do as they please."""

    def __init__(self, name):
        self.name = name
        self._pauses = 0

    def turn(self, operation, name=""):
        """It is always its turn."""

    def pause(self):
        """The server has made it wait already."""
        self._pauses += 1
        assert self._pauses <= PAUSES_MAX, f"{self.name} is kept out for ever"


class LinkCut(Exception):
    """The client's own link was cut, as it was told."""


class Wire:
    """The socket of a client whose link is cut at a chosen byte.

    Of request number `at`, from 0 for the first after the logon, as many bytes
    are sent as `part(its size)` says; then `sever(client)` cuts. Without an
    `at` it is not cut, and counts. `before` maps numbers of requests to what
    happens elsewhere before they are sent.
    """

    def __init__(self, client, at=None, part=None, sever=None, before=None):
        self._client = client
        self._socket = client._socket
        self._at, self._part, self._sever = at, part, sever
        self._before = before or {}
        self.sent = 0
        client._socket = self

    @property
    def is_special_next(self):
        """Whether something happens to, or before, the next request."""
        return self.sent == self._at or self.sent in self._before

    def sendall(self, packet):
        if self.sent in self._before:
            self._before[self.sent]()
        if self.sent == self._at:
            self._socket.sendall(packet[:self._part(len(packet))])
            self._sever(self._client)
            raise LinkCut
        self.sent += 1
        self._socket.sendall(packet)

    def __getattr__(self, name):
        return getattr(self._socket, name)


def finish(client):
    """Ends a connection as a program's end does: nothing more is sent, and
    what still comes is read."""
    client._socket.shutdown(socket.SHUT_WR)
    while client._socket.recv(65536):
        pass
    client._socket.close()
