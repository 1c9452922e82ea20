# SPDX-License-Identifier: BSD-2-Clause
"""Two programs do whatever they like, against a model of what each of them and
a third one may see, and of who is refused.

What goes wrong is made as short as it can be. `POFS_EXAMPLES` is how many runs
there are; beyond the default each time others.
"""

import errno
import json
import os
import time

import pytest
from hypothesis import HealthCheck, settings, strategies
from hypothesis.stateful import (RuleBasedStateMachine, invariant,
                                 precondition, rule, run_state_machine_as_test)

from actor import Actor
from harness import HarnessError, Mount, Store, poctl, tally, wait_until
from model import MESSAGES, Model, lock_of
from postoffice import HEADER, KEY, Office

EXAMPLES = 25
STEPS = 50

MAILBAGS = ["KEY/A.KEY", "MBG/A.MBG", "KEY/B.KEY", "KEY/INQUEUE3.KEY"]
MAIL = [f"{MESSAGES}/0000000{number}.MAI" for number in range(2)]
LOCK_FILES = ["P1/INQUEUE3.0LK", "P1/A.0LK"]
REFUSED = {errno.ETXTBSY, errno.EEXIST, errno.ENOENT}

WHO = strategies.sampled_from("ab")
PICK = strategies.integers(0, 5)
VALUE = strategies.integers(0, 255)


def is_anything_open(machine):
    """Whether there is a file to do something with."""
    return any(program.opens for program in machine.model.programs.values())


class Machine(RuleBasedStateMachine):
    """The programs, the mount, and the model beside them."""

    mount = None  # of all runs
    patience = 20
    """How many seconds what must happen may take; when something has gone
    wrong, and is made shorter, there is less of it."""

    def __init__(self):
        super().__init__()
        self.operations = 0
        self.office = Office(self.mount.path / f"PO{time.monotonic_ns()}")
        self.paths = {name: self.path(name) for name in [*MAILBAGS, *MAIL]}
        self.model = Model("ab", {
            name: KEY if name.startswith("KEY") else b""
            for name in MAILBAGS})
        self.actors = {who: Actor() for who in "abc"}

    def teardown(self):
        for actor in self.actors.values():
            actor.kill()
        tally("runs")
        tally("operations", self.operations)

    def path(self, name):
        """Where a file is."""
        directory, file = name.split("/")
        if directory == MESSAGES:
            return self.office.mai.parent / file
        return self.office.path / directory / file

    # -- what is seen

    def difference(self, who):
        """What somebody sees and must not, or the other way round."""
        must = self.model.seen(who)
        # Opening an inqueue, even to read, would take its lock.
        must = {name: content for name, content in must.items()
                if lock_of(name) != "inqueue"}
        found, listed = self.actors[who].call(
            "client.look", {name: self.paths[name] for name in self.paths
                            if lock_of(name) != "inqueue"},
            [self.office.mai.parent])
        wrong = {name: (found.get(name), must.get(name))
                 for name in {*found, *must}
                 if found.get(name) != must.get(name)}
        names = {self.path(name).name for name in must if name in MAIL}
        return (wrong, listed, names) if wrong or listed != names else None

    @invariant()
    def is_as_it_must_be(self):
        """Everybody sees what he must; perhaps not before what is on its way
        has arrived, if it is nobody's who waits for it."""
        self.operations += 1
        for who in "abc":
            try:
                self._await(lambda who=who: not self.difference(who),
                            f"{who} sees what it must")
            except HarnessError as error:
                raise HarnessError(str(self.difference(who))) from error

    def _await(self, predicate, what):
        try:
            return wait_until(predicate, what, deadline=self.patience)
        except HarnessError:
            Machine.patience = 2
            raise

    # -- what is answered

    def attempt(self, who, is_allowed, *call):
        """Makes a call, which is refused exactly if it must be. What it waits
        for may still be on its way, or be kept for somebody who was refused:
        then it is tried again."""
        def tried():
            try:
                return (self.actors[who].call(*call),)
            except OSError as error:
                if error.errno not in REFUSED:
                    raise
                return None
        if is_allowed:
            return self._await(tried, f"{who} may {call}")[0]
        assert tried() is None, f"{who} must not {call}"
        return None

    # -- what they do

    @rule(who=WHO, name=strategies.sampled_from([*MAILBAGS, *MAIL]),
          value=VALUE)
    def opens(self, who, name, value):
        """Opens a file for writing, and writes to it."""
        if len(self.model.programs[who].opens) > 4:
            return
        if name not in self.model.seen(who):
            with pytest.raises(FileNotFoundError):
                self.actors[who].call("os.open", self.paths[name], os.O_RDWR)
            return
        is_free = self.model.ask(who, lock_of(name))
        if name not in self.model.seen(who):
            is_free = False  # committed, and gone
        descriptor = self.attempt(who, is_free, "os.open", self.paths[name],
                                  os.O_RDWR)
        if is_free:
            self._opened(who, name, descriptor)
            if value:
                self._write(who, descriptor, value, 3)

    @rule(who=WHO, name=strategies.sampled_from([*MAILBAGS, *MAIL]),
          value=VALUE)
    def changes(self, who, name, value):
        """Opens a file, writes to it and closes it."""
        program = self.model.programs[who]
        before = set(program.opens)
        self.opens(who, name, value)
        for descriptor in set(program.opens) - before:
            self._close(who, descriptor)

    @rule(who=WHO, pick=PICK)
    def asks(self, who, pick):
        """Wants what another one keeps."""
        wanted = sorted(name for name in self.model.files for program in
                        self.model.programs.values()
                        if lock_of(name) in program.kept
                        and program is not self.model.programs[who])
        if wanted:
            self.opens(who, wanted[pick % len(wanted)], 0)

    @rule(who=WHO, held=strategies.sampled_from([*MAILBAGS, *MAIL]),
          kept=strategies.sampled_from(MAILBAGS),
          order=strategies.permutations(["held", "kept"]))
    def keeps(self, who, held, kept, order):
        """Has one file open, and has changed another, which is wanted."""
        for step in order:
            if step == "held":
                self.opens(who, held, 1)
            else:
                self.changes(who, kept, 2)
        self.opens("ab".replace(who, ""), kept, 0)

    def _opened(self, who, name, descriptor):
        program = self.model.programs[who]
        program.opens[descriptor] = name
        program.kept.add(lock_of(name))
        self.model.settle(who)

    @rule(who=WHO, name=strategies.sampled_from(MAIL))
    def creates(self, who, name):
        """Makes a new message file."""
        call = ("os.open", self.paths[name], os.O_RDWR | os.O_CREAT | os.O_EXCL)
        if name in self.model.seen(who):
            with pytest.raises(FileExistsError):
                self.actors[who].call(*call)
            return
        is_free = self.model.ask(who, lock_of(name))
        if name in self.model.seen(who):
            is_free = False  # committed, and there
        descriptor = self.attempt(who, is_free, *call)
        if is_free:
            program = self.model.programs[who]
            program.staged[name] = b""
            program.is_last_index = False
            self._opened(who, name, descriptor)

    def _pick(self, who, pick):
        """One of the files that a program has open."""
        descriptors = sorted(self.model.programs[who].opens)
        return descriptors[pick % len(descriptors)]

    def _change(self, who, name, content, is_index=False):
        self.model.programs[who].is_last_index = is_index
        self.model.stage(who, name, content)

    @precondition(is_anything_open)
    @rule(who=WHO, pick=PICK, value=VALUE, place=strategies.integers(0, 3))
    def writes(self, who, pick, value, place):
        """Changes a file: some bytes in it, or behind it."""
        if self.model.programs[who].opens:
            self._write(who, self._pick(who, pick), value, place)

    def _write(self, who, descriptor, value, place):
        name = self.model.programs[who].opens[descriptor]
        before = self.model.seen(who)[name]
        offset = len(before) * place // 3
        new = bytes([value]) * len(HEADER)
        self.actors[who].call("os.pwrite", descriptor, new, offset)
        self._change(who, name,
                     before[:offset] + new + before[offset + len(new):],
                     is_index=name == "KEY/INQUEUE3.KEY")

    @precondition(is_anything_open)
    @rule(who=WHO, pick=PICK, half=strategies.integers(0, 1))
    def truncates(self, who, pick, half):
        """Makes a file shorter."""
        if not self.model.programs[who].opens:
            return
        descriptor = self._pick(who, pick)
        name = self.model.programs[who].opens[descriptor]
        before = self.model.seen(who)[name]
        size = len(before) * half // 2
        if name in MAIL and not half:
            return  # not everybody may empty a message
        self.actors[who].call("os.ftruncate", descriptor, size)
        # A size that stays the same is no half of a message.
        program = self.model.programs[who]
        is_index = size == len(before) and (program.is_last_index
                                            or not program.staged)
        self._change(who, name, before[:size], is_index)

    @precondition(is_anything_open)
    @rule(who=WHO, pick=PICK)
    def closes(self, who, pick):
        """Lets go of a file, and, if it was the last, commits."""
        if self.model.programs[who].opens:
            self._close(who, self._pick(who, pick))

    def _close(self, who, descriptor):
        self.actors[who].call("os.close", descriptor)
        del self.model.programs[who].opens[descriptor]
        self.model.settle(who)

    @rule(who=WHO, name=strategies.sampled_from(MAIL))
    def removes(self, who, name):
        """Deletes a message file, which nobody must have open."""
        call = ("os.unlink", self.paths[name])
        if name not in self.model.seen(who):
            with pytest.raises(FileNotFoundError):
                self.actors[who].call(*call)
            return
        openers = [other for other, program in self.model.programs.items()
                   if name in program.opens.values()]
        if who in openers:
            return
        is_free = not openers and self.model.ask(who, lock_of(name))
        if name not in self.model.seen(who):
            is_free = False  # committed, and gone
        self.attempt(who, is_free, *call)
        if is_free:
            self._change(who, name, None)

    @rule(who=WHO, name=strategies.sampled_from(LOCK_FILES))
    def locks(self, who, name):
        """Creates a lock file."""
        program = self.model.programs[who]
        if name in program.lock_files:
            return
        is_free = self.model.ask(who, lock_of(name))
        descriptor = self.attempt(who, is_free, "os.open", self.path(name),
                                  os.O_RDWR | os.O_CREAT | os.O_EXCL)
        if is_free:
            self.actors[who].call("os.close", descriptor)
            program.lock_files.add(name)
            program.kept.add(lock_of(name))
            self.model.settle(who)

    @precondition(lambda self: any(program.lock_files for program in
                                   self.model.programs.values()))
    @rule(who=WHO, pick=PICK)
    def unlocks(self, who, pick):
        """Deletes one."""
        program = self.model.programs[who]
        if program.lock_files:
            name = sorted(program.lock_files)[pick % len(program.lock_files)]
            self.actors[who].call("os.unlink", self.path(name))
            program.lock_files.remove(name)
            self.model.settle(who)

    @rule(who=WHO, chance=strategies.integers(0, 3))
    def dies(self, who, chance):
        """Is killed, now and then, and another one is started."""
        if chance:
            return
        pid = self.actors[who].pid
        self.actors[who].kill()
        self.model.die(who)
        self.actors[who] = Actor()
        wait_until(lambda: pid not in self._sessions(),
                   "the session of the dead is over")

    def _sessions(self):
        told = poctl("sessions", "--json", self.mount.store.path).stdout
        return [session["pid"] for session in json.loads(told)["sessions"]]


def test_two_programs_see_what_they_may(tmp_path):
    count = int(os.environ.get("POFS_EXAMPLES", "0"))
    with Store(tmp_path / "store") as store:
        # Nothing happens because time has passed.
        with Mount(store, "-o", "lock-wait-s=0,idle-open-s=0,commit-age-s=0,"
                   "transaction-limit-s=0") as mount:
            Machine.mount = mount
            run_state_machine_as_test(Machine, settings=settings(
                max_examples=count or EXAMPLES, stateful_step_count=STEPS,
                derandomize=not count, deadline=None, database=None,
                suppress_health_check=list(HealthCheck)))
            mount.unmount()
        store.check()
