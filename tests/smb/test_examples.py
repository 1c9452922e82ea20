# SPDX-License-Identifier: BSD-2-Clause
"""mount-examples/smb*.conf: each is started, and does what it is for.

Whether the settings that they share do what they say is what all the other
tests here ask: their smbd runs with smb.conf.
"""

import configparser
import json
import re
import struct
import subprocess

import pytest

import mail
from deployed import EXAMPLES, SHARES, USER, Deployed, install_samba
from harness import DEADLINE_S, end_with_parent, poctl, run, tool, \
    wait_until
from smb1 import Client, Deny, Disconnected, Error, Mode, SmbError

OFFICE = ["KEY", "MBG", "P1", "GLB"]

ACCOUNT, PASSWORD = "daemon", "Ab1"
"""A user and a group that every system has, for "postoffice"."""

STRANGER = "games"
"""One who is not in that group."""


FIXED = {
    "aio read size": "0", "aio write size": "0", "oplocks": "no",
    "strict sync": "yes", "kernel share modes": "no", "locking": "yes",
    "strict locking": "yes", "case sensitive": "yes", "default case": "upper",
    "store dos attributes": "yes", "force user": USER,
    "root preexec": "/usr/bin/mountpoint -q /srv/mail",
}
"""What all that pofs promises stands on."""


def sections(samba, example):
    """What Samba reads from an example: {section: {parameter: value}}; what
    a share does not say is what [global] says of all."""
    done = run(tool("testparm"), "-s", "-v", samba / example)
    found = configparser.RawConfigParser(delimiters="=", strict=False,
                                         default_section="global")
    found.read_string("\n".join(line.strip()
                                for line in done.stdout.splitlines()))
    return found


def shares_of(example):
    return re.findall(r"^\[((?!global)\w+)\]",
                      (EXAMPLES / example).read_text(), re.MULTILINE)


@pytest.mark.parametrize("example", SHARES)
def test_samba_accepts_it(tmp_path, example):
    install_samba(tmp_path / "samba")
    done = run(tool("testparm"), "-s", tmp_path / "samba" / example)
    said = [line for line in done.stderr.splitlines()
            if "WARNING" in line or "rror" in line or "Unknown" in line
            or "find include" in line]
    # It is what the oldest clients need, and marked so in smb-global.conf.
    assert [line for line in said if "lanman auth" not in line] == []


@pytest.mark.parametrize("example", SHARES)
def test_what_must_not_change_in_a_share(tmp_path, example):
    assert shares_of(example)
    install_samba(tmp_path / "samba")
    found = sections(tmp_path / "samba", example)
    for share in shares_of(example):
        assert {name: found[share][name].lower() for name in FIXED} == FIXED


@pytest.mark.parametrize("example", SHARES)
def test_the_bridge_is_added_as_the_guide_says(tmp_path, example):
    guide = (EXAMPLES / "README.md").read_text()
    install_samba(tmp_path / "samba")
    command, = re.findall(r"^    (printf .*smb-bridge.*)$", guide,
                          re.MULTILINE)
    run("/bin/sh", "-euc",
        command.replace("/etc/samba", str(tmp_path / "samba")))
    found = sections(tmp_path / "samba", example)
    for share in shares_of(example):
        assert found[share]["vfs objects"] == "gpfs"
        assert found[share]["kernel share modes"].lower() == "yes"


def test_no_comment_stands_behind_a_value():
    for file in EXAMPLES.glob("*.conf"):
        for line in file.read_text().splitlines():
            if "=" in line and not line.lstrip().startswith("#"):
                assert not re.search(r"\s[#;]", line), line


def smbclient(site, share, *arguments, user="%", protocol="SMB3_11"):
    """Runs smbclient: (exit code, what it says)."""
    done = run(tool("smbclient"), f"//127.0.0.1/{share}", "-p",
               site.server.port, "-s", "/dev/null", "-U", user,
               f"--option=client min protocol={protocol}",
               f"--option=client max protocol={protocol}",
               "--option=client lanman auth=yes",
               "--option=client ntlmv2 auth=no", *arguments, check=False)
    return done.returncode, done.stdout + done.stderr


def make_bag(folder, bag, *records):
    """A mailbag, from within the server."""
    for name, content in ((f"MBG/{bag}.MBG", b"".join(records)),
                          (f"KEY/{bag}.KEY", bytes(mail.KEY_SIZE))):
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o777)


def sessions(site):
    """The processes that pofs takes for clients."""
    rows = json.loads(
        poctl("sessions", "--json", site.store.path).stdout)["sessions"]
    return {row["pid"] for row in rows}


# ---- smb.conf


@pytest.fixture(scope="module")
def plain_site():
    with Deployed("smb.conf") as site:
        yield site


def test_old_and_new_clients_share_one_postoffice(plain_site, tmp_path):
    letter = tmp_path / "letter"
    with Client(plain_site.server.port, "MAIL", server="POSTOFFICE") as client:
        client.write_file(r"GLB\A.GLB", b"old")
        code, said = smbclient(plain_site, "mail", "-c",
                               f'get GLB/A.GLB "{letter}"; '
                               f'put "{letter}" GLB/B.GLB')
        assert code == 0, said
        assert client.read_file(r"GLB\B.GLB") == b"old"


def test_a_second_connection_of_a_machine_is_its_restart(plain_site):
    """What smb-aliases.conf has to be different for."""
    port = plain_site.server.port
    before = Client(port, "mail", source="127.0.5.1")
    before.create_new(r"P1\0000000E.0LK")
    with Client(port, "mail", source="127.0.5.1") as client:
        wait_until(lambda: is_cut(before), "the old connection ends")
        # Its process ends a moment later, and then its lock.
        wait_until(lambda: is_made(client, r"P1\0000000E.0LK"),
                   "the lock is free")


def is_made(client, name):
    try:
        client.create_new(name).close()
    except SmbError as error:
        assert error.code == Error.FILE_EXISTS
        return False
    return True


def is_cut(client):
    try:
        client.echo()
    except Disconnected:
        return True
    return False


# ---- smb-hub.conf

QUEUE, USERS_BAG = "00000014", "00000021"
HERE, THERE = r"MAI\MA5\00000015.MAI", r"MAI\MA7\00000037.MAI"


def move(hub, sales):
    """One message from a queue of the hub to a mailbag of the other
    postoffice, as an External does it; waits after each step."""
    lock = hub.open(rf"P1\{QUEUE}.0LK", deny=Deny.ALL, mode=Mode.CREATE)
    yield
    message = hub.read_file(HERE)
    sales.write_file(THERE, message)
    yield
    with sales.open(rf"KEY\{USERS_BAG}.KEY", deny=Deny.ALL) as key:
        yield
        with sales.open(rf"MBG\{USERS_BAG}.MBG") as bag:
            bag.write(0, b"r" * mail.RECORD_SIZE)
            yield
        key.write(0, struct.pack("<H", 1))
        yield
    yield
    with hub.open(rf"KEY\{QUEUE}.KEY", deny=Deny.ALL) as key:
        key.write(48, b"\x01")
        yield
    yield
    hub.delete(HERE)
    yield
    lock.close()
    hub.delete(rf"P1\{QUEUE}.0LK")


def state_of(top):
    """What anybody else sees: whether it is here, and whether it is there."""
    hub, sales = top / "HUB", top / "SALES"

    def content(folder, name):
        path = folder / name.replace("\\", "/")
        return path.read_bytes() if path.exists() else None

    return ((content(hub, HERE),
             content(hub, f"KEY/{QUEUE}.KEY")[48] == 0),
            (content(sales, THERE),
             content(sales, f"KEY/{USERS_BAG}.KEY")[:2] != bytes(2),
             len(content(sales, f"MBG/{USERS_BAG}.MBG"))))


BEFORE = ((b"letter", True), (None, False, 0))
AFTER = ((None, False), (b"letter", True, mail.RECORD_SIZE))


@pytest.fixture(scope="module")
def hub_site():
    with Deployed("smb-hub.conf", "--postoffice=HUB",
                  "--postoffice=SALES") as site:
        yield site


def prepare(top):
    make_bag(top / "HUB", QUEUE, b"r" * mail.RECORD_SIZE)
    make_bag(top / "SALES", USERS_BAG)
    letter = top / "HUB" / HERE.replace("\\", "/")
    letter.write_bytes(b"letter")
    letter.chmod(0o777)


def test_what_moves_from_k_to_m_is_in_one_of_them(hub_site):
    """Wherever the External's machine is switched off, and seen from
    wherever."""
    top = hub_site.mount.path
    prepare(top)
    steps = 0
    is_done = False
    while not is_done:
        hub = Client(hub_site.server.port, "hub", source="127.0.6.1")
        work = move(hub, hub.drive("sales"))
        for _ in range(steps):
            is_done = next(work, "done") == "done"
            assert state_of(top) == (AFTER if is_done else BEFORE)
        steps += 1
        served_by = hub_site.server.process_of(hub)
        hub.reset()
        wait_until(lambda: served_by not in sessions(hub_site),
                   "pofs knows of its end")
        assert state_of(top) == (AFTER if is_done else BEFORE)
    assert steps > 9


def test_smb3_clients_reach_hub_and_postoffice(hub_site):
    for share in shares_of("smb-hub.conf"):
        code, said = smbclient(hub_site, share, "-c", "ls *")
        assert code == 0 and "KEY" in said, said


# ---- smb-mixed.conf


@pytest.fixture(scope="module")
def mixed_site():
    with Deployed("smb-mixed.conf",
                  changes=[("@postoffice", f"@{ACCOUNT}")]) as site:
        for name in (ACCOUNT, STRANGER):
            run(tool("smbpasswd"), "-c", site.server.config, "-s", "-a", name,
                input=f"{PASSWORD}\n{PASSWORD}\n")
        yield site


@pytest.mark.parametrize("protocol", ["LANMAN1", "LANMAN2", "NT1", "SMB2_02",
                                      "SMB3_11"])
def test_each_logs_on_by_name_and_works_as_one_user(mixed_site, protocol,
                                                    tmp_path):
    letter = tmp_path / "letter"
    letter.write_text(protocol)
    code, said = smbclient(mixed_site, "mail", "-c",
                           f'put "{letter}" GLB/A.GLB',
                           user=f"{ACCOUNT}%{PASSWORD}", protocol=protocol)
    assert code == 0, said
    stored = mixed_site.mount.path / "GLB" / "A.GLB"
    assert stored.read_text() == protocol
    assert stored.owner() == USER


@pytest.mark.parametrize("user, reason", [
    ("%", "ACCESS_DENIED"), ("nosuch%", "LOGON_FAILURE"),
    (f"{ACCOUNT}%wrong", "LOGON_FAILURE"),
    (f"{STRANGER}%{PASSWORD}", "ACCESS_DENIED")])
def test_nobody_else_is_let_in(mixed_site, user, reason):
    for protocol in ("NT1", "SMB3_11"):
        code, said = smbclient(mixed_site, "mail", "-c", "ls", user=user,
                               protocol=protocol)
        assert code != 0 and reason in said


# ---- smb-aliases.conf


@pytest.fixture(scope="module")
def alias_site():
    with Deployed("smb-aliases.conf", options=["lock-wait-s=1"]) as site:
        make_bag(site.mount.path, "INQUEUE3")
        yield site


ALIASES = re.search(r"netbios aliases = (.*)", (
    EXAMPLES / "smb-aliases.conf").read_text())[1].split()


@pytest.fixture
def programs(alias_site):
    """Two programs on one machine, which knows the server by two names."""
    with Client(alias_site.server.port, "MAIL", source="127.0.7.1",
                server="POSTOFFICE") as one, \
            Client(alias_site.server.port, "MAIL", source="127.0.7.1",
                   server=ALIASES[0]) as other:
        yield one, other


def test_two_programs_on_one_machine_are_two_sessions(alias_site, programs,
                                                      refused):
    one, other = programs
    one.open(r"P1\0000000E.0LK", deny=Deny.ALL, mode=Mode.CREATE)
    with refused(Error.FILE_EXISTS):
        other.create_new(r"P1\0000000E.0LK")
    other.read_file(r"KEY\INQUEUE3.KEY")
    served_by = {alias_site.server.process_of(it) for it in programs}
    assert len(served_by) == 2
    assert served_by <= sessions(alias_site)
    # Which machine that is smbd knows.
    told = run(tool("smbstatus"), "-p", "-s", alias_site.server.config).stdout
    machines = dict(re.findall(r"^(\d+) .*\(ipv4:([\d.]+):", told,
                               re.MULTILINE))
    assert {machines[str(pid)] for pid in served_by} == {"127.0.7.1"}


def test_a_lock_file_of_one_keeps_the_other_from_the_key(programs, refused):
    one, other = programs
    lock = one.open(r"P1\INQUEUE3.0LK", deny=Deny.ALL, mode=Mode.CREATE)
    with refused(Error.SHARING_VIOLATION):
        other.open(r"KEY\INQUEUE3.KEY")
    lock.close()
    one.delete(r"P1\INQUEUE3.0LK")
    other.open(r"KEY\INQUEUE3.KEY").close()


def test_under_one_name_they_are_one_session(programs):
    """Why the names are needed."""
    one, _ = programs
    other = one.drive("MAIL")
    one.open(r"P1\INQUEUE3.0LK", deny=Deny.ALL, mode=Mode.CREATE)
    other.open(r"KEY\INQUEUE3.KEY").close()


@pytest.fixture
def name_server(alias_site):
    """nmbd, on a network of its own; nsenter's arguments to come there."""
    private = alias_site.server.directory
    config = private / "nmb.conf"
    # It wants an interface that others could be on.
    config.write_text(alias_site.server.config.read_text().replace(
        "interfaces = lo", "interfaces = 192.0.2.10/24"))
    process = subprocess.Popen(
        [tool("unshare"), "--net", "sh", "-euc", """
         ip link set lo up
         ip link add one type veth peer name other
         ip address add 192.0.2.10/24 broadcast 192.0.2.255 dev one
         ip link set one up
         ip link set other up
         exec nmbd --foreground --no-process-group -s "$1"
         """, "sh", config], stdout=subprocess.DEVNULL,
        preexec_fn=end_with_parent)
    try:
        yield [f"--net=/proc/{process.pid}/ns/net", "nmblookup", "-s", config,
               "-U", "192.0.2.10"]
    finally:
        process.terminate()
        process.wait(DEADLINE_S)


def test_the_name_server_answers_to_every_name(name_server):
    def ask(name):
        return run(tool("nsenter"), *name_server, name, check=False).stdout

    for name in ("POSTOFFICE", *ALIASES):
        wait_until(lambda wanted=name:
                   f"192.0.2.10 {wanted}<20>" in ask(f"{wanted}#20"),
                   f"somebody is called {name}")
    assert "failed to find" in ask("NOBODY#20")
