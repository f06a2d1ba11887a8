"""One round: set up an interface, give it away, have a tenant spoil it, end the container, compare."""

from __future__ import annotations

import functools
import os
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from tests.sabotage.differences import Difference, compare, unnamed
from tests.sabotage.dumps import dump
from tests.sabotage.host import HOST, OTHER
from tests.sabotage.kinds import KINDS
from tests.sabotage.node import ENDINGS, INTERFACE, FailedRound, Node, Pod, make, must
from tests.sabotage.settings import Setting, chosen, complete, decided, row
from tests.sabotage.still import Still
from tests.sabotage.tenant import TENANT

SETTLING_S = 4.0
"""How long the kernel may take until all is as before."""
_BEFORE = Still(read=partial(dump, INTERFACE), patience_s=1.5, interval_s=0.03, still_s=0)
_AFTER = replace(_BEFORE, patience_s=SETTLING_S, interval_s=0.05, still_s=0.4)
_IDLE_S = 1.5
_HOST_SETTINGS, _TENANT_SETTINGS = (0, 14), (0, 10)
_FILES = 4
"""How many sysctls and files of sysfs each side writes at most."""
_HIDES = {"no alternative names", "own netns"}
"""What a tenant does to hide an interface: it takes off the mark, then moves it to where nobody else looks."""
_NEVER_WRITTEN = {"carrier", "ifindex", "uevent", "disable_ipv6", "stable_secret", "flush"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What happens in one round."""

    kind: str
    variant: int = 0
    host: tuple[Setting, ...] = ()
    tenant: tuple[Setting, ...] = ()
    ending: str = "stopped"

    def __str__(self) -> str:
        return "\n".join(
            [
                f"  a {self.kind}, variant {self.variant}; its container is {self.ending}",
                *(f"  host   {command}" for setting in self.host for command in setting.commands),
                *(f"  tenant {command}" for setting in self.tenant for command in setting.commands),
            ]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a round."""

    case: Case
    differences: tuple[Difference, ...] = ()
    unnamed: tuple[Difference, ...] = ()
    troubles: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    failure: str = ""
    log: str = ""

    @property
    def is_good(self) -> bool:
        """Whether it came home whole, or the claim says what is missing."""
        return not self.unnamed and not self.failure

    @property
    def is_whole(self) -> bool:
        """Whether everything is as before, and all settings could be made."""
        return not (self.differences or self.troubles or self.failure or self.refused)

    def __str__(self) -> str:
        return "\n".join(
            [
                str(self.case),
                *(f"  (refused: {each})" for each in self.refused),
                *(f"  the claim says: {each}" for each in self.troubles),
                *(f"  {'NOT NAMED ' * (each in self.unnamed)}{each}" for each in self.differences),
                *([f"  FAILED {self.failure}", self.log] if self.failure else []),
            ]
        )


class Rounds:
    """Runs rounds, one after another, on one node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._pods = 0

    @functools.cache  # noqa: B019 - there is one of these in a process
    def lacking(self, kind: str) -> dict[int, str]:
        """The variants of a kind that the running kernel does not have, and why."""
        found = {}
        for number, lines in enumerate(KINDS[kind].variants):
            why = make([*lines, f"ip link set {INTERFACE} up"])
            if why:
                found[number] = why
            self._node.clear(KINDS[kind].remove)
        return found

    def present(self, kind: str) -> list[int]:
        """The variants of a kind that the running kernel has."""
        return [number for number in range(len(KINDS[kind].variants)) if number not in self.lacking(kind)]

    def at_random(self, kind: str, seed: int) -> Outcome:
        """The round of a seed."""
        dice = random.Random(f"{kind} {seed}")  # noqa: S311 - tests are to be repeated
        return self.run(_random_case(kind, self.present(kind), dice), dice)

    def idle(self, kind: str, seed: int) -> Outcome:
        """The round of a seed without a container: whatever differs is no fault of the daemon, and must not be told."""
        dice = random.Random(f"{kind} {seed}")  # noqa: S311 - tests are to be repeated
        case = replace(_random_case(kind, self.present(kind), dice), tenant=())
        make([*KINDS[kind].variants[case.variant], f"ip link set {INTERFACE} up", *OTHER])
        self._node.apply(case.host)
        before = _BEFORE.settled()
        time.sleep(_IDLE_S)
        found = tuple(_AFTER.differences(before, ()))
        self._node.clear(KINDS[kind].remove)
        return Outcome(case=case, differences=found, unnamed=found)

    def each(self, kind: str) -> Iterator[tuple[str, Outcome]]:
        """A round for every variant of a kind, and for every setting of either side alone, with what it needs."""
        dice = random.Random(kind)  # noqa: S311 - tests are to be repeated
        for variant in self.present(kind):
            yield f"variant {variant}", self.run(Case(kind=kind, variant=variant))
        for side, settings in (("host", HOST), ("tenant", TENANT)):
            for name, setting in settings.items():
                if not setting.kinds or kind in setting.kinds:
                    row = tuple(decided(each, dice) for each in complete(settings, [name]))
                    yield f"{side}: {name}", self.run(Case(kind=kind, **{side: row}))

    def unseen(self, kind: str) -> Iterator[str]:
        """The settings of the host that a dump does not show, although the kernel took all of their commands."""
        dice = random.Random(kind)  # noqa: S311 - tests are to be repeated
        for name, setting in HOST.items():
            if setting.kinds and kind not in setting.kinds:
                continue
            *needed, last = (decided(each, dice) for each in complete(HOST, [name]))
            make([*KINDS[kind].variants[0], f"ip link set {INTERFACE} up", *OTHER])
            self._node.apply(needed)
            before = _BEFORE.settled()
            if not self._node.apply([last]) and not compare(before, dump(INTERFACE)):
                yield name
            self._node.clear(KINDS[kind].remove)

    def shrunk(self, outcome: Outcome) -> Outcome:
        """The same with as few settings as still go wrong in one of the same ways."""
        best = replace(outcome, case=replace(outcome.case, ending="stopped"))
        for side in ("host", "tenant"):
            for setting in getattr(outcome.case, side):
                left = tuple(each for each in getattr(best.case, side) if each != setting)
                tried = self.run(replace(best.case, **{side: left}))
                same = {each.subject for each in tried.unnamed} & {each.subject for each in outcome.unnamed}
                if same or (tried.failure and outcome.failure):
                    best = tried
        return best

    def run(self, case: Case, dice: random.Random | None = None) -> Outcome:
        """Run one round.

        Args:
            case: what happens in it.
            dice: writes sysctls and files of sysfs on both sides at random besides; None for none.
        """
        kind, node = KINDS[case.kind], self._node
        refused: list[str] = []
        pod: Pod | None = None
        try:
            must(*kind.variants[case.variant], f"ip link set {INTERFACE} up")
            refused += [make([line]) for line in OTHER]
            if dice is not None:
                case = replace(case, host=(*case.host, *written(dice)), tenant=(*case.tenant, *written(dice)))
            refused += node.apply(case.host)
            before = _BEFORE.settled()
            self._pods += 1
            pod = Pod(node, self._pods)
            pod.run()
            refused += [f"tenant: {each}" for each in node.apply(case.tenant, pod)]
            ENDINGS[case.ending](pod)
            troubles = node.home()
            if not {setting.name for setting in case.tenant} >= _HIDES and "cannot be found" in "".join(troubles):
                raise FailedRound(f"lost: {troubles}")  # noqa: TRY301 - as every other failure of a round
            is_elsewhere = "own netns" in {setting.name for setting in case.tenant}
            differences = [*_AFTER.differences(before, troubles), *(() if is_elsewhere else _left(pod))]
            return Outcome(
                case=case,
                differences=tuple(differences),
                unnamed=tuple(unnamed(differences, troubles)),
                troubles=troubles,
                refused=tuple(filter(None, refused)),
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, the round of this seed failed
            failure = f"{type(error).__name__}: {error}"
            return Outcome(case=case, failure=failure, refused=tuple(filter(None, refused)), log=node.log())
        finally:
            if pod is not None:
                pod.kill()
                pod.unmount()
                pod.forget()
            node.clear(kind.remove)


def _left(pod: Pod) -> Iterator[Difference]:
    """What a tenant left in its netns that still uses the interface."""
    for ifname, kind in pod.left().items():
        yield Difference(section="left in the pod", subject=f"{ifname} {kind}", was=None, now="uses the interface")


def _random_case(kind: str, variants: Sequence[int], dice: random.Random) -> Case:
    variant = dice.choice(variants)
    ending = dice.choice([*ENDINGS, "stopped", "stopped", "stopped"])
    host = chosen(HOST, kind, dice.randint(*_HOST_SETTINGS), dice)
    tenant = chosen(TENANT, kind, dice.randint(*_TENANT_SETTINGS), dice)
    return Case(kind=kind, variant=variant, host=host, tenant=tenant, ending=ending)


def written(dice: random.Random) -> tuple[Setting, ...]:
    """Some sysctls and files of sysfs of the interface, with other values than they have."""
    tops = [f"/proc/sys/net/{ipv}/{table}/{INTERFACE}" for ipv in ("ipv4", "ipv6") for table in ("conf", "neigh")]
    tops.append(f"/sys/class/net/{INTERFACE}")
    files = sorted(path for top in tops for path in _writable(Path(top)))
    settings = []
    for path in dice.sample(files, min(dice.randint(0, _FILES), len(files))):
        value = dice.choice(["0", "1", "2", "3", "77"])
        command = f"echo {value} > {str(path).replace(f'/{INTERFACE}', '/{dev}', 1)}"
        settings.append(row(f"write {path.name}", command))
    return tuple(settings)


def _writable(directory: Path) -> list[Path]:
    found = []
    for path in directory.iterdir() if directory.is_dir() else ():
        if path.is_symlink() or path.name in _NEVER_WRITTEN or path.name in {"power", "statistics"}:
            continue
        if path.is_dir():
            found += _writable(path)
        elif os.stat(path).st_mode & 0o200:  # noqa: PTH116 - root may write anything by `access`
            found.append(path)
    return found
