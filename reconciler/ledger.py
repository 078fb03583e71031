"""Our record of what was applied, as a chain of commits per target (design.md 6, Ledger).

`refs/reconciler/ledger/<target>`: one JSON file per owned policy and `run.json`. Nothing here decides what to apply;
nothing moves a remote ref but `push` here and `Lock.record`. What is read back may have been forged by anybody who can
push, so its shape is checked strictly, and `owned` believes an entry only where history agrees.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from sys import intern
from typing import NoReturn
from urllib.parse import quote

from reconciler.core.model import Applied, Json
from reconciler.core.ports import GitStore, PushStatus, RefUpdate
from reconciler.errors import GitError, UnreachableError

FORMAT = "reconciler.ledger/1"
RUN_FILE = "run.json"
#: The key of `enforcement_mode`, recorded in `run.json` and not among the policies.
SETTINGS_KEY = "enforcement_mode"

_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_FOLDER = "policies/"
#: Tries to read a remote that moves while we read it.
_TRIES = 3


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What `run.json` says about a run: the revision applied, by which version, when, from which plan.

    `applied` is None in a ledger that so far only adopted. `at` is the run's clock in UTC.
    """

    applied: str | None
    tool: str
    at: str
    plan: str | None = None


@dataclass(frozen=True, slots=True)
class LedgerState:
    """The ledger at one commit. Without a ledger: no sha, no run, no entries."""

    sha: str | None = None
    run: RunInfo | None = None
    entries: Mapping[str, Applied] = field(default_factory=dict)
    settings: Applied | None = None

    @property
    def applied_commit(self) -> str | None:
        return self.run.applied if self.run else None


@dataclass(frozen=True, slots=True)
class Sync:
    """Local and remote ledger brought together.

    `tip` is the local ref afterwards, and what to read. `remote_tip` is the remote's, as last seen. `unpushed`: the
    local one has runs that the remote lacks; `push` takes them there. `unreachable` is the reason when the remote could
    not be asked, None when it was, or when there is none.
    """

    tip: str | None
    remote_tip: str | None
    unpushed: bool
    unreachable: str | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """One run of the ledger's history: its commit, its `run.json`, the entries it set, the keys it removed."""

    sha: str
    run: RunInfo
    entries: tuple[Applied, ...]
    removed: tuple[str, ...]
    settings: Applied | None = None


def ledger_ref(target: str) -> str:
    """The ref of a target's ledger."""
    return f"refs/reconciler/ledger/{target}"


def entry_path(key: str) -> str:
    """Where a policy stands in the ledger's tree: its key percent-encoded, cut when long, with unreserved kept.

    >>> entry_path("PII protection")
    'policies/PII%20protection.json'
    """
    name = quote(key, safe="", errors="surrogatepass")
    if len(name) > 200:
        name = name[:180] + "~" + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{_FOLDER}{name}.json"


# ------------------------------------------------------------------------------------------------ reading


def read_ledger(store: GitStore, sha: str | None) -> LedgerState:
    """The ledger at commit *sha*; an empty one for None. A file that is not as we write it is a `GitError`.

    Two processes, however many policies.
    """
    if sha is None:
        return LedgerState()
    files = {entry.path: entry for entry in store.read_tree(sha)}
    blobs = store.read_blobs({entry.blob for entry in files.values()})
    entries: dict[str, Applied] = {}
    run: RunInfo | None = None
    settings: Applied | None = None
    for path, entry in files.items():
        data = blobs.get(entry.blob)
        if path == RUN_FILE and data is not None:
            run, settings = _parse_run(data, sha)
        elif path.startswith(_FOLDER) and data is not None:
            applied = _parse_entry(data, path, sha)
            entries[applied.key] = applied
        else:
            _malformed(path, sha, "it does not belong in a ledger, or is over 1 MiB")
    if run is None:
        _malformed(RUN_FILE, sha, "it is missing")
    return LedgerState(sha, run, entries, settings)


def owned(
    store: GitStore,
    head: str,
    entries: Mapping[str, Applied],
    read_keys: Callable[[str, bytes], Collection[str]],
    *,
    known: Mapping[tuple[str, str], Collection[str]] | None = None,
) -> frozenset[str]:
    """Keys of *entries* that history confirms: the commit is in *head*'s history and its file held the key.

    A forged entry therefore enrols nothing. `read_keys(path, content)` tells the keys in a file as it was; it is
    called once for each distinct file, and not for those whose (path, object id) is in *known*. In a shallow clone
    only what history here proves is owned.
    """
    recent = store.ancestors(head, {entry.commit for entry in entries.values()})
    places = {key: (entry.commit, entry.path) for key, entry in entries.items() if entry.commit in recent}
    blobs = store.blobs_at(set(places.values()))
    held: dict[tuple[str, str], Collection[str]] = dict(known or {})
    unread = {(path, blob) for (_, path), blob in blobs.items()} - held.keys()
    contents = store.read_blobs({blob for _, blob in unread})
    for path, blob in unread:
        held[path, blob] = read_keys(path, contents[blob]) if blob in contents else ()
    return frozenset(
        key for key, place in places.items() if place in blobs and key in held.get((place[1], blobs[place]), ())
    )


def history(store: GitStore, tip: str | None, limit: int | None = None) -> tuple[Recorded, ...]:
    """The runs recorded up to *tip*, newest first, each with what it changed. Two processes."""
    if tip is None:
        return ()
    chain = store.read_chain(tip, limit)
    blobs = store.read_blobs({blob for step in chain for blob in step.changes.values() if blob is not None})
    recorded: list[Recorded] = []
    for step in chain:
        entries: list[Applied] = []
        removed: list[str] = []
        run, settings = RunInfo(None, "", ""), None
        for path, blob in sorted(step.changes.items()):
            if path == RUN_FILE:
                run, settings = _parse_run(_content(blobs, blob, path, step.sha), step.sha)
            elif blob is not None:
                entries.append(_parse_entry(_content(blobs, blob, path, step.sha), path, step.sha))
            else:
                removed.append(path)
        recorded.append(Recorded(step.sha, run, tuple(entries), tuple(removed), settings))
    return _with_keys(recorded)


def commit_by_audit_id(recorded: Iterable[Recorded]) -> dict[str, tuple[str, str]]:
    """Audit entry id → (commit, key), over a ledger's history; the newest run that names an entry counts."""
    found: dict[str, tuple[str, str]] = {}
    for run in recorded:
        for entry in (*run.entries, *([run.settings] if run.settings else [])):
            if entry.audit_id is not None:
                found.setdefault(entry.audit_id, (entry.commit, entry.key))
    return found


# ------------------------------------------------------------------------------------------------ writing


def write_ledger(
    store: GitStore,
    previous: LedgerState,
    entries: Mapping[str, Applied],
    run: RunInfo,
    *,
    at: datetime,
    settings: Applied | None = None,
    touched: bool = False,
) -> str | None:
    """Write the ledger after a run as a commit on *previous*, and return its id; no ref moves.

    When *entries* and *settings* are as before and the run did not change the live system (*touched*), nothing is
    written and the previous id is returned. The same arguments give the same id.
    """
    changes: dict[str, bytes | None] = {}
    for key, entry in entries.items():
        if previous.entries.get(key) != entry:
            if key != entry.key:
                raise ValueError(f"entry of {entry.key!r} under {key!r}")
            changes[entry_path(key)] = _render(_entry_to_json(entry))
    for key in previous.entries.keys() - entries.keys():
        changes.setdefault(entry_path(key), None)
    if not changes and settings == previous.settings and not touched:
        return previous.sha
    changes[RUN_FILE] = _render(
        {
            "format": FORMAT,
            "applied": run.applied,
            "tool": run.tool,
            "at": run.at,
            "plan": run.plan,
            "settings": _entry_to_json(settings) if settings else None,
        }
    )
    applied = run.applied or "nothing"
    count = len(changes) - 1
    message = f"Apply {applied[:7]}: {count} {'entry' if count == 1 else 'entries'}\n\nApplied-commit: {applied}\n"
    return store.write_commit(previous.sha, changes, message, at)


# ------------------------------------------------------------------------------------------------ syncing


def sync(store: GitStore, remote: str | None, target: str, *, refs: Mapping[str, str] | None = None) -> Sync:
    """Bring the local ledger up to the remote's, and say which of them is to be read.

    The remote ahead: the local ref moves. The local one ahead: it stays, to be pushed. Both moved: a `GitError` that
    says how to settle it. A remote that cannot be reached changes nothing and is reported, not raised. *refs* is what
    the remote was just seen to hold, when the caller has asked already.
    """
    ref = ledger_ref(target)
    for _ in range(_TRIES):
        local = store.read_ref(ref)
        if remote is None:
            return Sync(local, None, unpushed=False)
        try:
            there = (store.list_remote(remote, ref) if refs is None else refs).get(ref)
            if there is not None and not store.has_commit(there):
                store.fetch_objects(remote, [ref])
        except UnreachableError as error:
            return Sync(local, None, unpushed=False, unreachable=error.what)
        refs = None
        if there is None or there == local:
            return Sync(local, there, unpushed=there != local)
        if not store.has_commit(there):
            continue  # it moved between the two looks
        if local is not None and store.is_ancestor(there, local):
            return Sync(local, there, unpushed=True)
        if local is not None and not store.is_ancestor(local, there):
            raise GitError(
                f"the ledger of {target} here ({local[:7]}) and on {remote} ({there[:7]}) have parted",
                where=ref,
                fix=f"take the remote's: git update-ref {ref} {there}; runs that only {local[:7]} knows are forgotten",
            )
        if store.update_refs([RefUpdate(ref, there, local)]):
            return Sync(there, there, unpushed=False)
    raise UnreachableError(
        f"the ledger of {target} moves faster than it can be read", where=ref, fix="try again in a moment"
    )


def push(store: GitStore, remote: str, target: str, state: Sync) -> Sync:
    """Push what an earlier run could not; the ledger first, before anything is applied."""
    if not state.unpushed:
        return state
    ref = ledger_ref(target)
    result = store.push(remote, [RefUpdate(ref, state.tip, state.remote_tip)])
    if result.status is PushStatus.DONE:
        return Sync(state.tip, state.tip, unpushed=False)
    if result.status is PushStatus.STALE:
        return sync(store, remote, target)
    raise refused(remote, ref, result.detail)


def refused(remote: str, ref: str, detail: str) -> GitError:
    """The error for a host that does not let us write our refs."""
    return GitError(
        f"{remote} refuses the push: {detail}",
        where=ref,
        fix="allow this account to push refs/reconciler/* (contents: write; no rule on that namespace)",
    )


# ---------------------------------------------------------------------------------------------- text form


def _render(value: Json) -> bytes:
    # One form for equal meaning, and one line per value: `git log -p` of the ref is the history people read.
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=True, allow_nan=False) + "\n").encode("ascii")


def _entry_to_json(entry: Applied) -> dict[str, Json]:
    return {
        "key": entry.key,
        "id": entry.id,
        "body": dict(entry.body),
        "enabled": entry.enabled,
        "metadata": dict(entry.metadata),
        "path": entry.path,
        "commit": entry.commit,
        "audit_id": entry.audit_id,
        **({"kept": dict(entry.kept)} if entry.kept else {}),
    }


def _entry_from_json(value: object, path: str, sha: str) -> Applied:
    if not isinstance(value, dict):
        _malformed(path, sha, "it is not an object")
    key, identity, body, enabled = (value.get(name) for name in ("key", "id", "body", "enabled"))
    metadata, source, commit, audit = (value.get(name) for name in ("metadata", "path", "commit", "audit_id"))
    if not isinstance(key, str) or not isinstance(identity, str) or not isinstance(source, str):
        _malformed(path, sha, "key, id and path must be text")
    if not isinstance(body, dict) or not isinstance(metadata, dict) or not isinstance(enabled, bool):
        _malformed(path, sha, "body and metadata must be objects, enabled true or false")
    if not isinstance(commit, str) or not _SHA.fullmatch(commit) or not (audit is None or isinstance(audit, str)):
        _malformed(path, sha, "commit must be a full id, audit_id text or null")
    kept = value.get("kept", {})
    if not isinstance(kept, dict):
        _malformed(path, sha, "kept must be an object")
    return Applied(key, identity, body, enabled, metadata, intern(source), intern(commit), audit, kept)


def _parse_entry(data: bytes, path: str, sha: str) -> Applied:
    entry = _entry_from_json(_parse_json(data, path, sha), path, sha)
    if entry_path(entry.key) != path:
        _malformed(path, sha, "it names another key than its file name")
    return entry


def _parse_run(data: bytes, sha: str) -> tuple[RunInfo, Applied | None]:
    value = _parse_json(data, RUN_FILE, sha)
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        _malformed(RUN_FILE, sha, f"its format is not {FORMAT}")
    applied, tool, at, plan = (value.get(name) for name in ("applied", "tool", "at", "plan"))
    if not isinstance(tool, str) or not isinstance(at, str) or not (plan is None or isinstance(plan, str)):
        _malformed(RUN_FILE, sha, "tool and at must be text, plan text or null")
    if not (applied is None or (isinstance(applied, str) and _SHA.fullmatch(applied))):
        _malformed(RUN_FILE, sha, "applied must be a full commit id or null")
    settings = value.get("settings")
    return RunInfo(applied, tool, at, plan), None if settings is None else _entry_from_json(settings, RUN_FILE, sha)


def _parse_json(data: bytes, path: str, sha: str) -> object:
    try:
        return json.loads(data.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_no_doubles)
    except (ValueError, RecursionError) as error:
        raise _problem(path, sha, f"it is not JSON ({type(error).__name__})") from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _no_doubles(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    # Each entry is a file of its own, with the same keys: one text for all of them saves a third of the memory.
    found = {intern(key): value for key, value in pairs}
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _content(blobs: Mapping[str, bytes], blob: str | None, path: str, sha: str) -> bytes:
    if blob is None or blob not in blobs:
        _malformed(path, sha, "it is missing or over 1 MiB")
    return blobs[blob]


def _with_keys(recorded: list[Recorded]) -> tuple[Recorded, ...]:
    """Removed paths as keys: the entry that set a path stands further down the same history."""
    keys: dict[str, str] = {}
    for run in reversed(recorded):
        keys.update((entry_path(entry.key), entry.key) for entry in run.entries)
    return tuple(
        Recorded(run.sha, run.run, run.entries, tuple(keys.get(path, path) for path in run.removed), run.settings)
        for run in recorded
    )


def _malformed(path: str, sha: str, why: str) -> NoReturn:
    raise _problem(path, sha, why)


def _problem(path: str, sha: str, why: str) -> GitError:
    return GitError(
        f"the ledger cannot be read: {why}",
        where=f"{ascii(path)[1:-1][:200]} at {sha[:7]}",
        fix=f"see git log -p {sha[:7]}, and move the ref back to the last good commit",
    )
