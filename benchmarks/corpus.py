"""Policies repositories of any size, the same ones each time: both providers half and half, from the seeds' policies.

Written below the system's folder for temporary files and kept from run to run; what is there is taken as it is.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
#: One name per shape of what is below: a changed generator makes new folders.
WORK = Path(tempfile.gettempdir()) / "reconciler-bench-2"
TARGETS = ("neosc", "opena2a")
IDENTITY = {
    "GIT_AUTHOR_NAME": "Bench",
    "GIT_AUTHOR_EMAIL": "bench@example.com",
    "GIT_COMMITTER_NAME": "Bench",
    "GIT_COMMITTER_EMAIL": "bench@example.com",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
}


def seeds(target: str) -> list[str]:
    """Return the text of each policy file of this checkout, without its comment lines."""
    texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "policies" / target).glob("*.yaml"))]
    return ["\n".join(line for line in text.splitlines() if not line.startswith("#")).strip() + "\n" for text in texts]


def policy_text(target: str, number: int) -> str:
    """Return policy *number* of *target* as its author would write it, under a key of its own."""
    known = seeds_of(target)
    lines = []
    for line in known[number % len(known)].splitlines():
        if line.startswith("id: "):
            line = f"id: pol-{number:06}"
        elif line.startswith("name: "):
            line = f"{line} {number:06}"
        elif line.startswith("  review_by: "):
            line = f'  review_by: "{line.split()[1]}"'  # YAML 1.1 makes a date of it, which a schema for text refuses
        lines.append(line)
    return "\n".join(lines) + "\n"


_SEEDS: dict[str, list[str]] = {}


def seeds_of(target: str) -> list[str]:
    return _SEEDS.setdefault(target, seeds(target))


def make_repository(policies: int, *, per_file: int = 1, url: str = "http://127.0.0.1:9", targets: int = 2) -> Path:
    """Return a committed repository with so many policies in all."""
    folder = WORK / f"{policies}-{per_file}-{targets}"
    if not (folder / "done").exists():
        _write(folder, policies, per_file, TARGETS[:targets])
        git(folder, "init", "-q", "-b", "main")
        git(folder, "add", "policies")
        (folder / "done").touch()
    write_config(folder, url, targets)
    return folder


def make_changed(policies: int) -> Path:
    """Return a repository of so many policies on a branch that changed one of them."""
    folder = WORK / f"{policies}-changed"
    if not (folder / "done").exists():
        _write(folder, policies, 1, TARGETS)
        git(folder, "init", "-q", "-b", "main")
        git(folder, "add", "policies")
        write_config(folder, "http://127.0.0.1:9")
        git(folder, "checkout", "-q", "-b", "change")
        changed = paths(folder)[policies // 2]
        changed.write_text(changed.read_text(encoding="utf-8").replace("description: ", "description: Now "))
        git(folder, "commit", "-q", "--no-gpg-sign", "-a", "-m", "Change one policy")
        (folder / "done").touch()
    return folder


def add_history(folder: Path, commits: int) -> None:
    """Give *folder* so many commits, each of which touches a few policies and brings back what they said."""
    if (folder / "history").exists():
        return
    names = [path.relative_to(folder).as_posix() for path in paths(folder)]
    head = git(folder, "rev-parse", "HEAD").decode().strip()
    lines = []
    for number in range(commits):
        lines.append(f"commit refs/heads/main\ncommitter Bench <bench@example.com> {1_800_000_000 + number} +0000\n")
        message = f"Change {number}"
        lines.append(f"data {len(message)}\n{message}\n")
        if number == 0:
            lines.append(f"from {head}\n")
        for name in names[number * 20 % len(names) :][:20]:
            text = (folder / name).read_text(encoding="utf-8") + f"# reviewed {number}\n"
            lines.append(f"M 100644 inline {name}\ndata {len(text.encode())}\n{text}\n")
    git(folder, "fast-import", "--quiet", given="".join(lines).encode())
    git(folder, "reset", "-q", "--hard")
    (folder / "history").touch()


def write_config(folder: Path, url: str, targets: int = 2) -> None:
    """Point the targets of *folder* at *url* and commit that."""
    config = {
        "version": 1,
        "targets": {
            name: {"provider": name, "url": f"{url}/{name}", "policies": f"policies/{name}"}
            for name in TARGETS[:targets]
        },
    }
    text = json.dumps(config, indent=2) + "\n"
    path = folder / "reconciler.yaml"
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
        git(folder, "add", "reconciler.yaml")
        git(folder, "commit", "-q", "--no-gpg-sign", "-m", "Settings")


def _write(folder: Path, policies: int, per_file: int, targets: tuple[str, ...]) -> None:
    share = policies // len(targets)
    for target in targets:
        place = folder / "policies" / target
        place.mkdir(parents=True, exist_ok=True)
        for first in range(0, share, per_file):
            texts = [policy_text(target, number) for number in range(first, min(first + per_file, share))]
            (place / f"{first:06}.yaml").write_text("---\n".join(texts), encoding="utf-8")


def paths(folder: Path) -> list[Path]:
    """Return the policy files of *folder*, sorted."""
    return sorted((folder / "policies").rglob("*.yaml"))


def values(target: str, count: int) -> Iterator[dict[str, Any]]:
    """Yield the first *count* policies of *target* as values."""
    for number in range(count):
        yield yaml.load(policy_text(target, number), Loader=yaml.CSafeLoader)


def make_schema(folder: Path) -> Path:
    """Return one schema for both providers, for peers that take one: by `policy_type`, each with its own `if` chain."""
    path = folder / "both.schema.json"
    known = {
        name: json.loads((ROOT / f"schemas/{name}.policy.schema.json").read_text(encoding="utf-8")) for name in TARGETS
    }
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "if": {"required": ["policy_type"]},
        "then": known["opena2a"],
        "else": known["neosc"],
    }
    path.write_text(json.dumps(whole))
    return path


def git(folder: Path, *arguments: str, given: bytes | None = None) -> bytes:
    """Run git in *folder* with an identity of its own and nobody's settings."""
    import os

    done = subprocess.run(
        ["git", *arguments], cwd=folder, env={**os.environ, **IDENTITY}, input=given, check=True, capture_output=True
    )
    return done.stdout
