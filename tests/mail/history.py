# SPDX-License-Identifier: BSD-2-Clause
r"""What mail programs did and saw, as they saw it; checker.py judges it.

    history = History()
    with history.operation("EXT1", "read", r"PO\KEY\A.KEY", offset=0) as facts:
        facts["size"] = len(file.read(0, 560))

An event has a beginning and, unless its answer never came, an end, both in
monotonic seconds. What a program cannot know it does not say: a commit whose
close was cut off has no end, and may or may not have happened.

Operations on files, as sent (Machine records these by itself):

    open, create    handle, write (whether it may write), new (whether it made
                    the file), error
    close           handle
    read, write     handle, offset, size, digest
    truncate        handle, size
    lock, unlock    handle, offset, size
    delete, rename  to (the new name)
    gone            the program is known to have ended, or its link to be cut
    crash           keeps: the server was killed: all handles are gone;
                    whether nothing that was written goes with them

What they mean, which only the program can say; `path` is the mailbag's KEY:

    submit  message, recipients: begins before the first byte is sent, ends
            when the last close has returned: from then on it is acknowledged
    view    state: a KEY and an MBG, read under one lock
    stage   state: what the pair is for this program from now on
    commit  what it has staged since the last commit becomes everybody's; with
            an end it has, without one it may have: also at each point where
            the server is free to publish. Whoever prepares the postoffice
            stages and commits what he makes, too
    seen    stem, complete, why: a reader followed a header to its MAI
    take    message: a reader has removed it from the mailbag, and keeps it
    number  number: taken from CONTROL.GLB

A state is state_of(key, mbg); a message is what names it for ever, its
subject for instance: numbers change from postoffice to postoffice.
"""

import contextlib
import dataclasses
import hashlib
import json
import threading
import time


@dataclasses.dataclass
class Event:
    """One thing that one program did."""

    program: str
    operation: str
    path: str
    began: float
    ended: float = None  # None: no answer was seen
    error: int = 0       # the DOS error code of a refusal
    facts: dict = dataclasses.field(default_factory=dict)

    def end(self, error=0, **facts):
        """Notes the answer."""
        self.error = error
        self.facts.update(facts)
        # Last: who reads the history meanwhile sees a whole event.
        self.ended = time.monotonic()

    @property
    def is_done(self):
        """Whether it is known to have happened."""
        return self.ended is not None and self.error == 0

    @property
    def may_be_done(self):
        """Whether it happened, or may have without an answer."""
        return self.error == 0


class History:
    """What all programs of a run did. Threads: any may record."""

    def __init__(self, events=()):
        self._events = list(events)
        self._mutex = threading.Lock()

    def record(self, program, operation, path, began, ended, **facts):
        """Adds an event that is over, or that will never have an end."""
        error = facts.pop("error", 0)
        event = Event(program, operation, path.upper(), began, ended, error,
                      facts)
        with self._mutex:
            self._events.append(event)
        return event

    def begin(self, program, operation, path="", **facts):
        """Adds an event that begins now; see Event.end()."""
        return self.record(program, operation, path, time.monotonic(), None,
                           **facts)

    def note(self, program, operation, path="", **facts):
        """Adds an event that takes no time."""
        now = time.monotonic()
        return self.record(program, operation, path, now, now, **facts)

    @contextlib.contextmanager
    def operation(self, program, operation, path="", **facts):
        """Records what the block does; gives the facts, to be added to.

        An exception with a `code` is a refusal; any other one leaves the event
        without an end.
        """
        event = self.begin(program, operation, path, **facts)
        try:
            yield event.facts
        except Exception as error:
            code = getattr(error, "code", None)
            if code:
                event.end(code)
            raise
        event.end()

    @property
    def events(self):
        """A copy, in the order of their beginnings."""
        with self._mutex:
            return sorted(self._events, key=lambda event: event.began)

    def of(self, *operations):
        """The events of these operations."""
        return [event for event in self.events
                if event.operation in operations]

    def save(self, path):
        """Writes one JSON object a line."""
        with open(path, "w", encoding="utf-8") as file:
            for event in self.events:
                print(json.dumps(dataclasses.asdict(event)), file=file)

    @classmethod
    def load(cls, path):
        with open(path, encoding="utf-8") as file:
            return cls(Event(**json.loads(line)) for line in file)


def digest(content):
    """A short name for bytes."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def state_of(key, mbg):
    """A short name for the contents of a mailbag's two files."""
    return digest(len(key).to_bytes(4, "big") + key + mbg)
