# SPDX-License-Identifier: BSD-2-Clause
"""Runs every fuzzer until it has had its processor time; see run.

    campaign.py BUILD [--afl] [--brief] [--seconds N] [TARGET]...

What a fuzzer has had is in RESULTS.md, counted for the sources it was built of:
a change of these begins its hour anew, with the inputs that are known by then.
"""

import argparse
import concurrent.futures
import dataclasses
import hashlib
import os
import pathlib
import re
import subprocess
import sys
import threading

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
RESULTS = HERE / "RESULTS.md"
FOUND = "What was found, and how it was mended"
ROUND_S = 300
HOUR_S = 3600
BRIEF_S = 60
SHOWN = 4000
"""How many characters of what a fuzzer has found are shown."""


def parsers(file):
    """The parts of store/format that a file includes, and so on."""
    found, new = set(), {file}
    while new:
        text = "".join(path.read_text() for path in new)
        names = set(re.findall(r'#include "store/format/(\w+)\.h"', text))
        new = {path for name in names - found
               for path in (TOP / "store/format").glob(f"{name}*.[ch]")}
        found |= names
    return found


def sources(target):
    """A name for what a target is built of."""
    file = HERE / f"fuzz_{target}.c"
    parts = [f"store/format/{name}*" for name in parsers(file)]
    done = subprocess.run(
        ["git", "ls-files", "--stage", file, *(parts or ["store/backup*"])],
        cwd=TOP, capture_output=True, check=True)
    return hashlib.sha256(done.stdout).hexdigest()[:12]


@dataclasses.dataclass
class Effort:
    """What has been done with one target's sources."""

    seconds: int = 0  # of processor time
    tried: int = 0    # inputs
    kept: int = 0     # of them, for they reach something new
    is_clean: bool = True

    def row(self, target, name):
        """A line of the table."""
        return (f"| {target} | {name} | {self.seconds:,} s | {self.tried:,} | "
                f"{self.kept:,} | "
                f"{'clean' if self.is_clean else '**not clean**'} |")


class Book:
    """RESULTS.md, the tables of which say how long each target has been fuzzed,
    by which engine; used by several threads. Without a path it is of paper that
    is thrown away."""

    ROW = re.compile(r"\| (\w+) \| (\w+) \| ([\d,]+) s \| ([\d,]+) \| "
                     r"([\d,]+) \| (\S.*) \|")
    HEAD = ("| target | sources | processor time | inputs tried | "
            "inputs kept | result |\n| --- | --- | --- | --- | --- | --- |\n")

    def __init__(self, engine, path):
        self._engine = engine
        self._path = path
        self._lock = threading.Lock()
        text = path.read_text(encoding="utf-8") if path else ""
        self._parts = dict(re.findall(r"^## (.*)\n\n((?:(?!## ).*\n?)*)",
                                      text, re.M))
        self._found = self._parts.pop(FOUND, "Nothing.")
        self._efforts = {}
        for target, name, *counts, result in self.ROW.findall(
                self._parts.get(engine, "")):
            self._efforts[target, name] = Effort(
                *(int(count.replace(",", "")) for count in counts),
                result == "clean")

    def of(self, target):
        """What has been done with a target as it is."""
        return self._efforts.get((target, sources(target)), Effort())

    def add(self, target, effort):
        """One more round."""
        with self._lock:
            sofar = self.of(target)
            for key in [key for key in self._efforts if key[0] == target]:
                del self._efforts[key]
            self._efforts[target, sources(target)] = Effort(
                sofar.seconds + effort.seconds, sofar.tried + effort.tried,
                effort.kept, sofar.is_clean and effort.is_clean)
            if self._path:
                self._write()

    def _write(self):
        """The table of this engine anew; the rest stays as it is."""
        self._parts[self._engine] = self.HEAD + "\n".join(
            effort.row(*key) for key, effort in sorted(self._efforts.items()))
        self._path.write_text("# What the fuzzers have done\n\n" + "\n".join(
            f"## {name}\n\n{part.strip()}\n"
            for name, part in [*sorted(self._parts.items()),
                               (FOUND, self._found)]), encoding="utf-8")


def run_idle(command, output, **more):
    """Runs a command when nobody else wants the processor. Returns its exit
    code and how many seconds of processor time it took."""
    with open(output, "wb") as log, subprocess.Popen(
            command, stdout=log, stderr=log, **more,
            preexec_fn=lambda: os.sched_setscheduler(
                0, os.SCHED_IDLE, os.sched_param(0))) as child:
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    return child.returncode, used.ru_utime + used.ru_stime


def number(pattern, text):
    """What a pattern finds."""
    found = re.search(pattern, text, re.M)
    return int(found[1]) if found else 0


def fuzz_with_clang(build, target, output, seconds):
    """One round."""
    grown = build / "corpora" / target
    ends = build / "crashes"
    for directory in (grown, ends):
        directory.mkdir(parents=True, exist_ok=True)
    code, used = run_idle(
        [build / "tests/fuzz" / f"fuzz_{target}", "-max_len=8192",
         f"-max_total_time={seconds}", "-rss_limit_mb=2048",
         "-print_final_stats=1", f"-artifact_prefix={ends}/{target}-",
         grown, HERE / "corpus" / target], output, cwd=build)
    tried = number(r"stat::number_of_executed_units: (\d+)",
                   output.read_text(errors="replace"))
    return Effort(round(used), tried, len(list(grown.iterdir())), code == 0)


def fuzz_with_afl(build, target, output, seconds):
    """The same, by AFL++."""
    grown = build / "corpora" / target
    grown.mkdir(parents=True, exist_ok=True)
    told = grown / "default" / "fuzzer_stats"
    before = told.read_text() if told.exists() else ""
    code, used = run_idle(
        ["afl-fuzz", "-V", str(seconds), "-m", "none", "-G", "8192",
         "-i", HERE / "corpus" / target, "-o", grown, "--",
         build / "tests/fuzz" / f"fuzz_{target}"], output,
        env={**os.environ, "AFL_NO_UI": "1", "AFL_AUTORESUME": "1",
             "AFL_SKIP_CPUFREQ": "1", "AFL_NO_AFFINITY": "1",
             "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES": "1"})
    after = told.read_text() if told.exists() else ""
    execs = r"^execs_done +: (\d+)"
    found = number(r"^saved_crashes +: (\d+)", after) + \
        number(r"^saved_hangs +: (\d+)", after)
    return Effort(round(used),
                  max(number(execs, after) - number(execs, before), 0),
                  number(r"^corpus_count +: (\d+)", after),
                  code == 0 and found == 0)


def exhaust(fuzz, build, book, target, seconds):
    """Rounds until a target has had its time or has found something."""
    output = build / f"fuzz-{target}.log"
    while (sofar := book.of(target)).is_clean and sofar.seconds < seconds:
        # A little more than is wanted, for not all of it is the processor's.
        book.add(target, fuzz(build, target, output,
                              min(ROUND_S, seconds - sofar.seconds + 2)))
        now = book.of(target)
        print(f"{target}: {now.seconds} of {seconds} s, {now.tried:,} inputs",
              flush=True)
    if not sofar.is_clean:
        print(f"{output.read_text(errors='replace')[-SHOWN:]}\n"
              f"{target}: {output} says what was found", flush=True)


def main():
    known = sorted(path.stem[5:] for path in HERE.glob("fuzz_*.c"))
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--afl", action="store_true")
    often = parser.add_mutually_exclusive_group()
    often.add_argument("--brief", action="store_true",
                       help="a minute each, and keep nothing")
    often.add_argument("--seconds", type=int, default=HOUR_S,
                       help="of processor time for each (%(default)s)")
    parser.add_argument("target", nargs="*", help=", ".join(known))
    words = parser.parse_intermixed_args()
    for target in words.target:
        if target not in known:
            parser.error(f"{target} is no target")
    build = words.build.resolve()
    targets = words.target or known
    subprocess.run(["ninja", "-C", build,
                    *(f"tests/fuzz/fuzz_{target}" for target in targets)],
                   check=True, stdout=subprocess.DEVNULL)
    seconds = BRIEF_S if words.brief else words.seconds
    book = Book("AFL++" if words.afl else "libFuzzer",
                None if words.brief else RESULTS)
    fuzz = fuzz_with_afl if words.afl else fuzz_with_clang
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda target: exhaust(fuzz, build, book, target,
                                             seconds), targets))
    return 0 if all(book.of(target).is_clean for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
