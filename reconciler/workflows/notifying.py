"""`notify:`: tell web addresses of drift and of failed runs, signed; whether they listen changes no result.

Called once the result is out. Every trouble here is a warning: a receiver that is down, slow or wrong must not make a
run look worse, or better, than it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from reconciler import config as settings_module
from reconciler.config import FILE_NAME, NOTIFY_SECRET, parse_config
from reconciler.core.model import Change, Json, Origin, Receiver
from reconciler.core.safe import quoted
from reconciler.core.secret import Secret
from reconciler.errors import ExitCode, ReconcilerError
from reconciler.providers.http import Sent, Transport
from reconciler.reports.notice import drift_notice, failure_notice, signed, stamp
from reconciler.sources.git import open_repository
from reconciler.workers import in_threads
from reconciler.workflows.applying import Run
from reconciler.workflows.planning import PlannedTargets
from reconciler.workflows.session import Session

TRIES: Final = 3
#: For one request, and for all that is sent to one receiver: the end of a run waits for no longer.
REQUEST_SECONDS: Final = 4.0
SECONDS: Final = 15.0
_BACKOFF: Final = (1.0, 2.0)

#: How a run ends that did what it should, or that nobody wanted to go on.
_QUIET_CODES: Final = (ExitCode.DONE, ExitCode.CHANGES, ExitCode.USAGE, ExitCode.INTERRUPTED)
#: Errors that are no failure: another run is at work, or a person said no.
_QUIET_ERRORS: Final = ("locked", "declined")


def notify_drift(session: Session, planned: PlannedTargets, found: Mapping[str, Sequence[Change]]) -> None:
    """Tell the receivers of each target with edits made outside git."""
    for each in planned.made:
        name = each.settings.name
        if found.get(name):
            _tell(session, "drift", each.settings.notify, drift_notice(name, each.plan.git.head, found[name]))


def notify_run(session: Session, run: Run, *, drift: bool) -> None:
    """Tell the receivers of a run's target when it failed, is in doubt, or was blocked; with *drift* what it undid."""
    name, head = run.plan.target.name, run.plan.git.head
    changes = [change for change in run.plan.changes if change.origin is not Origin.GIT]
    has_failed = run.exit not in _QUIET_CODES
    if not has_failed and not (drift and changes):
        return
    receivers = _receivers(session, name)
    if drift and changes:
        _tell(session, "drift", receivers, drift_notice(name, head, changes))
    if has_failed:
        _tell(session, "failure", receivers, failure_notice(name, head, run.exit, run.outcomes))


def notify_error(session: Session, name: str, error: ReconcilerError) -> None:
    """Tell the receivers of *name* that its run ended with *error*, before anything was sent."""
    if error.exit in _QUIET_CODES or error.code in _QUIET_ERRORS:
        return
    receivers = _receivers(session, name)
    if receivers:
        _tell(session, "failure", receivers, failure_notice(name, _head(session), error.exit, error=error.code))


def _receivers(session: Session, name: str) -> tuple[Receiver, ...]:
    """The receivers of a target as the commit at HEAD names them; none when it cannot be read."""
    try:
        repository = open_repository(session.root)
        data = repository.read_file(repository.head(), FILE_NAME)
        target = parse_config(data, FILE_NAME, session.schemas).targets.get(name) if data is not None else None
    except ReconcilerError:
        return ()
    return target.notify if target is not None else ()


def _head(session: Session) -> str | None:
    try:
        return open_repository(session.root).head()
    except ReconcilerError:
        return None


# ------------------------------------------------------------------------------------------------ sending


def _tell(session: Session, event: str, receivers: Sequence[Receiver], notice: Mapping[str, Json]) -> None:
    urls = list(dict.fromkeys(receiver.url for receiver in receivers if event in receiver.events))
    if not urls:
        return
    try:
        secret = settings_module.read_notify_secret(session.environ)
    except ReconcilerError as error:
        session.notice(f"warning: nobody is notified: {error}")
        return
    if secret is None:
        session.notice(f"warning: nobody is notified: {NOTIFY_SECRET} is not set, and nothing is sent unsigned")
        return
    body = stamp(notice, session.clock.now(), session.random.nonce())
    in_threads(len(urls))([_job(session, url, body, secret) for url in urls])


def _job(session: Session, url: str, body: bytes, secret: Secret) -> Callable[[], None]:
    def run() -> None:
        try:
            why = _post(session, url, body, signed(body, secret))
        except ReconcilerError as error:
            why = error.what
        if why is not None:
            # A path may be as good as a password (webhooks of chats), and this line may be public.
            session.notice(f"warning: {quoted('/'.join(url.split('/')[:3]), 120)} was not notified: {why}")

    return run


def _post(session: Session, url: str, body: bytes, headers: Mapping[str, str]) -> str | None:
    """Post *body*, up to three times with growing pauses; return None once it was taken, else why it was not."""
    user = settings_module.read_user_config(session.environ)
    base, _, name = url.rpartition("/")
    transport = Transport(
        base,
        None,
        deadline=REQUEST_SECONDS,
        clock=session.clock,
        random=session.random,
        ca_file=settings_module.ca_file(session.environ, user),
        proxy=settings_module.proxy(session.environ, user),
        allowed_hosts=settings_module.allowed_hosts(session.environ),
    )
    ends_at = session.clock.monotonic() + SECONDS
    try:
        for attempt in range(TRIES):
            sent = transport.send("POST", f"/{name}", body, headers)
            status = sent.status
            if status is not None and 200 <= status < 300:
                return None
            if attempt == TRIES - 1 or not _may_change(status):
                break
            pause = session.random.uniform(_BACKOFF[attempt] / 2, _BACKOFF[attempt])
            if sent.retry_after is not None:
                pause = sent.retry_after
            if session.clock.monotonic() + pause + REQUEST_SECONDS > ends_at:
                break
            session.clock.sleep(pause)
        return _why(sent)
    finally:
        transport.close()


def _may_change(status: int | None) -> bool:
    """Whether another try may end differently. A redirect, and any other no, stays one."""
    return status is None or status in (408, 425, 429) or status >= 500


def _why(sent: Sent) -> str:
    if sent.status is None:
        return sent.failure
    return "it redirects, and redirects are never followed" if 300 <= sent.status < 400 else f"it answers {sent.status}"
