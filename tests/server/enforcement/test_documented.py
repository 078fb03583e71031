"""The page about enforcement says what the server does."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.support.evaluations import Agency

PAGE = (Path(__file__).parents[3] / "docs/explanation/enforcement.md").read_text(encoding="utf-8")


def names(table: str) -> set[str]:
    """The words in the first column of a table of the page."""
    rows = re.search(rf"\| {table} \| \|\n\|---\|---\|\n((?:\|.*\n)+)", PAGE)
    assert rows is not None
    return {name for row in rows[1].splitlines() for name in re.findall(r"`([^`]+)`", row.split("|")[1])}


def test_the_event_on_the_page_is_decided_and_the_reply_has_what_the_page_lists(agents: Agency) -> None:
    example = re.search(r"```json\n(\{\"event_id\".*?)```", PAGE, re.DOTALL)
    assert example is not None

    reply = agents.ask(**json.loads(example[1]))

    assert set(reply) == names("the reply")


def test_the_table_of_modes_on_the_page_is_what_the_server_does(agents: Agency) -> None:
    rows = re.findall(r"^\| (.*) \| violated \| (.*) \| (.*) \|$", PAGE, re.MULTILINE)
    names_of = {"require approval": "require_approval", "suspend": "suspend_agent"}
    said, done = {}, {}
    for effects, monitoring, strict in rows:
        for effect in effects.split(", "):
            said[effect] = (monitoring.replace("*", ""), strict.replace("*", ""))

    for effect in said:
        actions = {"on_violation": names_of.get(effect, effect)}
        agents.policy(name=effect, min_trust_score=60, applies_to=f"agent_id:{effect}", actions=actions)
        found = []
        for mode in ("monitoring", "strict"):
            agents.set_mode(mode)
            reply = agents.ask(actor_id=effect, trust_score=1)
            found.append(", ".join([reply["decision"], *(["alert"] if reply["alerts"] else [])]))
        done[effect] = tuple(found)

    assert len(said) == 7
    assert done == said
