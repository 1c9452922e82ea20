# SPDX-License-Identifier: BSD-2-Clause
"""As many walks as one likes, on all processors: unit/test_model.c, which the
gate runs with a dozen, and unit/test_turmoil.c, with 150. POFS_WALKS says how
many, POFS_SEED the first."""

import concurrent.futures
import os

from harness import program, run
from powercut import MEMORY

WALKS = int(os.environ["POFS_WALKS"])
SEED = int(os.environ["POFS_SEED"])


def walk(test, first, count):
    """So many, one after the other."""
    env = {**os.environ, "TMPDIR": MEMORY, "POFS_SEED": str(SEED + first),
           "POFS_WALKS": str(count)}
    run(program(test), env=env, timeout=36_000)


def walk_all(test):
    """All of them."""
    each = -(-WALKS // os.cpu_count())
    with concurrent.futures.ThreadPoolExecutor() as pool:
        # What has failed is raised where it is asked for.
        list(pool.map(lambda first: walk(test, first, each),
                      range(0, WALKS, each)))


def test_model():
    walk_all("tests/unit/test_model")


def test_turmoil():
    walk_all("tests/unit/test_turmoil")
