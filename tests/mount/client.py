# SPDX-License-Identifier: BSD-2-Clause
"""Things that clients do which take more than one call; run by an Actor."""

import collections
import ctypes
import errno
import fcntl
import itertools
import mmap
import os
import random
import signal
import threading
import time

_libc = ctypes.CDLL(None, use_errno=True)


def in_thread(function, *arguments):
    """Calls from a thread that is not the process's first; returns its errno,
    or 0."""
    answers = []

    def run():
        try:
            function(*arguments)
            answers.append(0)
        except OSError as e:
            answers.append(e.errno)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return answers[0]


_begun = []


def begin(name, *arguments):
    """Begins a call of a function of os ("os.close") in a thread of its own;
    returns the thread's number. See finish()."""
    answers = []

    def run():
        try:
            answers.append((getattr(os, name.removeprefix("os."))(*arguments),
                            None))
        except OSError as e:
            answers.append((None, e))
    thread = threading.Thread(target=run)
    thread.start()
    _begun.append((thread, answers))
    return thread.native_id


def finish():
    """What the first call came to that was begun and not finished."""
    thread, answers = _begun.pop(0)
    thread.join()
    value, error = answers.pop()
    if error is not None:
        raise error
    return value


def open_here_remove_in_thread(path):
    """One process is one session, whichever of its threads asks."""
    fd = os.open(path, os.O_RDWR)
    try:
        return in_thread(os.unlink, path)
    finally:
        os.close(fd)


def open_in_thread_remove_here(path):
    """The same the other way round."""
    opened = []
    in_thread(lambda: opened.append(os.open(path, os.O_RDWR)))
    try:
        os.unlink(path)
        return 0
    except OSError as e:
        return e.errno
    finally:
        os.close(opened[0])


def remove_in_child(path):
    """Opens a file and lets a forked child, which inherits it, remove it."""
    fd = os.open(path, os.O_RDWR)
    child = os.fork()
    if child == 0:
        try:
            os.unlink(path)
            os._exit(0)
        except OSError as e:
            os._exit(e.errno)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(fd)
    return code


# What may happen to a name that others change at the same time.
_EXPECTED = {errno.ENOENT, errno.EEXIST, errno.EISDIR, errno.ENOTDIR,
             errno.ENOTEMPTY, errno.ETXTBSY,
             errno.EINVAL,  # a directory moved into itself
             errno.ESTALE}  # gone between lookup and open, twice in a row


def storm(directory, seed, times):
    """Creates, moves, reads and removes names that others use, too.

    Returns how often each answer was given. Each file says of itself how long
    it is; one that is read otherwise is an error.
    """
    rand = random.Random(seed)
    names = [os.path.join(directory, name) for name in
             ("A", "a", "B", "b", "Dir", "dir", "DIR/X", "dir/x")]
    answers = collections.Counter()
    for _ in range(times):
        name, other = rand.choice(names), rand.choice(names)
        call = rand.choice((_put, _look, _list, _move, _remove, _mkdir,
                            _rmdir))
        try:
            call(name, other, rand)
            answers["done"] += 1
        except OSError as e:
            if e.errno not in _EXPECTED:
                raise
            answers[errno.errorcode[e.errno]] += 1
    return answers


def _put(name, _, rand):
    size = rand.choice((10, 1000, 5000))
    fd = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    os.write(fd, (b"%08d" % size).ljust(size, b"x"))
    os.close(fd)


def _look(name, *_):
    fd = os.open(name, os.O_RDONLY)
    content = os.read(fd, 10000)
    os.close(fd)
    if content and int(content[:8]) != len(content):
        raise ValueError(f"{name}: {len(content)} bytes of {content[:8]}")


def _list(name, *_):
    found = os.listdir(name)
    if len({entry.casefold() for entry in found}) != len(found):
        raise ValueError(f"{name}: twice the same name in {found}")


def _move(name, other, _):
    if name.casefold() != other.casefold():
        os.rename(name, other)


def _remove(name, *_):
    os.unlink(name)


def _mkdir(name, *_):
    os.mkdir(name)


def _rmdir(name, *_):
    os.rmdir(name)


def put(path, content):
    """Creates or replaces a file, as programs do that ask for no exclusion."""
    fd = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o666)
    os.write(fd, content)
    os.close(fd)


def get(path):
    """Reads a whole file."""
    with open(path, "rb") as file:
        return file.read()


def append(path, content):
    """Writes behind what there is, and closes."""
    with open(path, "r+b", buffering=0) as file:
        file.seek(0, os.SEEK_END)
        file.write(content)


def write_often(path, times):
    """Writes the same bytes again and again."""
    with open(path, "r+b", buffering=0) as file:
        for _ in range(times):
            file.seek(0)
            file.write(b"x")


def truncate_open(path):
    """Empties a file through a descriptor, as smbd does."""
    fd = os.open(path, os.O_RDWR)
    try:
        os.ftruncate(fd, 0)
    finally:
        os.close(fd)


def close_in_child(fd):
    """Lets a child close what it inherited."""
    child = os.fork()
    if child == 0:
        os.close(fd)
        os._exit(0)
    os.waitpid(child, 0)


def write_in_child(fd, content, code=None):
    """Lets a child write to what it inherited, and exit with this code, or be
    killed."""
    child = os.fork()
    if child == 0:
        os.pwrite(fd, content, 0)
        if code is None:
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(code)
    os.waitpid(child, 0)


def write_in_child_that_closes(fd, content, code=None):
    """The same, by a child that closes it before."""
    child = os.fork()
    if child == 0:
        os.pwrite(fd, content, 0)
        os.close(fd)
        if code is None:
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(code)
    os.waitpid(child, 0)


def write_in_child_that_becomes_sleeper(fd, content):
    """The same, by a child that executes a program, which does not inherit it;
    returns its process id when it is closed."""
    mine, its = os.pipe()  # the last to be closed
    child = os.fork()
    if child == 0:
        os.pwrite(fd, content, 0)
        become_sleeper()
    os.close(its)
    os.read(mine, 1)
    os.close(mine)
    return child


def fork_and_stay():
    """A child that does nothing but keep what it inherited open."""
    child = os.fork()
    if child == 0:
        os.closerange(0, 3)
        while True:
            signal.pause()
    return child


def share_and_stay():
    """The same, but it shares the table of open files: nothing is closed when
    this process ends."""
    share_files, stack = 0x400, ctypes.create_string_buffer(1 << 16)
    top = ctypes.c_void_p((ctypes.addressof(stack) + len(stack)) & ~0xff)
    return _libc.clone(_libc.pause, top, share_files | signal.SIGCHLD, None)


def be_called(name):
    """Changes the name of this process."""
    pr_set_name = 15
    _libc.prctl(pr_set_name, name.encode())


def create_soon(path):
    """Creates a lock file as the programs do: again and again, until it is
    not there already."""
    while True:
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            time.sleep(0.02)


def open_often(path, times):
    """Takes a lock and lets it go, so many times."""
    for _ in range(times):
        os.close(os.open(path, os.O_RDWR))


def open_in_threads(paths):
    """Opens each for writing in a thread of its own, while all the others are
    open; returns the error numbers."""
    opened, answers = [], []
    for path in paths:
        answers.append(in_thread(
            lambda: opened.append(os.open(path, os.O_RDWR))))
    for fd in opened:
        os.close(fd)
    return answers


def become_sleeper():
    """Executes another program, which closes nothing and does nothing."""
    os.execv("/bin/sleep", ["sleep", "infinity"])


def begin_threads(count):
    """Threads that do nothing, for as long as the process lives."""
    for _ in range(count):
        threading.Thread(target=threading.Event().wait, daemon=True).start()


def become_sleeper_in_thread():
    """The same from another thread, which ends this one."""
    threading.Thread(target=become_sleeper).start()
    while True:
        signal.pause()


def map_page(path):
    """Has a page of a file in memory, and a thread that maps another when it
    is told to: where the page is, what tells the thread, and its number."""
    _libc.mmap.restype = ctypes.c_void_p
    fd = os.open(path, os.O_RDONLY)
    at = _libc.mmap(None, mmap.PAGESIZE, mmap.PROT_READ, mmap.MAP_PRIVATE,
                    fd, 0)
    wait, tell = os.pipe()

    def map_another():
        os.read(wait, 1)
        _libc.mmap(None, mmap.PAGESIZE, mmap.PROT_READ,
                   mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    thread = threading.Thread(target=map_another, daemon=True)
    thread.start()
    return at, tell, thread.native_id


def overwrite(path, content):
    """Writes over the beginning of a file."""
    with open(path, "r+b", buffering=0) as file:
        file.write(content)


def overwrite_locked(path, content):
    """The same in a new process, under a lock of its bytes; returns its errno,
    or 0."""
    child = os.fork()
    if child == 0:
        try:
            fd = os.open(path, os.O_RDWR)
            fcntl.lockf(fd, fcntl.LOCK_EX)
            os.pwrite(fd, content, 0)
            fcntl.lockf(fd, fcntl.LOCK_UN)
            os._exit(0)
        except OSError as e:
            os._exit(e.errno)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def pair(offices, seed, last, acknowledged):
    """Puts record after record into a mailbag of each of two postoffices, in
    one transaction each, until something goes wrong with the mount; writes
    down which of them were acknowledged. Dies in the middle of the last."""
    rand = random.Random(seed)
    for number in itertools.count():
        record = f"{seed} {number}".encode().ljust(116)
        fds = []
        try:
            for office in rand.sample(offices, 2):
                fds.append(os.open(office.key("A"), os.O_RDWR))
            append(offices[0].mbg("A"), record)
            if number >= last:
                os.kill(os.getpid(), signal.SIGKILL)
            append(offices[1].mbg("A"), record)
        except OSError as e:
            if e.errno != errno.ETXTBSY:
                return
            # A circle, and this is who gives way.
            record = None
        try:
            for fd in fds:
                os.close(fd)
        except OSError:
            return
        if record is not None:
            append(acknowledged, record)


def look(paths, directories):
    """What is to be seen of files, those that are not there left out: by
    their names, and by those that directories list."""
    found = {}
    for name, path in paths.items():
        try:
            found[name] = get(path)
        except FileNotFoundError:
            pass
    return found, {name for path in directories for name in os.listdir(path)}
