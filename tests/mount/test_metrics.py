# SPDX-License-Identifier: BSD-2-Clause
"""What poctl measures: counters move by what was done, and by no more."""

import errno
import fcntl
import json
import os
import time

import pytest

from actor import Actor
from harness import Mount, Store, fails_with, poctl, wait_until
from measure import Meter, measure, parse
from postoffice import HEADER, MESSAGE, Office, deliver, session_of

NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL


@pytest.fixture
def meter(shared_mount, office):
    """What moves from here on; the postoffice is made by now."""
    assert office.control.exists()
    return Meter(shared_mount.store)


def hold(lock, count=1):
    """Locks that were held, as an event."""
    return {f'lock_hold_seconds_count{{lock="{lock}"}}': count}


# ---- transactions -----------------------------------------------------------

def test_a_delivery_is_one_transaction(a, meter, office):
    a.call("os.close", deliver(a, office))
    assert meter.moved() == {
        "transactions_committed_total": 1, "commit_seconds_count": 1,
        **hold("update"), **hold("file")}


def test_a_message_without_a_lock_is_published(a, meter, office):
    a.call("client.put", office.mai, MESSAGE)
    assert meter.moved() == {"transactions_published_total": 1,
                             **hold("file")}


def test_what_is_staged_is_measured(a, meter, office):
    wait_until(lambda: meter.now("handles") == 0, "all files are closed")
    fd = deliver(a, office)
    assert meter.now("staged_bytes") == len(MESSAGE) + len(HEADER) + 1
    assert meter.now("handles") == 1
    assert meter.now("locks") == 2
    assert meter.now("waiters") == 0
    a.call("os.close", fd)
    assert meter.now("staged_bytes") == 0
    assert meter.now("locks") == 0
    assert meter.moved()["transactions_committed_total"] == 1


def test_each_way_to_be_undone_is_counted(meter, office, shared_mount):
    entries = meter.now("quarantine_entries")
    with Actor() as killed:
        deliver(killed, office)
        killed.kill()
        wait_until(lambda: meter.now("quarantine_entries") > entries,
                   "what it had staged is in the quarantine")
    moved = meter.moved()
    # Its last close may have come before the news of its death.
    moved.pop('errors_total{error="EIO"}', None)
    assert moved == {
        'transactions_undone_total{reason="death"}': 1,
        **hold("update"), **hold("file")}
    assert meter.now("quarantine_entries") == entries + 1
    assert meter.now("quarantine_bytes") > 0

    with Actor() as broken:
        fd = deliver(broken, office)
        poctl("break", shared_mount.store.path,
              session_of(shared_mount.store, broken))
        with fails_with(errno.EIO):
            broken.call("os.close", fd)
    assert meter.moved() == {
        'transactions_undone_total{reason="break"}': 1,
        'errors_total{error="EIO"}': 1, **hold("update"), **hold("file")}

    with Actor() as torn:
        fd = torn.call("os.open", office.mai, NEW)
        torn.call("os.pwrite", fd, b"x", 100)
        with fails_with(errno.EIO):
            torn.call("os.close", fd)
    assert meter.moved() == {
        'transactions_undone_total{reason="torn"}': 1,
        'errors_total{error="EIO"}': 1, **hold("file")}


# ---- locks ------------------------------------------------------------------

def test_a_wait_is_counted_when_it_ends(a, b, meter, office):
    fd = a.call("os.open", office.key("A"), os.O_RDWR)
    b.start("os.open", office.key("A"), os.O_RDWR)
    b.wait_blocked()
    assert meter.now("waiters") == 1
    assert meter.moved() == {}
    a.call("os.close", fd)
    b.call("os.close", b.result())
    assert meter.now("waiters") == 0
    assert meter.moved() == {
        **hold("update", 2), 'lock_wait_seconds_count{lock="update"}': 1}


def test_a_circle_is_a_deadlock_and_a_refusal(a, b, meter, office):
    held = [actor.call("os.open", office.key(mailbag), os.O_RDWR)
            for actor, mailbag in ((a, "A"), (b, "B"))]
    a.start("os.open", office.key("B"), os.O_RDWR)
    a.wait_blocked()
    with fails_with(errno.ETXTBSY):
        b.call("os.open", office.key("A"), os.O_RDWR)
    assert meter.moved() == {"lock_deadlocks_total": 1,
                             'refusals_total{form="sharing"}': 1}
    b.call("os.close", held[1])
    a.call("os.close", a.result())


def test_a_lock_file_that_is_there_is_a_refusal(a, b, meter, office):
    a.call("os.open", office.key("INQUEUE3"), os.O_RDWR)
    with fails_with(errno.EEXIST):
        b.call("os.open", office.lock_file("INQUEUE3.0LK"), NEW)
    assert meter.moved() == {'refusals_total{form="lock_file"}': 1}


def test_a_range_that_is_locked_is_a_refusal(a, b, meter, office):
    fd = b.call("os.open", office.mbg("A"), os.O_RDONLY)
    a.call("os.open", office.mbg("A"), os.O_RDWR)
    with fails_with(errno.EAGAIN):
        b.call("syscalls.lock", fd, fcntl.F_RDLCK)
    assert meter.moved() == {'refusals_total{form="range"}': 1}


def test_a_wait_has_a_bound(a, b, tmp_path):
    with Store(tmp_path / "store", "--postoffice", "PO") as store, \
            Mount(store, "-o", "lock-wait-s=1") as mount:
        office = Office(mount / "PO")
        meter = Meter(store)
        a.call("os.open", office.key("A"), os.O_RDWR)
        with fails_with(errno.ETXTBSY):
            b.call("os.open", office.key("A"), os.O_RDWR)
        assert meter.moved() == {"lock_timeouts_total": 1,
                                 'refusals_total{form="sharing"}': 1}


# ---- requests ---------------------------------------------------------------

def test_requests_are_counted_by_kind(a, shared_mount, office):
    fd = a.call("os.open", office.mbg("A"), os.O_RDWR)
    kinds = ("open", "write", "read", "fsync")
    names = [f'pofs_requests_total{{kind="{kind}"}}' for kind in kinds]
    before = measure(shared_mount.store)
    for _ in range(3):
        a.call("os.pwrite", fd, HEADER, 0)
    a.call("os.pread", fd, 1, 0)
    after = measure(shared_mount.store)
    assert [after[name] - before[name] for name in names] == [0, 3, 1, 0]


# ---- the store --------------------------------------------------------------

def test_a_daemon_says_that_it_is_there(shared_mount):
    version = poctl("--version").stdout.split()[1]
    samples = measure(shared_mount.store)
    assert samples["pofs_up"] == samples["pofs_store_healthy"] == 1
    assert samples[f'pofs_build_info{{version="{version}"}}'] == 1
    assert 0 <= time.time() - samples["pofs_start_time_seconds"] < 600


def test_without_a_daemon_the_store_tells_what_it_can(store):
    with Mount(store) as mount:
        Office(mount / "PO")
        served = measure(store)
    samples = measure(store)
    assert samples["pofs_up"] == 0
    assert samples["pofs_quarantine_entries"] == 0
    assert samples["pofs_store_commits_total"] >= \
        served["pofs_store_commits_total"]
    assert samples["pofs_store_used_bytes"] > 0
    assert samples["pofs_store_free_bytes"] > 0
    assert set(samples) < set(served)


def test_mailbags_are_measured_from_the_store(a, shared_mount, office):
    a.call("client.append", office.mbg("B"), HEADER * 3)
    wait_until(lambda: records(shared_mount, office, "B") == 3,
               "the change is on disk")
    assert records(shared_mount, office, "A") == 0
    plain = measure(shared_mount.store)
    assert not any("mailbag" in name for name in plain)


def records(mount, office, mailbag):
    """The records of a mailbag, whose other measures are what they must be."""
    samples = measure(mount.store, "--mailbags")
    of = f'{{mailbag="{mailbag}",postoffice="{office.path.name}"}}'
    assert samples[f"pofs_mailbag_bytes{of}"] == \
        samples[f"pofs_mailbag_records{of}"] * len(HEADER)
    changed = samples[f"pofs_mailbag_key_changed_timestamp_seconds{of}"]
    assert changed == int(office.key(mailbag).stat().st_mtime)
    return samples[f"pofs_mailbag_records{of}"]


# ---- where it goes ----------------------------------------------------------

def test_a_file_is_replaced_at_once(shared_mount, tmp_path):
    file = tmp_path / "pofs.prom"
    file.write_text("old")
    with open(file, encoding="utf-8") as old:
        done = poctl("metrics", "--output", file, shared_mount.store.path)
        assert done.stdout == "" and old.read() == "old"
    assert parse(file.read_text())["pofs_up"] == 1
    assert file.stat().st_mode & 0o777 == 0o644
    assert os.listdir(tmp_path) == ["pofs.prom"]


def test_json_has_the_same_samples(shared_mount):
    told = json.loads(poctl("metrics", "--json",
                            shared_mount.store.path).stdout)["metrics"]
    names = {f"{row['name']}{{" + ",".join(
        f'{label}="{value}"' for label, value in sorted(
            row["labels"].items())) + "}" if row["labels"] else row["name"]
        for row in told}
    assert names == set(measure(shared_mount.store))
