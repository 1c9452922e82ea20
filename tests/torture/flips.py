# SPDX-License-Identifier: BSD-2-Clause
"""As many flipped bits as one likes: unit/test_pages.c, which the gate runs with
some hundred. POFS_FLIPS says how many."""

from harness import program, run


def test_flipped_bits():
    run(program("tests/unit/test_pages"), timeout=36_000)
