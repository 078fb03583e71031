"""Is everything there that a run needs? Looks at tools, repository, settings, and what each target's API says.

Reads only: nothing is written, no ref is moved, and what an API can do is not probed by writing.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final

from reconciler import __version__
from reconciler import config as settings_module
from reconciler.config import FILE_NAME, Config, UserConfig, find_root
from reconciler.core.documents import read_documents
from reconciler.core.model import Severity, TargetSettings, ToggleStyle
from reconciler.errors import ExitCode, GitError, LockedError, ReconcilerError
from reconciler.ledger import ledger_ref, read_ledger
from reconciler.lock import read_lock
from reconciler.providers.base import Provider
from reconciler.providers.http import Transport, check_url
from reconciler.providers.registry import capabilities_of, make_provider
from reconciler.reports.doctor import Check, Diagnosis
from reconciler.sources.git import Repository, git_version, open_repository
from reconciler.workflows.provenance import common_settings, target_settings
from reconciler.workflows.schemas import check_copies
from reconciler.workflows.session import Session, read_config, validate

#: Seconds the server's clock may be away from ours: its `Date` has whole seconds, and a reply may take some.
MOST_SKEW: Final = 30.0
_CI_FILES: Final = (".github/CODEOWNERS", ".gitlab-ci.yml")
_MAX_CI_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class _Ground:
    """What the checks of all targets stand on.

    `repository` is None where git cannot answer, or the remote it records to.
    """

    session: Session
    user: UserConfig
    repository: Repository | None
    remote: str | None


def diagnose(start: Path, open_session: Callable[[], Session], names: tuple[str, ...]) -> Diagnosis:
    """Look at everything that a run on the named targets (all when none is named) needs, as far as one can get."""
    checks: list[Check] = [_python()]
    root = _find_root(start)
    checks.append(_git(root if isinstance(root, Path) else start))
    if not isinstance(root, Path):
        checks.append(_failed("config", root))
        return Diagnosis(tuple(checks), ())
    session = open_session()
    repository, found = _repository(root)
    checks += found
    user, trouble = _user_config(session.environ)
    checks += [trouble] if trouble is not None else []
    try:
        config = read_config(session)
        targets = settings_module.choose_targets(config, names)
    except (ReconcilerError, OSError) as error:
        checks.append(_failed("config", error))
        return Diagnosis(tuple(checks), ())
    documents, _ = read_documents((root / FILE_NAME).read_bytes(), FILE_NAME)
    remote, remote_check = _remote(repository, config)
    answers = remote_check.state in ("ok", "warn")
    ground = _Ground(session, user, repository if answers else None, remote)
    checks.append(Check("config", "ok", f"{root / FILE_NAME}: {_count(len(config.targets), 'target')}"))
    checks += [_files(session, names), remote_check, _copies(session, root), *_placeholders(root)]
    settings = [*common_settings(session.environ, user, documents[0], remote)]
    for target in targets:
        checks += [Check(each.name, each.state, each.detail, each.fix, target.name) for each in _target(ground, target)]
        settings += target_settings(documents[0], target)
    return Diagnosis(tuple(checks), tuple(settings))


def exit_of(found: Diagnosis) -> ExitCode:
    """Return what a diagnosis ends with: 1 when something is wrong, 75 when something could not be told now."""
    if found.count("fail"):
        return ExitCode.ERROR
    return ExitCode.TRY_AGAIN if found.count("wait") else ExitCode.DONE


def _failed(name: str, error: Exception) -> Check:
    if not isinstance(error, ReconcilerError):
        return Check(name, "fail", f"cannot be read ({type(error).__name__})", "check its permissions")
    state = "wait" if error.exit is ExitCode.TRY_AGAIN else "fail"
    where = f"{error.where}: " if str(error.where) else ""
    return Check(name, state, where + error.what, error.fix)


# ------------------------------------------------------------------------------------------ tools and repository


def _python() -> Check:
    return Check("python", "ok", f"{platform.python_version()}, reconciler {__version__}")


def _git(folder: Path) -> Check:
    try:
        return Check("git", "ok", git_version(folder if folder.is_dir() else Path()))
    except GitError as error:
        return _failed("git", error)


def _find_root(start: Path) -> Path | ReconcilerError:
    try:
        return find_root(start)
    except ReconcilerError as error:
        return error


def _repository(root: Path) -> tuple[Repository | None, list[Check]]:
    try:
        repository = open_repository(root)
    except GitError as error:
        return None, [_failed("history", error)]
    try:
        head = repository.head()
    except GitError as error:
        return repository, [_failed("history", error)]
    if repository.is_shallow():
        detail = "a shallow clone: who asked for a change, and what is ours, cannot be told"
        return repository, [Check("history", "warn", detail, "git fetch --unshallow; in CI: fetch-depth: 0")]
    return repository, [Check("history", "ok", f"whole, at {head[:7]}")]


def _remote(repository: Repository | None, config: Config) -> tuple[str | None, Check]:
    if repository is None:
        return None, Check("remote", "skip", "needs a repository")
    try:
        remote = repository.remote_name(config.remote)
        if remote is None:
            detail = "none: what was applied is recorded in this clone only"
            return None, Check("remote", "warn", detail, "git remote add origin URL, before a second person applies")
        refs = repository.list_remote(remote, "refs/reconciler/*")
    except ReconcilerError as error:
        return None, _failed("remote", error)
    return remote, Check("remote", "ok", f"{remote} answers, with {_count(len(refs), 'ref')} of ours")


def _files(session: Session, names: tuple[str, ...]) -> Check:
    try:
        found = validate(session, names)
    except ReconcilerError as error:
        return _failed("files", error)
    errors = sum(problem.severity is Severity.ERROR for problem in found.problems)
    warnings = len(found.problems) - errors
    if errors:
        return Check("files", "fail", f"{_count(errors, 'error')} in them", "reconciler validate")
    if warnings:
        return Check("files", "warn", f"{_count(warnings, 'warning')} in them", "reconciler validate")
    return Check("files", "ok", f"{_count(found.files, 'file')}, {_count(found.policies, 'policy')}, all valid")


def _copies(session: Session, root: Path) -> Check:
    copies = check_copies(session.schemas, root)
    there = [copy for copy in copies if copy.state != "missing"]
    wrong = [f"{copy.path} is {copy.state}" for copy in there if not copy.is_good]
    if wrong:
        newer = any(copy.state == "newer" for copy in there)
        fix = "update reconciler" if newer else "reconciler schema install"
        return Check("schemas", "warn", ", ".join(wrong), fix)
    if not there:
        return Check("schemas", "ok", "no copies here; editors can use some: reconciler schema install")
    return Check("schemas", "ok", f"{_count(len(there), 'copy')}, as this version has them")


def _placeholders(root: Path) -> Iterator[Check]:
    """What `init` could not know and nobody has filled in."""
    paths = [root / name for name in _CI_FILES] + sorted((root / ".github" / "workflows").glob("*.yml"))[:100]
    left = []
    for path in paths:
        try:
            with open(path, "rb") as file:
                if b"OWNER/" in file.read(_MAX_CI_BYTES):
                    left.append(path.relative_to(root).as_posix())
        except OSError:
            continue
    if left:
        yield Check("ci", "warn", f"OWNER still stands in {', '.join(left)}", "write your own names there")


# ------------------------------------------------------------------------------------------------- one target


def _target(ground: _Ground, target: TargetSettings) -> Iterator[Check]:
    yield _host(ground, target)
    transport, found = _transport(ground, target)
    yield found
    if transport is None:
        yield Check("api", "skip", "needs a host that is allowed, and a token")
    else:
        try:
            yield from _api(ground, transport, target)
        finally:
            transport.close()
    yield _abilities(target)
    yield _prune(target)
    yield _ledger(ground, target)
    yield _lock(ground, target)


def _host(ground: _Ground, target: TargetSettings) -> Check:
    allowed = settings_module.allowed_hosts(ground.session.environ)
    try:
        origin = check_url(target.url, allowed)
    except ReconcilerError as error:
        return _failed("host", error)
    way = "TLS" if origin.is_secure else "plain http, on this computer only"
    if allowed is not None:
        return Check("host", "ok", f"{origin}, {way}; RECONCILER_ALLOWED_HOSTS has it")
    if ground.session.environ.get("CI"):
        detail = f"{origin}, {way}; RECONCILER_ALLOWED_HOSTS is not set, so a pull request can send the token elsewhere"
        return Check("host", "warn", detail, f"set it to {origin.authority} where the workflow starts")
    return Check("host", "ok", f"{origin}, {way}")


def _transport(ground: _Ground, target: TargetSettings) -> tuple[Transport | None, Check]:
    environ = ground.session.environ
    try:
        token = settings_module.read_token(target.name, environ, ground.user)
        transport = Transport(
            target.url,
            token,
            deadline=target.deadline,
            clock=ground.session.clock,
            random=ground.session.random,
            ca_file=settings_module.ca_file(environ, ground.user),
            proxy=settings_module.proxy(environ, ground.user),
            allowed_hosts=settings_module.allowed_hosts(environ),
        )
    except ReconcilerError as error:
        if error.code in ("host-not-allowed", "bad-url"):
            return None, Check("token", "ok", f"present, from {_token_source(target.name, environ, ground.user)}")
        return None, _failed("token", error)
    return transport, _token(target, environ, ground.user)


def _token(target: TargetSettings, environ: Mapping[str, str], user: UserConfig) -> Check:
    source = _token_source(target.name, environ, user)
    file = environ.get(source) if source.endswith("_FILE") else None
    if file is not None and os.name == "posix" and os.stat(file).st_mode & 0o077:
        return Check("token", "warn", f"present, from {source}; others may read that file", f"chmod 600 {file}")
    return Check("token", "ok", f"present, from {source}")


def _token_source(target: str, environ: Mapping[str, str], user: UserConfig) -> str:
    common = "RECONCILER_TOKEN"
    own = settings_module.token_variable(target)
    for name in (own, f"{own}_FILE", common, f"{common}_FILE"):
        if name in environ:
            return name
    return f"token_command in {user.path}"


def _api(ground: _Ground, transport: Transport, target: TargetSettings) -> Iterator[Check]:
    capabilities = capabilities_of(target)
    try:
        date = transport.get(capabilities.collection, lambda reply: reply.headers.get("date"))
        now = ground.session.clock.now()
        provider = make_provider(target, transport)
        listing = provider.fetch_listing()
    except ReconcilerError as error:
        yield _failed("api", error)
        return
    mode = f", mode {listing.mode}" if listing.mode is not None else ""
    yield Check("api", "ok", f"{target.provider} answers{mode}")
    yield _clock(date, now)
    count = _count(len(listing.policies), "policy")
    if listing.complete:
        yield Check("list", "ok", f"{count}, proven to be all")
    else:
        detail = f"{count}, maybe not all ({listing.reason}): creates and deletes are held"
        yield Check("list", "warn", detail, "reconciler explain incomplete-read")
    yield _trail(provider)


def _clock(date: str | None, now: datetime) -> Check:
    try:
        theirs = parsedate_to_datetime(date or "")
    except ValueError:
        return Check("clock", "skip", "the server does not say its time")
    theirs = theirs if theirs.tzinfo is not None else theirs.replace(tzinfo=UTC)
    skew = (now - theirs).total_seconds()
    if abs(skew) <= MOST_SKEW:
        return Check("clock", "ok", f"within {MOST_SKEW:.0f} seconds of the server's")
    which = "ahead of" if skew > 0 else "behind"
    detail = f"{abs(skew):.0f} seconds {which} the server's: locks and last days are judged by it"
    return Check("clock", "warn", detail, "set this computer's clock by NTP, or the server's")


def _trail(provider: Provider) -> Check:
    try:
        trail = provider.fetch_trail()
    except ReconcilerError as error:
        return _failed("trail", error)
    if not trail.available:
        detail = "this API shows no audit trail: drift has no name, and commits are proven by the ledger only"
        return Check("trail", "warn", detail, "give the token the right to read it, if there is one")
    return Check(
        "trail", "ok", f"{_count(len(trail.entries), 'entry')}{'' if trail.complete else ', not the whole trail'}"
    )


def _abilities(target: TargetSettings) -> Check:
    capabilities = capabilities_of(target)
    able = {"create": capabilities.create, "update": capabilities.update, "delete": capabilities.delete}
    words = [name for name, can in able.items() if can]
    words.append("toggle (a flip: read before and after)" if capabilities.toggle is ToggleStyle.FLIP else "toggle")
    missing = [name for name, can in able.items() if not can]
    detail = ", ".join(words) + (f"; no {' or '.join(missing)}" if missing else "")
    fix = "crud: true, if this server has them" if missing and target.provider == "neosc" else None
    return Check("can", "ok", detail + (f" ({fix})" if fix else ""))


def _prune(target: TargetSettings) -> Check:
    if target.prune == "never":
        return Check("prune", "ok", "never: what git no longer has stays live, and is listed under cannot")
    return Check("prune", "ok", f"owned: what git no longer has is deleted, at most {target.max_deletes} in one plan")


def _ledger(ground: _Ground, target: TargetSettings) -> Check:
    repository, remote, ref = ground.repository, ground.remote, ledger_ref(target.name)
    if repository is None:
        return Check("ledger", "skip", "needs the repository and its remote")
    try:
        here = repository.read_ref(ref)
        there = repository.list_remote(remote, ref).get(ref) if remote is not None else here
        state = read_ledger(repository, here)
        ahead = here is not None and here != there and (there is None or repository.is_ancestor(there, here))
    except ReconcilerError as error:
        return _failed("ledger", error)
    owned = f"{_count(len(state.entries), 'policy')} owned" if here is not None else "nothing applied yet"
    commit = f", {state.applied_commit[:7]} applied last" if state.applied_commit else ""
    if ahead:
        return Check("ledger", "warn", f"{owned}{commit}; not pushed", "the next apply pushes it")
    if here != there:
        return Check("ledger", "ok", f"{owned}{commit}; {remote} has a newer one, which the next plan fetches")
    return Check("ledger", "ok", owned + commit)


def _lock(ground: _Ground, target: TargetSettings) -> Check:
    if ground.repository is None:
        return Check("lock", "skip", "needs the repository and its remote")
    try:
        holder = read_lock(ground.repository, ground.remote, target.name)
    except LockedError as error:
        return Check("lock", "fail", error.what, error.fix)
    except ReconcilerError as error:
        return _failed("lock", error)
    if holder is None:
        return Check("lock", "ok", "free")
    since = f"held by {holder.name} since {holder.acquired.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
    if holder.is_past(ground.session.clock.now()):
        fix = f"the next apply takes it; or: reconciler unlock --target {target.name} --nonce {holder.nonce}"
        return Check("lock", "warn", f"{since}, and its time is over", fix)
    return Check("lock", "ok", since)


def _user_config(environ: Mapping[str, str]) -> tuple[UserConfig, Check | None]:
    try:
        return settings_module.read_user_config(environ), None
    except ReconcilerError as error:
        return UserConfig(path=str(settings_module.user_config_path(environ))), _failed("user file", error)


def _count(number: int, noun: str) -> str:
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun[:-1]}ies" if noun.endswith("y") else f"{number} {noun}s"
