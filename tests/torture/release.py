# SPDX-License-Identifier: BSD-2-Clause
"""Runs the stages of the release tier one after the other; see run.

    release.py [--brief] [STAGE]...

What has been done of this commit is kept in the build directory, so whoever
ends this loses one stage at most. --brief does a hundredth of it, to try it.
"""

import argparse
import collections
import dataclasses
import datetime
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
TESTS = HERE.parent
RESULTS = HERE / "RESULTS.md"
FOUND = "## What was found, and how it was mended"
SEEDS = (1, 2, 3)
HOW_OFTEN = {"POFS_CHILD_KILLS", "POFS_CRASH_CYCLES", "POFS_CUTS",
             "POFS_DEATHS", "POFS_EXAMPLES", "POFS_FLIPS", "POFS_LINK_CUTS",
             "POFS_MESSAGES", "POFS_MUTANTS", "POFS_PAGES",
             "POFS_PARENT_KILLS", "POFS_SEEDS", "POFS_STOPS"}


@dataclasses.dataclass
class Stage:
    """Some tests with some numbers."""

    name: str
    files: list
    numbers: dict

    def command(self):
        """As one would type it."""
        return [sys.executable, "-m", "pytest", "-q", "-p",
                "no:cacheprovider", *map(str, self.files)]

    def environment(self, share):
        """With a part of the numbers that say how often."""
        numbers = {name: str(max(value // share, 1) if name in HOW_OFTEN
                             else value)
                   for name, value in self.numbers.items()}
        return {**os.environ, "PYTHONPATH": str(TESTS), **numbers}


def stages():
    """All of them: faults.md's numbers for a release, and more."""
    for seed in SEEDS:
        # Each test cuts three times as often, twice: with and without a
        # journal of names.
        yield Stage(f"power cuts under load, seed {seed}",
                    [HERE / "test_power.py"],
                    {"POFS_CUTS": 3500, "POFS_STEPS": 400, "POFS_SEED": seed})
    for seed in SEEDS:
        yield Stage(f"power cuts of everything else, seed {seed}",
                    [HERE / "test_phases.py"],
                    {"POFS_CUTS": 700, "POFS_SEED": seed})
    # What file systems make of it, and of their own recovery.
    for kind, cuts in (("ext4", 350), ("xfs", 70), ("btrfs", 70)):
        numbers = {"POFS_FILE_SYSTEM": kind, "POFS_SEED": SEEDS[0]}
        yield Stage(f"power cuts of {kind} under load",
                    [HERE / "test_power.py"],
                    {**numbers, "POFS_CUTS": cuts, "POFS_STEPS": 400})
        yield Stage(f"power cuts of {kind} and everything else",
                    [HERE / "test_phases.py"], {**numbers, "POFS_CUTS": cuts})
    yield Stage("a kill before each call", [HERE / "test_kill.py"],
                {"POFS_KILLS": "all"})
    yield Stage("a bad disk", [HERE / "test_disk.py", HERE / "test_unread.py"],
                {"POFS_KILLS": "all", "POFS_CUTS": 2000})
    yield Stage("calls that fail", [HERE / "test_calls.py"],
                {"POFS_KILLS": "all"})
    yield Stage("flipped bits", [HERE / "flips.py"], {"POFS_FLIPS": 100_000})
    yield Stage("commands on damaged pages",
                [TESTS / "tools" / "test_damaged.py"], {"POFS_PAGES": 1000})
    yield Stage("clients that mean harm",
                [HERE / "test_hostile.py", HERE / "test_clock.py",
                 TESTS / "smb" / "test_harm.py"],
                {"POFS_CROWD": 64, "POFS_STAGED_MIB": 256})
    yield Stage("any bytes in the files of mail", [HERE / "test_mutants.py"],
                {"POFS_MUTANTS": 60_000})
    yield Stage("kills at random", [TESTS / "crash" / "test_crash.py"],
                {"POFS_CRASH_CYCLES": 10_000})
    yield Stage("deaths of local programs", [HERE / "test_mortals.py"],
                {"POFS_DEATHS": 33_400})
    yield Stage("two programs against the model",
                [TESTS / "mount" / "test_model.py"],
                {"POFS_EXAMPLES": 5000})
    yield Stage("killed smbd, server and client",
                [TESTS / "smb" / "test_proof_killed.py"],
                {"POFS_MESSAGES": 1000, "POFS_SEEDS": 20,
                 "POFS_CHILD_KILLS": 1000, "POFS_PARENT_KILLS": 200,
                 "POFS_STOPS": 1000})
    yield Stage("cut links", [TESTS / "smb" / "test_proof_links.py"],
                {"POFS_LINK_CUTS": 480})
    yield Stage("cut links, noticed as at a site",
                [TESTS / "smb" / "test_proof_links.py"],
                {"POFS_LINK_CUTS": 20, "POFS_HASTE": 1, "POFS_SEED": 2})


def run_stage(stage, share):
    """Returns what became of it: passed, seconds, counts, output."""
    with tempfile.NamedTemporaryFile("r", prefix="tally-") as tally:
        env = {**stage.environment(share), "POFS_TALLY": tally.name}
        began = time.monotonic()
        done = subprocess.run(stage.command(), env=env, cwd=TESTS,
                              capture_output=True, text=True, check=False)
        counts = collections.Counter()
        for line in tally:
            what, count = line.rsplit(" ", 1)
            counts[what] += int(count)
    last = (done.stdout.strip().splitlines() or [""])[-1]
    return {"name": stage.name, "passed": done.returncode == 0,
            "seconds": round(time.monotonic() - began), "counts": counts,
            "last": last, "output": done.stdout[-20_000:] + done.stderr}


def commit():
    """What is tested, as git names it."""
    done = subprocess.run(["git", "describe", "--always", "--dirty"],
                          cwd=HERE, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def row(result):
    """A line of the table."""
    counts = ", ".join(f"{count} {what}"
                       for what, count in result["counts"].items())
    return (f"| {result['name']} | {counts or result['last']} | "
            f"{'passed' if result['passed'] else '**failed**'} | "
            f"{result['seconds']} |")


def write_results(results, share):
    """The table anew; what was found stays as somebody has written it."""
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    found = text[text.index(FOUND):] if FOUND in text else f"{FOUND}\n"
    lines = ["# The last run of the release tier", "",
             f"{datetime.date.today()}, commit {commit()}"
             + (f", one in {share} of the numbers" if share > 1 else "") + ".",
             "", "| stage | what | result | seconds |",
             "| --- | --- | --- | --- |", *map(row, results), ""]
    RESULTS.write_text("\n".join(lines) + "\n" + found, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--brief", action="store_true")
    parser.add_argument("stage", nargs="*")
    words = parser.parse_args()
    share = 100 if words.brief else 1
    wanted = [stage for stage in stages()
              if not words.stage or any(word in stage.name
                                        for word in words.stage)]
    kept = pathlib.Path(os.environ["POFS_BUILD"]) / (
        f"torture-{commit()}-{share}.json")
    done = json.loads(kept.read_text()) if kept.exists() else {}
    for number, stage in enumerate(wanted, 1):
        print(f"{number} of {len(wanted)}: {stage.name} ... ", end="",
              flush=True)
        if not done.get(stage.name, {}).get("passed"):
            done[stage.name] = run_stage(stage, share)
            kept.write_text(json.dumps(done))
        result = done[stage.name]
        print("passed" if result["passed"] else "failed",
              f"in {result['seconds']} s")
        if not result["passed"]:
            print(result["output"])
    results = [done[stage.name] for stage in wanted]
    write_results(results, share)
    return 0 if all(result["passed"] for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
