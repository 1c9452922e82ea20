# SPDX-License-Identifier: BSD-2-Clause
"""Tells what the programs of a build that counts have reached; see run.

    report.py BUILD SUITE...

Writes RESULTS.md. Fails if a branch of the core (core.py) was not taken, or too
few lines of the formats were reached.
"""

import collections
import dataclasses
import datetime
import json
import os
import pathlib
import re
import subprocess
import sys

from core import CORE

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RESULTS = HERE / "RESULTS.md"
FORMATS_PERCENT = 90

# Arcs that no program takes. An assertion's other one ends the process, so
# that it is a proof where it was reached; and what GLib clears if it is there
# is asked whether it is.
EXCUSED = re.compile(r"\b(g_assert|g_clear_pointer)\s*\(")


@dataclasses.dataclass
class Line:
    """One that has code: how often it ran, and each arc out of it."""

    function: str
    count: int
    arcs: list


@dataclasses.dataclass
class Source:
    """A file, and what was counted of it."""

    path: str
    lines: dict
    excused: set

    def of(self, functions):
        """The lines of some functions; None for all."""
        return {number: line for number, line in self.lines.items()
                if functions is None or line.function in functions}


def statement(text, begin):
    """The lines of a call, from that of its name to its closing bracket."""
    depth = 0
    for place in range(text.index("(", begin), len(text)):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if depth == 0:
            break
    return range(text.count("\n", 0, begin) + 1,
                 text.count("\n", 0, place) + 2)


def excused(path):
    """The numbers of the lines whose arcs need not all be taken."""
    text = path.read_text(encoding="utf-8")
    return {number for call in EXCUSED.finditer(text)
            for number in statement(text, call.start())}


def counted(build):
    """What gcov says of each object of the programs."""
    for note in sorted(build.rglob("*.gcno")):
        if note.relative_to(build).parts[0] not in ("store", "fs", "tools"):
            continue
        if not note.with_suffix(".o").exists():  # of an elder build
            continue
        # It fails of what was never run, and tells of it all the same.
        said = subprocess.run(
            ["gcov", "--json-format", "--stdout", "--branch-probabilities",
             note], cwd=build, capture_output=True, text=True, check=False)
        yield from json.loads(said.stdout)["files"]


def read(build):
    """Every source of ours, by its path."""
    sources = {}
    for file in counted(build):
        path = pathlib.Path(os.path.normpath(build / file["file"]))
        if path.suffix != ".c" or ROOT not in path.parents:
            continue
        name = str(path.relative_to(ROOT))
        source = sources.setdefault(name, Source(name, {}, excused(path)))
        for line in file["lines"]:
            arcs = [branch["count"] for branch in line["branches"]]
            known = source.lines.get(line["line_number"])
            if known is None:
                source.lines[line["line_number"]] = Line(
                    line.get("function_name", ""), line["count"], arcs)
            else:  # of another program
                known.count += line["count"]
                known.arcs = [a + b for a, b in zip(known.arcs, arcs)]
    return sources


@dataclasses.dataclass
class Tally:
    """What was reached of some lines, and what was not."""

    lines: int = 0
    reached: int = 0
    arcs: int = 0
    taken: int = 0
    excused: int = 0
    missed: list = dataclasses.field(default_factory=list)

    def add(self, source, lines):
        """Counts these lines of @source."""
        for number, line in sorted(lines.items()):
            self.lines += 1
            self.reached += line.count > 0
            not_taken = line.arcs.count(0)
            if line.count > 0 and number in source.excused:
                self.excused += not_taken
                self.arcs -= not_taken
                not_taken = 0
            self.arcs += len(line.arcs)
            self.taken += len(line.arcs) - line.arcs.count(0)
            if not_taken > 0 or line.count == 0:
                self.missed.append((source.path, number))

    def row(self, name):
        """A line of a table."""
        return (f"| {name} | {share(self.reached, self.lines)} | "
                f"{share(self.taken, self.arcs)} |")


def share(part, whole):
    """As a person reads it; 100 % is all of it."""
    percent = 100 * part / whole if whole else 100
    if part < whole:
        percent = min(percent, 99.9)
    return f"{percent:.1f} % of {whole}"


def of_areas(sources):
    """What was reached of each folder."""
    areas = collections.defaultdict(Tally)
    for source in sources.values():
        folder = os.path.dirname(source.path)
        for area in (f"`{folder}`", "all"):
            areas[area].add(source, source.lines)
    return dict(sorted(areas.items(), key=lambda item: item[0] == "all"))


def of_core(sources):
    """What was reached of each of its parts; a part has all its functions."""
    for part in CORE:
        source = sources[part.path]
        lines = source.of(part.functions)
        known = {line.function for line in lines.values()}
        missing = set(part.functions or ()) - known
        if missing:
            sys.exit(f"{part.path} has no {', '.join(sorted(missing))}")
        tally = Tally()
        tally.add(source, lines)
        yield part, tally


def git(*words):
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True,
                          text=True, check=True)
    return done.stdout.strip()


def commit():
    """What is tested, as git names it; what an earlier run has told is not."""
    changed = git("diff", "--name-only", "HEAD", "--", ".",
                  f":!{RESULTS.relative_to(ROOT)}")
    return git("describe", "--always") + ("-dirty" if changed else "")


def part_row(part, tally):
    """A part of the core, as a line of the table."""
    which = f": {', '.join(part.functions)}" if part.functions else ""
    return (f"| `{part.path}`{which} | {part.why} | {tally.taken} of "
            f"{tally.arcs} | {tally.excused} |")


def write(areas, core, suites):
    """The tables."""
    lines = ["# What the tests reach", "",
             f"{datetime.date.today()}, commit {commit()}, by "
             f"`tests/coverage/run {' '.join(suites)}`.", "",
             "| | lines | branches |", "| --- | --- | --- |",
             *(tally.row(name) for name, tally in areas.items()), "",
             "## Commit, rollback and recovery", "",
             "Excused are the other arc of each assertion, and of GLib's "
             "`g_clear_pointer()`.", "",
             "| what | why | branches taken | excused |",
             "| --- | --- | --- | --- |",
             *(part_row(*item) for item in core), ""]
    RESULTS.write_text("\n".join(lines), encoding="utf-8")


def main(build, *suites):
    sources = read(pathlib.Path(build).resolve())
    areas = of_areas(sources)
    core = list(of_core(sources))
    whole = Tally()
    for _, tally in core:
        whole.arcs += tally.arcs
        whole.taken += tally.taken
        whole.lines += tally.lines
        whole.reached += tally.reached
        whole.missed += tally.missed
    areas["commit, rollback and recovery"] = whole
    write(areas, core, suites)
    print(RESULTS.read_text(encoding="utf-8"))
    for path, number in whole.missed:
        text = (ROOT / path).read_text(encoding="utf-8").split("\n")
        line = sources[path].lines[number]
        print(f"{path}:{number}: {line.arcs or 'not reached'} "
              f"{text[number - 1].strip()}")
    formats = areas["`store/format`"]
    enough = formats.reached * 100 >= formats.lines * FORMATS_PERCENT
    if not enough:
        print(f"less than {FORMATS_PERCENT} % of the lines of the formats")
    return 0 if enough and not whole.missed else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
