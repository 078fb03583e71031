"""What happened in a seed, line by line, for people."""

from __future__ import annotations

from collections.abc import Collection

from reconciler.errors import ReconcilerError
from tests.simulation.chance import Chance
from tests.simulation.scenario import Story, make_story


def trace(seed: int, kept: Collection[str] | None = None) -> list[str]:
    """Play *seed* and return its requests, effects, moves of refs and ends of runs in the order of time."""
    story = make_story(Chance(seed, kept))
    lines: list[tuple[float, str]] = []
    move = story.remote.on_move

    def see_move(ref: str, old: str | None, new: str | None) -> None:
        lines.append((story.world.now, f"  git {ref.split('/')[2]} {str(old)[:7]} -> {str(new)[:7]}"))
        move(ref, old, new)

    story.remote.on_move = see_move
    first = [{k: p.get(k) for k in ("id", "name", "enabled", "description")} for p in story.server.policies]
    story.play()
    for exchange in story.network.exchanges:
        closed = exchange.closed or 0.0
        text = (
            f"  {exchange.process.name} {exchange.operation} {exchange.asked.path} {exchange.fate} until {closed:.2f}"
        )
        lines.append((exchange.at, text))
    for effect in story.checks.effects:
        after = effect.after and {k: effect.after.get(k) for k in ("enabled", "description")}
        text = (
            f"    EFFECT {effect.operation} {effect.id} of request {effect.asked.sent} by {effect.asked.actor}: {after}"
        )
        lines.append((effect.at, text))
    for job in story.jobs:
        lines.append((job.started, f"{job.process.name} starts at {job.head[:7]}"))
        lines.append((job.ended or -1.0, f"{job.process.name} ends {job.exit} {_end(job.error, job.run)}"))
        lines += [(job.started, f"  {job.process.name} notes {notice}") for notice in job.notices]
    shown = [f"{at:9.3f} {text}" for at, text in sorted(lines, key=lambda line: line[0])]
    return [f"{story.style.name} {story.settings}", *map(str, first), *shown, *_verdict(story)]


def _end(error: ReconcilerError | None, run: object) -> str:
    outcomes = getattr(run, "outcomes", ())
    told = [f"{o.key} {o.action} {o.status} {o.error or ''}" for o in outcomes]
    return f"{error or ''} {getattr(run, 'error', '')} {told}"


def _verdict(story: Story) -> list[str]:
    return [*(f"VIOLATION {text}" for text in story.checks.violations), *map(repr, story.world.broken)]
