"""Everybody else: who flips, edits, deletes and creates behind git's back, and who pushes commits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.chance import Chance
from tests.simulation.gitstore import Objects
from tests.simulation.reconciler import desired_at, path_of
from tests.simulation.servers import Asked, Effect, Server, Style
from tests.simulation.world import World

ANA = "ana@example.com"
MEDDLING = ("flip", "flip", "flip", "edit", "retype", "delete", "create", "fight", "push", "push", "push", "push")
#: How often a person who fights switches a policy back before giving up.
STUBBORN = 12


def policy_body(style: Style, key: str, *, enabled: bool, text: str = "a policy") -> dict[str, Any]:
    """A policy as its file says it."""
    if style.flips:
        body: dict[str, Any] = {
            "id": key,
            "name": f"Policy {key}",
            "type": "access",
            "rules": ["Require MFA for login"],
        }
    else:
        body = {
            "name": key,
            "policy_type": "rate_limit",
            "severity": "medium",
            "conditions": {"max_requests_per_hour": 1000, "window_size": "1h", "__burst": 10},
            "actions": {"on_violation": "throttle", "notify_admins": False},
        }
    return {**body, "description": text, "enabled": enabled}


@dataclass
class People:
    """The people of one world. `tip` is the newest commit; *busy*: they also meddle with the live system."""

    chance: Chance
    world: World
    server: Server
    objects: Objects
    busy: bool
    tip: str = ""
    _made: int = 0
    fought: dict[str, int] = field(default_factory=dict)

    def push(self, changes: Mapping[str, dict[str, Any] | None]) -> None:
        """Commit *changes* (key to policy, None to remove) on the newest commit."""
        files = {path_of(key): None if body is None else json.dumps(body).encode() for key, body in changes.items()}
        self.tip = self.objects.write(self.tip or None, files, "change policies", f"{self.world.now}/{self._made}")
        self._made += 1

    def schedule(self, until: float) -> None:
        for number in range(self.chance.count("people", 0, 6)):
            label = f"person/{number}"
            what = self.chance.choose(label, MEDDLING)
            at = self.chance.between(label + "/at", 0, until)
            self.world.at(at, lambda label=label, what=what: self._act(label, what))  # type: ignore[misc]

    def _act(self, label: str, what: str) -> None:
        if what != "push" and not self.busy:
            return
        if self.chance.mishap(label, f"person-{what}") is None:
            return
        if what == "push":
            self.push_something(label, self.chance.count(label + "/many", 1, 2))
        elif what == "create":
            key = f"{label.replace('/', '-')}-own"
            body = policy_body(self.server.style, key, enabled=True)
            self._ask(
                Asked("POST", "/policies" if self.server.style.flips else "/admin/security-policies", body, actor=ANA)
            )
        elif self.server.policies:
            self._meddle(label, what)

    def _meddle(self, label: str, what: str) -> None:
        policy = self.chance.choose(label + "/which", self.server.policies)
        base = "/policies" if self.server.style.flips else "/admin/security-policies"
        path = f"{base}/{policy['id']}"
        if what == "delete":
            self._ask(Asked("DELETE", path, actor=ANA))
        elif what == "fight":
            self.fought[policy["id"]] = STUBBORN
        elif what == "retype" and "actions" in policy:
            # 0 and 1 are no booleans, whatever Python thinks.
            actions = {**policy["actions"], "notify_admins": int(policy["actions"]["notify_admins"])}
            self._ask(Asked("PUT", path, {**policy, "actions": actions}, actor=ANA))
        elif what in ("edit", "retype"):
            sent = {**policy, "description": f"edited by hand ({label})"}
            self._ask(Asked("PUT", path, sent, actor=ANA))
        elif self.server.style.flips:
            self._ask(Asked("PATCH", path, {}, actor=ANA))
        else:
            self._ask(Asked("PATCH", path + "/toggle", {"enabled": not policy["enabled"]}, actor=ANA))

    def see_effect(self, effect: Effect) -> None:
        """Who fights for a policy switches it back as soon as anybody else has switched it."""
        left = self.fought.get(effect.id, 0)
        if effect.operation != "toggle" or effect.asked.actor == ANA or left == 0:
            return
        self.fought[effect.id] = left - 1
        base = "/policies" if self.server.style.flips else "/admin/security-policies"
        path = f"{base}/{effect.id}" + ("" if self.server.style.flips else "/toggle")
        body = {} if self.server.style.flips else {"enabled": effect.before is not None and effect.before["enabled"]}
        self.world.after(0.1, lambda: self._ask(Asked("PATCH", path, body, actor=ANA)))

    def _ask(self, asked: Asked) -> None:
        self.server.handle(asked, 0.05, lambda answer: None)

    def push_something(self, label: str, many: int) -> None:
        """Some policies switched, edited, added or removed in one commit."""
        style, now = self.server.style, {policy.key: policy for policy in desired_at(self.objects, self.tip)}
        changes: dict[str, dict[str, Any] | None] = {}
        for number in range(many):
            what = self.chance.choose(f"{label}/{number}", ("switch", "edit", "add", "remove", "remove", "remove"))
            if what == "add" or not now:
                key = f"pol-{label.split('/')[1]}{number}"
                on = self.chance.is_true(f"{label}/{number}/on", 0.7)
                changes[key] = policy_body(style, key, enabled=on)
                continue
            policy = self.chance.choose(f"{label}/{number}/which", sorted(now.values(), key=lambda each: each.key))
            body: dict[str, Any] = {**policy.body, "enabled": policy.enabled}
            if what == "switch":
                changes[policy.key] = {**body, "enabled": not policy.enabled}
            elif what == "edit" and "conditions" in body and self.chance.is_true(f"{label}/{number}/burst", 0.5):
                # A key with two underscores is a key like any other (reliability.md D1).
                burst = self.chance.count(f"{label}/{number}/to", 20, 90)
                changes[policy.key] = {**body, "conditions": {**body["conditions"], "__burst": burst}}
            elif what == "edit":
                changes[policy.key] = {**body, "description": f"edited in git ({label})"}
            else:
                changes[policy.key] = None
        self.push(changes)
