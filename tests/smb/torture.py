# SPDX-License-Identifier: BSD-2-Clause
"""Samba's own test suite."""

import shutil
import tempfile

from harness import run, tool
from smbd import SHARE


def torture(server, place, suite):
    """Runs one of its suites; what fails in it is an AssertionError."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as config:
        config.write("[global]\n\tclient min protocol = LANMAN1\n"
                     "\tclient max protocol = NT1\n")
        config.flush()
        done = run(tool("smbtorture"), f"//127.0.0.1/{SHARE}", "-p",
                   server.port, "-U%", f"--configfile={config.name}", "-m",
                   "NT1", suite, check=False)
    report = done.stdout + done.stderr
    for leftover in place.path.glob("*"):
        if leftover.name not in ("PO",):
            shutil.rmtree(leftover, ignore_errors=True)
    assert done.returncode == 0, report
    assert "success" in report, report
