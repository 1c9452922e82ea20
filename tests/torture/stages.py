# SPDX-License-Identifier: BSD-2-Clause
"""The stages of the release tier: which tests, how often.

README.md beside it says which fault each of them is about. What is counted is
what the tests themselves say that they have done.
"""

import dataclasses
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
TESTS = HERE.parent
TRY = 100
"""What part of it is enough to try it."""

LOAD = HERE / "test_power.py"
PHASES = HERE / "test_phases.py"
SERVED = TESTS / "smb" / "test_recorded.py"
KILLED = TESTS / "smb" / "test_proof_killed.py"
WALKS = HERE / "walks.py"
LINKS = TESTS / "smb" / "test_proof_links.py"
CUTS = "power cuts"


@dataclasses.dataclass
class Stage:
    """Some tests, which are run again and again, each time with another seed,
    until they have done something so often; only once if there are no goals."""

    name: str
    tests: list        # files, or functions: FILE::FUNCTION
    goals: dict = dataclasses.field(default_factory=dict)
    often: dict = dataclasses.field(default_factory=dict)
    """How often each time: minutes of it."""
    settings: dict = dataclasses.field(default_factory=dict)
    is_alone: bool = False
    """Whether nothing else may run beside it: it is timed, or as much as a
    machine can do."""
    is_on_disk: bool = True
    """Else its files are in memory: what the disk does to them is not what it is
    about, and it takes most of the time."""
    is_of_store: bool = False
    """Whether its programs are made of the store alone."""

    def files(self):
        """Without the functions."""
        return [pathlib.Path(str(test).partition("::")[0])
                for test in self.tests]

    def to_try(self):
        """A small part of it."""
        return dataclasses.replace(
            self,
            goals={what: max(goal // TRY, 1)
                   for what, goal in self.goals.items()},
            often={name: max(number // 10, 1)
                   for name, number in self.often.items()})


def _powers():
    """Cuts of what programs write; then of what file systems make of it, whose
    own recovery they are, too."""
    yield Stage("power cuts under load", [LOAD], {CUTS: 70_000},
                {"POFS_CUTS": 1000}, {"POFS_STEPS": 200})
    yield Stage("power cuts under the load of smbd", [SERVED], {CUTS: 10_000},
                {"POFS_CUTS": 600})
    yield Stage("power cuts of everything else", [PHASES], {CUTS: 48_000},
                {"POFS_CUTS": 200})
    for kind, goal in (("ext4", 1000), ("xfs", 200), ("btrfs", 200)):
        settings = {"POFS_FILE_SYSTEM": kind}
        yield Stage(f"power cuts of {kind} under load", [LOAD], {CUTS: goal},
                    {"POFS_CUTS": 100}, {**settings, "POFS_STEPS": 200})
        yield Stage(f"power cuts of {kind} and everything else", [PHASES],
                    {CUTS: goal}, {"POFS_CUTS": 20}, settings)


def _disks():
    """What fails, and what is damaged."""
    every = {"POFS_KILLS": "all"}
    yield Stage("a kill before each call", [HERE / "test_kill.py"],
                settings=every)
    yield Stage("a bad disk", [HERE / "test_disk.py"], {CUTS: 20_000},
                {"POFS_CUTS": 200}, every)
    yield Stage("no room, and nothing to be read",
                [HERE / "cow.py", HERE / "test_room.py",
                 HERE / "test_unread.py"],
                {"full disks": 300}, {"POFS_FULL": 30})
    yield Stage("upgrades of what a killed pofs left",
                [HERE / "test_upgrade.py"],
                {"upgrades": 1000}, {"POFS_UPGRADES": 100})
    yield Stage("calls that fail", [HERE / "test_calls.py"], settings=every)
    yield Stage("flipped bits", [HERE / "flips.py"],
                {"flipped bits": 100_000}, {"POFS_FLIPS": 10_000},
                is_on_disk=False)
    yield Stage("commands on damaged pages",
                [TESTS / "tools" / "test_damaged.py"],
                {"damaged pages": 20_000}, {"POFS_PAGES": 40},
                is_on_disk=False)


def _clients():
    """Who means harm, is killed, or does whatever it likes."""
    yield Stage("clients that mean harm",
                [HERE / "test_hostile.py", HERE / "test_clock.py",
                 TESTS / "smb" / "test_harm.py"],
                settings={"POFS_CROWD": 64, "POFS_STAGED_MIB": 256})
    yield Stage("what may take no longer", [HERE / "pace.py"], is_alone=True)
    yield Stage("any bytes in the files of mail", [HERE / "test_mutants.py"],
                {"mutants": 1_000_000}, {"POFS_MUTANTS": 18_000},
                is_on_disk=False)
    yield Stage("kills at random", [TESTS / "crash" / "test_crash.py"],
                {"crashes": 10_000, "ends in order": 1000},
                {"POFS_CRASH_CYCLES": 500})
    yield Stage("deaths of local programs", [HERE / "test_mortals.py"],
                {"deaths": 100_000, "looks": 10_000_000},
                {"POFS_DEATHS": 10_000}, is_alone=True)
    yield Stage("looks with the lock",
                [f"{HERE / 'test_mortals.py'}::test_who_dies_in_the_middle_has_"
                 "changed_nothing"],
                {"looks with the lock": 4_000_000}, {"POFS_DEATHS": 5000},
                {"POFS_LOOKERS": 32}, is_alone=True, is_on_disk=False)
    yield Stage("backups while mail flows",
                [TESTS / "mount" / "test_backup.py"],
                {"backups": 500}, {"POFS_BACKUPS": 50})
    yield Stage("a file against a model", [TESTS / "mount" / "test_fsx.py"],
                {"operations": 2_000_000}, {"POFS_FSX_OPS": 100_000},
                is_on_disk=False)
    yield Stage("names against tmpfs", [TESTS / "mount" / "test_twin.py"],
                {"operations": 10_000_000}, {"POFS_TWIN_OPS": 500_000},
                is_on_disk=False)
    yield Stage("two programs against a model",
                [TESTS / "mount" / "test_model.py"],
                {"runs": 5000}, {"POFS_EXAMPLES": 250}, is_on_disk=False)
    yield Stage("any calls of some programs",
                [TESTS / "mount" / "test_medley.py"],
                {"calls": 2_000_000}, {"POFS_CALLS": 50_000},
                is_on_disk=False)
    yield Stage("any calls of some machines",
                [TESTS / "smb" / "test_medley.py"],
                {"calls": 100_000}, {"POFS_CALLS": 5000},
                is_on_disk=False)


def _shares():
    """The mail programs, through smbd."""
    yield Stage("deaths of all kinds while mail is carried",
                [f"{KILLED}::test_deaths_at_random_lose_and_copy_nothing"],
                {"messages": 20_000}, {"POFS_MESSAGES": 500},
                {"POFS_SEEDS": 1})
    yield Stage("killed smbd, servers and pofs ended",
                [f"{KILLED}::test_one_death_after_another_loses_and_copies_"
                 "nothing"],
                {"killed pofs": 1000, "killed smbd": 1000,
                 "killed servers": 200, "ended pofs": 1000},
                {"POFS_DAEMON_KILLS": 50, "POFS_CHILD_KILLS": 50,
                 "POFS_PARENT_KILLS": 10, "POFS_STOPS": 50})
    yield Stage("cut links", [LINKS], {"link cuts": 480},
                {"POFS_LINK_CUTS": 40})
    yield Stage("cut links, noticed as at a site", [LINKS], {"link cuts": 20},
                {"POFS_LINK_CUTS": 5}, {"POFS_HASTE": 1})


def _hours():
    """What takes longest."""
    yield Stage("the store against a model", [f"{WALKS}::test_model"],
                {"operations": 100_000_000}, {"POFS_WALKS": 600},
                is_of_store=True)
    yield Stage("transactions on a disk that fails",
                [f"{WALKS}::test_turmoil"],
                {"operations": 20_000_000}, {"POFS_WALKS": 20_000},
                is_of_store=True)
    # What grows needs time to be seen: of this, most of an hour may be lost.
    yield Stage("a long time", [HERE / "soak.py"], {"seconds": 86_400},
                {"POFS_SOAK_S": 3000})


def stages():
    """All of them, those that find most first."""
    return [*_powers(), *_disks(), *_clients(), *_shares(), *_hours()]
