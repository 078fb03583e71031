"""Every golden vector through the server: policies made over HTTP, events sent one by one (semantics.md D.5).

Every fifth of them in `./run test`, the others in `./run heavy`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from reconciler.semantics.decide import Composition
from reconciler.semantics.shared import Data
from tests.semantics.test_vectors import GOOD, VECTORS
from tests.support.evaluations import Agency, HandClock, agency
from tests.support.servers import RunningServer, reference_server
from tests.support.vectors import Vector

#: What no request can say: the server itself dates policies.
UNSAYABLE = {"first match per type: the newer one first, then by name"}
SENT = [vector for vector in GOOD if vector.events and vector.name not in UNSAYABLE]
DECIDED = ("decision", "would_block", "label", "status", "retry_after")


def fifths(vectors: list[Vector]) -> Any:
    params = [
        pytest.param(vector, id=f"{vector.cites}: {vector.name}", marks=() if index % 5 == 0 else pytest.mark.heavy)
        for index, vector in enumerate(vectors)
    ]
    return pytest.mark.parametrize("vector", params)


class Servers:
    """One server for each way that events are read; vectors are kept apart by organization."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack, self.clock, self.count = stack, HandClock(), 0
        self.running: dict[str, RunningServer] = {}

    def agency(self, vector: Vector) -> Agency:
        key = f"{vector.data} {vector.composition}"
        if key not in self.running:
            data = Data(**{name: tuple(v) if isinstance(v, list) else v for name, v in vector.data.items()})
            options = {"data": data, "composition": Composition(vector.composition)}
            server = reference_server(clock=self.clock, neosc_crud=True, **options)
            self.running[key] = self.stack.enter_context(server)
        self.count += 1
        return self.stack.enter_context(agency(self.running[key], self.clock, f"o{self.count}"))


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(stack)


def made(agents: Agency, vector: Vector) -> dict[str, str]:
    """Make the policies; return what the vector calls each, by reference."""
    for shared in agents.http.get("/api/policies").json():  # NeoSC's are everybody's
        agents.http.delete(f"/api/policies/{shared['id']}")
    names = {}
    for policy in vector.policies:
        if "policy_type" in policy:
            names[agents.opena2a(policy)] = policy["name"]
        else:
            body = {key: value for key, value in policy.items() if key != "metadata"}
            checks = vector.checks or (policy.get("metadata") or {}).get("checks")
            names[agents.neosc({"name": policy["id"], **body, **({"checks": checks} if checks else {})})] = policy["id"]
    return names


def outcome(reply: dict[str, Any], ref: str) -> str:
    return str(reply["outcomes"].get(ref, "NA"))


def enforced(reply: dict[str, Any], ref: str) -> str:
    if any(violation["policy"] == ref for violation in reply["violations"]):
        return "VIOLATE"
    return "NA" if outcome(reply, ref) == "NA" else "PASS"


def shown(reply: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    alerts = [(names[each["policy"]], each["kind"] == "suspension") for each in reply["alerts"]]
    return {
        **{key: reply[key] for key in DECIDED},
        "violated": [names[each["policy"]] for each in reply["violations"]],
        "unknown": [names[ref] for ref, found in reply["outcomes"].items() if found == "UNKNOWN"],
        "alerts": [f"{name} (suspended)" if held else name for name, held in alerts],
        "primary": reply["reason"] and names[reply["reason"]["policy"]],
        "suspended": bool(reply["suspended"]),
    }


@fifths(SENT)
def test_a_vector_comes_out_of_the_server_as_written(vector: Vector, servers: Servers) -> None:
    agents = servers.agency(vector)
    names = made(agents, vector)
    agents.set_mode(vector.mode)

    replies = []
    for event in vector.events:
        servers.clock.at_us = event["ts_us"]
        replies.append(agents.ask(**event))

    first = next(iter(names))
    assert vector.outcomes in (None, [outcome(reply, first) for reply in replies])
    assert vector.enforced in (None, [enforced(reply, first) for reply in replies])
    if vector.decisions is not None:
        got = [shown(reply, names) for reply in replies]
        wanted = vector.decisions
        assert [{key: each[key] for key in want} for each, want in zip(got, wanted, strict=True)] == wanted


@fifths([vector for vector in VECTORS if vector.error is not None and "policy_type" in vector.policies[0]])
def test_a_policy_that_cannot_be_run_is_kept_and_enforced_by_nobody(vector: Vector, servers: Servers) -> None:
    agents = servers.agency(vector)
    created = agents.http.post("/v1/admin/security-policies", json=vector.policies[0])

    found = agents.get("/v1/admin/enforcement-status")["policies"]

    mine = [each for each in found if each["policy"].startswith("opena2a/")]
    if created.status_code == 201:
        assert [each["enforced"] for each in mine] == [False]
        assert mine[0]["problems"]
        assert agents.ask()["outcomes"] == {}
    else:
        assert created.status_code == 400
        assert mine == []


def test_hardly_a_vector_is_left_out() -> None:
    assert len(SENT) >= len([vector for vector in GOOD if vector.events]) - len(UNSAYABLE)
    assert len(SENT) >= 190
