# SPDX-License-Identifier: BSD-2-Clause
"""Looking at a postoffice with 100,000 messages, and what that costs others."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))

import mailtree
from figures import Table
from harness import Mount, Store, poctl, program

MESSAGES = 100_000
BAGS = 50
TEXT = "Please find it here.\r\n" * 60
BUSY_S = 5
FIRST = 0x1000  # stem


class Imported(Store):
    """A store that an import has made."""

    def __init__(self, path):
        self.path = path


def make_store(directory, messages=MESSAGES):
    """So many messages, in BAGS mailbags."""
    tree = mailtree.MailTree(directory)
    content = tree.message(f"{FIRST:08X}", text=TEXT)
    header = mailtree.header_of(f"{FIRST:08X}")
    stems = [f"{FIRST + number:08X}" for number in range(messages)]
    for stem in stems:
        tree.write(tree.mai(stem), content)
    for number in range(BAGS):
        bag = f"{number + 0x10:08X}"
        tree.add_bag(bag)
        tree.write(f"MBG/{bag}.MBG", b"".join(
            header.replace(stems[0].encode(), stem.encode())
            for stem in stems[number::BAGS]))
    tree.set_counters(FIRST, FIRST + messages)
    store = Imported(tree.store())
    shutil.rmtree(tree.office)
    return store


def measure(*arguments):
    """Seconds, and the most memory in MiB, of one command."""
    began = time.monotonic()
    process = subprocess.Popen([program("tools/poctl"), *arguments],
                               stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, arguments
    return time.monotonic() - began, usage.ru_maxrss / 1024


def longest_change(mount, seconds):
    """Changes a mailbag over and over; the longest time in ms that took."""
    end = time.monotonic() + seconds
    longest = 0
    while time.monotonic() < end:
        began = time.monotonic()
        with (mount / "KEY/00000000.KEY").open("r+b", buffering=0) as file:
            file.write(bytes(560))
        longest = max(longest, time.monotonic() - began)
    return longest * 1000


@contextlib.contextmanager
def looked_at(store, *command):
    """Runs a command over and over, as long as the block lasts."""
    is_over = threading.Event()

    def look():
        while not is_over.is_set():
            poctl(*command, store.path)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def bench_postoffice(options, directory):
    """How long each command takes, the longest that a program waits for a
    change of a mailbag to be durable meanwhile, and a start after a kill."""
    table = Table()
    place = directory / "postoffice"
    place.mkdir()
    store = make_store(place)
    commands = {"queue": ["queue", store.path],
                "records": ["queue", store.path, f"{0x10:08X}"],
                "message": ["message", store.path, f"{FIRST:X}"],
                "check --mail": ["check", "--mail", store.path]}
    for _ in range(options.rounds):
        for name, command in commands.items():
            seconds, memory = measure(*command)
            table.add(name, "time", seconds * 1000)
            table.add(name, "memory", memory)
        with Mount(store) as mount:
            table.add("alone", "longest", longest_change(mount, BUSY_S))
            for name, command in (("queue", ["queue"]),
                                  ("check --mail", ["check", "--mail"])):
                with looked_at(store, *command):
                    table.add(name, "longest",
                              longest_change(mount, BUSY_S))
            mount.kill()
        began = time.monotonic()
        with Mount(store):
            table.add("a start", "killed", (time.monotonic() - began) * 1000)
    shutil.rmtree(place)
    print(f"postoffice: {MESSAGES} messages in {BAGS} mailbags; memory is "
          "mostly the database's pages")
    for name in commands:
        table.show(name, "time", "ms")
        table.show(name, "memory", "MiB")
    for name in ("alone", "queue", "check --mail"):
        table.show(name, "longest", "ms for a change of a mailbag")
    table.show("a start", "killed", "ms after kill -9")
