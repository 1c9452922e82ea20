# SPDX-License-Identifier: BSD-2-Clause
"""mount-examples/: each file is accepted by the program that it is for.

Whether smb.conf also does what it says is what all the other tests here ask:
their smbd runs with it.
"""

import configparser
import os
import pathlib
import re
import shutil
import tempfile

import pytest

import smbd
from harness import Mount, Store, poctl, program, run, tool, wait_until

EXAMPLES = smbd.EXAMPLE.parent


def test_samba_accepts_smb_conf():
    done = run(tool("testparm"), "-s", EXAMPLES / "smb.conf")
    said = [line for line in done.stderr.splitlines()
            if "WARNING" in line or "rror" in line or "Unknown" in line]
    # It is what the oldest clients need, and marked so in smb.conf.
    assert [line for line in said if "lanman auth" not in line] == []


@pytest.mark.parametrize("setting, value", [
    ("aio read size", "0"), ("aio write size", "0"), ("oplocks", "No"),
    ("kernel share modes", "No"), ("strict sync", "Yes"), ("locking", "Yes"),
    ("case sensitive", "Yes"),
    ("default case", "upper"), ("store dos attributes", "Yes")])
def test_what_must_not_change_in_smb_conf(setting, value):
    done = run(tool("testparm"), "-s", "--section-name=mail",
               f"--parameter-name={setting}", EXAMPLES / "smb.conf")
    assert done.stdout.strip().lower() == value.lower()


def test_smb_conf_has_no_comment_behind_a_value():
    for line in (EXAMPLES / "smb.conf").read_text().splitlines():
        if "=" in line and not line.lstrip().startswith("#"):
            assert not re.search(r"\s[#;]", line), line


def test_the_shares_user_is_not_root():
    done = run(tool("testparm"), "-s", "--section-name=mail",
               "--parameter-name=force user", EXAMPLES / "smb.conf")
    assert done.stdout.strip() not in ("", "root")


def unit_text():
    return (EXAMPLES / "pofs@.service").read_text()


def test_systemd_accepts_the_unit_and_the_order_of_smbd(tmp_path):
    # Our program is not installed where the unit looks for it, but built.
    (tmp_path / "pofs@.service").write_text(
        unit_text().replace("/usr/local/bin/pofs", program("fs/pofs")))
    drop_in = tmp_path / "smbd.service.d" / "pofs.conf"
    drop_in.parent.mkdir()
    shutil.copy(EXAMPLES / "smbd-after-pofs.conf", drop_in)
    done = run(tool("systemd-analyze"), "verify", "--man=no", "smbd.service",
               "pofs@mail.service",
               env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"})
    assert done.stdout + done.stderr == ""


def test_the_unit_makes_no_mount_namespace():
    """In one, smbd would not see the mount."""
    unit = configparser.ConfigParser(strict=False)
    unit.optionxform = str
    unit.read_string(unit_text())
    allowed = {"Type", "NotifyAccess", "ExecStart", "ExecStartPost", "Restart",
               "RestartSec", "TimeoutStopSec", "KillMode", "UMask",
               "NoNewPrivileges", "LimitCORE", "LimitNOFILE"}
    assert set(unit["Service"]) <= allowed


@pytest.fixture
def store():
    with tempfile.TemporaryDirectory(prefix="store-") as directory:
        path = pathlib.Path(directory)
        path.chmod(0o711)
        with Store(path / "store", f"--owner={smbd.SHARE_USER}") as made:
            yield made


def test_the_units_command_mounts(store):
    """With its own options, as its user; nobody stands in for pofs."""
    command = re.search(r"^ExecStart=\S+ -f -o (\S+) ", unit_text(),
                        re.MULTILINE)
    options = command[1].replace("user=pofs", f"user={smbd.SHARE_USER}")
    with Mount(store, "-o", options) as mount:
        assert (mount.path / "KEY").is_dir()
        run(tool("runuser"), "-u", smbd.SHARE_USER, "--", "touch",
            mount.path / "KEY" / "A.KEY")
        status = pathlib.Path(f"/proc/{mount.server_pid}/status").read_text()
        uid, _ = smbd.share_ids()
        assert f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}" in status
        mount.unmount()


def test_fstabs_line_mounts(store, tmp_path):
    line = [line for line in (EXAMPLES / "fstab").read_text().splitlines()
            if not line.startswith("#")]
    assert len(line) == 1
    point = store.path.parent / "point"
    point.mkdir()
    table = tmp_path / "fstab"
    table.write_text(line[0].replace("/var/lib/pofs/mail", str(store.path))
                     .replace("/srv/mail", str(point))
                     .replace("user=pofs", f"user={smbd.SHARE_USER}") + "\n")
    done = run(tool("findmnt"), "--verify", "--tab-file", table, check=False)
    said = done.stdout + done.stderr
    assert "0 parse errors, 0 errors" in said, said
    # mount(8) looks for pofs where it would be installed, so the build takes
    # that place, in a mount namespace that ends with this command.
    run(tool("unshare"), "--mount", "sh", "-euc", """
        mount --bind "$1" /usr/local/sbin
        mount -T "$2" "$3"
        test -d "$3/KEY"
        grep "^Uid:.$5" "/proc/$(cat "$4/writer")/status"
        umount "$3"
        """, "sh", pathlib.Path(program("fs/pofs")).parent, table, point,
        store.path, smbd.share_ids()[0])
    # The program behind it goes by itself, and leaves a clean store.
    wait_until(lambda: poctl("check", store.path, check=False).returncode == 0,
               "the store is closed and clean")
