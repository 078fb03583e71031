"""The Start group: demo. Plays the whole story with the real commands, a real server and a real repository."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

import click

from reconciler.cli.command import command
from reconciler.cli.output import note
from reconciler.core.model import Json
from reconciler.errors import ExitCode, ReconcilerError

FOLDER = ".demo"
_MARKER = "made-by-reconciler-demo"
_PORT = 8800
_SERVICE = "gitops@example.com"
_ADMIN = "admin@example.com"

#: Beside the repository, so that it is not in anybody's way.
_EVENTS = "../events"
_BUILD_MACHINES = "172.16.0.0/12"
_WORK = (("read_file", "crm/customers"), ("read_file", "docs/handbook"), ("run_query", "sales/2026"), ("send", "mail"))

_CONFIG = """\
version: 1
targets:
  neosc:
    provider: neosc
    url: {url}/api
    policies: policies/neosc
    crud: true                # this server has what NeoSC announces
    quiescence: 5             # and finishes every request within this many seconds
  opena2a:
    provider: opena2a
    url: {url}/v1
    policies: policies/opena2a
    quiescence: 5
"""


@command("demo", short_help="Run a server, a repo and a first plan on this computer.")
@click.option("--once", is_flag=True, help="End after the story instead of keeping the server.")
def demo_command(once: bool) -> int:
    """Play the whole story on this computer: plan, apply, an edit behind git's back, the log, the impact of a change.

    \b
    reconciler demo
    reconciler demo --once
    """
    stay = not once and sys.stdout.isatty()
    with ExitStack() as stack:
        folder = stack.enter_context(_folder(stay=stay))
        url, tokens = stack.enter_context(_server())
        environ = _environment(tokens[_SERVICE])
        repository = _make_repository(folder, url, environ)
        _Story(repository, environ, url, tokens[_ADMIN]).tell()
        if stay:
            print(f"\nThe server stays: NeoSC {url}/api, OpenA2A {url}/v1. The repository is {repository}.")
            print(f"Go on in it with: export RECONCILER_TOKEN={tokens[_SERVICE]}  (this server only, gone with it)")
            print("Ctrl-C ends it.", flush=True)
            _wait()
    return ExitCode.DONE


def _wait() -> None:
    """Wait for Ctrl-C; it is the expected end, not an interruption."""
    import threading

    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        note("stopped")


class _Story:
    """The commands of the demo, each shown as a person would type it. The first that fails ends the story."""

    def __init__(self, repository: Path, environ: Mapping[str, str], url: str, admin_token: str) -> None:
        self.repository = repository
        self.environ = environ
        self.url = url
        self.admin_token = admin_token

    def tell(self) -> None:
        self.say("The policies in git, checked against their schemas.")
        self.run("validate")
        self.say("What would change on the two live systems? Nothing is written.")
        self.run("plan")
        self.say("Make it so. Each request carries the commit that asked for it.")
        self.run("apply", "--target", "neosc", "--yes")
        self.run("apply", "--target", "opena2a", "--yes")
        self.say("Nothing is left to do.")
        self.run("plan")
        self.say(f"{_ADMIN} switches a policy off behind git's back.")
        self.edit_behind_gits_back()
        self.say("The edit has a name on it.")
        self.run("drift", expect=ExitCode.CHANGES)
        self.say("Git wins again, and the log tells who did what.")
        self.run("apply", "--target", "neosc", "--yes")
        self.run("plan")
        self.run("log", "--target", "neosc")
        if not _has_replays():
            self.say("What a change would have done to recorded requests: pip install 'reconciler[impact]'")
            return
        self.say("Meanwhile agents are at work: the server judges their requests, and records them.")
        self.send_requests()
        self.run("events", "pull", "--target", "opena2a", "--out", _EVENTS)
        self.say("The next change shuts the build machines out. What would it have done to those requests?")
        self.shut_out()
        self.run("plan", "--target", "opena2a", "--events", _EVENTS)

    def say(self, line: str) -> None:
        print(f"\n# {line}", flush=True)

    def run(self, *arguments: str, expect: ExitCode = ExitCode.DONE) -> None:
        print(f"$ reconciler {shlex.join(arguments)}", flush=True)
        done = subprocess.run(
            [sys.executable, "-m", "reconciler", *arguments], cwd=self.repository, env=dict(self.environ), check=False
        )
        if done.returncode in (ExitCode.INTERRUPTED, -2):
            raise KeyboardInterrupt
        if done.returncode != expect:
            raise ReconcilerError(
                f"`reconciler {shlex.join(arguments)}` ended with {done.returncode}, wanted {int(expect)}",
                where="demo",
                fix="the lines above say why; please report it if they do not",
                code="demo",
            )

    def edit_behind_gits_back(self) -> None:
        """One flip with the admin's own token, as the vendor's page would send it."""
        self.send("PATCH", "/api/policies/pol-mfa-required", {})

    def send_requests(self) -> None:
        """What six agents ask for, the same at every demo: two of them work on the build machines."""
        self.send("POST", "/v1/evaluate/batch", {"events": [_request(at) for at in range(60)]})

    def send(self, method: str, path: str, body: dict[str, Json]) -> None:
        from reconciler.clock import SystemClock, SystemRandom
        from reconciler.core.secret import Secret
        from reconciler.providers.http import Transport

        random = SystemRandom()
        transport = Transport(self.url, Secret(self.admin_token), deadline=10.0, clock=SystemClock(), random=random)
        print(f"$ curl -X {method} ...{path}", flush=True)
        sent = transport.send(method, path, body, {"User-Agent": "demo"})
        if sent.status != 200:
            raise ReconcilerError(
                f"{method} {path} was answered with {sent.status}", where="demo", fix="please report it", code="demo"
            )

    def shut_out(self) -> None:
        """A commit that takes one network from the allowlist."""
        path = self.repository / "policies" / "opena2a" / "ip-allowlist.yaml"
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join(line for line in lines if _BUILD_MACHINES not in line), encoding="utf-8")
        message = "Shut the build machines out"
        print(
            f"$ git commit --all --message {shlex.quote(message)}    # {_BUILD_MACHINES} leaves the allowlist",
            flush=True,
        )
        arguments = ["git", "commit", "--quiet", "--all", "--message", message]
        subprocess.run(arguments, cwd=self.repository, env=dict(self.environ), check=True)


def _has_replays() -> bool:
    """Whether the libraries that replay events are installed."""
    return all(find_spec(name) is not None for name in ("duckdb", "ibis", "pyarrow"))


def _request(at: int) -> dict[str, Json]:
    agent, step = at % 6, at // 6
    network = ("10.20.0", "10.20.1", "192.168.1", "10.31.7", "172.16.9", "172.17.4")[agent]
    action, resource = _WORK[at % len(_WORK)]
    return {
        "event_id": f"demo-{at:03}",
        "actor_id": f"agent-{agent + 1}",
        "actor_type": "ai_agent",
        "action": action,
        "resource": f"{resource}/{step}",
        "source_ip": f"{network}.{10 + step}",
        "is_vpn": False,
        "trust_score": 82 + agent,
        "records": 1 + step,
        "data_types": [],
    }


@contextmanager
def _server() -> Iterator[tuple[str, Mapping[str, str]]]:
    """The reference server in this process, on its usual port or a free one; its URL and a token for each actor."""
    try:
        from reconciler.server.app import create_app
        from reconciler.server.main import running
        from reconciler.server.options import ServerOptions
        from reconciler.server.store import open_store
    except ModuleNotFoundError as error:
        raise ReconcilerError(
            f"the server's libraries are not installed ({error.name})",
            where="reconciler demo",
            fix="install the extra: pip install 'reconciler[server]'",
            code="demo",
        ) from error
    store = open_store(None)
    try:
        tokens = {email: store.add_token(email, "admin") for email in (_SERVICE, _ADMIN)}
        with ExitStack() as stack:
            app = create_app(store, ServerOptions(neosc_crud=True))
            try:
                url = stack.enter_context(running(app, port=_PORT))
            except ReconcilerError:
                url = stack.enter_context(running(app, port=0))
            print(f"# The reference server is at {url}, with a database in memory.", flush=True)
            yield url, tokens
    finally:
        store.close()


@contextmanager
def _folder(*, stay: bool) -> Iterator[Path]:
    """A folder of the demo's own: `.demo` where people can look at it afterwards, else a temporary one."""
    if not stay:
        with tempfile.TemporaryDirectory(prefix="reconciler-demo-") as name:
            yield Path(name)
        return
    folder = Path.cwd() / FOLDER
    if folder.exists() and not (folder / _MARKER).exists():
        raise ReconcilerError(
            "is there already, and not from an earlier demo",
            where=str(folder),
            fix="move it away, or run the demo in another folder",
            code="demo",
        )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / _MARKER).touch()
    yield folder


def _environment(token: str) -> Mapping[str, str]:
    """This process's environment with the demo's token and nothing of the user's own settings or git identity."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("RECONCILER_", "GIT_"))}
    return environ | {
        "RECONCILER_TOKEN": token,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "demo",
        "GIT_AUTHOR_EMAIL": "demo@example.com",
        "GIT_COMMITTER_NAME": "demo",
        "GIT_COMMITTER_EMAIL": "demo@example.com",
    }


def _make_repository(folder: Path, url: str, environ: Mapping[str, str]) -> Path:
    """A policies repository with the sample policies, one commit, and a bare remote beside it."""
    repository, remote = folder / "policies-repo", folder / "remote.git"
    shutil.copytree(find_samples(), repository / "policies")
    (repository / "reconciler.yaml").write_text(_CONFIG.format(url=url), encoding="utf-8")

    def git(*arguments: str, at: Path = repository) -> None:
        subprocess.run(["git", *arguments], cwd=at, env=dict(environ), check=True, capture_output=True)

    git("init", "--quiet", "--bare", "--initial-branch=main", str(remote), at=folder)
    git("init", "--quiet", "--initial-branch=main")
    git("remote", "add", "origin", str(remote))
    git("add", "--all")
    git("commit", "--quiet", "--message", "Start from the vendors' example policies")
    git("push", "--quiet", "origin", "main")
    print(f"# A policies repository with one commit is at {repository}.", flush=True)
    return repository


def find_samples() -> Path:
    """Return the folder with the sample policies: in the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_policies", package.parent / "policies"):
        if folder.is_dir():
            return folder
    raise ReconcilerError(
        "the sample policies are not in this installation", where=str(package), fix="install it again", code="demo"
    )
