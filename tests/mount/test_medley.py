# SPDX-License-Identifier: BSD-2-Clause
"""Some programs at once do whatever one may with two postoffices and with what
lies beside them, and now and then one dies of it. What they do makes no sense,
so what comes of it is not looked at, but that pofs answers, serves others on,
and leaves a sound store.

POFS_CALLS says how many calls, POFS_SEED which.
"""

import os
import random
import time

import medley
from actor import Actor
from harness import Store, tally
from postoffice import deliver, is_delivered, mounted

CALLS = int(os.environ.get("POFS_CALLS", "6000"))

PROGRAMS = 3


def test_whatever_is_called_is_answered(tmp_path):
    seed = int(os.environ.get("POFS_SEED", time.time_ns() % 1_000_000))
    print(f"POFS_SEED={seed}")
    rand = random.Random(seed)
    with Store(tmp_path / "store", "--postoffice", "PO") as store:
        with mounted(store) as (mount, office), Actor() as other:
            names = medley.Names(mount.path, rand)
            medley.run(rand, PROGRAMS * [lambda: medley.Program(rand, names)],
                       CALLS)
            other.call("os.close", deliver(other, office))
            assert is_delivered(other, office)
            mount.unmount()
        store.check()
    tally("calls", CALLS)
