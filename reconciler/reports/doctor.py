"""What `doctor` found: one line for each check with its way out, every setting with where it came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from reconciler.core.model import Json
from reconciler.core.safe import for_log, safe

FORMAT: Final = "reconciler.doctor/1"
#: What a check can come to. `wait`: it cannot be told now, try again (exit 75). `skip`: something before it is missing.
STATES: Final = ("ok", "warn", "fail", "wait", "skip")
_WORDS: Final = {"ok": "ok  ", "warn": "warn", "fail": "FAIL", "wait": "wait", "skip": "-   "}
_COLORS: Final = {"ok": "green", "warn": "yellow", "fail": "red", "wait": "yellow", "skip": "cyan"}
_LONGEST: Final = 400


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. `target` is None for what concerns all; `fix` is None when nothing is to do."""

    name: str
    state: str
    detail: str
    fix: str | None = None
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting in force and where it came from: a place in a file, a variable's name, or `default`."""

    target: str | None
    name: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    checks: tuple[Check, ...]
    settings: tuple[Setting, ...]

    def count(self, state: str) -> int:
        return sum(check.state == state for check in self.checks)


def render_diagnosis(found: Diagnosis, *, color: bool = False) -> str:
    """Return the checks by target, the settings, and last how many checks came to what (no final newline)."""
    rows: list[str] = []
    for target, checks in groupby(found.checks, key=lambda check: check.target):
        if target is not None:
            rows += ["", f"Target {target}"]
        rows += [_row(check, color=color) for check in checks]
    if found.settings:
        rows += ["", *_settings(found)]
    rows += ["", _summary(found)]
    return for_log("\n".join(rows), prefix="")


def diagnosis_to_json(found: Diagnosis) -> dict[str, Json]:
    """Return `reconciler.doctor/1`."""
    return {
        "format": FORMAT,
        "checks": [
            {
                "target": check.target,
                "name": check.name,
                "state": check.state,
                "detail": check.detail,
                "fix": check.fix,
            }
            for check in found.checks
        ],
        "settings": [
            {"target": each.target, "name": each.name, "value": each.value, "source": each.source}
            for each in found.settings
        ],
    }


def _row(check: Check, *, color: bool) -> str:
    word = _WORDS[check.state]
    if color:
        import click

        word = click.style(word, fg=_COLORS[check.state], bold=check.state == "fail")
    fix = f"; fix: {safe(check.fix, _LONGEST)}" if check.fix else ""
    return f"{word}  {check.name:<12} {safe(check.detail, _LONGEST)}{fix}"


def _settings(found: Diagnosis) -> Iterator[str]:
    names = [f"{each.target}.{each.name}" if each.target else each.name for each in found.settings]
    values = [safe(each.value, 120) for each in found.settings]
    width = max(map(len, names))
    room = min(40, max(map(len, values)))
    yield f"{'Setting'.ljust(width)}  {'value'.ljust(room)}  from"
    for name, value, each in zip(names, values, found.settings, strict=True):
        yield f"{name.ljust(width)}  {value.ljust(room)}  {safe(each.source)}"


def _summary(found: Diagnosis) -> str:
    counts = Counter(check.state for check in found.checks)
    words = {"ok": "ok", "warn": "to look at", "fail": "failed", "wait": "to try again", "skip": "not looked at"}
    return ", ".join(f"{counts[state]} {words[state]}" for state in STATES if counts[state]) + "."
