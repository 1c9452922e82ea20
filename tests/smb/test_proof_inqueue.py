# SPDX-License-Identifier: BSD-2-Clause
r"""Mailers of every kind on one hub deliver each message once (Q103960).

The article tells of three Externals without -V20, a PROFS gateway without and
an External with -V20: the gateway does not see the External's lock file, and
outpaces it. Messages arrive twice, or are reported to have lost their routing
file. On a plain directory the tests steer the programs to where this happens
and show it; on pofs the same programs at the same places do no harm.

    POFS_MESSAGES=1000 POFS_SEEDS=20 meson test -C build -v \
        --timeout-multiplier 20 smb_proof_inqueue

runs the crew at random with so many messages and seeds, on pofs, and prints a
line for each; POFS_SEED names the first seed.
"""

import json
import os

import pytest

from harness import poctl
from hub import FIRST_STEM, SUBJECT, USERS, Crew
from mailer import External30, External32, External32Semaphore, ExternalV20, \
    FfapiMailer, ProfsGateway
from place import ONLY_POFS
from program import Message, key_path, mai_path, p1_path
from shift import Shift
from turns import Turns

KINDS = [External30, External32, External32Semaphore, ExternalV20,
         FfapiMailer, ProfsGateway]

MESSAGES = int(os.environ.get("POFS_MESSAGES", "40"))
SEEDS = int(os.environ.get("POFS_SEEDS", "2"))
FIRST_SEED = int(os.environ.get("POFS_SEED", "1"))

QUEUE = "INQUEUE"

@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_program_alone_delivers_what_it_submits(hub, crew, kind):
    messages = [Message("TO ONE", (hub.address(USERS[0]),)),
                Message("TO THREE", tuple(map(hub.address, USERS[:3])))]

    def work(program):
        for message in messages:
            program.submit(message)
        assert program.work_off(program.queue) == 2
        assert program.work_off(program.queue) == 0

    crew.turns.finish(crew.join(kind, "ALONE", work))
    assert hub.census().delivered == {
        (recipient, message.subject): 1 for message in messages
        for recipient in message.recipients}
    hub.check()
    assert not list(hub.office.path.glob("P1/*"))


def faults(store, office):
    """What poctl finds wrong with the mail; the tests' postoffices have no
    directories but those for mail."""
    done = poctl("check", "--mail", "--json", "--postoffice", office.name,
                 store.path, check=False)
    return [found for found in json.loads(done.stdout)["mail"]
            if not found["id"].startswith("R15 ")]


@ONLY_POFS
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_a_program_leaves_is_no_fault(hub, crew, place, kind):
    """Seen from beside the daemon, before a mailer's pass and after it."""
    to_three = Message("TO THREE", tuple(map(hub.address, USERS[:3])))

    def work(program):
        program.submit(to_three)
        assert faults(place.store, hub.office) == []
        assert program.work_off(program.queue) == 1
        assert faults(place.store, hub.office) == []

    crew.turns.finish(crew.join(kind, "ALONE", work))


# ---- the faults of the article ----------------------------------------------


def overtake(crew, is_pofs, slow, fast, place):
    """A program of one kind is overtaken by one of another when it is about
    to open the file `place`. On pofs it cannot be."""
    slow = crew.join_to_work_off(slow, "SLOW", QUEUE)
    crew.turns.advance(slow, "open", place)
    fast = crew.join_to_work_off(fast, "FAST", QUEUE)
    if is_pofs:
        assert not crew.turns.finish_or_wait(fast)
    else:
        crew.turns.finish(fast)
    crew.turns.finish(slow)
    crew.turns.finish(fast)


def assert_delivered_once(hub, recipient):
    census = hub.census()
    assert census.copies() == [(recipient, SUBJECT)]
    assert census.delivered[recipient, SUBJECT] == 1
    hub.check()


# External with -V20, and who does not know its lock file; and the External
# that collects before it locks (Q103421 #1646).
@pytest.mark.parametrize("slow, fast", [
    (ExternalV20, ProfsGateway), (ExternalV20, External30),
    (ExternalV20, External32), (ExternalV20, FfapiMailer),
    (External30, External30), (External30, External32)],
    ids=lambda kind: kind.__name__)
def test_no_message_is_delivered_twice(hub, crew, place, slow, fast):
    recipient = hub.address(USERS[0])
    crew.submit(FfapiMailer, recipient)
    overtake(crew, place.is_pofs, slow, fast, key_path(USERS[0]))
    if place.is_pofs:
        assert_delivered_once(hub, recipient)
    else:
        assert hub.census().delivered[recipient, SUBJECT] == 2
        # "Users see mail being delivered, but they still receive the error."
        assert hub.reports() == ["021"]
        assert hub.judge()


@pytest.mark.parametrize("fast", [ProfsGateway, External30, External32],
                         ids=lambda kind: kind.__name__)
def test_no_routing_file_is_missed(hub, crew, place, fast):
    recipient = hub.address(USERS[0])
    crew.submit(FfapiMailer, recipient)
    overtake(crew, place.is_pofs, ExternalV20, fast, p1_path(FIRST_STEM))
    if place.is_pofs:
        assert_delivered_once(hub, recipient)
    else:
        assert hub.reports() == ["021"]


def test_no_message_file_is_missed(hub, crew, place):
    """The gateway takes a message to its host, and deletes the MAI."""
    crew.submit(FfapiMailer, "HOST/ANNA")
    overtake(crew, place.is_pofs, ExternalV20, ProfsGateway,
             mai_path(FIRST_STEM))
    if place.is_pofs:
        # The External was first, so it has gone the long way.
        assert list(hub.census().copies()) == [("HOST/ANNA", SUBJECT)]
        hub.check()
    else:
        assert hub.reports() == ["016"]  # "error code=2"


# ---- at random --------------------------------------------------------------


@ONLY_POFS
@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + SEEDS))
def test_a_crew_at_random_delivers_each_message_once(hub, server, seed):
    with Turns(seed) as turns, Crew(hub, server, turns) as crew:
        Shift(crew, MESSAGES, seed).start()
        turns.run()
    hub.check()
    submitted = hub.history.of("submit")
    assert len(submitted) == MESSAGES and all(e.is_done for e in submitted)
    # They did it together, not one for all.
    assert len({event.program for event in hub.history.of("seen")}) > 2
    print(f"seed {seed}: {MESSAGES} messages, "
          f"{len(hub.history.events)} events, all as it must be")
