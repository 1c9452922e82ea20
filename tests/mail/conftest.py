# SPDX-License-Identifier: BSD-2-Clause
"""Where the mail programs find the formats and the client."""

import pathlib
import sys

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "demo"), str(TESTS / "smb")]
