"""Model servers: plain dicts that behave as the live APIs do, accidents included (systems.md 1, reliability.md 0.1).

`flip` is NeoSC: a toggle that reads, negates and writes in steps, an audit row after the change, a list cut at 100,
defaults made by the first list. `set` is OpenA2A as documented. `blank` is the same with the PUT of the real AIM, which
blanks whatever is left out, `enabled` too. A server knows nothing of fates; it is told when to lose an audit row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from reconciler.core.annotation import find_commit, parse
from tests.simulation.world import START, World

SERVICE = "gitops@example.com"
LIST_CAP = 100
Policy = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """A request as it arrives; header names in lower case. `sent` is its number among all of ours, 0 for a person's."""

    method: str
    path: str
    body: Any = None
    agent: str = ""
    actor: str = SERVICE
    sent: int = 0
    loses_audit: bool = False


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Effect:
    """A policy changed in the server: when, by whom, from what to what (None: not there)."""

    at: float
    asked: Asked
    operation: str
    id: str
    before: Policy | None
    after: Policy | None


@dataclass(frozen=True)
class Style:
    """Which server it is. `total`: lists tell how many there are; `agents`: audit rows keep the User-Agent.

    `unique`: it refuses a second policy with one key; the real AIM says 500 then (reliability.md A5).
    """

    name: str
    flips: bool
    crud: bool
    blanks: bool
    total: bool
    agents: bool
    unique: bool

    @property
    def provider(self) -> str:
        return "neosc" if self.flips else "opena2a"


@dataclass
class Server:
    """Policies and an audit trail. `on_effect` sees every change at the moment it happens."""

    world: World
    style: Style
    policies: list[Policy] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    on_effect: Callable[[Effect], None] = lambda effect: None
    _past: list[tuple[float, list[Policy]]] = field(default_factory=list)
    _written: list[float] = field(default_factory=list)
    _made: int = 0

    def handle(self, asked: Asked, seconds: float, answer: Callable[[Answer], None], *, age: float = 0.0) -> None:
        """Do what is asked within *seconds* from now, and hand the reply to *answer*. *age*: how stale a read is."""
        parts = asked.path.strip("/").split("/")
        if parts[0] == "admin":
            parts = parts[1:]
        if parts[0] == "audit-logs":
            answer(self._trail(age))
        elif parts[0] == "enforcement-settings":
            answer(Answer(404, {"error": "not found"}))
        elif asked.method == "GET" and len(parts) == 1:
            answer(self._list(self._seen(age)))
        elif asked.method == "GET":
            found = _by_id(self._seen(age), parts[1])
            answer(self._missing() if found is None else Answer(200, {"policy": found}))
        elif asked.method == "PATCH" and self.style.flips:
            self._flip(asked, parts[1], seconds, answer)
        else:
            answer(self._change(asked, parts))

    def find(self, policy_id: str) -> Policy | None:
        return _by_id(self.policies, policy_id)

    def named(self, key: str) -> list[Policy]:
        """The live policies a key of git may mean."""
        return [policy for policy in self.policies if policy["id" if self.style.flips else "name"] == key]

    # ------------------------------------------------------------------------------------------- reading

    def _seen(self, age: float) -> list[Policy]:
        """The policies as they were *age* seconds ago; what a replica shows that lags behind."""
        then = self.world.now - age
        return next((before for at, before in self._past if at > then), self.policies)

    def _list(self, policies: list[Policy]) -> Answer:
        if self.style.flips:
            if not policies and not self.policies:
                self._make_defaults()
                return Answer(200, [{k: v for k, v in policy.items() if k != "created_at"} for policy in self.policies])
            total = (("x-total-count", str(len(policies))),) if self.style.total else ()
            return Answer(200, policies[: None if self.style.total else LIST_CAP], total)
        return Answer(200, {"policies": policies, "total": len(policies)})

    def _trail(self, age: float) -> Answer:
        """The audit trail as it was *age* seconds ago."""
        then = self.world.now - age
        newest = [row for at, row in zip(self._written, self.rows, strict=True) if at <= then][::-1]
        if self.style.flips:
            return Answer(200, newest[:500])
        return Answer(200, {"logs": newest[:100], "total": len(newest)})

    def _missing(self) -> Answer:
        return Answer(404, {"detail" if self.style.flips else "error": "Policy not found"})

    # ------------------------------------------------------------------------------------------- writing

    def _flip(self, asked: Asked, policy_id: str, seconds: float, answer: Callable[[Answer], None]) -> None:
        """Read now, write a little later, write the audit row after that (reliability.md N1, N2)."""
        found = self.find(policy_id)
        if found is None:
            answer(self._missing())
            return
        wanted = not found["enabled"]
        word = "enabled" if wanted else "disabled"

        def write() -> None:
            now = self.find(policy_id)
            if now is None:
                answer(self._missing())
                return
            self._store(asked, "toggle", policy_id, {**now, "enabled": wanted})
            self.world.after(seconds / 3, record)

        def record() -> None:
            self._record(asked, "toggle_policy", policy_id, f"Policy {word}")
            answer(Answer(200, {"message": f"Policy {word}", "enabled": wanted}))

        self.world.after(seconds / 3, write)

    def _change(self, asked: Asked, parts: list[str]) -> Answer:
        body = asked.body if isinstance(asked.body, dict) else {}
        if asked.method == "POST":
            return self._create(asked, body)
        policy_id = parts[1]
        found = self.find(policy_id)
        if found is None:
            return self._missing()
        if asked.method == "DELETE":
            self._store(asked, "delete", policy_id, None)
            self._record(asked, "delete_policy", policy_id, "Policy deleted")
            return Answer(200, {"message": "deleted", "policy_id": policy_id})
        if asked.method == "PATCH":
            self._store(asked, "toggle", policy_id, {**found, "enabled": body.get("enabled") is True})
            self._record(asked, "toggle_policy", policy_id, "Policy toggled")
        else:
            kept = {k: found[k] for k in ("id", "created_at")} if self.style.blanks else found
            blank = {"description": "", "enabled": False, "severity": "low"} if self.style.blanks else {}
            after = {**blank, **kept, **{k: v for k, v in body.items() if v is not None}}
            for key in [key for key, value in body.items() if value is None]:
                after.pop(key, None)
            self._store(asked, "update", policy_id, after)
            self._record(asked, "update_policy", policy_id, "Policy updated")
        now = self.find(policy_id)
        return Answer(200, now if self.style.flips else {"policy": now})

    def _create(self, asked: Asked, body: Policy) -> Answer:
        key = body["id" if self.style.flips else "name"]
        if self.style.unique and self.named(key):
            return Answer(500 if self.style.blanks else 409, {"detail": "exists", "error": "exists"})
        self._made += 1
        policy_id = key if self.style.flips else f"policy_{self._made:04d}"
        made = {"id": policy_id, **body, "created_at": self._time()}
        self._store(asked, "create", policy_id, made)
        self._record(asked, "create_policy", policy_id, "Policy created")
        return Answer(201, made if self.style.flips else {"policy": made})

    def _store(self, asked: Asked, operation: str, policy_id: str, after: Policy | None) -> None:
        before = self.find(policy_id) if operation != "create" else None
        self._past.append((self.world.now, self.policies))
        if operation == "create" and after is not None:
            self.policies = [*self.policies, after]
        else:
            self.policies = list(_replaced(self.policies, policy_id, after))
        self.on_effect(Effect(self.world.now, asked, operation, policy_id, before, after))

    def _record(self, asked: Asked, action: str, policy_id: str, details: str) -> None:
        if asked.loses_audit:
            return
        row = {
            "id": f"log-{len(self.rows) + 1:05d}",
            "user_email": asked.actor,
            "action": action,
            "resource": f"policy:{policy_id}",
            "details": details,
            "timestamp": self._time(),
            "success": True,
        }
        if self.style.agents:
            row["user_agent"] = asked.agent
        self.rows.append(row)
        self._written.append(self.world.now)

    def _make_defaults(self) -> None:
        self.policies = [
            {"id": key, "name": key, "description": "", "type": "access", "rules": [], "enabled": True,
             "created_at": self._time()}
            for key in ("pol-default-1", "pol-default-2", "pol-default-3")
        ]  # fmt: skip

    def _time(self) -> str:
        return (START + timedelta(seconds=self.world.now)).isoformat()


def _by_id(policies: Iterable[Policy], policy_id: str) -> Policy | None:
    return next((policy for policy in policies if policy["id"] == policy_id), None)


def _replaced(policies: Iterable[Policy], policy_id: str, after: Policy | None) -> Iterable[Policy]:
    for policy in policies:
        if policy["id"] != policy_id:
            yield policy
        elif after is not None:
            yield after


def key_of(asked: Asked) -> str | None:
    """The key of git that a request of ours names in its annotation."""
    agent = parse(asked.agent)
    return None if agent is None else agent.key


def commit_of(asked: Asked) -> str | None:
    return find_commit([asked.agent])


def encode(value: Any) -> bytes:
    return json.dumps(value).encode()
