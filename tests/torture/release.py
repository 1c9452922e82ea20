# SPDX-License-Identifier: BSD-2-Clause
"""Runs the release tier, slice by slice; see run.

What has been done is in RESULTS.md after each slice, so whoever ends this loses
some minutes. First comes what has not been done; then what has been, but with
other sources. A stage that has failed is done again when it is named, or when
its sources are others.

Exits with 0 if all stages have passed, with 1 if not, with 2 if it was asked
for what makes no sense, with 130 if it was ended.
"""

import argparse
import collections
import dataclasses
import math
import os
import signal
import subprocess
import sys
import tempfile
import time

from book import DIRTY, RESULTS, STALE, TESTS, Book, Row, sources
from harness import build_dir, end_with_parent
from stages import stages

SHOWN = 8000
"""How many characters of a failed test's output are shown."""


def environment(stage, seed, tally):
    """Of a slice: nothing that whoever runs this has set for tests."""
    others = {name: value for name, value in os.environ.items()
              if not name.startswith("POFS_")}
    numbers = {name: str(value) for name, value in
               {**stage.often, **stage.settings}.items()}
    # What plain files come to, the gate shows.
    return {**others, **numbers, "POFS_CONTROLS": "no", "POFS_SEED": str(seed),
            "POFS_BUILD": str(build_dir()), "POFS_TALLY": tally,
            "PYTHONPATH": str(TESTS)}


def run_tests(stage, env, output):
    """Runs them once; returns whether they passed."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p",
               "no:cacheprovider", *map(str, stage.tests)]
    # In a session of its own: Ctrl-C is for us, who then let it end in order.
    with subprocess.Popen(command, env=env, cwd=TESTS, stdout=output,
                          stderr=output, start_new_session=True,
                          preexec_fn=end_with_parent) as child:
        try:
            child.wait()
        except KeyboardInterrupt:
            child.terminate()
            child.wait()
            raise
    return child.returncode == 0


def run_slice(stage, row, log):
    """The row with one more slice, each with a seed of its own."""
    with tempfile.NamedTemporaryFile("r", prefix="tally-") as tally, \
            open(log, "wb") as output:
        env = environment(stage, 1000 * (row.slices + 1), tally.name)
        began = time.monotonic()
        has_passed = run_tests(stage, env, output)
        seconds = round(time.monotonic() - began)
        counts = collections.Counter()
        for line in tally:
            what, count = line.rsplit(" ", 1)
            counts[what] += int(count)
    # Who counts nothing would go on for ever.
    short = [what for what, goal in stage.goals.items()
             if row.counts[what] < goal]
    is_idle = short and not any(counts[what] for what in short)
    return dataclasses.replace(
        row, counts=row.counts + counts, slices=row.slices + 1,
        seconds=row.seconds + seconds, has_failed=is_idle or not has_passed)


def left(stage, row):
    """About how long the rest takes, in words; nothing if nobody knows."""
    share = min((row.counts[what] / goal
                 for what, goal in stage.goals.items()), default=1)
    if not 0 < share < 1 or row.has_failed:
        return ""
    return f"{math.ceil(row.seconds * (1 / share - 1) / 60)} min left"


def tell(stage, row, *more):
    """A line about a stage."""
    print(f"{stage.name}: " + ", ".join(filter(None, [
        row.result(stage.goals), row.counted(stage.goals),
        f"{row.seconds:,} s" if row.slices else "", left(stage, row),
        *more])), flush=True)


def exhaust(stage, book, is_again):
    """Slices until it has done all or has failed; returns whether it passed."""
    log = build_dir() / f"torture-{stage.name.replace(' ', '-')}.log"
    row = book.row(stage.name)
    if row.has_failed and is_again:
        row = Row()
    elif row.is_over(stage.goals):
        tell(stage, row)
    while not row.is_over(stage.goals):
        row = run_slice(stage, row, log)
        if sources(stage.files()) != book.sources(stage.name):
            sys.exit(f"{stage.name}: its sources have changed meanwhile")
        book.put(stage.name, row)
        tell(stage, row)
        if row.has_failed:
            print(f"{log.read_text(errors='replace')[-SHOWN:]}\n"
                  f"{log} has all of it", flush=True)
    return row.is_done(stage.goals)


def run(wanted, book, is_named):
    """All of them; returns the exit code."""
    subprocess.run(["ninja", "-C", build_dir()], check=True,
                   stdout=subprocess.DEVNULL)
    passed = [exhaust(stage, book, is_named) for stage in
              sorted(wanted, key=lambda stage: book.is_stale(stage.name))]
    return 0 if all(passed) else 1


def main():
    parser = argparse.ArgumentParser(prog="run")
    parser.add_argument("--brief", action="store_true",
                        help="do a hundredth of it, and keep nothing")
    parser.add_argument("--list", action="store_true",
                        help="tell what has been done")
    parser.add_argument("stage", nargs="*",
                        help="a part of the names of some, or else all")
    words = parser.parse_args()
    known = [stage.to_try() if words.brief else stage for stage in stages()]
    for word in words.stage:
        if not any(word in stage.name for stage in known):
            parser.error(f"no stage is called \"{word}\"")
    wanted = [stage for stage in known if not words.stage
              or any(word in stage.name for word in words.stage)]
    book = Book({stage.name: (stage.goals, sources(stage.files()))
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
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return run(wanted, book, bool(words.stage))
    except KeyboardInterrupt:
        print("ended; what was done is kept")
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
