# SPDX-License-Identifier: BSD-2-Clause
"""mount-examples/: the unit of systemd, the order of smbd, and fstab.

No systemd runs where these tests do. Its files are judged by systemd-analyze,
and the limits of the unit are put on the daemon by sandboxed.py.
"""

import contextlib
import os
import pathlib
import re
import shutil
import struct
import sys
import tempfile

import pytest

import mail
import sandboxed
import smbd
from deployed import EXAMPLES, USER, Deployed
from harness import DEADLINE_S, Mount, Store, poctl, program, run, tool, \
    under_a_manager, wait_until
from smb1 import Client, Deny, Disconnected, Mode, SmbError

UNIT = EXAMPLES / "pofs@.service"
# A leak is looked for by a debugger, which no sandbox lets in.
SANDBOX = ["/usr/bin/env", "ASAN_OPTIONS=detect_leaks=0", sys.executable, "-B",
           sandboxed.__file__, str(UNIT)]


@pytest.fixture
def store():
    with tempfile.TemporaryDirectory(prefix="store-") as directory:
        path = pathlib.Path(directory)
        path.chmod(0o711)
        # As in /var/lib/pofs, where root without privileges may not look.
        home = path / "pofs"
        home.mkdir(mode=0o700)
        os.chown(home, *smbd.share_ids())
        with Store(home / "store", f"--owner={USER}") as made:
            yield made


@pytest.fixture
def point(store):
    """A mount point beside that, which nobody may enter."""
    made = store.path.parents[1] / "point"
    made.mkdir(mode=0)
    return made


@pytest.fixture
def units(tmp_path):
    """The units where systemd-analyze finds them, our program as built."""
    (tmp_path / UNIT.name).write_text(UNIT.read_text().replace(
        "/usr/local/bin/pofs", program("fs/pofs")))
    for unit, example in (("smbd", "smbd-after-pofs.conf"),
                          ("smbd", "smbd-with-bridge.conf"),
                          ("pofs@mail", "pofs-hub.conf")):
        drop_ins = tmp_path / f"{unit}.service.d"
        drop_ins.mkdir(exist_ok=True)
        shutil.copy(EXAMPLES / example, drop_ins)
    return tmp_path


def options():
    """Those of the unit's own command, with the user of these tests."""
    command, = sandboxed.service_of(UNIT)["ExecStart"]
    said = re.fullmatch(r"\S+ -f -o (\S+) \S+ \S+", command)[1]
    return said.replace("user=pofs", f"user={USER}")


# ---- systemd


def test_systemd_accepts_the_units(units):
    done = run(tool("systemd-analyze"), "verify", "--man=no", "smbd.service",
               "pofs@mail.service",
               env={**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:"})
    assert done.stdout + done.stderr == ""


def test_it_is_no_more_exposed_than_the_guide_says(units):
    said = re.search(r"`systemd-analyze security pofs@mail` of systemd 252: "
                     r"(\d\.\d)", (EXAMPLES / "README.md").read_text())
    done = run(tool("systemd-analyze"), "security", "--offline=true",
               "--no-pager", units / UNIT.name)
    level = re.search(r"Overall exposure level .*: (\d\.\d)", done.stdout)
    assert float(level[1]) <= float(said[1]), done.stdout


def test_the_share_of_the_unit_is_closed_when_it_starts(units):
    """That of smb.conf by itself, those of smb-hub.conf by the drop-in."""
    closed = [word for unit in (UNIT, EXAMPLES / "pofs-hub.conf")
              for word in sandboxed.service_of(unit)["ExecStartPost"]]
    shares = re.findall(r"^\[((?!global)\w+)\]",
                        (EXAMPLES / "smb-hub.conf").read_text(), re.MULTILINE)
    assert closed == [f"-/usr/bin/smbcontrol smbd close-share {share}"
                      for share in ["%i", *shares]]


def test_readiness_comes_from_the_first_process(store, point):
    """systemd listens to no other, by default."""
    with under_a_manager(store, point, "-o", options()) as (process, notify):
        heard = set()
        while b"STOPPING=1" not in heard:
            said, control, _, _ = notify.recvmsg(4096, 64)
            pid, _, _ = struct.unpack("3i", control[0][2])
            assert pid == process.pid
            assert heard or said == b"READY=1"
            heard.add(said)
            process.terminate()
        assert heard <= {b"READY=1", b"WATCHDOG=1", b"STOPPING=1"}
        assert process.wait(DEADLINE_S) == 0


def test_that_it_stops_is_said_once(store, point):
    """For a service manager that is busy has a short queue."""
    with under_a_manager(store, point, "-o", options()) as (process, notify):
        assert notify.recv(4096) == b"READY=1"
        for _ in range(100):
            process.terminate()
        assert process.wait(DEADLINE_S) == 0
        notify.setblocking(False)
        heard = []
        with contextlib.suppress(BlockingIOError):
            while True:
                heard.append(notify.recv(4096))
        assert heard.count(b"STOPPING=1") == 1


# ---- the sandbox


def status_of(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return dict(re.findall(r"^(\w+):\s*(.*)$", text, re.MULTILINE))


def test_the_units_command_mounts_in_its_sandbox(store, point):
    """As its user and without a privilege; nobody stands in for pofs."""
    uid, gid = smbd.share_ids()
    with Mount(store, "-o", options(), prefix=SANDBOX, path=point) as mount:
        first, second = map(status_of, (mount.launcher.pid, mount.server_pid))
        assert first["CapBnd"] == first["CapEff"] != "0" * 16
        assert second["Uid"].split() == [str(uid)] * 4
        assert second["Gid"].split() == [str(gid)] * 4
        assert {second[name] for name in ("CapBnd", "CapPrm", "CapEff",
                                          "CapInh", "CapAmb")} == {"0" * 16}
        for status in (first, second):
            assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
        mount.unmount()


@pytest.fixture(scope="module")
def site():
    with Deployed("smb.conf", prefix=SANDBOX) as made:
        yield made


def test_it_serves_mail_in_its_sandbox(site):
    folder = site.mount.path
    (folder / "KEY" / "00000021.KEY").write_bytes(bytes(mail.KEY_SIZE))
    (folder / "MBG" / "00000021.MBG").write_bytes(b"")
    with Client(site.server.port, "mail") as client:
        lock = client.open(r"P1\00000021.0LK", deny=Deny.ALL, mode=Mode.CREATE)
        client.write_file(r"MAI\MA5\00000015.MAI", b"m" * 100_000)
        with client.open(r"KEY\00000021.KEY", deny=Deny.ALL) as key:
            key.lock(0, 10)
            with client.open(r"MBG\00000021.MBG") as bag:
                bag.write(0, b"r" * mail.RECORD_SIZE)
            key.write(0, b"\1")
            key.flush()
            key.unlock(0, 10)
        lock.close()
        client.delete(r"P1\00000021.0LK")
        client.rename(r"MAI\MA5\00000015.MAI", r"MAI\MA5\00000025.MAI")
        assert client.find(r"MAI\MA5\*")
        assert (folder / "MAI/MA5/00000025.MAI").stat().st_size == 100_000
        for command in ("status", "sessions", "locks", "log"):
            poctl(command, site.store.path)
        client.open(r"KEY\00000021.KEY", deny=Deny.ALL).write(1, b"\1")
    wait_until(lambda: '"id"' in poctl("quarantine", "list", "--json",
                                       site.store.path).stdout,
               "what a client left behind is in the quarantine")


def test_its_share_is_closed_from_its_sandbox(site):
    """What ExecStartPost does."""
    with Client(site.server.port, "mail") as client:
        client.info("KEY")
        run(*SANDBOX, tool("smbcontrol"), "-s", site.server.config, "smbd",
            "close-share", "mail")
        wait_until(lambda: is_closed(client), "the connection is closed")


def is_closed(client):
    try:
        client.info("KEY")
    except (SmbError, Disconnected):
        return True
    return False


# ---- fstab


def test_fstabs_line_mounts(store, point, tmp_path):
    line = [line for line in (EXAMPLES / "fstab").read_text().splitlines()
            if not line.startswith("#")]
    assert len(line) == 1
    table = tmp_path / "fstab"
    table.write_text(line[0].replace("/var/lib/pofs/mail", str(store.path))
                     .replace("/srv/mail", str(point))
                     .replace("user=pofs", f"user={USER}") + "\n")
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
