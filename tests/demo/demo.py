# SPDX-License-Identifier: BSD-2-Clause
"""One message through a postoffice whose server is killed on the way.

A DOS machine delivers it as the mail programs do (CONTROL.GLB, MAI, P1, then
the inqueue's KEY and MBG under deny-all); pofs is killed with SIGKILL and
started again; another machine picks the message up. Everything is real: a
store, pofs, smbd with mount-examples/smb.conf, SMB1 on a loopback port.

Prints what it does with the time each step took, and exits non-zero if
anything is not as it must be. Leaves no process, no mount and no file.
"""

import contextlib
import datetime
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import threading
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "smb")]

import mail
from harness import HarnessError, Mount, Store, poctl
from smb1 import Client, Command, Deny, Mode
from smbd import SHARE, Smbd, share_ids

SENDER, RECIPIENT = "SALES/LAB/ANNA", "SALES/LAB/BERT"
SUBJECT = "The server may go now"
TEXT = "By the time you read this it has been killed.\r\n" * 50


class Story:
    """Prints one line a step: its number, what was done, how long it took."""

    def __init__(self):
        self._count = 0
        self._began = time.monotonic()

    def tell(self, text):
        now = time.monotonic()
        self._count += 1
        took_ms = (now - self._began) * 1000
        print(f"{self._count:2}. {text:<90} {took_ms:6.1f} ms", flush=True)
        self._began = time.monotonic()


class Keeper:
    """Mounts the store, and again when the server is gone.

    Does for the demo what pofs@.service does on a server (Restart=on-failure,
    and an end to the connections that smbd had to the old mount). A thread of
    its own, for a mount ends with the thread that started it.
    """

    def __init__(self, store, path):
        self._store, self._path = store, path
        self._is_ending = False
        self._changed = threading.Condition()
        self.mounts = 0
        self.mount = None
        self._thread = threading.Thread(target=self._keep)
        self._thread.start()
        self.wait_for(1)

    def _keep(self):
        uid, gid = share_ids()
        options = f"uid={uid},gid={gid},umask=000"
        while not self._is_ending:
            try:
                with Mount(self._store, "-o", options,
                           path=self._path) as mount:
                    if self._enter(mount):
                        mount.launcher.wait()
            except HarnessError as error:
                print(error, file=sys.stderr)
                break

    def _enter(self, mount):
        """Makes a mount known. Returns false if it has come too late."""
        with self._changed:
            self.mount = mount
            self.mounts += 1
            self._changed.notify_all()
            return not self._is_ending

    def wait_for(self, mounts):
        """Waits until the store has been mounted so many times."""
        with self._changed:
            if not self._changed.wait_for(
                    lambda: self.mounts >= mounts or
                    not self._thread.is_alive(), timeout=30):
                raise HarnessError("pofs does not come (back)")

    def end(self):
        with self._changed:
            self._is_ending = True
            if self.mount is not None:
                self.mount.launcher.terminate()
        self._thread.join()


def take_number(client):
    """A new stem, and its MAI file, created under CONTROL.GLB (Q87386)."""
    with client.open(r"GLB\CONTROL.GLB", deny=Deny.ALL) as control:
        number = int.from_bytes(control.read(4, 4), "little") + 1
        stem = f"{number:08X}"
        message = client.open(message_path(stem), deny=Deny.ALL,
                              mode=Mode.CREATE)
        control.write(4, number.to_bytes(4, "little"))
    return stem, message


def message_path(stem):
    return rf"MAI\MA{stem[-1]}\{stem}.MAI"


def deliver(story, client, rival):
    """FFAPI's order (Q85058): number, MAI, P1, KEY slot, MBG record, KEY."""
    when = datetime.datetime.now().replace(microsecond=0)
    content = mail.encode_message(SENDER, [RECIPIENT], SUBJECT, when, TEXT)

    stem, message = take_number(client)
    story.tell(f"  took number {stem} from CONTROL.GLB, deny-all, and created "
               f"its MAI file")
    with message:
        message.write(0, content)
    envelope = mail.encode_envelope([RECIPIENT])
    with client.open(rf"P1\{stem}.P1", deny=Deny.ALL,
                     mode=Mode.CREATE) as file:
        file.write(0, envelope)
    story.tell(f"  wrote {message_path(stem)} ({len(content)} bytes), "
               rf"P1\{stem}.P1 ({len(envelope)})")

    with client.open(r"KEY\INQUEUE3.KEY", deny=Deny.ALL) as key_file:
        rival.send(*rival.open_request(r"KEY\INQUEUE3.KEY"))
        rival.send(*rival.echo_request())
        assert rival.receive().command == Command.ECHO
        story.tell("  holds INQUEUE3.KEY; a second machine that wants it "
                   "waits, while its server goes on answering it")
        key = mail.Key(key_file.read(0, mail.KEY_SIZE))
        with client.open(r"MBG\INQUEUE3.MBG", deny=Deny.ALL) as bag:
            slot = key.vacant_slot(bag.size // mail.RECORD_SIZE)
            header = mail.Header("ANNA", SUBJECT, when, stem)
            bag.write(slot * mail.RECORD_SIZE, header.encode())
        key.mark_deleted(slot, False)
        key.new_items += 1
        key_file.write(0, key.encode())
        story.tell(f"  wrote record {slot} of INQUEUE3.MBG and the KEY (its "
                   f"layout is assumed)")
    story.tell("  closed the KEY: all of it is on disk, at once and as a whole")
    with rival.opened(rival.receive()) as key_file:
        key = mail.Key(key_file.read(0, mail.KEY_SIZE))
        assert key.new_items == 1
    story.tell("  the second machine gets the KEY, and sees the new message")
    return stem, content


def pick_up(story, client, stem, content):
    """The mailer's order: KEY, MBG, P1, MAI; P1 goes before the KEY's bit."""
    with client.open(r"KEY\INQUEUE3.KEY", deny=Deny.ALL) as key_file:
        key = mail.Key(key_file.read(0, mail.KEY_SIZE))
        bag = client.read_file(r"MBG\INQUEUE3.MBG")
        slot, = key.live_slots(len(bag) // mail.RECORD_SIZE)
        record = bag[slot * mail.RECORD_SIZE:(slot + 1) * mail.RECORD_SIZE]
        sender, subject, found = mail.decode_header(record)
        assert (sender, subject, found) == ("ANNA", SUBJECT, stem)
        story.tell(f'  found record {slot}: {found} from {sender}, '
                   f'"{subject}"')

        envelope = client.read_file(rf"P1\{found}.P1")
        assert envelope == mail.encode_envelope([RECIPIENT])
        message = client.read_file(message_path(found))
        assert message == content and mail.is_complete(message)
        assert mail.text_of(message) == TEXT
        story.tell(f"  read the P1 and all {len(message)} bytes of the MAI "
                   f"file: as they were written")

        client.delete(rf"P1\{found}.P1")
        key.mark_deleted(slot, True)
        key.new_items -= 1
        key_file.write(0, key.encode())
    client.delete(message_path(found))
    story.tell("  deleted the P1, marked the record as deleted in the KEY, "
               "deleted the MAI file")


def show(story, store, keeper, server):
    with Client(server.port, SHARE, dialect="LANMAN2.1",
                source="127.0.0.11") as anna, \
            Client(server.port, SHARE, source="127.0.0.12") as rival:
        story.tell("Anna's DOS machine (LANMAN2.1) and a second one connect; "
                   "Anna delivers:")
        stem, content = deliver(story, anna, rival)

        victim = keeper.mount.server_pid
        os.kill(victim, signal.SIGKILL)
        story.tell(f"kill -9 of the server, process {victim}, with both "
                   f"machines still connected")
        keeper.wait_for(2)
        server.close_share(SHARE)
        story.tell(f"pofs is back by itself as process "
                   f"{keeper.mount.server_pid}; old connections are ended")

    with Client(server.port, SHARE, source="127.0.0.13") as mailer:
        story.tell("the mailer's machine (NT LM 0.12) connects and picks up:")
        pick_up(story, mailer, stem, content)
        for pattern in (r"P1\*.P1", rf"MAI\MA{stem[-1]}\*.MAI"):
            assert not mailer.search(pattern), pattern
        mailer.disconnect()


def main():
    # Also when it is told to end, everything goes that was started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    story = Story()
    place = pathlib.Path(tempfile.mkdtemp(prefix="demo-"))
    place.chmod(0o711)  # smbd comes here as the share's user
    with contextlib.ExitStack() as undo:
        undo.callback(shutil.rmtree, place, ignore_errors=True)
        store = Store(place / "store")
        story.tell("poctl create: a store with an empty postoffice")
        (place / "mount").mkdir(mode=0)
        keeper = Keeper(store, place / "mount")
        undo.callback(keeper.end)
        story.tell(f"pofs serves it as process {keeper.mount.server_pid}")
        server = undo.enter_context(Smbd({SHARE: place / "mount"}))
        story.tell(f"smbd shares it on port {server.port} with the settings of "
                   f"mount-examples/smb.conf")
        show(story, store, keeper, server)
        server.close()
        keeper.end()
        poctl("check", "--mail", "--quiet", store.path)
        story.tell("pofs and smbd ended; poctl check --mail: every invariant "
                   "of the store holds, no mail is damaged")
    print("The message was delivered, survived the server, and was picked up "
          "once.")


if __name__ == "__main__":
    main()
