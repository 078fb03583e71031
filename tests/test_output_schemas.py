"""The schemas of what the program prints: the shapes of design.md 5 fit, and nothing beside them does."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from reconciler.core.schema import load_schemas

SCHEMAS = load_schemas()
SHA = "3f9c2ab0" * 5
DIGEST = "sha256:" + "0123456789abcdef" * 4

PLAN: dict[str, Any] = {
    "format": "reconciler.plan/1",
    "tool": "0.1.0",
    "fingerprint": DIGEST,
    "complete": True,
    "target": {"name": "neosc", "provider": "neosc", "url": "http://127.0.0.1:8800/api", "mode": None},
    "git": {"head": SHA, "last_applied": None, "dirty": False, "shallow": False},
    "live": {"read_at": "2026-11-20T09:14:07Z", "count": 3, "digest": DIGEST},
    "changes": [
        {
            "kind": "policy",
            "key": "pol-mfa-required",
            "id": "pol-mfa-required",
            "action": "disable",
            "origin": "git",
            "risk": "weakens",
            "critical": True,
            "adopts": False,
            "source": {"path": "policies/neosc/mfa.yaml", "line": 1},
            "commit": {"sha": SHA, "author": "alice", "subject": "Allow SSO cut-over"},
            "fields": [
                {
                    "pointer": "/enabled",
                    "op": "replace",
                    "live": True,
                    "desired": False,
                    "last_applied": True,
                    "risk": "weakens",
                    "origin": "git",
                }
            ],
            "drift": None,
            "calls": [{"method": "PATCH", "path": "/policies/pol-mfa-required"}],
            "guards": ["critical-disabled"],
        }
    ],
    "held": [],
    "cannot": [{"key": "pol-geo-restriction", "action": "create", "reason": "this API has no create"}],
    "unmanaged": ["legacy-geo"],
    "blocked": ["critical-disabled"],
    "overrides": [],
    "warnings": [],
    "summary": {
        "create": 0,
        "update": 0,
        "enable": 0,
        "disable": 1,
        "delete": 0,
        "in_sync": 2,
        "unmanaged": 1,
        "cannot": 1,
        "held": 0,
    },
}
RUN: dict[str, Any] = {
    "format": "reconciler.run/1",
    "target": "neosc",
    "plan": DIGEST,
    "head": SHA,
    "outcomes": [
        {
            "key": "pol-mfa-required",
            "action": "disable",
            "status": "applied",
            "commit": SHA,
            "annotation": {"strength": "same-entry", "verified": True, "audit_id": "log-123"},
            "error": None,
            "calls": 1,
        }
    ],
    "blocked": [],
    "ledger": SHA,
    "summary": {"applied": 1},
}
OUTPUTS: dict[str, dict[str, Any]] = {
    "plan": PLAN,
    "plans": {"format": "reconciler.plans/1", "plans": [PLAN, PLAN]},
    "run": RUN,
    "drift": {
        "format": "reconciler.drift/1",
        "changes": [
            {
                **PLAN["changes"][0],
                "origin": "drift",
                "drift": {"actor": None, "at": None, "audit_id": None, "confidence": "unknown"},
            }
        ],
    },
    "log": {
        "format": "reconciler.log/1",
        "entries": [
            {
                "at": "2026-11-20T09:14:07Z",
                "action": "toggle_policy",
                "key": "pol-mfa-required",
                "actor": "admin@example.com",
                "audit_id": "log-123",
                "commit": None,
                "strength": None,
                "outside_git": True,
            }
        ],
    },
    "status": {
        "format": "reconciler.status/1",
        "policies": [{"key": "pol-mfa-required", "state": "in sync", "commit": SHA}],
    },
    "import": {
        "format": "reconciler.import/1",
        "complete": True,
        "files": [{"target": "neosc", "path": "policies/neosc/mfa.yaml", "key": "pol-mfa", "status": "created"}],
        "skipped": [{"target": "neosc", "key": "pol-a", "reason": "no schema takes it"}],
        "left_out": [{"target": "neosc", "key": "pol-b", "pointers": "/surprise"}],
        "not_live": [{"target": "neosc", "key": "pol-c", "reason": "git has it, the live system does not"}],
    },
    "blame": {
        "format": "reconciler.blame/1",
        "key": "pol-mfa-required",
        "fields": [
            {
                "target": "neosc",
                "pointer": "/enabled",
                "value": True,
                "by": "git",
                "commit": {"sha": SHA, "author": "alice", "subject": "Allow SSO cut-over (#42)"},
                "pull_request": 42,
                "applied_at": "2026-11-20T09:14:07+00:00",
                "drift": {"actor": None, "at": None, "audit_id": None, "confidence": "unknown"},
            }
        ],
    },
}


def mutations(value: Any) -> list[tuple[str, Callable[[Any], None]]]:
    """Ways to spoil a value: leave out a key, add one, at every object."""
    found: list[tuple[str, Callable[[Any], None]]] = []

    def at(root: Any, path: tuple[str | int, ...]) -> Any:
        for step in path:
            root = root[step]
        return root

    def visit(node: Any, path: tuple[str | int, ...]) -> None:
        if isinstance(node, dict):
            where = "/".join(map(str, path))
            if path[-1:] != ("summary",) or value["format"] == "reconciler.plan/1":
                found.append((f"{where}/+extra", lambda root: at(root, path).update(extra={})))
                for key in set(node) - {"live", "desired", "last_applied"} if "pointer" in node else node:
                    found.append((f"{where}/-{key}", lambda root, key=key: at(root, path).pop(key)))  # type: ignore[misc]
            for key, entry in node.items():
                visit(entry, (*path, key))
        elif isinstance(node, list) and node:
            visit(node[0], (*path, 0))

    visit(value, ())
    return found


@pytest.mark.parametrize("name", OUTPUTS)
def test_the_shape_of_the_design_fits(name: str) -> None:
    assert SCHEMAS.check(name, OUTPUTS[name]) == ()


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_key_too_many_or_too_few_does_not_fit(name: str) -> None:
    assert len(mutations(OUTPUTS[name])) > 2
    for where, spoil in mutations(OUTPUTS[name]):
        value = copy.deepcopy(OUTPUTS[name])
        spoil(value)

        assert SCHEMAS.check(name, value) != (), where


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("action", "toggle"),
        ("origin", "live"),
        ("risk", "high"),
        ("drift", {"actor": None, "at": None, "audit_id": None, "confidence": "unknown"}),
        ("commit", {"sha": "3f9c2ab", "author": "a", "subject": "s"}),
        ("source", {"path": "a.yaml", "line": None}),
    ],
)
def test_a_change_that_contradicts_the_design_does_not_fit(pointer: str, value: object) -> None:
    plan = copy.deepcopy(PLAN)
    plan["changes"][0][pointer] = value

    assert SCHEMAS.check("plan", plan) != ()


@pytest.mark.parametrize(("action", "key"), [("create", "id"), ("delete", "source")])
def test_a_create_has_no_id_and_a_delete_no_source(action: str, key: str) -> None:
    plan = copy.deepcopy(PLAN)
    plan["changes"][0]["action"] = action

    assert SCHEMAS.check("plan", plan) != ()

    plan["changes"][0][key] = None

    assert SCHEMAS.check("plan", plan) == ()
