"""The ledger: the claims, durable. The one module that knows SQLite.

What must be durable, and how much (docs/adr/0002): a claim must outlive the daemon, not the node, for a reboot sends
every interface home by itself. So commits are written through to the kernel at once and to the disk at checkpoints
(WAL, `synchronous=NORMAL`): a crash of the daemon loses nothing, a loss of power loses at most the newest commits and
never the file.

A lease is another matter: the plugin that gave it may remember it over a reboot. It is on the disk when `put_lease`
returns.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nri_netdev.domain.claim import Claim, Netns, Owner, State
from nri_netdev.domain.scope import Scope
from nri_netdev.domain.setup.leases import Lease
from nri_netdev.domain.setup.recall import recall_setup
from nri_netdev.domain.setup.values import Ipam, Setup
from nri_netdev.domain.snapshot import Snapshot, fields_of
from nri_netdev.errors import StateError

VERSION = 5
"""`PRAGMA user_version` of the file: the shape of its tables and documents."""
_SNAPSHOTS = 64
"""Size of the cache of encoded snapshots: a claim is written several times with the same one."""


class Ledger:
    """The claims of one node in `<state directory>/ledger.db`. For one thread at a time.

    Every method raises `StateError` with what to do when the file cannot be used.
    """

    def __init__(self, directory: Path, *, must_exist: bool = False) -> None:
        self.path = directory / "ledger.db"
        self._snapshots: dict[int, tuple[Snapshot, str]] = {}
        if must_exist and not self.path.exists():
            raise StateError(f"there is no ledger at {self.path}", hint="is --state-dir the daemon's?")
        try:
            if not must_exist:
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StateError(f"cannot make the state directory {directory}: {error.strerror}") from error
        with self._translated("open"):
            previous = os.umask(0o077)
            try:
                self._db = sqlite3.connect(self.path, isolation_level=None, timeout=1.0, check_same_thread=False)
                try:
                    self._prepare()
                except BaseException:
                    self._db.close()
                    raise
            finally:
                os.umask(previous)

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version < VERSION:
            self._upgrade(version)
        elif version != VERSION:
            raise StateError(
                f"the ledger {self.path} is of version {version} and this program knows {VERSION}",
                hint="run the newer program, or release all interfaces with it before you go back",
            )
        (verdict,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise StateError(
                f"the ledger {self.path} is damaged ({verdict})",
                hint="move the file away, restart, and bring interfaces home by hand",
            )

    def _upgrade(self, version: int) -> None:
        try:
            with self._transaction():
                for upgrade in _UPGRADES[version:]:
                    upgrade(self._db)
                self._db.execute(f"PRAGMA user_version = {VERSION}")
        except (KeyError, TypeError, ValueError) as error:
            raise _unreadable(self.path, error) from error

    def claims(self) -> tuple[Claim, ...]:
        """Every claim, prepared ones included, oldest first."""
        with self._translated("read"):
            rows = self._db.execute("SELECT claim FROM claims ORDER BY rowid").fetchall()
        return tuple(_decode(text, self.path) for (text,) in rows)

    def write(self, *, put: Iterable[Claim] = (), drop: Iterable[Claim] = ()) -> None:
        """Put and drop claims in one commit: all of it is durable when this returns, or none of it has happened."""
        ended = [(claim.mark,) for claim in drop]
        with self._translated("write"), self._transaction():
            self._db.executemany("DELETE FROM claims WHERE mark = ?", ended)
            self._db.executemany("DELETE FROM releases WHERE mark = ?", ended)
            self._db.executemany(
                "INSERT INTO claims VALUES (?, ?) ON CONFLICT (mark) DO UPDATE SET claim = excluded.claim",
                [(claim.mark, self._encode(claim)) for claim in put],
            )

    def ask_release(self, marks: Iterable[str]) -> None:
        """Ask the daemon, in another process, to bring these claims home by force."""
        with self._translated("write"), self._transaction():
            self._db.executemany("INSERT OR IGNORE INTO releases VALUES (?)", [(mark,) for mark in marks])

    def releases(self) -> frozenset[str]:
        """The marks of the claims that are asked to be released."""
        with self._translated("read"):
            return frozenset(mark for (mark,) in self._db.execute("SELECT mark FROM releases"))

    def leases(self) -> tuple[Lease, ...]:
        """Every lease, oldest first."""
        with self._translated("read"):
            rows = self._db.execute("SELECT lease FROM leases ORDER BY rowid").fetchall()
        try:
            return tuple(Lease.from_json(text) for (text,) in rows)
        except (KeyError, TypeError, ValueError) as error:
            raise _unreadable(self.path, error, what="lease") from error

    def put_lease(self, lease: Lease) -> None:
        """Put a lease in a commit of its own, which outlives even a loss of power."""
        with self._translated("write"):
            self._db.execute("PRAGMA synchronous = FULL")
            try:
                self._db.execute(
                    "INSERT INTO leases VALUES (?, ?) ON CONFLICT (mark) DO UPDATE SET lease = excluded.lease",
                    (lease.mark, lease.to_json()),
                )
            finally:
                self._db.execute("PRAGMA synchronous = NORMAL")

    def drop_lease(self, mark: str) -> None:
        """Drop the lease of a claim, if there is one."""
        with self._translated("write"):
            self._db.execute("DELETE FROM leases WHERE mark = ?", (mark,))

    def close(self) -> None:
        """Close the file; nothing is lost by not closing it."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _encode(self, claim: Claim) -> str:
        if len(self._snapshots) > _SNAPSHOTS:
            self._snapshots.clear()
        known = self._snapshots.get(id(claim.snapshot))
        if known is None:  # the snapshot is kept with its text, so that no other can get its id
            known = self._snapshots[id(claim.snapshot)] = (claim.snapshot, _json(claim.snapshot.to_json()))
        document = {**fields_of(claim), "owner": fields_of(claim.owner), "netns": fields_of(claim.netns)}
        del document["snapshot"]
        document["setup"] = claim.setup.document
        document["ipam"] = claim.setup.ipam and fields_of(claim.setup.ipam)
        return f'{_json(document)[:-1]},"snapshot":{known[1]}}}'

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise StateError(f"cannot {doing} the ledger {self.path}: {error}", hint=_advice(error)) from error


def _create(db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE claims (mark TEXT PRIMARY KEY, claim TEXT NOT NULL) STRICT")
    db.execute("CREATE TABLE releases (mark TEXT PRIMARY KEY) STRICT")


def _add_drafts(db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE drafts (mark TEXT PRIMARY KEY, claim TEXT NOT NULL) STRICT")


def _merge_drafts(db: sqlite3.Connection) -> None:
    """Make states of what version 2 expressed by a table of its own and by an owner without container."""
    uncertain = []
    for mark, text in db.execute("SELECT mark, claim FROM claims").fetchall():
        document = json.loads(text)
        if document["state"] == State.PLANNED and not document["owner"]["container_id"]:
            uncertain.append((_json(document | {"state": State.UNCERTAIN}), mark))
    db.executemany("UPDATE claims SET claim = ? WHERE mark = ?", uncertain)
    for mark, text in db.execute("SELECT mark, claim FROM drafts ORDER BY rowid").fetchall():
        prepared = _json(json.loads(text) | {"state": State.PREPARED})
        db.execute("INSERT OR IGNORE INTO claims VALUES (?, ?)", (mark, prepared))
    db.execute("DROP TABLE drafts")


def _keep(_: sqlite3.Connection) -> None:
    """Version 4 has other snapshots and claims that say more; those of version 3 are read as they are."""


def _add_leases(db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE leases (mark TEXT PRIMARY KEY, lease TEXT NOT NULL) STRICT")


_UPGRADES: tuple[Callable[[sqlite3.Connection], None], ...] = (_create, _add_drafts, _merge_drafts, _keep, _add_leases)
"""What leads from each version of the file to the next, from an empty file on."""


def _unreadable(path: Path, error: Exception, *, what: str = "claim") -> StateError:
    return StateError(
        f"the ledger {path} holds a {what} that cannot be read ({error})",
        hint="run the program that wrote it, or move the file away, restart, and bring interfaces home by hand",
    )


def _advice(error: sqlite3.DatabaseError) -> str:
    table = {
        sqlite3.SQLITE_FULL: "make room on its disk",
        sqlite3.SQLITE_READONLY: "make its directory writable",
        sqlite3.SQLITE_CANTOPEN: "check that its directory exists and is writable",
        sqlite3.SQLITE_CORRUPT: "move the file away, restart, and bring interfaces home by hand",
        sqlite3.SQLITE_NOTADB: "move the file away, restart, and bring interfaces home by hand",
        sqlite3.SQLITE_IOERR: "check its disk",
        sqlite3.SQLITE_BUSY: "another process has it locked",
    }
    return table.get(_code(error), "check its directory and disk")


def _code(error: sqlite3.DatabaseError) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _json(document: object) -> str:
    return json.dumps(document, separators=(",", ":"))


def _setup(ipam: Mapping[str, Any] | None, document: str) -> tuple[Setup, tuple[str, ...]]:
    """A setup, with what a plugin is told as it was when the claim was made; and what is wrong with it."""
    setup, why = recall_setup(document)
    if ipam is not None:
        setup = replace(setup, ipam=Ipam(**_known(Ipam, ipam)))
    trouble = f"what was set on it cannot be read by this program ({why}); it comes home all the same"
    return setup, (trouble,) if why else ()


def _known(kind: type[Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that a dataclass with slots has: a newer program may have written more."""
    return {name: document[name] for name in kind.__slots__ if name in document}


def _decode(text: str, path: Path) -> Claim:
    try:
        document = json.loads(text)
        owner = _known(Owner, document["owner"])
        setup, troubles = _setup(document.get("ipam"), document.get("setup", ""))
        document |= {
            "owner": Owner(**owner | {"scope": Scope(owner["scope"])}),
            "netns": Netns(**_known(Netns, document["netns"])),
            "snapshot": Snapshot.from_json(document["snapshot"]),
            "state": State(document["state"]),
            "troubles": tuple(dict.fromkeys((*document["troubles"], *troubles))),
            "setup": setup,
        }
        return Claim(**_known(Claim, document))
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(path, error) from error


ROOM_BYTES = 1 << 18
"""Free space below which a disk counts as full: some promises of many interfaces would no longer fit."""


def why_not_writable(directory: Path) -> str | None:
    """Try whether the ledger in a state directory can be written, by a commit that changes nothing. On any thread.

    Its lock is held for some 50 microseconds. A ledger that somebody else is writing at this moment is one that can be
    written.

    Returns:
        Why not; None if it can be, or there is none yet.
    """
    path = directory / "ledger.db"
    try:
        if not path.exists():
            return None
        disk = os.statvfs(directory)
        if disk.f_blocks and disk.f_bfree * disk.f_frsize < ROOM_BYTES:
            return f"the disk of the ledger {path} is full; make room on it"
        with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=0.0)) as db:
            db.execute("BEGIN IMMEDIATE")
            (version,) = db.execute("PRAGMA user_version").fetchone()
            db.execute(f"PRAGMA user_version = {version}")
            db.execute("COMMIT")
    except sqlite3.DatabaseError as error:
        if _code(error) == sqlite3.SQLITE_BUSY:
            return None
        return f"cannot write the ledger {path}: {error}; {_advice(error)}"
    except OSError as error:
        return f"cannot write the ledger {path}: {error.strerror}; check its directory and disk"
    return None
