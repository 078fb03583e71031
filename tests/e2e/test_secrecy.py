"""A token shows nowhere, whatever goes wrong and whatever the server says (reliability.md 8, G8, F45).

The server knows the token, so it can answer it in any field and any spelling. What it answers reaches people by
terminal, report, comment and log, and the disk by journal, ledger, plan and snapshot.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.fake_api import DEFAULTS, Answer, Body, Dialect, FakeApi, Fault
from tests.support.hooks import hook
from tests.support.program import (
    Program,
    config_text,
    neosc_defaults,
    neosc_policy,
    neosc_target,
    opena2a_policy,
    opena2a_target,
    program_in,
)
from tests.support.repos import make_repo
from tests.support.secrecy import found, left_behind, random_token, spellings
from tests.support.weight import a_few

MFA = "pol-mfa-required"
FORMATS = ("json", "markdown", "html", "github", "gitlab", "sarif", "junit")


class EchoApi(FakeApi):
    """Repeats the token in all that it says: headers, errors, names, texts, the trail."""

    def __init__(self, dialect: Dialect, token: str, policies: Iterable[Body] | None = None, **options: Any) -> None:
        super().__init__(dialect, policies, **options)
        self.token = token

    @property
    def echo(self) -> str:
        return " ".join(spellings(self.token).values())

    def error(self, status: int, sentence: str, headers: dict[str, str] | None = None) -> Answer:
        return super().error(status, f"{sentence}: Authorization: Bearer {self.token} {self.echo}", headers)

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        answer = super().answer(method, path, headers, body)
        answer.headers |= {"X-Echo": self.echo, "WWW-Authenticate": self.token, "ETag": f'"{self.token}"'}
        return answer


def details(fault: Fault, token: str) -> dict[str, Any]:
    """A fault that repeats the token wherever it has something to say."""
    echo = " ".join(spellings(token).values())
    if fault is Fault.RAW:
        body = json.dumps({"detail": echo, "error": echo, token: token})
        head = f"HTTP/1.1 403 {token}\r\nContent-Type: application/json\r\nX-Echo: {echo}\r\n"
        return {"raw": f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()}
    if fault is Fault.REDIRECT:
        return {"location": f"http://{spellings(token)['hex']}.example/{token}?token={token}"}
    if fault in (Fault.TOO_MANY, Fault.UNAVAILABLE):
        return {"retry_after": token}
    return {"seconds": 0.01}


def check(folder: Path, token: str, *printed: str) -> None:
    places = {f"output {number}": text.encode() for number, text in enumerate(printed)}
    assert found(token, {**places, **dict(left_behind(folder))}) == []


def run(program: Program, *arguments: str) -> list[str]:
    ended = program.run(*arguments, env={"PYTHONDEVMODE": "1"})
    return [ended.out, ended.err]


@pytest.mark.parametrize("fault", a_few(Fault))
def test_no_fault_shows_the_token(tmp_path: Path, fault: Fault) -> None:
    token = random_token(list(Fault).index(fault))
    with EchoApi("neosc", token, DEFAULTS) as api:
        config = config_text(neosc=neosc_target(api.url, quiescence=0, deadline=1, budget=5))
        changed = neosc_defaults(**{MFA: {"enabled": False}})
        program = program_in(make_repo(tmp_path, {"reconciler.yaml": config, **changed}), token=token)
        for method, path in (("GET", "/policies"), ("PATCH", None), ("GET", "/audit-logs")):
            api.fail(fault, method=method, path=path, **details(fault, token))

        printed = run(program, "apply", "--yes", "--json")
        printed += run(program, "log")

    check(tmp_path, token, *printed)


@pytest.mark.parametrize("dialect", ["neosc", "opena2a"])
def test_a_server_that_repeats_the_token_everywhere_gets_it_on_no_channel(tmp_path: Path, dialect: Dialect) -> None:
    token = random_token(1000 if dialect == "neosc" else 1001)
    with EchoApi(dialect, token, DEFAULTS if dialect == "neosc" else ()) as api, hook() as receiver:
        if dialect == "neosc":
            config = config_text(neosc=neosc_target(api.url, quiescence=0, deadline=1, crud=True))
            files = neosc_defaults()
        else:
            config = config_text(opena2a=opena2a_target(api.url, quiescence=0, deadline=1))
            files = {"policies/opena2a/limit.yaml": opena2a_policy()}
        settings = {**json.loads(config), "notify": [{"url": receiver.url}]}
        repo = make_repo(tmp_path, {"reconciler.yaml": json.dumps(settings), **files})
        plain = program_in(repo, token=token)
        program = Program(plain.folder, {**plain.env, "RECONCILER_NOTIFY_SECRET": "notify-secret"}, token)
        printed = run(program, "apply", "--yes")
        for number, text in enumerate(spellings(token).values()):
            api.add(_policy(dialect, number, text))
        owned = next(iter(api.policies))
        api.edit(owned, description=api.echo, actor=token)
        reports = [f"--report={name}={tmp_path / f'report.{name}'}" for name in FORMATS]

        printed += run(program, "plan", "--out", str(tmp_path / "plan.json"), *reports)
        printed += run(program, "show", str(tmp_path / "plan.json"))
        printed += run(program, "drift", "--snapshot", str(tmp_path / "snapshot.json"))
        printed += run(program, "status", "--json")
        printed += run(program, "log", "--json")
        printed += run(program, "doctor")
        printed += run(program, "import", "--json")
        api.edit(owned, description=api.echo, actor=api.echo)
        printed += run(program, "apply", "--yes", "--json")

    assert "***" in "".join(printed)
    assert receiver.posted
    check(tmp_path, token, *printed, *(repr(posted) for posted in receiver.posted))


def _policy(dialect: Dialect, number: int, text: str) -> Body:
    """A policy that nobody manages, with the token in every field that may hold free text."""
    if dialect == "neosc":
        policy: Body = json.loads(neosc_policy(f"pol-echo-{number}", name=text, description=text, rules=[text]))
        return {**policy, text: text}
    return {**json.loads(opena2a_policy(f"{text} {number}", description=text)), "id": f"echo-{number}", text: text}
