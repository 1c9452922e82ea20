# SPDX-License-Identifier: BSD-2-Clause
r"""A client machine whose every request is in the history.

    machine = Machine(client, "EXT1", history, "PO")
    with machine.open(r"KEY\A.KEY", deny=Deny.ALL) as file:
        file.read(0, 560)

It is smb1.Client with the same arguments, one postoffice's names, and a record
of what it did. The exceptions are smb1's.
"""

import itertools

from history import digest
from smb1 import Access, Attr, Deny, Mode

_handles = itertools.count(1)


class Machine:
    """One program on one machine, working in one postoffice."""

    def __init__(self, client, program, history, office):
        self.client = client
        self.program = program
        self.history = history
        self.office = office

    def path(self, name):
        """The name in the share of a name in the postoffice."""
        return rf"{self.office}\{name}"

    def operation(self, operation, name, **facts):
        """History.operation() of this program."""
        return self.history.operation(self.program, operation,
                                      self.path(name), **facts)

    def note(self, operation, name, **facts):
        """History.note() of this program."""
        return self.history.note(self.program, operation, self.path(name),
                                 **facts)

    def open(self, name, access=Access.BOTH, deny=Deny.NONE, mode=Mode.OPEN,
             attributes=Attr.NORMAL):
        handle = next(_handles)
        with self.operation(
                "open", name, handle=handle, write=access != Access.READ,
                deny=Deny(deny).name, new=bool(mode & Mode.CREATE)):
            return Handle(self, name, handle, self.client.open(
                self.path(name), access, deny, mode, attributes))

    def create(self, name):
        return self._create(self.client.create, name)

    def create_new(self, name):
        return self._create(self.client.create_new, name)

    def _create(self, create, name):
        handle = next(_handles)
        with self.operation("create", name, handle=handle, write=True,
                            new=True):
            return Handle(self, name, handle, create(self.path(name)))

    def read_file(self, name, deny=Deny.NONE):
        with self.open(name, Access.READ, deny) as file:
            return file.read(0, file.size)

    def write_file(self, name, content):
        with self.create(name) as file:
            file.write(0, content)

    def delete(self, name):
        with self.operation("delete", name):
            self.client.delete(self.path(name))

    def rename(self, name, new_name):
        with self.operation("rename", name, to=self.path(new_name).upper()):
            self.client.rename(self.path(name), self.path(new_name))

    def exists(self, name):
        """Whether the name can be found: what a -V20 program looks for."""
        with self.operation("find", name) as facts:
            facts["found"] = bool(self.client.search(self.path(name)))
            return facts["found"]

    def reset(self):
        """Vanishes: the link is cut."""
        with self.operation("gone", ""):
            self.client.reset()


class Handle:
    """An open file of a Machine. Leaving a `with` block closes it."""

    def __init__(self, machine, name, number, file):
        self.machine = machine
        self.name = name
        self.number = number
        self.file = file

    def __enter__(self):
        return self

    def __exit__(self, error, *_):
        # After an error the connection may be gone, and the error counts.
        if error is None:
            self.close()

    @property
    def size(self):
        """When it was opened."""
        return self.file.size

    def operation(self, operation, **facts):
        return self.machine.operation(operation, self.name,
                                      handle=self.number, **facts)

    def read(self, offset, size):
        with self.operation("read", offset=offset) as facts:
            content = self.file.read(offset, size)
            facts.update(size=len(content), digest=digest(content))
            return content

    def write(self, offset, content):
        with self.operation("write", offset=offset, size=len(content),
                            digest=digest(content)):
            self.file.write(offset, content)

    def truncate(self, size):
        with self.operation("truncate", size=size):
            self.file.truncate(size)

    def lock(self, offset, size, timeout_ms=0):
        with self.operation("lock", offset=offset, size=size):
            self.file.lock(offset, size, timeout_ms)

    def unlock(self, offset, size):
        with self.operation("unlock", offset=offset, size=size):
            self.file.unlock(offset, size)

    def close(self):
        with self.operation("close"):
            self.file.close()
