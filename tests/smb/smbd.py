# SPDX-License-Identifier: BSD-2-Clause
"""A private smbd on a free loopback port, with the example's settings.

    with Smbd({SHARE: directory}) as server:
        with smb1.Client(server.port, SHARE) as client:
            ...

What runs is mount-examples/smb.conf and what it includes: paths, user and port
are put in, every other setting is the one that administrators copy. All of its
state is in a directory of its own, so that it neither sees nor disturbs another
smbd.
"""

import contextlib
import os
import pathlib
import pwd
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile

from harness import HarnessError, end_with_parent, is_mounted, program, run, \
    tool, wait_until

EXAMPLE = pathlib.Path(__file__).parents[2] / "mount-examples" / "smb.conf"
BRIDGE = EXAMPLE.with_name("smb-bridge.conf")

SHARE = "mail"
"""What the example calls its share."""

SHARE_USER = "nobody"
"""Who smbd acts as in the tests; every system has it, and it is not root."""


def share_ids():
    """The user and group ids of the share's user."""
    entry = pwd.getpwnam(SHARE_USER)
    return entry.pw_uid, entry.pw_gid


def _free_port():
    """None of those that the kernel gives to clients: an smbd that is started
    again must find its port free, whatever else runs meanwhile."""
    while True:
        port = random.SystemRandom().randrange(10000, 30000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def _split_example():
    """The example as its settings of [global] and those of its share."""
    text = re.sub(r"^\tinclude = /etc/samba/(\S+)\n",
                  lambda line: (EXAMPLE.parent / line[1]).read_text(),
                  EXAMPLE.read_text(), flags=re.MULTILINE)
    text = text.replace("= pofs\n", f"= {SHARE_USER}\n")
    everything, share = text.split(f"[{SHARE}]\n")
    return everything, share


def _share_section(name, path, template):
    """The example's share under another name, at another place."""
    section = f"[{name}]\n" + template.replace("/srv/mail", str(path))
    if is_mounted(path):
        return section
    # A plain directory is never mounted, so the example would refuse it; and
    # does not fold case, so smbd must.
    section = section.replace("case sensitive = yes", "case sensitive = no")
    return re.sub(r"^\s*root preexec.*\n", "", section, flags=re.MULTILINE)


class Smbd:
    """A running smbd that accepts connections.

    `shares` maps share names to directories. `settings` are more lines for
    [global], for instance "smbd:sharedelay = 100000". With `bridge` it tells
    pofs of share modes.
    """

    def __init__(self, shares, *settings, bridge=False):
        # Not below a test's own directory: smbd acts as the share's user,
        # who must be able to come here.
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="smbd-"))
        self.directory.chmod(0o711)
        self.port = _free_port()
        self.config = self.directory / "smb.conf"
        self.log = self.directory / "log.smbd"
        self._bridge = bridge
        self._process = None
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            self._write_config(shares, settings)
            self.start()
            undo.pop_all()

    def _write_config(self, shares, settings):
        everything, share = _split_example()
        text = everything + self._own_settings(*settings)
        for name, path in shares.items():
            text += "\n" + _share_section(name, path, share)
            if self._bridge:
                text += BRIDGE.read_text()
        self.config.write_text(text)

    def _own_settings(self, *settings):
        """What keeps it to itself, and more lines for [global]."""
        lines = ["interfaces = lo", "bind interfaces only = yes",
                 f"smb ports = {self.port}", f"log file = {self.log}",
                 "max log size = 0", "private dir = {0}/private",
                 "lock directory = {0}/lock", "state directory = {0}/state",
                 "cache directory = {0}/cache", "pid directory = {0}/pid",
                 "ncalrpc dir = {0}/ncalrpc", *settings]
        for name in ("private", "lock", "state", "cache", "pid", "ncalrpc"):
            (self.directory / name).mkdir(mode=0o755)
        return "".join("\t" + line.format(self.directory) + "\n"
                       for line in lines)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None and self.log.exists():
            print(f"---- smbd\n{self.log.read_text(errors='replace')}")
        self.close()

    def start(self):
        """Starts smbd and waits until it accepts connections."""
        environment = {**os.environ, "TZ": "UTC"}
        if self._bridge:
            environment["LD_LIBRARY_PATH"] = str(
                pathlib.Path(program("fs/bridge/libgpfs.so")).parent)
        # The path must be absolute: smbd reads the file again from within
        # the share.
        self._process = subprocess.Popen(
            [tool("smbd"), "--foreground", "--no-process-group",
             "-s", str(self.config)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
            env=environment, preexec_fn=end_with_parent)
        wait_until(self._accepts, "smbd accepts connections")
        wait_until(self._has_notifier, "smbd's notify daemon is there")

    def _has_notifier(self):
        """Whether its notify daemon has entered its name. A client that opens
        a share before is told that there is no memory (DOS error 8)."""
        names = self.directory / "lock" / "names.tdb"
        return b"notify-daemon" in names.read_bytes()

    def _accepts(self):
        if self._process.poll() is not None:
            raise HarnessError(f"smbd: exit {self._process.returncode}\n"
                               f"{self.log.read_text(errors='replace')}")
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
        except ConnectionRefusedError:
            return False
        return True

    def is_blocked(self):
        """Whether one of its processes sleeps in a request to pofs."""
        for process in self.processes():
            with contextlib.suppress(OSError):
                if "request_wait_answer" in (process / "wchan").read_text():
                    return True
        return False

    def process_of(self, client):
        """The process that serves a client."""
        socket_name = f"socket:[{_inode_of(self.port, client.address)}]"
        for process in self.processes():
            if process.name != str(self._process.pid) and any(
                    _target_of(file) == socket_name
                    for file in process.glob("fd/*")):
                return int(process.name)
        raise HarnessError(f"nobody serves {client.address}")

    def processes(self):
        """The directories in /proc of all its processes."""
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                # It leads its own session.
                if os.getpgid(int(entry.name)) == self._process.pid:
                    yield entry

    def stop(self):
        """Ends smbd and all of its children, the clients' connections."""
        if self._process is None:
            return
        group = self._process.pid  # it leads its own session
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
        # The children end when they see that their parent has, a second or two
        # later, or are told; those that cannot are killed.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGTERM)
        with contextlib.suppress(HarnessError):
            wait_until(lambda: not _lives(group), "smbd's children", 10)
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)

    def kill(self):
        """Kills the process that all others come from; they see that."""
        self._process.kill()
        self._process.wait()

    def restart(self):
        self.stop()
        self.start()

    def close_share(self, name):
        """Ends every client's connection to a share, as `smbcontrol` does.

        Needed after the file system under it was mounted anew, for smbd's
        processes still hold the old one.
        """
        run(tool("smbcontrol"), "-s", self.config, "smbd", "close-share", name)

    def close(self):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


def _inode_of(port, peer):
    """The inode of the server's socket that is connected to `peer`."""
    # Clients with different addresses may have the same port.
    host, = struct.unpack("=I", socket.inet_aton(peer[0]))
    wanted = f"{host:08X}:{peer[1]:04X}"
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[2] == wanted and fields[1].endswith(f":{port:04X}"):
            return int(fields[9])
    raise HarnessError(f"no connection from {peer}")


def _target_of(link):
    """What a symbolic link says, if it is still there."""
    try:
        return os.readlink(link)
    except OSError:
        return None


def _lives(group):
    """Whether a process of the group has yet to end. Whoever adopts a child
    may take its time to hear of that."""
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.getpgid(int(entry.name)) == group:
                state = (entry / "stat").read_text().rpartition(") ")[2][0]
                if state not in "ZX":
                    return True
    return False
