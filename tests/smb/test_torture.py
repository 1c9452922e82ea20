# SPDX-License-Identifier: BSD-2-Clause
"""Samba's own test suite, where it asks for what DOS programs rely on.

Each of these passes on a plain directory too; what fails there is not here.
Nor is raw.write, which wants files over 4 GiB: DOS has none, so neither has pofs.
"""

import pytest

from torture import torture

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


@pytest.mark.parametrize("suite", SUITES)
def test_smbtorture(server, place, suite):
    torture(server, place, suite)
