# SPDX-License-Identifier: BSD-2-Clause
"""What two programs may see of a postoffice, said in the fewest words: the
promises of locks and transactions as a program of dictionaries.

Names are "KEY/A.KEY", contents are bytes. Nobody waits in it: who comes too
late is refused.
"""

import itertools

MESSAGES = "MAI"


def lock_of(name):
    """What keeps others from changing a file; None if nothing does."""
    directory, file = name.split("/")
    mailbag = file.partition(".")[0]
    if directory == MESSAGES:
        return name
    if mailbag.startswith("INQUEUE"):
        return "inqueue"
    return f"{'processing' if directory == 'P1' else 'update'} {mailbag}"


def is_of_mailbag(lock):
    """Whether a lock makes a transaction: that of one message does not."""
    return "/" not in lock


class Program:
    """One session."""

    def __init__(self):
        self.opens = {}      # a number: the name it was opened by
        self.lock_files = set()
        self.staged = {}     # a name: its content, or None if it is removed
        self.kept = set()    # locks, those it has a form of included
        self.wanted = set()  # those that somebody else has asked for
        self.is_last_index = False

    def forms(self):
        """The locks that it has a form of."""
        return {lock_of(name)
                for name in itertools.chain(self.opens.values(),
                                            self.lock_files)}

    def is_writing(self):
        """Whether it may be in the middle of a message."""
        return any(name.startswith(MESSAGES) and name in self.staged
                   for name in self.opens.values())

    def is_over(self):
        """Whether it has let go of everything."""
        return not self.is_writing() and \
            not any(map(is_of_mailbag, self.forms()))

    def is_safe(self):
        """Whether what it has staged may be seen as it is."""
        if not self.staged:
            return True
        if self.is_writing() or any(lock.startswith("update")
                                    for lock in self.forms()):
            return False
        return self.is_last_index or "inqueue" not in self.kept

    def is_pressed(self):
        """Whether somebody waits for what it merely keeps."""
        return bool(self.wanted - self.forms())


class Model:
    """The files of a postoffice, and the programs that are at work on it."""

    def __init__(self, names, files):
        self.files = dict(files)
        self.programs = {name: Program() for name in names}

    def seen(self, who):
        """All files, as one program sees them, or anybody else."""
        staged = self.programs[who].staged if who in self.programs else {}
        return {name: content
                for name, content in {**self.files, **staged}.items()
                if content is not None}

    def holder(self, who, lock):
        """Which other program keeps a lock."""
        return next((name for name, program in self.programs.items()
                     if name != who and lock in program.kept), None)

    def ask(self, who, lock):
        """Somebody wants a lock. Whether he gets it, perhaps not at once."""
        holder = self.holder(who, lock)
        if holder is None:
            return True
        self.programs[holder].wanted.add(lock)
        self.settle(holder)
        return self.holder(who, lock) is None

    def stage(self, who, name, content):
        """A program, which has the lock, has changed a file."""
        program = self.programs[who]
        program.kept.add(lock_of(name))
        program.staged[name] = content
        self.settle(who)

    def settle(self, who):
        """After each step: commits what is to be. Whether it did."""
        program = self.programs[who]
        if program.is_over() or program.is_pressed() and program.is_safe():
            self.commit(who)
            return True
        return False

    def commit(self, who):
        """What a program has staged is everybody's."""
        program = self.programs[who]
        self.files = {name: content
                      for name, content in {**self.files,
                                            **program.staged}.items()
                      if content is not None}
        program.staged.clear()
        program.kept &= program.forms()
        program.wanted &= program.kept

    def die(self, who):
        """It has done nothing, and another one takes its place."""
        self.programs[who] = Program()
