# SPDX-License-Identifier: BSD-2-Clause
"""Runs every fuzzer until it has had its processor time; see run.

    campaign.py BUILD [--seconds N] [TARGET]...

What a fuzzer has had is counted for the sources it was built of: a change of
these begins its hour anew, with the inputs that are known by then.
"""

import argparse
import concurrent.futures
import datetime
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import threading

HERE = pathlib.Path(__file__).resolve().parent
RESULTS = HERE / "RESULTS.md"
FOUND = "## What was found, and how it was mended"
ROUND_S = 300
HOUR_S = 3600


def sources(target):
    """A name for what a target is built of."""
    parsers = "store/backup*" if target == "backup" else "store/format"
    done = subprocess.run(
        ["git", "ls-files", "--stage", parsers, f"tests/fuzz/*_{target}.c"],
        cwd=HERE.parents[1], capture_output=True, check=True)
    return hashlib.sha256(done.stdout).hexdigest()[:12]


class Book:
    """How long each target has been fuzzed; used by several threads."""

    def __init__(self, path):
        self._path = path
        self._lock = threading.Lock()
        self._all = json.loads(path.read_text()) if path.exists() else {}

    def of(self, target):
        """Returns seconds of processor time, inputs tried, inputs known and
        whether it was clean."""
        empty = {"seconds": 0, "tried": 0, "known": 0, "clean": True}
        return self._all.get(f"{target} {sources(target)}", empty)

    def add(self, target, seconds, tried, known, clean):
        """One more round."""
        with self._lock:
            sofar = self.of(target)
            self._all[f"{target} {sources(target)}"] = {
                "seconds": sofar["seconds"] + seconds,
                "tried": sofar["tried"] + tried, "known": known,
                "clean": sofar["clean"] and clean}
            self._path.write_text(json.dumps(self._all, indent=1))


def fuzz(build, target):
    """One round. Returns what Book.add takes."""
    grown = build / "corpora" / target
    ends = build / "crashes"
    for directory in (grown, ends):
        directory.mkdir(parents=True, exist_ok=True)
    output = build / f"fuzz-{target}.log"
    with open(output, "wb") as log:
        with subprocess.Popen(
                [build / "tests/fuzz" / f"fuzz_{target}", "-max_len=8192",
                 f"-max_total_time={ROUND_S}", "-rss_limit_mb=2048",
                 "-print_final_stats=1", f"-artifact_prefix={ends}/{target}-",
                 grown, HERE / "corpus" / target],
                stdout=log, stderr=log, cwd=build,
                preexec_fn=lambda: os.sched_setscheduler(
                    0, os.SCHED_IDLE, os.sched_param(0))) as child:
            _, status, used = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
    said = output.read_text(errors="replace")
    tried = re.search(r"stat::number_of_executed_units: (\d+)", said)
    if child.returncode:
        print(f"{target}: {output} says what it found")
    return (used.ru_utime + used.ru_stime, int(tried[1]) if tried else 0,
            len(list(grown.iterdir())), child.returncode == 0)


def exhaust(build, book, target, seconds):
    """Rounds until a target has had its time or has found something."""
    while (sofar := book.of(target))["clean"] and sofar["seconds"] < seconds:
        book.add(target, *fuzz(build, target))
        print(f"{target}: {book.of(target)['seconds']:.0f} of {seconds} s",
              flush=True)


def write_results(targets, book):
    """The table anew; what was found stays as somebody has written it."""
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    found = text[text.index(FOUND):] if FOUND in text else f"{FOUND}\n"
    lines = ["# What the fuzzers have done", "",
             f"{datetime.date.today()}, of the sources in each row.", "",
             "| target | sources | processor time | inputs tried | "
             "inputs kept | result |", "| --- | --- | --- | --- | --- | --- |"]
    for target in targets:
        sofar = book.of(target)
        lines.append(
            f"| {target} | {sources(target)} | {sofar['seconds']:.0f} s | "
            f"{sofar['tried']:,} | {sofar['known']:,} | "
            f"{'clean' if sofar['clean'] else '**not clean**'} |")
    RESULTS.write_text("\n".join(lines) + "\n\n" + found, encoding="utf-8")


def main():
    known = sorted(path.stem[5:] for path in HERE.glob("fuzz_*.c"))
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--seconds", type=int, default=HOUR_S)
    parser.add_argument("target", nargs="*", choices=[[], *known])
    words = parser.parse_args()
    build = words.build.resolve()
    targets = words.target or known
    subprocess.run(["ninja", "-C", build,
                    *(f"tests/fuzz/fuzz_{target}" for target in targets)],
                   check=True, stdout=subprocess.DEVNULL)
    book = Book(build / "fuzzed.json")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda target: exhaust(build, book, target,
                                             words.seconds), targets))
    write_results(known, book)
    return 0 if all(book.of(target)["clean"] for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
