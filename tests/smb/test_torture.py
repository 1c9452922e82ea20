# SPDX-License-Identifier: BSD-2-Clause
"""Samba's own test suite, where it asks for what DOS programs rely on.

Each of these passes on a plain directory too; what fails there is not here.
Nor is raw.write, which wants files over 4 GiB: DOS has none, so neither has pofs.
"""

import shutil

import pytest

from harness import run, tool
from smbd import SHARE

SUITES = [
    "base.deny3", "base.denydos", "base.ntdeny1", "base.ntdeny2",
    "base.openattr", "base.open", "base.unlink", "base.rename", "base.rw1",
    "base.dir1", "base.attr", "base.chkpath", "base.fdpass", "base.vuid", "base.tcon",
    "base.disconnect", "base.negnowait", "base.winattr", "base.properties",
    "raw.read", "raw.seek", "raw.unlink", "raw.mux",
    "raw.samba3caseinsensitive", "raw.lock.lockx", "raw.lock.lock",
    "raw.lock.zerobytelocks", "raw.lock.multilock",
    "raw.lock.stacking", "raw.lock.changetype",
]


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("torture") / "torture.conf"
    path.write_text("[global]\n\tclient min protocol = LANMAN1\n"
                    "\tclient max protocol = NT1\n")
    return path


@pytest.mark.parametrize("suite", SUITES)
def test_smbtorture(server, place, config, suite):
    done = run(tool("smbtorture"), f"//127.0.0.1/{SHARE}", "-p", server.port,
               "-U%", f"--configfile={config}", "-m", "NT1", suite, check=False)
    report = done.stdout + done.stderr
    for leftover in place.path.glob("*"):
        if leftover.name not in ("PO",):
            shutil.rmtree(leftover, ignore_errors=True)
    assert done.returncode == 0, report
    assert "success" in report, report
