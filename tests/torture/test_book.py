# SPDX-License-Identifier: BSD-2-Clause
"""The release tier's book-keeping: nothing counts for other sources than it was
done with, and nothing is lost when somebody ends it.
"""

import asyncio
import collections
import re
import signal

import pytest

import book
import release
from book import Book, Row
from stages import Stage, stages

SOURCES = "0123456789ab"
STAGES = {"one": ({"kills": 1000}, SOURCES), "two": ({}, SOURCES)}
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


def test_a_stage_of_the_store_begins_nothing_anew_for_the_rest(monkeypatch):
    asked = []
    monkeypatch.setattr(book, "_git", lambda *words: asked.append(words) or "")
    for is_of_store in (True, False):
        book.sources(Stage("one", [book.TESTS / "torture" / "walks.py"],
                           is_of_store=is_of_store))
    listed = [words for words in asked if words[0] == "ls-files"]
    assert ["fs" in words for words in listed] == [False, True]
    assert all("store" in words for words in listed)
    names = {path.name for path in listed[0] if not isinstance(path, str)}
    assert {"walks.py", "test_model.c", "test_turmoil.c", "store_kit.c"} <= names


@pytest.fixture(name="slices")
def fixture_slices(monkeypatch, tmp_path):
    """What each slice does, a line of the shell's."""
    lines = []
    monkeypatch.setenv("POFS_BUILD", str(tmp_path))
    monkeypatch.setattr(release, "sources", lambda stage: SOURCES)
    monkeypatch.setattr(release, "command",
                        lambda stage: ["/bin/sh", "-c", lines.pop(0)])
    handler = signal.getsignal(signal.SIGTERM)
    yield lines
    signal.signal(signal.SIGTERM, handler)


def kills(count, more="true"):
    """Counts so many, and then does something else."""
    return f"echo kills {count} >>$POFS_TALLY; " \
        f"echo $POFS_SEED >>$POFS_BUILD/seeds; {more}"


def passes(path, goals, jobs=1, is_again=False):
    """Whether a stage does, with whatever is left of the slices."""
    course = release.Course(Stage("one", [], goals), Book(STAGES, path),
                            is_again)
    asyncio.run(release.exhaust([course], jobs))
    return course.has_passed()


def test_slices_add_up_with_a_seed_each(path, slices, tmp_path):
    slices += [kills(400), kills(500), kills(300), kills(1)]
    assert passes(path, {"kills": 1000})
    assert passes(path, {"kills": 1000})  # nothing is left to do
    row = Book(STAGES, path).row("one")
    assert (row.counts["kills"], row.slices) == (1200, 3)
    assert len(set((tmp_path / "seeds").read_text().splitlines())) == 3


def test_what_has_been_done_is_kept_if_somebody_ends_it(path, slices):
    slices += [kills(400), kills(1, "kill $PPID; exec sleep 1000")]
    with pytest.raises(asyncio.CancelledError):
        passes(path, {"kills": 1000})
    slices += [kills(600)]
    assert passes(path, {"kills": 1000})


def test_of_slices_at_once_there_are_as_many_as_are_wanted(path, slices,
                                                           tmp_path):
    # Each of the first two ends when the other one has begun.
    meet = f"mkfifo {tmp_path}/a {tmp_path}/b 2>&-; "
    slices += [kills(400, f"{meet} : >{tmp_path}/a; : <{tmp_path}/b"),
               kills(400, f"{meet} : <{tmp_path}/a; : >{tmp_path}/b"),
               kills(400), kills(1)]
    assert passes(path, {"kills": 1000}, jobs=2)
    assert len(slices) == 1


@pytest.mark.usefixtures("slices")
def test_what_is_to_be_alone_is_alone(path, monkeypatch):
    running, seen = [], []

    async def run_tests(stage, env, _):
        running.append(stage.name)
        seen.append(tuple(running))
        await asyncio.sleep(0)  # whoever may run is begun
        running.remove(stage.name)
        with open(env["POFS_TALLY"], "a", encoding="utf-8") as tally:
            print("kills", 4, file=tally)
        return True

    monkeypatch.setattr(release, "run_tests", run_tests)
    asyncio.run(release.exhaust(
        [release.Course(stage, Book(STAGES, path), False) for stage in
         (Stage("two", [], {"kills": 10}), Stage("one", [], is_alone=True))],
        2))
    assert [names for names in seen if "one" in names] == [("one",)]
    assert ("two", "two") in seen


def test_what_has_failed_is_not_tried_until_it_passes(path, slices):
    slices += [kills(10, "false"), kills(10)]
    assert not passes(path, {"kills": 10})
    assert not passes(path, {"kills": 10})
    assert passes(path, {"kills": 10}, is_again=True)


def test_what_has_no_goals_is_done_once(path, slices):
    slices += ["true", "true"]
    assert passes(path, {}, jobs=2)
    assert len(slices) == 1


def test_who_counts_nothing_has_failed(path, slices):
    slices += [kills(0)]
    assert not passes(path, {"kills": 10})


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
