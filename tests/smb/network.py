# SPDX-License-Identifier: BSD-2-Clause
"""A switch with a server and machines on it, and links that are cut.

    with Network() as network:      # this thread, and those it starts, are now
        machine = network.plug()    # on the server
        with machine:               # and this one is on that machine meanwhile
            client = smb1.Client(port, share, host=network.host)
        machine.cut("carrier")
        machine.mend()

Each machine is a network namespace with one end of a veth pair in it; the other
is a port of a bridge in the server's namespace. Nothing of it is in the
network of the system, and it vanishes with this process.
"""

import contextlib
import ctypes
import itertools
import os
import threading

from harness import run, tool, wait_until

CUTS = ("carrier", "silent")
"""The cable is pulled out of the machine, which both ends of it see; or it is
whole, and the switch beyond it is not: nobody is told."""

_CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


def _check(r):
    if r != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _ip(*lines):
    run(tool("ip"), "-batch", "-", input="\n".join(lines) + "\n")


def _shows(command, device, word):
    return f" {word} " in run(tool(command), "link", "show", "dev",
                              device).stdout


class Namespace:
    """A network of its own; a `with` block is in it."""

    def __init__(self):
        self._outside = []  # descriptors; blocks may be nested
        self._mutex = threading.Lock()
        maker = threading.Thread(target=self._make)
        maker.start()
        maker.join()

    def _make(self):
        _check(_libc.unshare(_CLONE_NEWNET))
        self.fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY)

    def __enter__(self):
        with self._mutex:
            self._outside.append(
                os.open("/proc/thread-self/ns/net", os.O_RDONLY))
            _check(_libc.setns(self.fd, _CLONE_NEWNET))
        return self

    def __exit__(self, *_):
        with self._mutex:
            outside = self._outside.pop()
            _check(_libc.setns(outside, _CLONE_NEWNET))
            os.close(outside)

    def close(self):
        os.close(self.fd)


class Machine(Namespace):
    """A machine on a port of the switch."""

    def __init__(self, network, number):
        super().__init__()
        self._network = network
        self._port = f"port{number}"
        self.address = f"10.0.{number // 250}.{number % 250 + 2}"
        with network.server:
            _ip(f"link add {self._port} type veth peer name eth0 netns "
                f"/proc/{os.getpid()}/fd/{self.fd}",
                f"link set {self._port} master switch up")
        with self:
            _ip(f"address add {self.address}/16 dev eth0",
                "link set lo up", "link set eth0 up")
        self._await_link()

    def _await_link(self):
        """What is sent before both ends know that it is up is lost."""
        with self:
            wait_until(lambda: _shows("ip", "eth0", "state UP"), "the link")
        with self._network.server:
            wait_until(lambda: _shows("bridge", self._port,
                                      "state forwarding"), "the port")

    def cut(self, how):
        """Cuts the link; what is sent from now on does not arrive."""
        if how == "carrier":
            with self:
                _ip("link set eth0 down")
        else:
            with self._network.server:
                _ip(f"link set {self._port} nomaster")

    def mend(self):
        """The link is as it was."""
        with self:
            _ip("link set eth0 up")
        with self._network.server:
            _ip(f"link set {self._port} master switch")
        self._await_link()


class Network:
    """The switch, with the server on it."""

    host = "10.0.0.1"
    """The server's address."""

    settings = ["interfaces = lo switch"]
    """What smbd must be told to listen there."""

    def __init__(self):
        self._numbers = itertools.count()
        self._undo = contextlib.ExitStack()
        self.server = Namespace()
        self._undo.callback(self.server.close)

    def __enter__(self):
        with contextlib.ExitStack() as undo:
            undo.callback(self._undo.close)
            self._undo.enter_context(self.server)
            # With the address of one of its ports it would have what arrives
            # there without the switch, too.
            _ip("link set lo up",
                "link add switch address 02:00:00:00:00:01 type bridge",
                f"address add {self.host}/16 dev switch",
                "link set switch up")
            undo.pop_all()
        return self

    def __exit__(self, *_):
        self._undo.close()

    def plug(self):
        """A new machine. Its namespace ends with this network."""
        machine = Machine(self, next(self._numbers))
        self._undo.callback(machine.close)
        return machine
