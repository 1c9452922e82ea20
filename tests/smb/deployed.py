# SPDX-License-Identifier: BSD-2-Clause
"""A server set up as mount-examples/README.md says, in a directory of a test's.

    with Deployed("smb-hub.conf", "--postoffice=HUB") as site:
        with smb1.Client(site.server.port, "hub") as client:
            ...

The files are those that administrators copy; only paths, the share's user, and
what `changes` names are put in.
"""

import contextlib
import pathlib
import re
import tempfile

import smbd
from harness import Mount, Store

EXAMPLES = smbd.EXAMPLE.parent

SHARES = ["smb.conf", "smb-hub.conf", "smb-mixed.conf", "smb-aliases.conf"]
"""Each of them is a site's /etc/samba/smb.conf."""

USER = smbd.SHARE_USER


def install_samba(directory, mount_point="/srv/mail", changes=()):
    """Copies the examples for Samba into a directory that stands for
    /etc/samba. `changes` are (old, new) pieces of text."""
    directory.mkdir()
    changes = [("/etc/samba", str(directory)), ("/srv/mail", str(mount_point)),
               ("/var/log/samba", str(directory)), *changes]
    for file in EXAMPLES.glob("smb*.conf"):
        text = re.sub(r"= pofs$", f"= {USER}", file.read_text(),
                      flags=re.MULTILINE)
        for old, new in changes:
            text = text.replace(old, new)
        (directory / file.name).write_text(text)


class Samba(smbd.Smbd):
    """smbd with one of the examples as it is."""

    def __init__(self, example, mount_point, changes=()):
        self._example = example
        self._mount_point = mount_point
        self._changes = changes
        super().__init__({})

    def _write_config(self, shares, settings):
        samba = self.directory / "samba"
        install_samba(samba, self._mount_point, self._changes)
        self.config.write_text("[global]\n" + self._own_settings(*settings)
                               + f"\tinclude = {samba / self._example}\n")


class Deployed:
    """A store, mounted as the unit does it, and its smbd.

    `create` are arguments of `poctl create`, `options` of pofs; `prefix` is a
    command that becomes pofs."""

    def __init__(self, example, *create, options=(), changes=(), prefix=()):
        self._undo = contextlib.ExitStack()
        with self._undo:
            directory = pathlib.Path(self._undo.enter_context(
                tempfile.TemporaryDirectory(prefix="site-")))
            directory.chmod(0o711)
            self.store = self._undo.enter_context(
                Store(directory / "store", f"--owner={USER}", *create))
            self.mount = self._undo.enter_context(Mount(
                self.store, "-o",
                ",".join([f"user={USER}", "umask=000", *options]),
                prefix=prefix))
            self.server = self._undo.enter_context(
                Samba(example, self.mount.path, changes))
            self._undo = self._undo.pop_all()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return self._undo.__exit__(*error)
