# SPDX-License-Identifier: BSD-2-Clause
"""Judges a history of mail programs by the promises of the postoffice.

    check(history, judge(history, census))

Four rules, each a function that yields a sentence for everything that is
wrong. They use only what is certain: an operation takes effect at some time
between its beginning and its end; one without an end may have, at any time
after its beginning, or not at all. So a right server is never blamed, however
the machines' answers were delayed.
"""

import bisect
import collections
import itertools
import math
import os
import re
import tempfile

INQUEUE = "INQUEUE"
ONE_PROCESS_FILES = {"CONTROL.GLB", "TID.GLB", "FLAG.GLB", "MASTER.GLB"}

IDLE_OPEN_S = 5
"""How long an unused handle of a mailbag other than an inqueue still counts
(idle-open): afterwards the server may give the mailbag to who waits for it."""

_LOCK_FILE = re.compile(r"(.+)\.(?:[0O]LK|0\d\d)$")


def judge(history, census=None):
    """Everything that is wrong, a sentence each; nothing if all is right.

    `census` is the final state (see census.py); without one, delivery is not
    judged.
    """
    verdicts = [*exclusion(history), *reads(history), *numbers(history)]
    if census is not None:
        verdicts += [*census.faults, *delivery(history, census)]
    return verdicts


def check(history, verdicts):
    """Fails with all verdicts, if there are any, and leaves the history in a
    file."""
    if verdicts:
        fd, path = tempfile.mkstemp(".jsonl", "history-")
        os.close(fd)
        history.save(path)
        raise AssertionError("\n".join([*verdicts, f"history: {path}"]))


def _time(event):
    ended = "..." if event.ended is None else f"{event.ended:.6f}"
    return f"[{event.began:.6f}, {ended}]"


def address(path):
    r"""The recipient "PO/A" to whom the mailbag PO\KEY\A.KEY belongs."""
    office, _, name = path.split("\\")
    return f"{office}/{name.split('.')[0]}"


# ---- two programs never hold one lock ---------------------------------------


def lock_of(event):
    """The lock that a successful open or create takes, or None."""
    office, _, rest = event.path.partition("\\")
    directory, _, name = rest.rpartition("\\")
    stem, _, suffix = name.partition(".")
    lock_file = _LOCK_FILE.match(name)
    if lock_file and (directory == "P1" or stem.startswith(INQUEUE)):
        # Merely to look at one that is there takes nothing.
        takes = event.facts.get("new") or event.facts.get("deny") == "ALL"
        purpose = "processing"
    elif (directory, suffix) in (("KEY", "KEY"), ("MBG", "MBG")):
        takes = event.facts["write"] or stem.startswith(INQUEUE)
        purpose = "update"
    elif name in ONE_PROCESS_FILES:
        return (office, name, "update") if event.facts["write"] else None
    else:
        return None
    if stem.startswith(INQUEUE):
        stem, purpose = INQUEUE, "either"
    return (office, stem, purpose) if takes else None


Hold = collections.namedtuple("Hold", "since until program path")


def holds(history):
    """When which lock was certainly held: lock -> a list of Holds."""
    events = history.events
    uses = collections.defaultdict(list)
    ends = collections.defaultdict(list)
    for event in events:
        if event.operation == "gone":
            ends[event.program].append(event)
        elif event.operation == "crash":
            ends[None].append(event)
        elif event.operation == "delete":
            ends[event.program, event.path].append(event)
        elif "handle" in event.facts:
            uses[event.facts["handle"]].append(event)
    found = collections.defaultdict(list)
    for event in events:
        if event.operation in ("open", "create") and event.is_done:
            lock = lock_of(event)
            if lock is not None:
                end = _end(event, lock, uses, ends)
                found[lock] += _stretches(event, lock, end, uses)
    return found


def _end(event, lock, uses, ends):
    """When the program began to let go of what this event took."""
    is_file = _LOCK_FILE.match(event.path)
    closes = ends[event.program, event.path] if is_file else [
        use for use in uses[event.facts["handle"]] if use.operation == "close"]
    last = closes + ends[event.program] + ends[None]
    return min((end.began for end in last if end.began >= event.ended),
               default=math.inf)


def _stretches(event, lock, end, uses):
    """The times of a hold; more than one if the handle was idle."""
    if lock[2] != "update" or lock[1] in ONE_PROCESS_FILES:
        yield Hold(event.ended, end, event.program, event.path)
        return
    used = [use.ended for use in uses[event.facts["handle"]]
            if use.is_done and use.ended <= end]
    since = event.ended
    for last, following in zip(used, [*used[1:], math.inf]):
        if following - last > IDLE_OPEN_S or following is math.inf:
            yield Hold(since, min(last + IDLE_OPEN_S, end), event.program,
                       event.path)
            since = following


def exclusion(history):
    """No lock is held by two programs at one time."""
    for lock, held in holds(history).items():
        held.sort()
        for number, hold in enumerate(held):
            for later in itertools.islice(held, number + 1, None):
                if later.since >= hold.until:
                    break
                if later.program != hold.program:
                    yield (f"{lock[1]} of {lock[0]} ({lock[2]}) was held "
                           f"twice from {later.since:.6f} to "
                           f"{min(later.until, hold.until):.6f}: by "
                           f"{hold.program} with {hold.path} and by "
                           f"{later.program} with {later.path}")


# ---- what was read had been committed ---------------------------------------


class Commit:
    """One state of one mailbag, made everybody's by one event."""

    def __init__(self, event, state):
        self.event = event
        self.state = state
        self.program = event.program
        self.began = event.began
        self.ended = event.ended
        self.over = math.inf if event.ended is None else event.ended
        """When it had certainly happened, if it did."""


def commits(history):
    """Of each mailbag the states that were, or may have been, committed."""
    found = collections.defaultdict(list)
    staged = collections.defaultdict(dict)  # program -> mailbag -> state
    unsure = collections.defaultdict(list)
    for event in history.of("stage", "commit", "gone"):
        mine = staged[event.program]
        if event.operation == "stage":
            mine[event.path] = event.facts["state"]
            continue
        if event.operation == "commit" and event.may_be_done:
            for path, state in mine.items():
                commit = Commit(event, state)
                found[path].append(commit)
                unsure[event.program].append(commit)
        if event.operation == "gone":
            unsure[event.program].clear()
            mine.clear()
        elif event.ended is not None:
            # What it did before has happened by now, or never will.
            for commit in unsure[event.program]:
                commit.over = min(commit.over, event.ended)
            unsure[event.program].clear()
            mine.clear()
    return found


def _surely_gone(commit, others, when):
    """Whether another commit has certainly replaced it before `when`."""
    return any(other.ended is not None and other.began >= commit.over
               and other.ended <= when for other in others)


def reads(history):
    """A reader saw one committed state, and no header without its MAI."""
    known = commits(history)
    stages = history.of("stage")
    own = _own_states(history)
    for view in history.of("view"):
        if not view.is_done:
            continue
        fault = _fault_of_view(view, own.get(id(view)), known[view.path],
                               stages)
        if fault:
            yield (f"{view.program} saw in {view.path} at {_time(view)} "
                   f"{fault}")
    for event in history.of("seen"):
        if not event.facts["complete"]:
            yield (f"{event.program} saw in {event.path} at {_time(event)} a "
                   f"header whose message {event.facts['stem']} is "
                   f"{event.facts.get('why', 'not complete')}")


def _own_states(history):
    """What a program must see of a mailbag that it has changed and of which it
    has committed nothing since: id of the view -> the state."""
    must, states = {}, {}
    for event in history.of("stage", "commit", "view", "gone", "crash"):
        if event.operation == "stage":
            states[event.program, event.path] = event.facts["state"]
        elif event.operation == "view":
            must[id(event)] = states.get((event.program, event.path))
        elif event.operation == "crash":
            states.clear()
        else:
            for key in [key for key in states if key[0] == event.program]:
                del states[key]
    return must


def _fault_of_view(view, own, known, stages):
    """What is wrong with what was seen, or None."""
    state = view.facts["state"]
    if own is not None:
        return None if state == own else "not what it had written itself"
    made = [commit for commit in known if commit.state == state]
    timely = [commit for commit in made if commit.began <= view.ended]
    if any(not _surely_gone(commit, known, view.began) for commit in timely):
        return None
    if timely:
        last = max(timely, key=lambda commit: commit.began)
        return (f"what {last.program} had committed at {_time(last.event)}, "
                f"which was no longer so")
    writers = [event for event in stages if event.path == view.path
               and event.facts["state"] == state]
    if writers:
        return (f"what {writers[0].program} had written at "
                f"{_time(writers[0])} but not committed")
    return "a state that nobody had made"


# ---- each message is in one place -------------------------------------------


def delivery(history, census):
    """Each message that was accepted is once with each recipient, or on its
    way to him; each that was not, at most once."""
    taken, perhaps = collections.Counter(), collections.Counter()
    for event in history.of("take"):
        counter = taken if event.is_done else perhaps
        if event.may_be_done:
            counter[address(event.path), event.facts["message"]] += 1
    submitted = {}
    for event in history.of("submit"):
        # A program may try again; it still is one message.
        message = event.facts["message"]
        if message not in submitted or event.is_done:
            submitted[message] = event
    for message, event in submitted.items():
        for recipient in event.facts["recipients"]:
            key = recipient, message
            yield from _fault_of_delivery(event, key, census, taken[key],
                                          perhaps[key])
    places = itertools.chain(census.copies(), taken)
    for recipient, message in sorted(set(places)):
        event = submitted.get(message)
        if event is None:
            yield f"{recipient} has {message}, which nobody submitted"
        elif recipient not in event.facts["recipients"]:
            yield f"{recipient} has {message}, which was not for him"


def _fault_of_delivery(event, key, census, taken, perhaps):
    """What is wrong with one message for one recipient, if anything."""
    recipient, message = key
    has, queued = census.delivered[key], census.queued[key]
    count = has + queued + taken
    where = (f"{has} in the mailbag, {queued} on the way, {taken} taken out, "
             f"{perhaps} perhaps")
    if count > 1:
        yield (f"{message} for {recipient}, submitted at {_time(event)}, is "
               f"there {count} times: {where}")
    if event.is_done and count + perhaps == 0:
        yield (f"{message} for {recipient}, acknowledged at {_time(event)}, is "
               f"lost")


# ---- numbers ----------------------------------------------------------------


def numbers(history):
    """No number of a CONTROL.GLB is given out twice, nor one that is lower
    than one that had been given out before it was asked for.

    A crash of the server may take back the last numbers with all that was done
    with them, so it begins anew; but not if the server keeps what was done, for
    it was ended in order or something else was.
    """
    owners, latest = {}, collections.defaultdict(list)
    crashes = [event.began for event in history.of("crash")
               if not event.facts.get("keeps")]
    done = [event for event in history.of("number") if event.is_done]
    for event in sorted(done, key=lambda event: event.ended):
        name, number = event.path, event.facts["number"]
        epoch = bisect.bisect(crashes, event.began)
        other = owners.setdefault((name, number, epoch), event)
        before = latest[name, epoch]
        at = bisect.bisect(before, (event.began, -math.inf))
        if other is not event:
            yield (f"number {number} of {name} was given to {other.program} "
                   f"at {_time(other)} and to {event.program} at "
                   f"{_time(event)}")
        elif at and before[at - 1][1] > number:
            yield (f"number {number} of {name} was given to {event.program} "
                   f"at {_time(event)} when {before[at - 1][1]} had been")
        highest = max(number, before[-1][1] if before else number)
        before.append((event.ended, highest))
