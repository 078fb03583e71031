"""What a server announces is used; to one that announces nothing every request is what it always was."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from reconciler.core.model import Fate, Mutation
from reconciler.providers.base import Provider
from reconciler.providers.extras import Extras, read_announced, take_etag
from reconciler.server.app import create_app
from reconciler.server.edge import App, Receive, Send
from reconciler.server.main import running
from reconciler.server.options import ServerOptions
from reconciler.server.store import Store, open_store
from reconciler.server.tables import neosc_policies, opena2a_policies
from tests.fake_api import FakeApi
from tests.providers.test_contract import BODIES, HEADERS, SHA, Server, connect, find, send
from tests.support.program import (
    config_text,
    neosc_defaults,
    neosc_target,
    opena2a_policy,
    opena2a_target,
    program_in,
)
from tests.support.repos import make_repo
from tests.support.servers import RunningServer, reference_server

CONDITIONS = {"if-match", "if-none-match", "idempotency-key", "prefer"}
MFA = "pol-mfa-required"


@pytest.fixture
def reference() -> Iterator[RunningServer]:
    with reference_server(neosc_crud=True) as server:
        yield server


def speak(server: RunningServer, dialect: str) -> Provider:
    url = server.neosc_url if dialect == "neosc" else server.opena2a_url
    return connect(Server(url, server.token, list), dialect)


def make(provider: Provider, dialect: str) -> str:
    """A policy just created; its id."""
    provider.fetch_listing()
    receipt = send(provider, "create", None, BODIES[dialect], enabled=True)
    assert receipt.id is not None
    return receipt.id


@pytest.mark.parametrize("dialect", ["neosc", "opena2a"])
def test_a_server_that_announces_nothing_is_sent_nothing_new(dialect: Any) -> None:
    with FakeApi(dialect) as api:
        provider = connect(Server(api.url, api.token, list), dialect)
        made = make(provider, dialect)
        provider.fetch_listing()
        send(provider, "update", made, BODIES[dialect], enabled=True)
        send(provider, "toggle", made, None, enabled=False)
        send(provider, "delete", made, None, enabled=False)

        assert len(api.mutations) == 4
        for request in api.requests:
            assert not CONDITIONS & {name.lower() for name in request.headers}
            assert "?" not in request.path


@pytest.mark.parametrize("dialect", ["neosc", "opena2a"])
@pytest.mark.parametrize("operation", ["update", "toggle", "delete"])
def test_a_request_decided_from_an_old_read_is_refused(reference: RunningServer, dialect: str, operation: str) -> None:
    provider = speak(reference, dialect)
    read = find(provider, make(provider, dialect))
    body = BODIES[dialect] if operation == "update" else None
    other = speak(reference, dialect)
    other.fetch_listing()
    send(other, "toggle", read.id, None, enabled=False)

    old = provider.send(Mutation(operation, read.id, body, True, SHA, HEADERS, etag=read.etag))
    seen = find(provider, read.id)
    fresh = provider.send(Mutation(operation, read.id, body, True, SHA, HEADERS, etag=seen.etag))

    assert read.etag is not None
    assert (old.fate, old.status, old.detail) == (Fate.REJECTED, 412, "Policy has changed since it was read")
    assert seen.enabled is False
    assert fresh.fate is Fate.APPLIED


def test_a_policy_read_alone_has_the_tag_of_the_list(reference: RunningServer) -> None:
    provider = speak(reference, "opena2a")
    made = find(provider, make(provider, "opena2a"))

    alone = provider.fetch_one(made.id)

    assert alone is not None
    assert alone.etag == made.etag is not None
    assert "etag" not in made.raw


def test_a_policy_that_appeared_since_is_not_made_twice(reference: RunningServer) -> None:
    provider = speak(reference, "opena2a")
    make(provider, "opena2a")

    again = send(provider, "create", None, BODIES["opena2a"], enabled=True)

    assert (again.fate, again.status) == (Fate.REJECTED, 412)


def test_every_request_has_a_key_of_its_own_and_repeated_on_its_way_takes_effect_once(
    reference: RunningServer,
) -> None:
    provider = speak(reference, "neosc")
    provider.fetch_listing()
    for enabled in (False, True, False):
        send(provider, "toggle", MFA, None, enabled=enabled)
    keys = [request.headers["idempotency-key"] for request in reference.mutations]
    last = reference.mutations[-1]

    kept = {name: last.headers[name] for name in ("authorization", "idempotency-key", "prefer", "content-type")}
    repeated = httpx.patch(f"{reference.url}{last.path}", content=last.body, headers=kept, trust_env=False)

    assert len(set(keys)) == 3
    assert repeated.headers["idempotency-replayed"] == "true"
    assert len(provider.fetch_trail().entries) == 3


def test_two_runs_of_one_plan_never_share_a_key() -> None:
    mutation = Mutation("create", None, {}, True, SHA, HEADERS)
    runs = [Extras(lambda nonce=nonce: nonce) for nonce in ("a", "b")]  # type: ignore[misc]
    for run in runs:
        run.hear({"x-capabilities": "idempotency-keys"})

    keys = {run.headers(mutation)["Idempotency-Key"] for run in runs for _ in range(2)}

    assert len(keys) == 4


@pytest.mark.parametrize("words", ["", "ETAGS", "etags;q=1", "e tags", "\u00e9tags", "x" * 100_000])
def test_what_is_announced_in_other_words_is_not_announced(words: str) -> None:
    assert read_announced({"x-capabilities": words}) == frozenset()


@pytest.mark.parametrize("tag", [None, 1, "", "abc", 'W/"a"', '"a\r\nX: y"', '"a" , "b"', f'"{"a" * 300}"', ['"a"']])
def test_a_tag_that_is_none_is_not_sent_back(tag: Any) -> None:
    assert take_etag({"id": "x", "etag": tag}) == ({"id": "x"}, None)


# --------------------------------------------------------------------------------------------- the whole program


class _Before:
    """ASGI: do something before the first PUT is carried out, as somebody else would."""

    def __init__(self, app: App, act: Callable[[], None]) -> None:
        self.app, self.act, self.done = app, act, False

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "PUT" and not self.done:
            self.done = True
            self.act()
        await self.app(scope, receive, send)


@contextmanager
def interrupted(act: Callable[[sa.Connection], object]) -> Iterator[tuple[str, str, Store]]:
    """A server where *act* happens after the program has read and before its request arrives: url, token, store."""
    store = open_store()

    def write() -> None:
        with store.write() as connection:
            act(connection)

    try:
        token = store.add_token("gitops@example.com", "admin")
        with running(_Before(create_app(store, ServerOptions(neosc_crud=True)), write)) as url:
            yield url, token, store
    finally:
        store.close()


def test_an_edit_between_our_read_and_our_write_is_never_overwritten(tmp_path: Path) -> None:
    edit = neosc_policies.update().where(neosc_policies.c.id == MFA).values(description="edited by a person")
    with interrupted(lambda connection: connection.execute(edit)) as (url, token, store):
        target = neosc_target(f"{url}/api", crud=True)
        files = neosc_defaults(**{MFA: {"description": "from git"}})
        repo = make_repo(tmp_path, {"reconciler.yaml": config_text(neosc=target), **files})

        ended = program_in(repo, token=token).run("apply", "--yes", "--json")

        with store.read() as connection:
            live = connection.execute(
                sa.select(neosc_policies.c.description).where(neosc_policies.c.id == MFA)
            ).scalar()
    [outcome] = [each for each in ended.json()["outcomes"] if each["key"] == MFA]
    assert ended.code == 1  # sent and refused, nothing applied (design.md 4)
    assert (outcome["status"], outcome["error"]) == ("failed", "changed since the plan was made; plan again")
    assert live == "edited by a person"


def test_a_touch_that_changed_nothing_we_compare_is_read_again_and_written(tmp_path: Path) -> None:
    with interrupted(
        lambda connection: connection.execute(opena2a_policies.update().values(updated_at="2026-01-01T00:00:00Z"))
    ) as (url, token, _):
        headers = {"Authorization": f"Bearer {token}"}
        repo = make_repo(
            tmp_path,
            {
                "reconciler.yaml": config_text(opena2a=opena2a_target(f"{url}/v1")),
                "policies/opena2a/rate.yaml": opena2a_policy(severity="high"),
            },
        )
        with httpx.Client(base_url=f"{url}/v1/admin", headers=headers, trust_env=False) as client:
            client.post("/security-policies", json=json.loads(opena2a_policy()))

            run = program_in(repo, token=token).ok("apply", "--yes", "--json").json()

            policies = client.get("/security-policies").json()["policies"]
    assert [(outcome["status"], outcome["calls"]) for outcome in run["outcomes"]] == [("applied", 2)]
    assert [policy["severity"] for policy in policies] == ["high"]
