#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs a command under the limits that a unit sets, without systemd.

Usage: sandboxed.py UNIT COMMAND [ARGUMENT...]

What the kernel does for systemd it does here: capabilities, no new privileges,
resource limits, and the system call filter, which systemd-analyze expands.
A directive that is neither known here nor said to be harmless is an error, so
that no unit passes untested.
"""

import ctypes
import errno
import os
import pathlib
import resource
import socket
import subprocess
import sys

# What concerns systemd alone, or needs its control groups. None of it makes a
# mount namespace, in which smbd would not see the mount.
IGNORED = {
    "Type", "ExecStart", "ExecStartPost", "Restart", "RestartSec",
    "TimeoutStartSec", "TimeoutStopSec", "WatchdogSec", "KillMode",
    "DevicePolicy", "DeviceAllow", "IPAddressDeny",
    "SystemCallArchitectures", "SystemCallErrorNumber",
    # Without its namespace: the calls that it forbids are in no list here.
    "ProtectHostname", "ProtectClock",
}

PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
CLONE_NAMESPACES = {0x00020000, 0x02000000, 0x04000000, 0x08000000,
                    0x10000000, 0x20000000, 0x40000000}
SUID_SGID = (0o4000, 0o2000)
PROT_WRITE, PROT_EXEC, SHM_EXEC = 2, 4, 0o100000

_libc = ctypes.CDLL(None, use_errno=True)


def service_of(unit):
    """The [Service] section: {directive: [its values]}."""
    found = {}
    section = None
    for line in pathlib.Path(unit).read_text().splitlines():
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line and line[0] not in "#;":
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


# ---- capabilities and limits


def _prctl(*arguments):
    if _libc.prctl(*arguments, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def _capability_numbers():
    """{name: number}, from the kernel's own header."""
    text = pathlib.Path("/usr/include/linux/capability.h").read_text()
    words = (line.split() for line in text.splitlines())
    return {word[1]: int(word[2]) for word in words
            if len(word) >= 3 and word[0] == "#define"
            and word[1].startswith("CAP_") and word[2].isdigit()}


def limit_capabilities(value):
    numbers = _capability_numbers()
    kept = {numbers[name] for name in value.split()}
    last = int(pathlib.Path("/proc/sys/kernel/cap_last_cap").read_text())
    for number in set(range(last + 1)) - kept:
        _prctl(PR_CAPBSET_DROP, number)


def limit_resource(name, value):
    which = getattr(resource, "RLIMIT_" + name)
    _, most = resource.getrlimit(which)
    # More than there is can not be had in every container.
    if most == resource.RLIM_INFINITY or int(value) <= most:
        most = int(value)
    resource.setrlimit(which, (most, most))


# ---- system calls


class _Compare(ctypes.Structure):
    """A condition on an argument of a system call."""

    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int),
                ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


_NOT_EQUAL, _MASKED = 1, 7


class Filter:
    """A list of system calls; what it does with each is an action."""

    ALLOW = 0x7fff0000

    _lib = ctypes.CDLL("libseccomp.so.2")
    _lib.seccomp_init.restype = ctypes.c_void_p
    _lib.seccomp_init.argtypes = [ctypes.c_uint32]
    _lib.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint,
        ctypes.POINTER(_Compare)]
    _lib.seccomp_load.argtypes = [ctypes.c_void_p]

    @staticmethod
    def fail(code):
        return 0x00050000 | code

    def __init__(self, otherwise):
        self._context = self._lib.seccomp_init(otherwise)

    def add(self, action, name, *conditions):
        number = self._lib.seccomp_syscall_resolve_name(name.encode())
        if number < 0:
            return  # this architecture has no such call
        array = (_Compare * len(conditions))(*conditions)
        r = self._lib.seccomp_rule_add_array(self._context, action, number,
                                             len(conditions), array)
        if r != 0:
            raise OSError(-r, name)

    def load(self):
        r = self._lib.seccomp_load(self._context)
        if r != 0:
            raise OSError(-r, "seccomp_load")


def calls_of(word):
    """The system calls of a name or a set ("@mount")."""
    if not word.startswith("@"):
        return {word}
    done = subprocess.run(["systemd-analyze", "syscall-filter", word],
                          check=True, capture_output=True, text=True)
    lines = [line.strip() for line in done.stdout.splitlines()[1:]]
    return set().union(*(calls_of(line) for line in lines
                         if line and line[0] != "#"))


def filter_calls(values, code):
    """The lists of SystemCallFilter: the first allows, "~" takes away."""
    allowed = set()
    for value in values:
        calls = set().union(*map(calls_of, value.lstrip("~").split()))
        allowed = allowed - calls if value[0] == "~" else allowed | calls
    whole = Filter(Filter.fail(code))
    for name in allowed | calls_of("@default"):
        whole.add(Filter.ALLOW, name)
    return whole


def forbid(*rules):
    """A filter of (error, call, condition...) over whatever is allowed."""
    made = Filter(Filter.ALLOW)
    for code, name, *conditions in rules:
        made.add(Filter.fail(code), name, *conditions)
    return made


def bits(argument, mask):
    return _Compare(argument, _MASKED, mask, mask)


# ---- the unit


def _only_families(value):
    return forbid((errno.EAFNOSUPPORT, "socket", *(
        _Compare(0, _NOT_EQUAL, getattr(socket, name))
        for name in value.split())))


def _no_namespaces(_):
    return forbid((errno.EPERM, "unshare"), (errno.EPERM, "setns"),
                  (errno.ENOSYS, "clone3"),
                  *((errno.EPERM, "clone", bits(0, flag))
                    for flag in CLONE_NAMESPACES))


def _no_suid(_):
    return forbid(*((errno.EPERM, name, bits(at, bit))
                    for name, at in (("chmod", 1), ("fchmod", 1),
                                     ("fchmodat", 2), ("mkdir", 1),
                                     ("mkdirat", 2), ("open", 2),
                                     ("openat", 3))
                    for bit in SUID_SGID))


def _no_writable_code(_):
    return forbid((errno.EPERM, "mmap", bits(2, PROT_WRITE | PROT_EXEC)),
                  (errno.EPERM, "mprotect", bits(2, PROT_EXEC)),
                  (errno.EPERM, "pkey_mprotect", bits(2, PROT_EXEC)),
                  (errno.EPERM, "shmat", bits(2, SHM_EXEC)))


FILTERS = {
    "RestrictAddressFamilies": _only_families,
    "RestrictNamespaces": _no_namespaces,
    "RestrictSUIDSGID": _no_suid,
    "MemoryDenyWriteExecute": _no_writable_code,
    "LockPersonality": lambda _: forbid(
        (errno.EPERM, "personality", _Compare(0, _NOT_EQUAL, 0))),
    "RestrictRealtime": lambda _: forbid(
        (errno.EPERM, "sched_setscheduler", _Compare(1, _NOT_EQUAL, 0))),
}


def apply(unit):
    """Puts this process under the unit's limits."""
    service = service_of(unit)
    filters = [FILTERS[name](values[-1])
               for name, values in service.items() if name in FILTERS]
    calls = service.pop("SystemCallFilter")
    code = getattr(errno, service["SystemCallErrorNumber"][-1])
    filters.append(filter_calls(calls, code))
    for name, (*_, value) in service.items():
        if name.startswith("Limit"):
            limit_resource(name.removeprefix("Limit"), value)
        elif name == "UMask":
            os.umask(int(value, 8))
        elif name == "CapabilityBoundingSet":
            limit_capabilities(value)
        elif name == "NoNewPrivileges":
            _prctl(PR_SET_NO_NEW_PRIVS, 1)
        elif name not in FILTERS.keys() | IGNORED:
            raise SystemExit(f"{unit}: {name}= is not known here")
    for one in filters:
        one.load()


if __name__ == "__main__":
    apply(sys.argv[1])
    os.execv(sys.argv[2], sys.argv[2:])
