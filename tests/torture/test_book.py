# SPDX-License-Identifier: BSD-2-Clause
"""The release tier's book-keeping: nothing counts for other sources than it was
done with, and nothing is lost when somebody ends it.
"""

import collections
import re

import pytest

import book
import release
from book import Book, Row
from stages import Stage, stages

STAGES = {"one": ({"kills": 1000}, "0123456789ab"), "two": ({}, "ba9876543210")}
BEGINNING = f"# Something\n\n{book.FOUND}\n\n- A fault | with | bars.\n"


@pytest.fixture(name="path")
def fixture_path(tmp_path, monkeypatch):
    """A book in which nothing is but what was found."""
    monkeypatch.setattr(book, "commit", lambda: "v1-2-gabcdef")
    path = tmp_path / "RESULTS.md"
    path.write_text(BEGINNING)
    return path


def some(count):
    """A row with so many kills."""
    return Row(collections.Counter({"kills": count, "looks, in all": 7}), 2, 34)


def test_a_row_is_read_as_it_was_written(path):
    Book(STAGES, path).put("one", some(12_345))
    again = Book(STAGES, path)
    row = again.row("one")
    assert (row.counts, row.slices, row.seconds) == (some(12_345).counts, 2, 34)
    assert row.is_done({"kills": 1000}) and not row.has_failed
    assert again.row("two") == Row()
    again.put("two", Row(slices=1, has_failed=True))
    assert Book(STAGES, path).row("two").has_failed
    assert Book(STAGES, path).row("one") == row


def test_what_was_found_stays_as_it_was_written(path):
    Book(STAGES, path).put("one", some(1))
    assert path.read_text().endswith(BEGINNING[BEGINNING.index(book.FOUND):])


def test_other_sources_begin_anew(path):
    Book(STAGES, path).put("one", some(2000))
    other = Book({**STAGES, "one": ({"kills": 1000}, "ffffffffffff")}, path)
    assert other.is_stale("one") and other.row("one") == Row()
    assert other.any_row("one").counts["kills"] == 2000
    other.put("two", Row(slices=1))
    line, = [line for line in path.read_text().splitlines()
             if line.startswith("| one ")]
    assert f"passed, {book.STALE}" in line
    assert not other.is_stale("two")


def test_a_stage_has_all_that_its_tests_are_made_of():
    names = {path.name for path in book.kits(
        [book.TESTS / "torture" / "test_mortals.py"])}
    assert {"test_mortals.py", "mortals.c", "harness.py", "conftest.py",
            "powercut.py"} <= names
    assert not {"test_power.py", "RESULTS.md", "release.py"} & names


@pytest.fixture(name="slices")
def fixture_slices(monkeypatch, tmp_path):
    """What a stage has done in its slices is told instead of done."""
    told = []
    monkeypatch.setenv("POFS_BUILD", str(tmp_path))
    monkeypatch.setattr(release, "sources", lambda files: STAGES["one"][1])
    monkeypatch.setattr(release, "run_tests", lambda stage, env, output:
                        told.pop(0)(env))
    return told


def slice_of(count, seeds, has_passed=True):
    """Counts so many kills, and keeps the seed."""
    def work(env):
        seeds.append(env["POFS_SEED"])
        with open(env["POFS_TALLY"], "a", encoding="utf-8") as tally:
            print("kills", count, file=tally)
        return has_passed
    return work


def test_slices_add_up_with_a_seed_each(path, slices):
    stage, seeds = Stage("one", [], {"kills": 1000}), []
    slices += [slice_of(400, seeds), slice_of(500, seeds)]
    with pytest.raises(IndexError):  # somebody has ended it
        release.exhaust(stage, Book(STAGES, path), False)
    slices += [slice_of(300, seeds)]
    kept = Book(STAGES, path)
    assert release.exhaust(stage, kept, False)
    assert kept.row("one").counts["kills"] == 1200
    assert len(set(seeds)) == 3
    assert release.exhaust(stage, kept, False)


def test_what_has_failed_is_not_tried_until_it_passes(path, slices):
    stage, seeds = Stage("one", [], {"kills": 10}), []
    slices += [slice_of(10, seeds, has_passed=False)]
    assert not release.exhaust(stage, Book(STAGES, path), False)
    assert not release.exhaust(stage, Book(STAGES, path), False)
    slices += [slice_of(10, seeds)]
    assert release.exhaust(stage, Book(STAGES, path), True)


def test_who_counts_nothing_has_failed(path, slices):
    slices += [slice_of(0, [])]
    assert not release.exhaust(Stage("one", [], {"kills": 10}),
                               Book(STAGES, path), False)


def test_each_stage_has_tests_and_a_name_of_its_own():
    names = [stage.name for stage in stages()]
    assert len(names) == len(set(names))
    for stage in stages():
        for test in stage.tests:
            file, _, function = str(test).partition("::")
            with open(file, encoding="utf-8") as text:
                assert not function or f"def {function}(" in text.read()


# ---- the page of faults -----------------------------------------------------


def faults():
    """The rows of README.md: (number, tests, how often in the gate, and in the
    release tier)."""
    text = (book.TESTS / "torture" / "README.md").read_text(encoding="utf-8")
    for row in re.findall(r"^\| (\d+) \| .* \| (.*) \| (.*) \| (.*) \|$", text,
                          re.M):
        yield int(row[0]), *row[1:]


def test_each_fault_has_its_row():
    assert [number for number, *_ in faults()] == list(range(1, 59))


def test_each_test_of_a_fault_is_there():
    for number, shown, gate, _ in faults():
        tests = re.findall(r"`([\w/.]+)(?:::(\w+))?`", shown)
        assert tests or shown == "none" and gate.startswith("none: "), number
        for file, function in tests:
            text = (book.TESTS / file).read_text(encoding="utf-8")
            assert re.search(rf"^(def )?{function}\(", text, re.M) \
                or not function, (number, file, function)


def test_each_stage_of_a_fault_is_there():
    names = {stage.name for stage in stages()}
    text = (book.TESTS / "torture" / "README.md").read_text(encoding="utf-8")
    told = {" ".join(name.split())
            for name in re.findall(r"\*([^*]+)\*", text)}
    assert told - {"stage"} == names
