# SPDX-License-Identifier: BSD-2-Clause
"""What `meson install` puts where, that it works there, and goes again.

Nothing of it reaches this machine: what is installed is seen in a mount
namespace, in the places where an administrator has it, by the tests' shells
alone.
"""

import contextlib
import json
import os
import pathlib
import stat
import subprocess

import pytest

from harness import build_dir, poctl, run, tool, wait_until

SOURCE = pathlib.Path(__file__).resolve().parents[2]

PROGRAMS = {"bin/pofs", "bin/poctl"}
HELPERS = {"sbin/mount.pofs", "sbin/mount.fuse.pofs"}
PAGES = {"share/man/man5/pofs.conf.5", "share/man/man8/pofs.8",
         "share/man/man8/poctl.8", "share/man/man8/mount.pofs.8",
         "share/man/man8/mount.fuse.pofs.8"}
UNIT = "lib/systemd/system/pofs@.service"
COMPLETION = "share/bash-completion/completions/poctl"
DOCUMENTS = {"share/doc/pofs/" + name
             for name in ("LICENSE", "README.md", "pofs.conf")}


@contextlib.contextmanager
def kept(path):
    """A file of the build that is as before afterwards, if only absent."""
    before = path.read_bytes() if path.exists() else None
    try:
        yield
    finally:
        if before is None:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(before)


@pytest.fixture(scope="module", autouse=True)
def install_log():
    """By which `ninja uninstall` knows what an administrator installed."""
    with kept(build_dir() / "meson-logs" / "install-log.txt"):
        yield


def install_to(path):
    """Installs what was built, as a packager does."""
    run(tool("meson"), "install", "-C", build_dir(), "--no-rebuild",
        env={**os.environ, "DESTDIR": str(path)})


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """What would be /usr/local, or /usr."""
    path = tmp_path_factory.mktemp("destination")
    install_to(path)
    return path / "usr" / "local"


def tree_of(path):
    """Every name below a directory that is none itself."""
    return {os.path.relpath(os.path.join(place, name), path)
            for place, _, names in os.walk(path) for name in names}


def in_private(script, *arguments, check=True):
    """Runs a shell script in a mount namespace of its own."""
    return run(tool("unshare"), "--mount", "sh", "-euc", script, "sh",
               *arguments, check=check, stdin=subprocess.DEVNULL)


def installed(prefix, place, script, *arguments, **options):
    """Runs a shell script where `place` (/usr, /usr/local) has what is in
    `prefix` over its own files."""
    return in_private(
        'place=$1 prefix=$2\nshift 2\n'
        'mount -t overlay -o "lowerdir=$prefix:$place" none "$place"\n'
        + script, place, prefix, *arguments, **options)


# ---- what is there ----------------------------------------------------------


def test_everything_is_in_its_place(prefix):
    examples = {"share/doc/pofs/examples/" + name
                for name in tree_of(SOURCE / "mount-examples")}
    examples.discard("share/doc/pofs/examples/pofs@.service")
    assert examples
    wanted = {*PROGRAMS, *HELPERS, *PAGES, UNIT, COMPLETION, *DOCUMENTS,
              *examples}
    there = tree_of(prefix)
    assert wanted <= there
    # And what is of this program alone, wherever the build has it.
    assert {name for name in there - wanted if "/pofs/" not in name} == set()


def test_nothing_is_installed_outside_of_the_prefix(prefix):
    everything = tree_of(prefix.parents[1])
    assert all(name.startswith("usr/local/") for name in everything)


def test_only_programs_can_be_run(prefix):
    for name in tree_of(prefix):
        mode = (prefix / name).stat().st_mode
        assert stat.S_ISREG(mode)
        shared = name.split(".")[-1] == "so"
        wanted = 0o755 if name in {*PROGRAMS, *HELPERS} or shared else 0o644
        assert stat.S_IMODE(mode) == wanted, name


def test_links_lead_to_what_was_installed(prefix):
    for name in HELPERS:
        assert (prefix / name).resolve() == prefix / "bin/pofs"
    for name in PAGES:
        assert (prefix / name).resolve().is_relative_to(prefix)


def test_the_manual_pages_are_sound(prefix):
    for name in sorted(PAGES):
        run(tool("mandoc"), "-T", "lint", "-W", "warning", prefix / name)
        assert "pofs" in run(tool("mandoc"), prefix / name).stdout


def test_all_are_of_one_version(prefix):
    project = json.loads(run(tool("meson"), "introspect", "--projectinfo",
                             build_dir()).stdout)
    for program in ("pofs", "poctl"):
        said = run(prefix / "bin" / program, "--version").stdout
        assert said == f"{program} {project['version']}\n"


def test_the_defaults_are_those_of_the_program(prefix, tmp_path):
    page = prefix / "share/doc/pofs/pofs.conf"
    pofs = prefix / "bin/pofs"
    assert page.read_text() == run(pofs, "-n", tmp_path).stdout
    run(pofs, "-n", "-c", page, tmp_path)


def test_the_completion_completes(prefix):
    script = (f'. "{prefix / COMPLETION}"; complete -p poctl;'
              'COMP_WORDS=(poctl rest); COMP_CWORD=1; _poctl;'
              "echo ${COMPREPLY[@]}")
    said = run(tool("bash"), "--norc", "-euc", script).stdout.splitlines()
    assert said == ["complete -o filenames -F _poctl poctl", "restore"]


def test_systemd_accepts_the_unit_where_it_is(prefix):
    done = installed(prefix, "/usr/local",
                     "systemd-analyze verify --man=no pofs@mail.service")
    assert done.stdout + done.stderr == ""
    unit = (prefix / UNIT).read_text()
    assert "\nExecStart=/usr/local/bin/pofs " in unit


def test_the_bridge_is_where_smbd_is_told_to_look(prefix):
    drop_in = (prefix / "share/doc/pofs/examples/smbd-with-bridge.conf")
    place = drop_in.read_text().split("LD_LIBRARY_PATH=")[1].strip()
    bridge = prefix / os.path.relpath(place, "/usr/local") / "libgpfs.so"
    assert bridge.is_file()


# ---- mount(8) ---------------------------------------------------------------


@pytest.fixture
def point(tmp_path):
    path = tmp_path / "point"
    path.mkdir()
    return path


def ends(store):
    """Waits for the daemon behind a mount that is gone; the store is clean."""
    wait_until(lambda: poctl("check", store.path, check=False).returncode == 0,
               "the store is closed and clean")


LOOK = """
trap 'umount -l "$2" 2>/dev/null || true' EXIT
look()
{
    findmnt --noheadings --output FSTYPE "$1"
    echo content >"$1/file"
    cat "$1/FILE"
    readlink "/proc/$(cat "$2/writer")/exe"
    umount "$1"
}
"""


@pytest.mark.parametrize("place, kind", [
    ("/usr", "pofs"), ("/usr", "fuse.pofs"), ("/usr/local", "fuse.pofs")])
def test_mount_finds_it(prefix, store, point, place, kind):
    done = installed(prefix, place, LOOK +
                     'mount -v -t "$3" -o rw,noatime,umask=0 "$1" "$2"\n'
                     'look "$2" "$1"', store.path, point, kind)
    assert done.stdout.split() == ["fuse.pofs", "content", f"{place}/bin/pofs"]
    ends(store)


@pytest.mark.parametrize("kind", ["pofs", "fuse.pofs"])
def test_a_line_of_fstab_mounts(prefix, store, point, tmp_path, kind):
    fstab = tmp_path / "fstab"
    fstab.write_text(f"{store.path} {point} {kind} "
                     "umask=077,_netdev,nofail,x-systemd.automount 0 0\n")
    done = installed(prefix, "/usr", LOOK +
                     'export LIBMOUNT_FSTAB="$3"\nmount "$2"\n'
                     'look "$2" "$1"', store.path, point, fstab)
    assert done.stdout.split() == ["fuse.pofs", "content", "/usr/bin/pofs"]
    ends(store)


def test_a_mount_may_be_pretended(prefix, store, point):
    done = installed(prefix, "/usr",
                     'mount -f -t pofs "$1" "$2"\nmountpoint "$2"',
                     store.path, point, check=False)
    assert "is not a mountpoint" in done.stdout
    assert not (store.path / "control").exists()


def test_mount_is_told_what_is_wrong(prefix, store, point):
    for option, words in (("nonsense", "nonsense"),
                          ("user=no-such-user-here", "no such user")):
        done = installed(prefix, "/usr", 'mount -t pofs -o "$3" "$1" "$2"',
                         store.path, point, option, check=False)
        assert done.returncode != 0
        assert words in done.stderr


# ---- and away again ---------------------------------------------------------


UNINSTALL = """
mount -t tmpfs none /usr/local
mkdir -p /usr/local/share/doc/pofs /usr/local/var
echo mine >/usr/local/share/doc/pofs/notes
meson install -C "$1" --no-rebuild >/dev/null
test -x /usr/local/bin/pofs
/usr/local/bin/poctl create --postoffice PO /usr/local/var/store
cd /usr/local/var/store
find . -type f -exec sha256sum {} + | sort >../before
ninja -C "$1" uninstall >/dev/null
find . -type f -exec sha256sum {} + | sort >../after
cmp ../before ../after
rm ../before ../after
find /usr/local -mindepth 1 ! -path '*/store/*' | sort
"""


def test_uninstalling_leaves_stores_and_all_that_is_not_ours():
    done = in_private(UNINSTALL, build_dir())
    assert done.stdout.splitlines()[-6:] == [
        "/usr/local/share", "/usr/local/share/doc",
        "/usr/local/share/doc/pofs", "/usr/local/share/doc/pofs/notes",
        "/usr/local/var", "/usr/local/var/store"]
    assert "/usr/local/bin" not in done.stdout
