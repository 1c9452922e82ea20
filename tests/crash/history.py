# SPDX-License-Identifier: BSD-2-Clause
"""What a writer did, and whether what a crash left of it is right.

A writer does one change after another in a directory of its own and now and
then syncs; the close of a mailbag that it has changed is a sync, too. Changes
become durable in the order in which they were made, so after a crash its
directory must look exactly as after some number of them: no fewer than had been
made when the last successful sync began, and no more than had been begun. The
same holds across writers: a sync covers whatever any of them had finished
before it began.
"""

import dataclasses
import random

NAMES = 8
SIZE_MAX = 60_000
PAGE = 4096


@dataclasses.dataclass
class Change:
    """One system call that changes the directory."""

    kind: str  # create, write, truncate, rename, unlink
    name: str
    new_name: str = ""
    offset: int = 0  # or the size, of a truncation
    data: bytes = b""

    def apply(self, files):
        """Does to `files`, name -> content, what the call does."""
        if self.kind == "create":
            files[self.name] = b""
        elif self.kind == "write":
            old = files[self.name].ljust(self.offset, b"\0")
            files[self.name] = (old[:self.offset] + self.data
                                + old[self.offset + len(self.data):])
        elif self.kind == "truncate":
            files[self.name] = files[self.name][:self.offset].ljust(
                self.offset, b"\0")
        elif self.kind == "rename":
            files[self.new_name] = files.pop(self.name)
        elif self.kind == "unlink":
            del files[self.name]


    def parts(self):
        """What else a crash may leave of a write through the page cache, which
        the kernel sends in several requests: it ends at a page."""
        if self.kind != "write":
            return
        end = self.offset + len(self.data)
        for cut in range((self.offset // PAGE + 1) * PAGE, end, PAGE):
            yield dataclasses.replace(self, data=self.data[:cut - self.offset])


@dataclasses.dataclass
class History:
    """What one writer did, as it saw it. Times are monotonic, in seconds."""

    changes: list = dataclasses.field(default_factory=list)
    done: list = dataclasses.field(default_factory=list)
    """When each change returned; one fewer than changes if one was cut off."""
    syncs: list = dataclasses.field(default_factory=list)
    """Of each successful sync: when it began, and how many changes were done
    then."""


class Script:
    """The endless, repeatable sequence of changes of one writer."""

    def __init__(self, seed, suffix):
        self._random = random.Random(seed)
        self._names = [f"F{number}{suffix}" for number in range(NAMES)]
        self.files = {}

    def next(self):
        """The next change, as if it had been made: .files is as after it."""
        change = self._choose()
        change.apply(self.files)
        return change

    def wants_sync(self):
        """Whether the writer shall sync now."""
        return self._random.random() < 0.15

    def _choose(self):
        rand = self._random
        present = sorted(self.files)
        missing = [name for name in self._names if name not in self.files]
        if missing and (not present or rand.random() < 0.25):
            return Change("create", rand.choice(missing))
        name = rand.choice(present)
        roll = rand.random()
        if roll < 0.65:
            size = len(self.files[name])
            offset = size if roll < 0.35 and size < SIZE_MAX else (
                rand.randrange(SIZE_MAX // 2))
            length = rand.choice((16, 116, 560, 5000, 20_000))
            return Change("write", name, offset=offset,
                          data=rand.randbytes(length))
        if roll < 0.75:
            return Change("truncate", name,
                          offset=rand.randrange(SIZE_MAX // 2))
        if roll < 0.9:
            return Change("rename", name, rand.choice(
                [other for other in self._names if other != name]))
        return Change("unlink", name)


def least(history, histories):
    """How many changes of `history` must have survived."""
    count = max((done for _, done in history.syncs), default=0)
    newest = max((began for other in histories for began, _ in other.syncs),
                 default=float("-inf"))
    return max(count, sum(when < newest for when in history.done))


def judge(history, histories, found, is_cached=False):
    """Compares what a directory holds after a crash with what it may hold.

    Returns the number of changes that survived, or a sentence that says what
    is wrong. `is_cached` says that the kernel may part a write.
    """
    files = {}
    first = least(history, histories)
    for change in history.changes[:first]:
        change.apply(files)
    nearest = dict(files)
    for number, change in enumerate(history.changes[first:], first):
        if files == found:
            return number
        for part in change.parts() if is_cached else ():
            cut = dict(files)
            part.apply(cut)
            if cut == found:
                return number
        change.apply(files)
        if distance(files, found) < distance(nearest, found):
            nearest = dict(files)
    if files == found:
        return len(history.changes)
    return (f"the directory is as after no number of changes from {first} to "
            f"{len(history.changes)}; nearest: "
            + "; ".join(describe(nearest, found)))


def distance(wanted, found):
    """How many files differ."""
    return sum(wanted.get(name) != found.get(name)
               for name in wanted.keys() | found.keys())


def describe(wanted, found):
    """What differs, a phrase a file."""
    phrases = [f"{name} is missing" for name in wanted if name not in found]
    phrases += [f"{name} should not be" for name in found
                if name not in wanted]
    for name in wanted:
        if name in found and wanted[name] != found[name]:
            where = next((i for i, (a, b) in enumerate(
                zip(wanted[name], found[name])) if a != b), "the end")
            phrases.append(f"{name} differs at {where} ({len(found[name])} of "
                           f"{len(wanted[name])} bytes)")
    return phrases
