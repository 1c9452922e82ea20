# SPDX-License-Identifier: BSD-2-Clause
"""RESULTS.md: what the stages of the release tier have done, a row each, and of
which sources that is true.

A row belongs to the shipped programs, or to the store if its tests are of that
alone, and to the tests of its stage, with all that these import and run, as they
were committed. What else changes, documents for instance, begins nothing anew.
"""

import collections
import dataclasses
import datetime
import hashlib
import pathlib
import re
import subprocess

TESTS = pathlib.Path(__file__).resolve().parents[1]
TOP = TESTS.parent
RESULTS = TESTS / "torture" / "RESULTS.md"
FOUND = "## What was found, and how it was mended"
STALE = "before a change of the sources"
FAILED = "**failed**"
DIRTY = "-dirty"

PROGRAMS = ["fs", "store", "tools", "meson.build", ":!*.[1-8]", ":!*.bash"]
"""What is shipped, but for its manual pages and its completion."""
STORE = ["store", "meson.build"]
"""What tests of the store alone are made of."""

HEAD = """# What the release tier has done

`tests/torture/run` does it in slices, and goes on where it was ended. A row is
true of the programs and of the stage's tests as its commit has them; `sources`
is a name for these. What is counted is what the tests have counted; `README.md`
beside this says why so often. What the fuzzers have had is in
`tests/fuzz/RESULTS.md`, what the tests reach in `tests/coverage/RESULTS.md`.

| stage | counted | slices | seconds | result | date | commit | sources |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""


# ---- sources ---------------------------------------------------------------


def _named_in(path):
    """The files that a source file names: what it imports, includes or runs."""
    text = path.read_text(encoding="utf-8")
    for name in re.findall(r"^ *(?:from|import) (\w+)|\"(\w+)\.py\"", text,
                           re.M):
        yield from TESTS.rglob(f"{name[0] or name[1]}.py")
    # What is called like it is a part of it.
    for name in re.findall(r'"tests/(\w+/\w+)(?:\.so|\.h)?"', text):
        yield from TESTS.glob(f"{name}*.[ch]")
    if "mount-examples" in text:
        yield from TOP.glob("mount-examples/*.conf")


def kits(tests):
    """Some test files and all that they are made of."""
    found = set()
    new = {TESTS / "conftest.py", *tests}
    new |= {conftest for test in tests for conftest in
            test.parent.glob("conftest.py")}
    while new:
        found |= new
        new = {other for path in new for other in _named_in(path)} - found
    return sorted(found)


def _git(*words):
    return subprocess.run(["git", *words], cwd=TOP, capture_output=True,
                          text=True, check=True).stdout


def sources(stage):
    """A name for the programs and the tests of a stage as they are committed,
    which says so if they are otherwise."""
    paths = [*(STORE if stage.is_of_store else PROGRAMS),
             *kits(stage.files())]
    listed = _git("ls-files", "--stage", "--", *paths)
    name = hashlib.sha256(listed.encode()).hexdigest()[:12]
    return name + (DIRTY if _git("diff", "--name-only", "HEAD", "--", *paths)
                   else "")


def commit():
    """What git calls what is checked out."""
    return _git("describe", "--always").strip()


# ---- the book --------------------------------------------------------------


@dataclasses.dataclass
class Row:
    """What a stage has done so far."""

    counts: collections.Counter = dataclasses.field(
        default_factory=collections.Counter)
    slices: int = 0
    seconds: int = 0
    has_failed: bool = False
    date: str = ""
    commit: str = ""
    sources: str = ""

    def counted(self, goals):
        """All counts in words, those that have a goal with it."""
        return ", ".join(
            f"{self.counts[what]:,} "
            + (f"of {goals[what]:,} " if what in goals else "") + what
            for what in {**goals, **self.counts})

    def is_done(self, goals):
        """Whether there is nothing left to do."""
        return self.slices > 0 and not self.has_failed and all(
            self.counts[what] >= goal for what, goal in goals.items())

    def is_over(self, goals):
        """Whether it has been decided."""
        return self.has_failed or self.is_done(goals)

    def result(self, goals):
        """In a word or two."""
        if self.has_failed:
            return FAILED
        if self.is_done(goals):
            return "passed"
        return "under way" if self.slices else "not begun"

    def line(self, name, goals, is_stale):
        """As it stands in the table."""
        cells = (name, self.counted(goals), self.slices or "",
                 f"{self.seconds:,}" if self.slices else "",
                 self.result(goals)
                 + (f", {STALE}" if is_stale else ""),
                 self.date, self.commit, self.sources)
        return "| " + " | ".join(map(str, cells)) + " |"

    @classmethod
    def parse(cls, line):
        """A line of the table: (the stage's name, the row)."""
        name, counted, slices, seconds, result, *rest = [
            cell.strip() for cell in line.strip().strip("|").split("|")]
        counts = collections.Counter(
            {what: int(count.replace(",", "")) for count, what in re.findall(
                r"([\d,]+) (?:of [\d,]+ )?(.+?)(?:, (?=\d)|$)", counted)})
        return name, cls(counts, int(slices), int(seconds.replace(",", "")),
                         result.startswith(FAILED), *rest)


class Book:
    """The rows of all stages. What was found is kept as somebody has written
    it."""

    def __init__(self, stages, path=RESULTS):
        """`stages` are {name: (goals, sources)}; without a path it is of paper
        that is thrown away."""
        self._stages = stages
        self._path = path
        text = path.read_text(encoding="utf-8") if path else ""
        table, _, self._found = text.partition(FOUND)
        self._rows = dict(Row.parse(line) for line in table.splitlines()
                          if re.fullmatch(r"\| .* \| [0-9a-f]{12} \|", line))

    def any_row(self, name):
        """What a stage has done, with whatever sources."""
        return self._rows.get(name, Row())

    def is_stale(self, name):
        """Whether the sources were others."""
        return name in self._rows \
            and self._rows[name].sources != self.sources(name)

    def sources(self, name):
        """What they are now."""
        return self._stages[name][1]

    def row(self, name):
        """What it has done with the sources as they are."""
        return Row() if self.is_stale(name) else self.any_row(name)

    def put(self, name, row):
        """It has done more."""
        self._rows[name] = dataclasses.replace(
            row, date=str(datetime.date.today()), commit=commit(),
            sources=self.sources(name))
        if self._path:
            self._write()

    def _write(self):
        lines = "".join(f"{self._line(name)}\n" for name in self._stages)
        new = self._path.with_suffix(".new")
        new.write_text(f"{HEAD}{lines}\n{FOUND}{self._found}",
                       encoding="utf-8")
        new.replace(self._path)

    def _line(self, name):
        goals, _ = self._stages[name]
        return self.any_row(name).line(name, goals, self.is_stale(name))
