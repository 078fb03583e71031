"""The page about events names every column, every key of a mapping and every mapping there is."""

from __future__ import annotations

import re

from reconciler.core.documents import read_documents
from reconciler.impact import mapping
from reconciler.impact.ingest import mapping_names
from reconciler.impact.mapping import load_mapping
from reconciler.semantics.columns import COLUMNS
from tests.support.checkout import ROOT

PAGE = (ROOT / "docs" / "reference" / "events.md").read_text(encoding="utf-8")
WORDS = {*re.findall(r"`([\w-]+)`", PAGE)}


def test_every_column_and_mapping_is_named() -> None:
    assert {*COLUMNS} - WORDS == set()
    assert {*mapping_names()} - WORDS == set()


def test_every_key_and_every_way_of_reading_a_value_is_named() -> None:
    [example] = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    named = {*re.findall(r"^(\w+):", example, re.MULTILINE), *WORDS}

    assert {*mapping._KEYS} - named == set()
    assert {*mapping._UNITS, *mapping._PLAIN} - named == set()
    assert {"path", "as", "before", "map", "equals", "is_null"} - named == set()


def test_the_mapping_of_the_page_is_one() -> None:
    [example] = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

    documents, problems = read_documents(example.encode(), "events.yaml")
    made = load_mapping(documents[0], "page")

    assert problems == ()
    event = made.event(
        {
            "id": "e1",
            "at": "2026-03-05 14:30:00",
            "user": {"id": "u", "groups": [{"name": "ops"}]},
            "operation": "read",
            "target": "db:1",
            "status": "ok",
            "verdict": 2,
        }
    )
    assert not isinstance(event, tuple), event
    assert (event.actor_id, event.resource_type, event.success, event.decision) == ("u", "db", True, "block")
    assert (event.is_vpn, event.actor_roles, event.ts_us) == (True, frozenset({"ops"}), 1_772_717_400_000_000)
