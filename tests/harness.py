# SPDX-License-Identifier: BSD-2-Clause
"""Stores and mounts for tests: made, watched, and always taken away again.

    with Store(tmp_path / "store", "--postoffice", "PO") as store:
        with Mount(store, "-o", "dos-sharing=false") as mount:
            (mount.path / "PO" / "KEY" / "A.KEY").write_bytes(bytes(560))
            mount.kill()

The programs are those of the build directory that POFS_BUILD names. Nothing
here sleeps to synchronise: readiness is the daemon's own READY=1, an end is
the end of a process. Whatever a daemon wrote to its standard error is kept in
Mount.stderr and is part of every exception raised here.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

DEADLINE_S = 60
"""How long anything may take before a test calls it hung."""

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_MNT_DETACH = 2


class HarnessError(Exception):
    """A program did not start, answer or end as it must."""


def build_dir():
    """The directory that Meson built in."""
    value = os.environ.get("POFS_BUILD")
    if not value:
        raise HarnessError("POFS_BUILD does not name the build directory")
    return pathlib.Path(value).resolve()


def program(name):
    """The path of a program of ours ("fs/pofs", "tools/poctl")."""
    path = build_dir() / name
    if not os.access(path, os.X_OK):
        raise HarnessError(f"{path} is missing: build it first")
    return str(path)


def tool(name):
    """The path of a program of the system; its absence is a failure."""
    path = shutil.which(name, path=os.environ.get("PATH", os.defpath)
                        + ":/usr/sbin:/sbin")
    if path is None:
        raise HarnessError(f"{name} is missing: install it")
    return path


def wait_until(predicate, what, deadline=DEADLINE_S):
    """Waits for `predicate()` to be true and returns its value.

    For what no descriptor announces; looks 200 times a second at most.
    """
    end = time.monotonic() + deadline
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            raise HarnessError(f"gave up after {deadline} s: {what}")
        time.sleep(0.005)


@contextlib.contextmanager
def fails_with(number):
    """Checks that the block fails with this errno and no other."""
    try:
        yield
    except OSError as e:
        if e.errno != number:
            raise AssertionError(
                f"expected {os.strerror(number)}, got {e}") from e
    else:
        raise AssertionError(f"expected {os.strerror(number)}, got no error")


def run(*command, check=True, timeout=DEADLINE_S * 4, **options):
    """Runs a program to its end; its output is text in .stdout, .stderr."""
    options.setdefault("text", True)
    done = subprocess.run(
        [str(word) for word in command], capture_output=True,
        timeout=timeout, **options)
    if check and done.returncode != 0:
        raise HarnessError(f"{' '.join(map(str, command))}: exit "
                           f"{done.returncode}\n{done.stdout}{done.stderr}")
    return done


def poctl(*arguments, **options):
    """Runs the administrator's command."""
    return run(program("tools/poctl"), *arguments, **options)


def tally(what, count=1):
    """Counts what a run has done, for torture/release.py to tell."""
    path = os.environ.get("POFS_TALLY")
    if path:
        with open(path, "a", encoding="utf-8") as file:
            print(what, count, file=file)


def end_with_parent(signum=signal.SIGTERM):
    """In a child before exec: be told when the thread that started us ends.

    So that not even a killed test leaves a daemon and a mount behind.
    """
    _libc.prctl(_PR_SET_PDEATHSIG, signum)


def is_mounted(path):
    """Whether something is mounted at exactly `path`."""
    wanted = os.path.abspath(path)
    with open("/proc/self/mountinfo", encoding="utf-8",
              errors="surrogateescape") as table:
        for line in table:
            place = line.split(" ")[4]
            for code, char in (("\\040", " "), ("\\011", "\t"),
                               ("\\012", "\n"), ("\\134", "\\")):
                place = place.replace(code, char)
            if place == wanted:
                return True
    return False


def unmount_lazily(path):
    """The last resort: takes a mount away whoever still uses it."""
    while is_mounted(path):
        if _libc.umount2(os.fsencode(path), _MNT_DETACH) != 0:
            raise HarnessError(f"{path}: cannot be unmounted: "
                               f"{os.strerror(ctypes.get_errno())}")


class Store:
    """A store that `poctl create` made; goes away with its context.

    `arguments` are those of `poctl create` ("--postoffice", "PO"); without
    any, the root is the postoffice.
    """

    def __init__(self, path, *arguments):
        self.path = pathlib.Path(path)
        poctl("create", *arguments, self.path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)

    @property
    def writer_pid(self):
        """Who has the store open for writing, or wrote last."""
        return int((self.path / "writer").read_text().split()[0])

    def check(self):
        """Fails unless every invariant of the store holds."""
        poctl("check", "--quiet", self.path)

    def undone(self):
        """What is in the quarantine: (reason, {path: what}) of each entry."""
        def ask(command, *arguments):
            return json.loads(poctl("quarantine", command, "--json",
                                    self.path, *arguments).stdout)
        told = [ask("show", entry["id"])
                for entry in ask("list")["quarantine"]]
        return [(one["reason"], {file["path"]: file["what"]
                                 for file in one["files"]}) for one in told]


class Mount:
    """A running `pofs -f STORE MOUNTPOINT`, ready for requests.

    `arguments` are more of its arguments ("-o", "ro"). The mount point is a
    new directory beside the store unless `path` names one. `prefix` is a
    command that becomes the one given to it.
    """

    def __init__(self, store, *arguments, path=None, env=None,
                 deadline=DEADLINE_S, prefix=()):
        self.store = store
        self._prefix = prefix
        self._own_path = path is None
        self.path = pathlib.Path(path) if path else pathlib.Path(
            tempfile.mkdtemp(prefix="mnt-", dir=store.path.parent))
        self._log = tempfile.TemporaryFile()
        self.launcher = None
        self.server_pid = None  # stays so when mounted read-only
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            self._start(arguments, env or {}, deadline)
            undo.pop_all()

    def _start(self, arguments, env, deadline):
        with tempfile.TemporaryDirectory(prefix="notify-") as directory, \
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            address = os.path.join(directory, "socket")
            notify.bind(address)
            # A daemon that has dropped its privileges must still reach it.
            os.chmod(directory, 0o711)
            os.chmod(address, 0o666)
            self.launcher = subprocess.Popen(
                [*self._prefix, program("fs/pofs"), "-f",
                 str(self.store.path), str(self.path), *map(str, arguments)],
                stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
                env={**os.environ, **env, "NOTIFY_SOCKET": address},
                preexec_fn=end_with_parent)
            self._await_ready(notify, deadline)
        if not any("ro" in str(word).split(",") for word in arguments):
            self.server_pid = self.store.writer_pid

    def _await_ready(self, notify, deadline):
        end = time.monotonic() + deadline
        pidfd = os.pidfd_open(self.launcher.pid)
        try:
            while True:
                left = end - time.monotonic()
                ready, _, _ = select.select([notify, pidfd], [], [],
                                            max(left, 0))
                if notify in ready:
                    if "READY=1" in notify.recv(4096).decode().split("\n"):
                        return
                elif pidfd in ready:
                    self._fail(f"exit {self.launcher.wait()} before READY=1")
                elif left <= 0:
                    self._fail(f"no READY=1 within {deadline} s")
        finally:
            os.close(pidfd)

    def _fail(self, what):
        raise HarnessError(f"pofs {self.path}: {what}\n{self.stderr}")

    @property
    def stderr(self):
        """What the daemon has written so far."""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode(errors="replace")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is not None:
                print(f"---- pofs {self.path}\n{self.stderr}")
            elif self.launcher.poll() is None:
                self.unmount()
            if kind is None:
                self.check_log()
        finally:
            self.close()

    def __truediv__(self, name):
        return self.path / name

    def check_log(self):
        """Fails if the daemon, or a sanitizer in it, has complained."""
        for mark in ("Sanitizer", "runtime error:", "CRITICAL", "ERROR:",
                     "assertion"):
            if mark in self.stderr:
                self._fail(f"logged \"{mark}\"")

    def wait(self, deadline=DEADLINE_S):
        """Waits until the launcher has ended and returns its exit code."""
        try:
            return self.launcher.wait(deadline)
        except subprocess.TimeoutExpired:
            self._fail(f"still runs after {deadline} s")

    def kill(self):
        """Ends the server as a crash would; the launcher must clean up."""
        os.kill(self.server_pid, signal.SIGKILL)
        self.wait()
        if is_mounted(self.path):
            self._fail("is still mounted after the server was killed")

    def unmount(self):
        """Ends it in order: SIGTERM, everything on disk, exit code 0."""
        self.launcher.send_signal(signal.SIGTERM)
        code = self.wait()
        if code != 0:
            self._fail(f"exit {code} after SIGTERM")
        if is_mounted(self.path):
            self._fail("is still mounted after SIGTERM")

    def close(self):
        """Leaves no process and no mount behind, whatever has happened."""
        if self.launcher is not None and self.launcher.poll() is None:
            self.launcher.send_signal(signal.SIGTERM)
            try:
                self.launcher.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                self._kill_all()
        unmount_lazily(self.path)
        if self._own_path and self.path.is_dir():
            self.path.rmdir()

    def _kill_all(self):
        with contextlib.suppress(OSError):
            if self.server_pid is not None:
                os.kill(self.server_pid, signal.SIGKILL)
        self.launcher.kill()
        self.launcher.wait()


@contextlib.contextmanager
def under_a_manager(store, point, *options):
    """A pofs, and the socket where a service manager hears from it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        notify.settimeout(DEADLINE_S)
        notify.bind(b"")  # a name of its own without a file
        name = notify.getsockname().replace(b"\0", b"@", 1).decode()
        process = subprocess.Popen(
            [program("fs/pofs"), "-f", store.path, point, *options],
            env={**os.environ, "NOTIFY_SOCKET": name},
            preexec_fn=end_with_parent)
        try:
            yield process, notify
        finally:
            # Nobody reads it any more, and its queue is short.
            notify.close()
            process.terminate()
            process.wait(DEADLINE_S)
