# SPDX-License-Identifier: BSD-2-Clause
"""A process that changes a directory until the file system dies under it.

Lives through many crashes: each line on its standard input names a directory,
a seed and a suffix; it answers with the pickled History of what it did there.
"""

import os
import pickle
import sys
import time

from history import History, Script

MAILBAGS = (".KEY", ".MBG")
"""Whoever closes such a file that he has changed is answered when that is on
disk."""


def perform(directory, change):
    """Makes one change by one system call that counts. Returns when the file
    that it opened for that was about to be closed."""
    path = os.path.join(directory, change.name)
    if change.kind == "create":
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        began = time.monotonic()
        os.close(fd)
        return began
    if change.kind == "write":
        fd = os.open(path, os.O_WRONLY)
        try:
            size = os.pwrite(fd, change.data, change.offset)
            if size < len(change.data):
                # The rest is another change.
                change.data = change.data[:size]
        finally:
            began = time.monotonic()
            os.close(fd)
        return began
    if change.kind == "truncate":
        os.truncate(path, change.offset)
    elif change.kind == "rename":
        os.rename(path, os.path.join(directory, change.new_name))
    elif change.kind == "unlink":
        os.unlink(path)
    return None


def sync(directory, script):
    """Syncs the directory, or any of its files: it is all the same."""
    name = min(script.files, default="")
    fd = os.open(os.path.join(directory, name), os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def work(directory, script, history, suffix, hasty):
    """Changes and syncs until a call fails.

    `hasty` is the mistake that the judge must find: it calls durable what has
    not been synced.
    """
    while True:
        change = script.next()
        history.changes.append(change)
        closed = perform(directory, change)
        history.done.append(time.monotonic())
        if closed is not None and suffix in MAILBAGS:
            history.syncs.append((closed, len(history.done)))
        if script.wants_sync():
            began, count = time.monotonic(), len(history.done)
            if not hasty:
                sync(directory, script)
            history.syncs.append((began, count))


def main():
    """Serves the lines on the standard input."""
    for line in sys.stdin:
        directory, seed, suffix, hasty = line.rstrip("\n").split("\t")
        history = History()
        try:
            work(directory, Script(int(seed), suffix), history, suffix,
                 hasty == "1")
        except OSError as e:
            print(f"writer: {e}", file=sys.stderr)
        pickle.dump(history, sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
