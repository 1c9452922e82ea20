# SPDX-License-Identifier: BSD-2-Clause
"""The judge of the crash tests, judged: it must find what is wrong."""

import copy

import pytest

from history import Change, History, Script, judge


@pytest.fixture
def histories():
    """Two writers who each made 100 changes, in turn, a second apart, and
    synced after their 40th: the first at 80.5, the second at 81.5."""
    both = []
    for writer in (0, 1):
        script = Script(writer, ".DAT")
        history = History([script.next() for _ in range(100)],
                          [2 * number + writer for number in range(100)])
        history.syncs.append((79.5 + writer, 40))
        both.append(history)
    return both


def state(history, count):
    """The directory after so many changes."""
    files = {}
    for change in history.changes[:count]:
        change.apply(files)
    return files


@pytest.mark.parametrize("count", [41, 42, 60, 99, 100])
def test_any_prefix_from_the_sync_on_is_right(histories, count):
    one = histories[0]
    assert state(one, judge(one, histories, state(one, count))) == state(
        one, count)


def test_what_was_synced_must_be_there(histories):
    one = histories[0]
    assert isinstance(judge(one, [one], state(one, 39)), str)
    one.syncs.clear()
    assert isinstance(judge(one, [one], state(one, 39)), int)


def test_a_sync_called_done_too_early_is_found(histories):
    """What a writer does that logs before it has the answer."""
    one = histories[0]
    one.syncs.append((150.5, 76))
    assert isinstance(judge(one, [one], state(one, 60)), str)


def test_another_writers_sync_counts(histories):
    """The second synced at 80.5; the first had then made 41 changes."""
    one = histories[0]
    assert isinstance(judge(one, [one], state(one, 40)), int)
    assert isinstance(judge(one, histories, state(one, 40)), str)
    assert isinstance(judge(one, histories, state(one, 41)), int)


def test_a_flipped_byte_is_found(histories):
    one = histories[0]
    found = state(one, 70)
    name = max(found, key=lambda name: len(found[name]))
    content = bytearray(found[name])
    content[len(content) // 2] ^= 1
    found[name] = bytes(content)
    answer = judge(one, histories, found)
    assert isinstance(answer, str)
    assert f"{name} differs at {len(content) // 2}" in answer


def test_a_write_may_be_cut_at_a_page_of_the_cache_only():
    one = History([Change("create", "A"),
                   Change("write", "A", offset=100, data=b"x" * 10_000)])
    for size, is_right in ((4096, True), (8192, True), (100, False),
                           (5000, False), (10_000, False), (10_100, True)):
        found = {"A": (bytes(100) + b"x" * 10_000)[:size]}
        assert isinstance(judge(one, [one], found, True), int) == is_right
        assert isinstance(judge(one, [one], found), int) == (size == 10_100)


def test_a_lost_and_a_foreign_file_are_found(histories):
    one = histories[0]
    found = state(one, 70)
    lost = copy.copy(found)
    lost.pop(next(iter(lost)))
    assert "is missing" in judge(one, histories, lost)
    found["ALIEN"] = b""
    assert "ALIEN should not be" in judge(one, histories, found)


def test_a_change_left_out_is_found(histories):
    """The order is kept: no later change without every earlier one."""
    one = histories[0]
    allowed = [state(one, count) for count in range(101)]
    found = 0
    for left_out in range(45, 90):
        rest = copy.copy(one)
        rest.changes = one.changes[:left_out] + one.changes[left_out + 1:]
        try:
            files = state(rest, 94)
        except KeyError:
            continue  # the later ones make no sense without it
        if files not in allowed:
            assert isinstance(judge(one, histories, files), str)
            found += 1
    assert found > 10


def test_changes_from_nowhere_are_found(histories):
    one = histories[0]
    beyond = state(one, 100)
    one.changes, one.done = one.changes[:90], one.done[:90]
    assert beyond != state(one, 90)
    assert isinstance(judge(one, histories, beyond), str)
