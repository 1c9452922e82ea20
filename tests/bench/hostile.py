# SPDX-License-Identifier: BSD-2-Clause
"""How others are served while a client takes all that it can get, and how fair
those are served who all want one lock."""

import contextlib
import os
import pathlib
import statistics
import sys
import tempfile
import threading
import time

from harness import Mount, Store

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path += [str(TESTS / name) for name in ("mount", "smb", "torture")]

import smb1  # noqa: E402
import smbd  # noqa: E402
from actor import Actor  # noqa: E402

CROWD = 64
MIB = 1 << 20


def percentile(figures, share):
    """The least that so many of them do not exceed."""
    return sorted(figures)[min(int(len(figures) * share), len(figures) - 1)]


def make_office(path):
    """A postoffice with a mailbag for everybody."""
    for name in ("KEY", "MBG", "P1", "GLB", "LARGE"):
        (path / name).mkdir(exist_ok=True)
    for name in ("A", "B", "INQUEUE3"):
        (path / "KEY" / f"{name}.KEY").write_bytes(bytes(560))
        (path / "MBG" / f"{name}.MBG").write_bytes(b"")
    for number in range(20_000):
        os.mknod(path / "LARGE" / f"A RATHER LONG NAME {number:05}")
    (path / "MBG" / "A.MBG").write_bytes(bytes(32 * MIB))


def attacks(path):
    """What a client does, again and again."""
    key, mbg = path / "KEY/A.KEY", path / "MBG/A.MBG"
    return {
        "nothing": None,
        "opens 16,384 files": ("open_many", path / "P1", 20_000),
        "locks 16,384 ranges": ("lock_many", path / "P1/R", 20_000),
        "lists 20,000 names": ("list_many", path / "LARGE", 20),
        "stages 32 MiB": ("stage_in_place", key, mbg, 32 * MIB),
        "asks for bad names": ("create_all", path / "P1",
                               ["A.B.C", "CON", "\u0436"] * 100,
                               path / "P1/R"),
    }


def serve(path, seconds):
    """What somebody else does, and how long it takes, in ms: to look at a
    mailbag, and to change one."""
    key = path / "KEY/B.KEY"
    figures = {"look": [], "change": []}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for _ in range(20):
            before = time.monotonic()
            os.stat(key)
            (path / "GLB/PLAIN").write_bytes(b"plain")
            figures["look"].append((time.monotonic() - before) * 1000)
        before = time.monotonic()
        fd = os.open(key, os.O_RDWR)
        os.pwrite(fd, b"x", 0)
        os.close(fd)
        figures["change"].append((time.monotonic() - before) * 1000)
    return figures


def bench_others(options, mount):
    """Others, while one takes what it can get."""
    path = mount.path / "PO"
    make_office(path)
    (path / "P1/R").write_bytes(b"")
    print("hostile: how long others wait, in ms, while one client")
    for name, attack in attacks(path).items():
        with Actor() as client:
            if attack is not None:
                client.start("harm.again", options.seconds, *attack)
            figures = serve(path, options.seconds)
            if attack is not None:
                client.result()
        told = ", ".join(
            f"{what}: median {statistics.median(times):.1f}, p99 "
            f"{percentile(times, 0.99):.1f}, longest {max(times):.1f}"
            for what, times in figures.items())
        print(f"  {name:<22}{told}", flush=True)


def show_fairness(how, waits):
    """`waits`: those of each."""
    every = [wait for one in waits for wait in one]
    mean = statistics.mean(every)
    print(f"  {how:<22}{len(every)} turns, {min(map(len, waits))} to "
          f"{max(map(len, waits))} each; waits: mean {mean * 1000:.0f} ms, "
          f"longest {max(every) * 1000:.0f} ms, {max(every) / mean:.1f} times "
          "the mean", flush=True)


def smb_storm(server, name, seconds):
    """As harm.storm(), by clients of smbd."""
    waits = [[] for _ in range(CROWD)]
    start = threading.Barrier(CROWD)

    def work(number):
        with smb1.Client(server.port, smbd.SHARE, timeout=120,
                         source=f"127.0.2.{number + 1}") as client:
            start.wait()
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                before = time.monotonic()
                try:
                    client.open(name).close()
                except smb1.SmbError:
                    continue  # it asks again, as programs do; one wait
                waits[number].append(time.monotonic() - before)
    crowd = [threading.Thread(target=work, args=(number,))
             for number in range(CROWD)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    return waits


def bench_fairness(options, mount):
    """A crowd wants one lock."""
    print(f"hostile: {CROWD} want one mailbag, again and again")
    key = mount.path / "PO/KEY/INQUEUE3.KEY"
    with Actor() as crew:
        show_fairness("local programs", crew.call(
            "harm.storm", key, CROWD, options.seconds))
    with smbd.Smbd({smbd.SHARE: mount.path}) as server:
        show_fairness("clients of smbd", smb_storm(
            server, "PO\\KEY\\INQUEUE3.KEY", 10 * options.seconds))


def bench_hostile(options, directory):
    """On a store and mount of its own, with the limits that there are."""
    uid, gid = smbd.share_ids()
    with contextlib.ExitStack() as stack:
        # smbd comes there as the share's user.
        top = pathlib.Path(stack.enter_context(
            tempfile.TemporaryDirectory(prefix="hostile-")))
        top.chmod(0o711)
        (top / "mount").mkdir()
        store = stack.enter_context(
            Store(directory / "hostile", "--postoffice", "PO"))
        mount = stack.enter_context(Mount(
            store, "-o", f"uid={uid},gid={gid},umask=000",
            path=top / "mount"))
        bench_others(options, mount)
        bench_fairness(options, mount)
