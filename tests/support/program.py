"""The real command as a subprocess, in a real repository, against a real socket."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.repos import Repo

#: What Python runs: the program as it is, or one that jumps where it would wait (`hasty_program.py`).
REAL = ("-m", "reconciler")
HASTY = (str(Path(__file__).with_name("hasty_program.py")),)
TOKEN = "test-token-0123456789abcdef0123456789"


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code and what it printed."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Program:
    """Runs `reconciler` in one repository with one environment; every run is checked for tracebacks and the token."""

    folder: Path
    env: Mapping[str, str]
    token: str = TOKEN
    script: Sequence[str] = REAL

    def run(
        self, *arguments: str, given: str = "", env: Mapping[str, str | None] = {}, timeout: float = 120.0
    ) -> Ended:
        environ = {name: value for name, value in {**self.env, **env}.items() if value is not None}
        done = subprocess.run(
            [sys.executable, *self.script, *arguments],
            cwd=self.folder,
            env=environ,
            input=given.encode(),
            capture_output=True,
            timeout=timeout,
            check=False,
        )
        ended = Ended(done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8"))
        assert "Traceback" not in ended.err, ended.err
        assert self.token not in ended.out + ended.err
        return ended

    def ok(self, *arguments: str, **options: Any) -> Ended:
        ended = self.run(*arguments, **options)
        assert ended.code == 0, (arguments, ended)
        return ended


def program_in(repo: Repo, *, token: str = TOKEN, hasty: bool = False) -> Program:
    """The program at the root of *repo*, with a token and nothing of this machine's own settings.

    *hasty*: it does not really wait where it would.
    """
    kept = {name: value for name, value in repo.env.items() if not name.startswith(("RECONCILER_", "GITHUB_", "CI"))}
    checkout = str(Path(__file__).resolve().parents[2])
    script = HASTY if hasty else REAL
    return Program(
        repo.path, {**kept, "RECONCILER_TOKEN": token, "PYTHONPATH": checkout, "NO_COLOR": "1"}, token, script
    )


def config_text(**targets: Mapping[str, Any]) -> str:
    """A `reconciler.yaml` with these targets; JSON is YAML."""
    return json.dumps({"version": 1, "targets": targets}, indent=2)


def neosc_target(url: str, **more: Any) -> dict[str, Any]:
    return {"provider": "neosc", "url": url, "policies": "policies/neosc", "quiescence": 1, "deadline": 2, **more}


def opena2a_target(url: str, **more: Any) -> dict[str, Any]:
    return {"provider": "opena2a", "url": url, "policies": "policies/opena2a", "quiescence": 1, "deadline": 2, **more}


def neosc_policy(key: str = "pol-mfa-required", **more: Any) -> str:
    """A NeoSC policy file; the three defaults of the vendor's document by their ids."""
    known: dict[str, dict[str, Any]] = {
        "pol-mfa-required": {
            "name": "MFA Required",
            "description": "Enforce multi-factor authentication for all users",
            "type": "access",
            "rules": ["Require MFA for login", "WebAuthn preferred", "TOTP as fallback"],
        },
        "pol-network-zero-trust": {
            "name": "Zero Trust Network",
            "description": "All connections through encrypted NetBird tunnels",
            "type": "network",
            "rules": ["No direct connections", "WireGuard encryption", "Identity verification"],
        },
        "pol-session-recording": {
            "name": "Session Recording",
            "description": "Record all workspace sessions for audit",
            "type": "session",
            "rules": ["Record screen activity", "Log keystrokes for audit", "30-day retention"],
        },
    }
    plain = {"name": key, "description": "A policy", "type": "access", "rules": ["Require MFA for login"]}
    return json.dumps({"id": key, **known.get(key, plain), "enabled": True, **more}, indent=2)


def neosc_defaults(**more: Any) -> dict[str, str]:
    """Files for the three defaults, `more` by id: `{"pol-mfa-required": {"enabled": False}}`."""
    keys = ("pol-mfa-required", "pol-network-zero-trust", "pol-session-recording")
    return {f"policies/neosc/{key}.yaml": neosc_policy(key, **more.get(key, {})) for key in keys}


def opena2a_policy(name: str = "Rate Limit Enforcement", **more: Any) -> str:
    """An OpenA2A policy file: the vendor's rate limit, changed as said."""
    body = {
        "name": name,
        "description": "Limit agents to 1000 requests per hour",
        "policy_type": "rate_limit",
        "enabled": True,
        "severity": "medium",
        "conditions": {"max_requests_per_hour": 1000, "window_size": "1h"},
        "actions": {"on_violation": "throttle", "notify_admins": False},
    }
    return json.dumps({**body, **more}, indent=2)
