# SPDX-License-Identifier: BSD-2-Clause
"""Runs the release tier, slice by slice, some at once; see run.

What has been done is in RESULTS.md after each slice, so whoever ends this loses
some minutes. First comes what has not been done; then what has been, but with
other sources. A stage that has failed is done again when it is named, or when
its sources are others.

Exits with 0 if all stages have passed, with 1 if not, with 2 if it was asked
for what makes no sense, with 130 if it was ended.
"""

import argparse
import asyncio
import collections
import contextlib
import dataclasses
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

from book import DIRTY, RESULTS, STALE, TESTS, Book, Row, sources
from harness import build_dir, end_with_parent
from powercut import MEMORY
from stages import stages

SHOWN = 8000
"""How many characters of a failed test's output are shown."""


@contextlib.contextmanager
def place_of(stage):
    """A directory for the files of a slice, as a context: its own if that is in
    memory; on the disk they stay for a while, for who looks into a failure."""
    if stage.is_on_disk:
        yield tempfile.gettempdir()
        return
    with tempfile.TemporaryDirectory(prefix="slice-", dir=MEMORY,
                                     ignore_cleanup_errors=True) as place:
        # The user of a share gets to what is in there, too.
        os.chmod(place, 0o711)
        yield place


def environment(stage, seed, tally, place):
    """Of a slice: nothing that whoever runs this has set for tests."""
    others = {name: value for name, value in os.environ.items()
              if not name.startswith("POFS_")}
    numbers = {name: str(value) for name, value in
               {**stage.often, **stage.settings}.items()}
    # What plain files come to, the gate shows.
    return {**others, **numbers, "POFS_CONTROLS": "no", "POFS_SEED": str(seed),
            "POFS_BUILD": str(build_dir()), "POFS_TALLY": tally,
            "TMPDIR": place, "PYTHONPATH": str(TESTS)}


def command(stage):
    """What runs its tests once."""
    return [sys.executable, "-m", "pytest", "-q", "-x", "-p",
            "no:cacheprovider", *map(str, stage.tests)]


async def run_tests(stage, env, output):
    """Runs them once; returns whether they passed."""
    # In a session of its own: Ctrl-C is for us, who then let it end in order.
    child = await asyncio.create_subprocess_exec(
        *command(stage), env=env, cwd=TESTS, stdout=output, stderr=output,
        start_new_session=True, preexec_fn=end_with_parent)
    try:
        return await child.wait() == 0
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
        await child.wait()
        raise


def left(stage, row):
    """About how much work the rest is, in words; nothing if nobody knows."""
    share = min((row.counts[what] / goal
                 for what, goal in stage.goals.items()), default=1)
    if not 0 < share < 1 or row.has_failed:
        return ""
    return f"{math.ceil(row.seconds * (1 / share - 1) / 60)} min of work left"


def tell(stage, row, *more):
    """A line about a stage."""
    print(f"{stage.name}: " + ", ".join(filter(None, [
        row.result(stage.goals), row.counted(stage.goals),
        f"{row.seconds:,} s" if row.slices else "", left(stage, row),
        *more])), flush=True)


class Course:
    """A stage on its way to its goals."""

    def __init__(self, stage, book, is_again):
        """`is_again` is whether it begins anew if it has failed."""
        self.is_alone = stage.is_alone
        self._stage = stage
        self._book = book
        self._under_way = 0  # slices
        self._row = book.row(stage.name)
        if self._row.has_failed and is_again:
            self._row = Row()
        elif self._row.is_over(stage.goals):
            tell(stage, self._row)

    def has_passed(self):
        """Whether there is nothing left to do."""
        return self._row.is_done(self._stage.goals)

    def wants_more(self):
        """Whether more is left than the slices under way will do."""
        row, goals = self._row, self._stage.goals
        if row.is_over(goals):
            return False
        if not goals:
            return self._under_way == 0
        # Each will do what the others have done, if there are others.
        times = 1 + self._under_way / row.slices if row.slices else 0
        return any(row.counts[what] * times < goal
                   for what, goal in goals.items())

    async def take_slice(self):
        """One more, with a seed of its own."""
        seed = 1000 * random.randrange(1 << 20)
        log = build_dir() / \
            f"torture-{self._stage.name.replace(' ', '-')}-{seed}.log"
        with tempfile.NamedTemporaryFile("r", prefix="tally-") as told, \
                place_of(self._stage) as place, open(log, "wb") as output:
            env = environment(self._stage, seed, told.name, place)
            began = time.monotonic()
            self._under_way += 1
            has_passed = await run_tests(self._stage, env, output)
            self._under_way -= 1
            seconds = round(time.monotonic() - began)
            counts = collections.Counter()
            for line in told:
                what, count = line.rsplit(" ", 1)
                counts[what] += int(count)
        if self._add(counts, seconds, has_passed):
            log.unlink()
        else:
            print(f"{log.read_text(errors='replace')[-SHOWN:]}\n"
                  f"{log} has all of it", flush=True)

    def _add(self, counts, seconds, has_passed):
        """What a slice has done; returns whether it was as it should be."""
        stage, row = self._stage, self._row
        # Who counts nothing would go on for ever.
        short = [what for what, goal in stage.goals.items()
                 if row.counts[what] < goal]
        is_idle = short and not any(counts[what] for what in short)
        is_well = has_passed and not is_idle
        self._row = dataclasses.replace(
            row, counts=row.counts + counts, slices=row.slices + 1,
            seconds=row.seconds + seconds,
            has_failed=row.has_failed or not is_well)
        if sources(stage) != self._book.sources(stage.name):
            sys.exit(f"{stage.name}: its sources have changed meanwhile")
        self._book.put(stage.name, self._row)
        tell(stage, self._row)
        return is_well


async def work(courses):
    """Slice after slice, until none is wanted."""
    while course := next(filter(Course.wants_more, courses), None):
        await course.take_slice()


async def exhaust(courses, jobs):
    """Slices, so many at once, until each stage has done all or has failed;
    those that are to be alone first, one by one."""
    asyncio.get_running_loop().add_signal_handler(
        signal.SIGTERM, asyncio.current_task().cancel)
    await work([course for course in courses if course.is_alone])
    await asyncio.gather(*(work(courses) for _ in range(jobs)))


def run(wanted, book, jobs, is_named):
    """All of them; returns the exit code."""
    subprocess.run(["ninja", "-C", build_dir()], check=True,
                   stdout=subprocess.DEVNULL)
    courses = [Course(stage, book, is_named) for stage in
               sorted(wanted, key=lambda stage: book.is_stale(stage.name))]
    asyncio.run(exhaust(courses, jobs))
    return 0 if all(course.has_passed() for course in courses) else 1


def main():
    parser = argparse.ArgumentParser(prog="run")
    parser.add_argument("--brief", action="store_true",
                        help="do a hundredth of it, and keep nothing")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() + 1,
                        metavar="N", help="do N slices at once (%(default)s)")
    parser.add_argument("--list", action="store_true",
                        help="tell what has been done")
    parser.add_argument("stage", nargs="*",
                        help="a part of the names of some, or else all")
    words = parser.parse_args()
    if words.jobs < 1:
        parser.error("--jobs is at least 1")
    known = [stage.to_try() if words.brief else stage for stage in stages()]
    for word in words.stage:
        if not any(word in stage.name for stage in known):
            parser.error(f"no stage is called \"{word}\"")
    wanted = [stage for stage in known if not words.stage
              or any(word in stage.name for word in words.stage)]
    book = Book({stage.name: (stage.goals, sources(stage))
                 for stage in known}, None if words.brief else RESULTS)
    if words.list:
        for stage in wanted:
            row = book.any_row(stage.name)
            tell(stage, row, row.date, row.commit,
                 STALE if book.is_stale(stage.name) else "")
        return 0
    for stage in wanted:
        if book.sources(stage.name).endswith(DIRTY) and not words.brief:
            parser.error(f"{stage.name}: its sources are not committed")
    try:
        return run(wanted, book, words.jobs, bool(words.stage))
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("ended; what was done is kept")
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
