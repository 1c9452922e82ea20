# SPDX-License-Identifier: BSD-2-Clause
"""Starting, refusing to start, and ending."""

import errno
import os
import re
import shutil
import signal
import subprocess

import pytest

from harness import (DEADLINE_S, HarnessError, Mount, Store, fails_with,
                     is_mounted, poctl, program, run, tool, under_a_manager,
                     unmount_lazily, wait_until)


def pofs(*arguments, **options):
    """Runs a pofs that must not stay."""
    return run(program("fs/pofs"), *arguments, check=False, **options)


def assert_refused(done, code, *words):
    """One sentence on stderr that has these words, and this exit code."""
    assert done.returncode == code, done
    assert done.stdout == ""
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("pofs: ")
    for word in words:
        assert str(word) in lines[0], lines[0]


# ---- the command line -------------------------------------------------------


def test_help_and_version():
    done = pofs("--help")
    assert done.returncode == 0 and "usage: pofs" in done.stdout
    done = pofs("--version")
    assert done.returncode == 0
    assert re.fullmatch(r"pofs \d+\.\d+\.\d+\n", done.stdout)


@pytest.mark.parametrize("arguments", [
    ["-o", "nonsense"], ["-o", "uid=minus"], ["-o", "dos-sharing=perhaps"],
    ["-o", "sync-ms=0"], ["--nonsense"], ["-x"], ["one more"]])
def test_a_wrong_command_line_is_refused(store, point, arguments):
    done = pofs("-f", store.path, point, *arguments)
    assert_refused(done, 2)
    assert not is_mounted(point)


def test_operands_are_needed(store):
    assert_refused(pofs(), 2)
    assert_refused(pofs(store.path), 2)


# ---- the store --------------------------------------------------------------


def state(path):
    """All bytes of a store, to see that nothing was changed."""
    return {p.name: p.read_bytes() for p in path.iterdir()
            if p.name == "data.mdb"}


def test_a_missing_store_is_refused(tmp_path, point):
    for arguments in (["-f"], []):
        assert_refused(pofs(*arguments, tmp_path / "none", point), 1, "none")
    assert not (tmp_path / "none").exists()
    assert not is_mounted(point)


@pytest.mark.parametrize("content", [
    None, b"", b"no database", os.urandom(65536), bytes(65536)],
    ids=["none", "empty", "text", "random", "zeros"])
def test_a_foreign_directory_is_refused(tmp_path, point, content):
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    if content is not None:
        (foreign / "data.mdb").write_bytes(content)
    before = state(foreign)
    assert_refused(pofs("-f", foreign, point), 1, foreign)
    assert state(foreign) == before
    assert not is_mounted(point)


def test_a_truncated_database_is_refused(store, point):
    data = store.path / "data.mdb"
    os.truncate(data, data.stat().st_size // 2)
    before = state(store.path)
    assert_refused(pofs("-f", store.path, point), 1, store.path, "damaged")
    assert state(store.path) == before


def test_a_damaged_database_is_refused_or_said_to_be(store, point):
    """The headers are garbage: there is nothing to serve."""
    with open(store.path / "data.mdb", "r+b") as data:
        data.write(os.urandom(8192))
    assert_refused(pofs("-f", store.path, point), 1, store.path)


def test_a_second_daemon_is_refused_with_the_pid(store, point):
    with Mount(store) as mount:
        done = pofs("-f", store.path, point)
        assert_refused(done, 1, mount.server_pid)
        assert not is_mounted(point)
        (mount / "f").write_text("still served")
        assert (mount / "f").read_text() == "still served"
        mount.unmount()
    with Mount(store) as mount:
        assert (mount / "f").read_text() == "still served"


def test_tools_are_refused_what_the_daemon_has(store):
    with Mount(store) as mount:
        (mount / "f").write_text("x")
        poctl("check", store.path)
        done = poctl("import", "--postoffice", "NEW", store.path,
                     mount / "PO", check=False)
        assert done.returncode == 1
        assert str(mount.server_pid) in done.stderr


# ---- the mount point --------------------------------------------------------


def test_a_mount_point_in_use_is_refused(store, tmp_path):
    with Store(tmp_path / "second") as second, Mount(store) as mount:
        done = pofs("-f", second.path, mount.path)
        assert_refused(done, 1, mount.path, "in use")
        (mount / "f").write_text("x")
    assert not is_mounted(mount.path)


def test_a_bad_mount_point_is_refused(store, tmp_path):
    (tmp_path / "file").write_text("x")
    (store.path / "inside").mkdir()
    for path in (tmp_path / "none", tmp_path / "file", store.path,
                 store.path / "inside"):
        assert_refused(pofs("-f", store.path, path), 1, path)
    with Mount(store):  # nobody holds the store
        pass


def test_a_mount_point_with_spaces(store, tmp_path):
    path = tmp_path / "with space\tand tab"
    path.mkdir()
    with Mount(store, path=path) as mount:
        (mount / "f").write_text("x")
        mount.unmount()


# ---- ends -------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT,
                                    signal.SIGHUP])
def test_a_signal_ends_it_in_order(store, number):
    with Mount(store) as mount:
        (mount / "f").write_text("not synced")
        mount.launcher.send_signal(number)
        assert mount.wait() == 0
        assert not is_mounted(mount.path)
    store.check()
    with Mount(store) as mount:
        assert (mount / "f").read_text() == "not synced"


def test_an_idle_mount_ends_at_once(store):
    with Mount(store) as mount:
        mount.launcher.send_signal(signal.SIGTERM)
        assert mount.wait(5) == 0


def test_umount_ends_it(store):
    with Mount(store) as mount:
        (mount / "f").write_text("x")
        run(tool("umount"), mount.path)
        assert mount.wait() == 0
    with Mount(store) as mount:
        assert (mount / "f").read_text() == "x"


def test_a_busy_mount_ends_too(store):
    """Somebody's open file must not keep the machine from shutting down."""
    with Mount(store) as mount:
        fd = os.open(mount / "f", os.O_CREAT | os.O_RDWR)
        os.write(fd, b"content")
        mount.unmount()
        with pytest.raises(OSError):
            os.write(fd, b"more")
        try:
            os.close(fd)
        except OSError:
            pass  # closed all the same
    store.check()
    with Mount(store) as mount:
        assert (mount / "f").read_bytes() == b"content"


def test_a_killed_server_leaves_no_mount(store):
    with Mount(store) as mount:
        os.kill(mount.server_pid, signal.SIGKILL)
        assert mount.wait() != 0
        assert not is_mounted(mount.path)
        assert "event=killed signal=9" in mount.stderr
    store.check()
    with Mount(store):
        pass


def test_a_killed_launcher_ends_the_server(store):
    with Mount(store) as mount:
        (mount / "f").write_text("x")
        pidfd = os.pidfd_open(mount.server_pid)
        mount.launcher.kill()
        mount.launcher.wait()
        wait_until(lambda: _has_ended(pidfd), "the server ends")
        os.close(pidfd)
        unmount_lazily(mount.path)
    with Mount(store) as mount:
        assert (mount / "f").read_text() == "x"


def _has_ended(pidfd):
    try:
        signal.pidfd_send_signal(pidfd, 0)
    except ProcessLookupError:
        return True
    return False


# ---- in the background ------------------------------------------------------


def test_it_goes_to_the_background_when_it_serves(store, point):
    # Whoever reads what it prints must come to an end, too.
    done = pofs(store.path, point, stdin=subprocess.DEVNULL, timeout=10)
    assert done.returncode == 0 and done.stdout == ""
    assert is_mounted(point)
    pidfd = os.pidfd_open(store.writer_pid)
    (point / "f").write_text("x")
    run(tool("umount"), point)
    wait_until(lambda: _has_ended(pidfd), "the server ends")
    os.close(pidfd)
    with Mount(store) as mount:
        assert (mount / "f").read_text() == "x"


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_what_was_closed_is_not_the_first_file_that_it_opens(store, point,
                                                             closed):
    """That would be closed when the terminal is let go."""
    run("sh", "-c", f'exec "$0" "$@" {closed}', program("fs/pofs"), store.path,
        point)
    pidfd = os.pidfd_open(store.writer_pid)
    (point / "f").write_text("x")
    run(tool("umount"), point)
    wait_until(lambda: _has_ended(pidfd), "the server ends")
    os.close(pidfd)


def test_a_failed_start_in_the_background_is_told(store, point):
    with Mount(store) as mount:
        assert_refused(pofs(store.path, point), 1, mount.server_pid)
    assert_refused(pofs(store.path, point / "none"), 1, "none")


# ---- mount(8) ---------------------------------------------------------------


PRIVATE = """
trap 'umount -l "$2" 2>/dev/null || true' EXIT
mount --bind "$3" /usr/local/sbin
"""


def in_private(script, what, point, check=True):
    """Runs a shell script in a mount namespace where pofs is installed; it
    finds `what` as $1 and the mount point as $2, which it need not unmount.

    mount(8) looks for pofs where programs are, whatever PATH says.
    """
    return run(tool("unshare"), "--mount", "sh", "-euc", PRIVATE + script,
               "sh", what, point, os.path.dirname(program("fs/pofs")),
               check=check, stdin=subprocess.DEVNULL)


def test_mount_by_type(store, point):
    done = in_private(
        'mount -t fuse.pofs "$1" "$2" -o rw,noatime,umask=027,allow_other\n'
        'echo content >"$2/file"\n'
        'stat -c %a "$2/file"; cat "$2/FILE"; umount "$2"', store.path, point)
    assert done.stdout.split() == ["750", "content"]
    wait_until(lambda: has_no_writer(store), "the daemon ends")
    store.check()


def test_mount_by_fstab(store, point, tmp_path):
    fstab = tmp_path / "fstab"
    fstab.write_text(f"{store.path} {point} fuse.pofs "
                     "uid=1234,umask=077,_netdev,nofail,x-systemd.automount "
                     "0 0\n")
    done = in_private('mount -T "$1" "$2"\nstat -c %u "$2"\n'
                      'grep " $2 " /proc/self/mounts\numount "$2"',
                      fstab, point)
    uid, source, path, kind, options, *_ = done.stdout.split()
    assert (uid, source, path, kind) == ("1234", str(store.path), str(point),
                                         "fuse.pofs")
    assert {"rw", "nosuid", "nodev", "noexec"} <= set(options.split(","))


def test_mount_read_only(store, point):
    done = in_private('mount -t fuse.pofs -r "$1" "$2"\n'
                      'touch "$2/file" && exit 9\numount "$2"', store.path,
                      point)
    assert "Read-only" in done.stderr


def test_mount_reports_a_failure(tmp_path, point):
    done = in_private('mount -t fuse.pofs "$1" "$2"', tmp_path / "none",
                      point, check=False)
    assert done.returncode != 0
    assert str(tmp_path / "none") in done.stderr


# ---- settings ---------------------------------------------------------------


def test_settings_are_read_and_shown(store):
    (store.path / "pofs.conf").write_text(
        "[mount]\numask = 027\n# a comment\n[store]\nsync-ms = 500\n")
    shown = pofs("-n", store.path)
    assert shown.returncode == 0
    assert re.search(r"^umask\s*=\s*0*27\b", shown.stdout, re.M)
    assert re.search(r"^sync-ms\s*=\s*500\b", shown.stdout, re.M)
    shown = pofs("-n", store.path, "-o", "sync-ms=250")
    assert re.search(r"^sync-ms\s*=\s*250\b", shown.stdout, re.M)
    with Mount(store) as mount:
        (mount / "f").write_text("x")
        assert (mount / "f").stat().st_mode & 0o777 == 0o750


def test_what_is_shown_can_be_read_again(store, tmp_path):
    shown = pofs("-n", store.path).stdout
    (tmp_path / "conf").write_text(shown)
    assert pofs("-n", "-c", tmp_path / "conf", store.path).stdout == shown


@pytest.mark.parametrize("text, words", [
    ("[mount]\nnonsense = 1\n", (":2:", "nonsense")),
    ("[nonsense]\nuid = 1\n", (":1:", "nonsense")),
    ("[mount]\n\numask = 999\n", (":3:", "umask")),
    ("[mount]\nuid = many\n", (":2:", "uid")),
    ("[store]\nsync-ms = 99999999999999999999\n", (":2:", "sync-ms")),
    ("no section\n", ())])
def test_a_wrong_setting_is_refused_with_its_line(store, point, text, words):
    (store.path / "pofs.conf").write_text(text)
    assert_refused(pofs("-f", store.path, point), 1, "pofs.conf", *words)
    assert not is_mounted(point)
    # The line of options is not the place to mend it.
    (store.path / "pofs.conf").unlink()
    with Mount(store):
        pass


# ---- read-only --------------------------------------------------------------


def test_read_only_changes_nothing(store):
    with Mount(store) as mount:
        (mount / "f").write_text("content")
        mount.unmount()
    before = state(store.path)
    with Mount(store, "-o", "ro") as mount:
        assert (mount / "F").read_text() == "content"
        for attempt in (
                lambda: os.unlink(mount / "f"),
                lambda: os.mkdir(mount / "d"),
                lambda: os.rename(mount / "f", mount / "g"),
                lambda: os.open(mount / "f", os.O_RDWR),
                lambda: os.open(mount / "n", os.O_CREAT | os.O_RDWR),
                lambda: os.truncate(mount / "f", 0),
                lambda: os.utime(mount / "f"),
                lambda: os.setxattr(mount / "f", "user.a", b"x")):
            with fails_with(errno.EROFS):
                attempt()
        assert os.statvfs(mount.path).f_flag & os.ST_RDONLY
        mount.unmount()
    assert state(store.path) == before


def test_a_reader_works_beside_the_writer(store):
    with Mount(store) as writer:
        (writer / "before").write_text("x")
        fd = os.open(writer / "before", os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
        with Mount(store, "-o", "ro") as reader:
            assert (reader / "before").read_text() == "x"
            (writer / "after").write_text("y")
            reader.unmount()
        writer.unmount()


# ---- privileges -------------------------------------------------------------


def server_status(pid):
    """What the kernel says of a process."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as lines:
        return dict(line.rstrip("\n").split(":\t", 1) for line in lines
                    if ":\t" in line)


def test_user_drops_privileges(public_path):
    with Store(public_path / "store", "--owner", "nobody",
               "--postoffice", "PO") as store:
        with Mount(store, "-o", "user=nobody") as mount:
            status = server_status(mount.server_pid)
            assert status["Uid"].split() == ["65534"] * 4
            assert status["Gid"].split() == ["65534"] * 4
            assert status["Groups"].split() in ([], ["65534"])
            assert status["NoNewPrivs"] == "1"
            assert int(status["CapEff"], 16) == 0
            assert int(status["CapPrm"], 16) == 0
            (mount / "f").write_text("x")
            assert (mount / "f").read_text() == "x"
            mount.unmount()
        assert (store.path / "data.mdb").stat().st_uid == 65534


def test_even_root_gives_up_new_privileges(mount):
    assert server_status(mount.server_pid)["NoNewPrivs"] == "1"


ORDINARY = """
mknod -m 666 "$1/fuse" c 10 229
mount --bind "$1/fuse" /dev/fuse
cd "$1"
setpriv --reuid nobody --regid nogroup --clear-groups sh -euc '
    ./pofs store point
    echo content >point/File
    cat point/FILE
    stat -c %U point/File
    fusermount3 -u point'
"""


def test_an_ordinary_user_may_mount(public_path):
    """By way of fusermount3, where everybody may open /dev/fuse."""
    with Store(public_path / "store", "--owner", "nobody") as store:
        (public_path / "point").mkdir()
        os.chown(public_path / "point", 65534, 65534)
        shutil.copy(program("fs/pofs"), public_path / "pofs")
        done = in_private(ORDINARY, public_path, public_path / "point")
        assert done.stdout.split() == ["content", "nobody"]
        wait_until(lambda: has_no_writer(store), "the daemon ends")
        store.check()


def has_no_writer(store):
    """Whether a daemon could start."""
    try:
        Mount(store).close()
    except HarnessError:
        return False
    return True


def test_an_unknown_user_is_refused(store, point):
    assert_refused(pofs("-f", store.path, point, "-o",
                        "user=no-such-user-here"), 1, "no-such-user-here")


def test_a_user_without_the_store_is_refused(public_path):
    with Store(public_path / "store") as store:
        point = public_path / "point"
        point.mkdir()
        done = pofs("-f", store.path, point, "-o", "user=nobody")
        assert_refused(done, 1)
        assert not is_mounted(point)


def test_the_store_is_its_owners_alone(store):
    assert store.path.stat().st_mode & 0o777 == 0o700
    for path in store.path.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path


# ---- service managers -------------------------------------------------------


def test_the_service_manager_hears_of_start_and_end(store, point):
    with under_a_manager(store, point) as (process, notify):
        assert notify.recv(4096) == b"READY=1"
        assert is_mounted(point)
        (point / "f").write_text("x")
        process.terminate()
        while notify.recv(4096) != b"STOPPING=1":
            pass
        assert process.wait(DEADLINE_S) == 0


def test_an_installed_copy_needs_nothing_beside_it(store, tmp_path, point):
    """No helper program, no file of the build directory."""
    copy = tmp_path / "pofs"
    shutil.copy(program("fs/pofs"), copy)
    run(copy, store.path, point, stdin=subprocess.DEVNULL, timeout=10)
    run(tool("umount"), point)
