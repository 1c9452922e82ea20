# SPDX-License-Identifier: BSD-2-Clause
"""The tarball of a release: the same from every clone, and all that is needed.

It is made of these sources as they are, committed or not, and whether they
are a checkout or a tarball themselves.
"""

import json
import os
import pathlib
import shutil
import tarfile

import pytest

from harness import build_dir, run, tool

SOURCE = pathlib.Path(__file__).resolve().parents[2]

COMMITTED = 1000000000
"""When the commit of these tests was made: long ago."""


def git(directory, *arguments):
    """Runs git as nobody in particular, and whatever its user has set."""
    someone = {"NAME": "pofs", "EMAIL": "pofs@localhost",
               "DATE": f"{COMMITTED} +0000"}
    return run(tool("git"), "-C", directory, *arguments, env={
        **os.environ, "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        **{f"GIT_{role}_{name}": value for role in ("AUTHOR", "COMMITTER")
           for name, value in someone.items()}}).stdout


def not_sources(directory, names):
    """What a checkout may hold beside them; .gitignore has the rest."""
    if directory != str(SOURCE):
        return ()
    return [name for name in names
            if name == ".git" or name.startswith("build")]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A clean checkout of what these sources are now."""
    path = tmp_path_factory.mktemp("checkout") / "pofs"
    shutil.copytree(SOURCE, path, symlinks=True, ignore=not_sources)
    git(path, "init", "--quiet")
    git(path, "add", "--all")
    git(path, "commit", "--quiet", "--message=all")
    return path


def tarball_of(checkout):
    """Makes a release of a checkout."""
    build = checkout / "build"
    run(tool("meson"), "setup", build, checkout)
    run(tool("meson"), "dist", "-C", build, "--no-tests",
        "--include-subprojects")
    made, = build.glob("meson-dist/*.tar.xz")
    return made


@pytest.fixture(scope="module")
def tarball(checkout):
    return tarball_of(checkout)


def introspect(build, what):
    return json.loads(run(tool("meson"), "introspect", what, build).stdout)


def test_a_tarball_has_every_source_and_the_time_of_the_commit(
        checkout, tarball):
    project = introspect(build_dir(), "--projectinfo")
    name = f"pofs-{project['version']}"
    assert tarball.name == f"{name}.tar.xz"
    with tarfile.open(tarball) as archive:
        members = archive.getmembers()
    assert {member.mtime for member in members} == {COMMITTED}
    assert {(member.uid, member.gid) for member in members} == {(0, 0)}
    files = {member.name for member in members if not member.isdir()}
    assert files == {f"{name}/{path}"
                     for path in git(checkout, "ls-files").splitlines()}
    assert f"{name}/tests/run" in files


def test_each_clone_gives_the_same_tarball(checkout, tarball, tmp_path):
    git(checkout, "clone", "--quiet", checkout, tmp_path / "another")
    mask = os.umask(0o077)
    try:
        again = tarball_of(tmp_path / "another")
    finally:
        os.umask(mask)
    assert again.read_bytes() == tarball.read_bytes()


def options_of(build):
    """How that was built, as arguments of `meson setup`."""
    for option in introspect(build, "--buildoptions"):
        name, value = option["name"], option["value"]
        if option["section"] in ("base", "compiler") \
                or name in ("buildtype", "werror"):
            text = str(value).lower() if isinstance(value, bool) else value
            yield f"-D{name}={text}"


def programs_of(build):
    """Every program and module of a build, by its name there."""
    return {os.path.relpath(name, build): name
            for target in introspect(build, "--targets")
            if target["type"] in ("executable", "shared module")
            for name in target["filename"]}


def compiler_of(build):
    for target in introspect(build, "--targets"):
        if target["name"] == "pofs":
            return " ".join(target["target_sources"][0]["compiler"])
    raise AssertionError("no pofs")


def test_a_tarball_builds_and_passes_its_tests(tarball, tmp_path):
    shutil.unpack_archive(tarball, tmp_path)
    source, = tmp_path.iterdir()
    build = tmp_path / "elsewhere"
    # The prefix is in no program.
    run(tool("meson"), "setup", build, source, "--prefix=/usr",
        *options_of(build_dir()),
        env={**os.environ, "CC": compiler_of(build_dir())})
    run(tool("meson"), "compile", "-C", build, timeout=500)

    # So the tests of each program, which are run beside this one, are the
    # tarball's, too; what is left are those that look at sources.
    ours, theirs = programs_of(build_dir()), programs_of(build)
    assert set(ours) == set(theirs)
    assert {"fs/pofs", "fs/bridge/libgpfs.so", "tools/poctl",
            "tests/unit/test_store"} <= set(ours)
    for name, path in ours.items():
        assert pathlib.Path(path).read_bytes() == \
            pathlib.Path(theirs[name]).read_bytes(), name
    run(tool("meson"), "test", "-C", build, "--no-rebuild",
        "--suite", "source", "--suite", "fuzz")
    for name in ("fs/pofs@.service", "fs/bridge/smbd-with-bridge.conf"):
        text = (build / name).read_text()
        assert "/usr/" in text and "/usr/local" not in text
