# SPDX-License-Identifier: BSD-2-Clause
r"""MSMAIL32 on Windows NT, which carries mail from one postoffice to another.

Its order (Q143413): lock the local mailbag; read it; open the other
postoffice's INQUEUE3.MBG and KEY; write the message's files; update and close
INQUEUE3; update the local mailbag; unlock. But it writes through NT's
redirector, which with UseWriteBehind keeps data back: the KEY's close may
reach the server before the MAI's bytes.

Assumed, for it is not public: the local mailbag is opened deny-all, the other
one deny-none, the weakest.
"""

import mail
from census import recipients_of
from program import WHEN, Program, key_path, mai_path, mbg_path, p1_path
from smb1 import Deny, Mode

QUEUE = "INQUEUE3"

PIECES = 3
"""In how many writes the redirector sends a message."""

ORDERS = ("as written", "behind the queue", "around the queue",
          "behind everything")
"""When the redirector sends the MAI's bytes, and its close."""


class Pipeline:
    """Requests that are sent without waiting, and their answers."""

    def __init__(self, client):
        self._client = client
        self._events = []

    def send(self, file, operation, request, **facts):
        """One request about an open file."""
        machine = file.machine
        event = machine.history.begin(
            machine.program, operation, machine.path(file.name),
            handle=file.number, **facts)
        self._client.send(*request)
        self._events.append(event)

    def write(self, file, offset, content):
        self.send(file, "write", file.file.write_request(offset, content),
                  offset=offset, size=len(content))

    def close(self, file):
        self.send(file, "close", file.file.close_request())

    def settle(self):
        """Waits for the answers of all that was sent."""
        while self._events:
            self._client.receive()  # raises what the server refuses
            self._events.pop(0).end()


class MsMail32:
    """One run of the program, on one connection.

    `wire` is the client's Wire if its link is to be cut; `is_patient` says
    that it has all answers when it is, or when anything else is to happen, so
    that this is where it seems.
    """

    def __init__(self, client, player, history, local, remote, *,
                 order=ORDERS[0], wire=None, is_patient=True):
        self.local = Program(client, player, history, local)
        self.remote = Program(client, player, history, remote)
        self.order = order
        self._pipeline = Pipeline(client)
        self._wire = wire
        self._is_patient = is_patient

    def carry(self, bag):
        """Takes the first message of a local queue to the other postoffice's
        inqueue. Returns its subject, or None if there is none."""
        files = self.local.open_pair(bag, deny=Deny.ALL)
        found = self.local.read_bag(bag, *files)
        for slot, subject, stem in found.live():
            content = self.local.read_file(mai_path(stem))
            behind, steps = self._hand_over(subject, content)
            found.remove(slot)
            self._send(behind, steps, self._update(bag, files, found, stem))
            return subject
        for file in files:
            file.close()
        return None

    def _hand_over(self, subject, content):
        """The steps of the MAI's bytes, and those of the queue."""
        remote, pipe = self.remote, self._pipeline
        mbg_file = remote.open(mbg_path(QUEUE))
        key_file = remote.open(key_path(QUEUE))
        found = remote.read_bag(QUEUE, key_file, mbg_file)
        stem, mai = remote.take_number()
        with remote.open(p1_path(stem),
                         mode=Mode.CREATE | Mode.TRUNCATE) as envelope:
            envelope.write(0, mail.encode_envelope(recipients_of(content)))
        size = -(-len(content) // PIECES)
        behind = [lambda at=at: pipe.write(mai, at, content[at:at + size])
                  for at in range(0, len(content), size)]
        behind.append(lambda: pipe.close(mai))
        header = mail.Header("MSMAIL32", subject, WHEN, stem)
        at = found.add(header) * mail.RECORD_SIZE
        return behind, [
            lambda: pipe.write(mbg_file, at, header.encode()),
            lambda: self._write_key(remote, QUEUE, found, key_file),
            lambda: pipe.close(key_file),
            lambda: pipe.close(mbg_file)]

    def _update(self, bag, files, found, stem):
        """The steps of the local mailbag."""
        return [
            lambda: self._write_key(self.local, bag, found, files[0]),
            lambda: self._delete(mai_path(stem)),
            lambda: self._pipeline.close(files[0]),
            lambda: self._pipeline.close(files[1])]

    def _write_key(self, program, bag, found, key_file):
        program.note("stage", key_path(bag), state=found.state)
        self._pipeline.write(key_file, 0, found.key.encode())

    def _delete(self, name):
        self._pipeline.settle()
        self.local.delete(name)

    def _send(self, behind, queue, local):
        """All steps, in the order in which the redirector sends them."""
        steps = {
            "as written": behind + queue + local,
            "behind the queue": queue + behind + local,
            "around the queue": behind[:1] + queue + behind[1:] + local,
            "behind everything": queue + local + behind,
        }[self.order]
        for step in steps[:-1]:
            self._step(step)
        with self.local.means("commit", ""):
            self._step(steps[-1])
            self._pipeline.settle()

    def _step(self, step):
        if self._is_patient and self._wire and self._wire.is_special_next:
            self._pipeline.settle()
        step()
