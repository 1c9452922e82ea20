# SPDX-License-Identifier: BSD-2-Clause
"""Figures: how they come about, and how they are shown."""

import contextlib
import pathlib
import shutil
import statistics
import tempfile

from harness import build_dir, run


class Table:
    """Figures by system and name, one a round."""

    def __init__(self):
        self._figures = {}

    def add(self, system, name, value):
        self._figures.setdefault((system, name), []).append(value)

    def figures(self, system, name):
        return self._figures[system, name]

    @staticmethod
    def _spread(values, form):
        low, high = min(values), max(values)
        return (f"{statistics.median(values):{form}} "
                f"[{low:{form}}..{high:{form}}]")

    def show(self, system, name, unit):
        print(f"  {system:<14}{name:<16}"
              f"{self._spread(self.figures(system, name), '.1f')} {unit}")

    def show_difference(self, system, other, name, unit):
        """Prints how much more than `other` `system` takes."""
        more = [mine - theirs for mine, theirs in zip(
            self.figures(system, name), self.figures(other, name))]
        print(f"  {system} - {other:<12} {name:<12}"
              f"{self._spread(more, '.1f')} {unit}", flush=True)

    def show_ratio(self, system, other, name, more_is_better=False,
                   other_name=None):
        """Prints how many times better than `other` `system` is."""
        ratios = []
        for mine, theirs in zip(self.figures(system, name),
                                self.figures(other, other_name or name)):
            ratios.append(mine / theirs if more_is_better else theirs / mine)
        print(f"  {system} / {other:<12} {name:<16}"
              f"{self._spread(ratios, '.2f')} times", flush=True)


def program_figures(name, *arguments):
    """What a benchmark program prints, as a dictionary."""
    done = run(build_dir() / "tests" / "bench" / f"bench_{name}", *arguments,
               timeout=600)
    return {key: float(value) for key, value in
            (line.split() for line in done.stdout.splitlines())}


@contextlib.contextmanager
def fresh(directory):
    """A new, empty directory that is gone afterwards."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="r", dir=directory))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def rotated(systems, turn):
    """The systems, each first as often as every other."""
    turn %= len(systems)
    return systems[turn:] + systems[:turn]
