# SPDX-License-Identifier: BSD-2-Clause
"""What poctl makes of a daemon's measurements, whatever the daemon says."""

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from answerer import Answerer
from commands import FAILED, USAGE, refuses
from harness import Store, poctl

BUCKETS = ("[(uint64 1000, uint64 2), (2500, 0), (1000000, 1), "
           "(18446744073709551615, 4)]")


@pytest.fixture(name="store")
def fixture_store(tmp_path):
    """An empty store."""
    with Store(tmp_path / "store") as store:
        yield store


def families_of(store, facts, status="{'version': <'1'>}"):
    """What is printed when a daemon says that, by name."""
    with Answerer(store, status="@a{sv} " + status,
                  metrics="@a{sv} " + facts):
        text = poctl("metrics", store.path).stdout
    return {family.name: family
            for family in text_string_to_metric_families(text)}


def test_a_histogram_is_cumulative(store):
    family = families_of(
        store, f"{{'commit-time': <(uint64 1500000, {BUCKETS})>}}"
    )["pofs_commit_seconds"]
    assert (family.type, family.unit) == ("histogram", "seconds")
    samples = [(sample.name.removeprefix("pofs_commit_seconds_"),
                sample.labels.get("le"), sample.value)
               for sample in family.samples]
    assert samples == [
        ("bucket", "0.001", 2), ("bucket", "0.0025", 2), ("bucket", "1.0", 3),
        ("bucket", "+Inf", 7), ("count", None, 7), ("sum", None, 1.5)]


def test_histograms_by_label_stand_side_by_side(store):
    family = families_of(
        store, f"{{'lock-wait-time': <{{'update': (uint64 0, {BUCKETS}), "
        f"'file': (1, {BUCKETS})}}>}}")["pofs_lock_wait_seconds"]
    sums = {sample.labels["lock"]: sample.value for sample in family.samples
            if sample.name.endswith("_sum")}
    assert sums == {"update": 0, "file": 0.000001}


def test_counters_and_gauges_are_told_apart(store):
    told = families_of(store, "{'sessions': <uint64 3>, 'lock-rounds': "
                       "<uint64 18446744073709551615>, "
                       "'errors': <{'EIO': uint64 5}>}")
    assert told["pofs_sessions"].type == "gauge"
    assert told["pofs_lock_rounds"].type == "counter"
    sample, = told["pofs_lock_rounds"].samples
    assert sample.name == "pofs_lock_rounds_total"
    assert sample.value == 2 ** 64 - 1
    sample, = told["pofs_errors"].samples
    assert (sample.labels, sample.value) == ({"error": "EIO"}, 5)


def test_labels_are_escaped(store):
    version = 'a"b\\c\nd ü'
    spelled = version.replace("\\", "\\\\").replace("\n", "\\n")
    sample, = families_of(store, "{}", f"{{'version': <'{spelled}'>}}"
                          )["pofs_build_info"].samples
    assert sample.labels == {"version": version}


def test_an_ill_store_is_not_healthy(store):
    told = families_of(store, "{'store-error': <'No space left on device'>}")
    assert told["pofs_store_healthy"].samples[0].value == 0
    assert told["pofs_up"].samples[0].value == 1
    told = families_of(store, "{'store-error': <''>}")
    assert told["pofs_store_healthy"].samples[0].value == 1


def test_a_daemon_of_another_version_is_understood(store):
    told = families_of(store, "{'sessions': <'three'>, 'errors': <uint64 1>, "
                       "'news': <uint64 1>}")
    assert set(told) == {"pofs_up", "pofs_build_info", "pofs_store_healthy",
                         "pofs_start_time_seconds"}


def test_a_daemon_that_cannot_answer_is_an_error(store):
    with Answerer(store, status="@a{sv} {}", metrics="!the disk is away"):
        assert refuses(FAILED, "metrics", store.path) == "the disk is away"


def test_a_file_that_cannot_be_written_is_an_error(store, tmp_path):
    file = tmp_path / "none" / "pofs.prom"
    assert "none/pofs.prom" in refuses(FAILED, "metrics", "-o", file,
                                       store.path)
    assert not file.parent.exists()


def test_json_is_not_written_to_a_file(store, tmp_path):
    refuses(USAGE, "metrics", "--json", "-o", tmp_path / "file", store.path)
    assert not (tmp_path / "file").exists()


def test_no_store_is_an_error(tmp_path):
    assert "No such file" in refuses(FAILED, "metrics", tmp_path / "none")
