"""The gate says of every value what jsonschema says, or that it cannot tell."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from reconciler.core.documents import read_documents
from reconciler.core.gate import make_gate
from reconciler.core.judge import make_validator
from reconciler.core.schema import load_schemas
from tests.core.test_json_schema_suite import SUITE, cases_of, remotes, required_files
from tests.support.checkout import ROOT

ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 1.0, 1.5, 24, 25, 100, 101, 10**30, 1e308, float("inf"), float("nan"), "", " ", "a",
    "a\n", "08:30", "24:00", "10.0.0.0/8", "10.0.0.1/8", "192.168.*", "DE", "xx", "mon", "٣", "\u212a", "10m", "91d",
    "2027-02-30", "x" * 5000, [], ["a", "a"], ["a", 1], [1, 1.0], [True, 1], [[]], {}, {"a": 1}, {"id": "x"},
)  # fmt: skip


@cache
def schemas() -> tuple[tuple[Any, Any, Any], ...]:
    """Every schema that a file is judged by: itself with its `$ref`s replaced, its gate, its validator."""
    known = load_schemas()
    found = [known.whole_schema(name) for name in ("reconciler", "overrides", "settings")]
    for provider in known.providers:
        found += [known.policy_schema(provider, name) for name in (*known.policy_types(provider), None)]
    return tuple((schema, make_gate(schema), make_validator(schema)) for schema in found)


@cache
def warnings() -> tuple[tuple[Any, Any, Any], ...]:
    """The same of every condition of a warning."""
    found = {json.dumps(rule["if"]): rule["if"] for schema, *_ in schemas() for rule in _warnings_in(schema)}
    return tuple((schema, make_gate(schema), make_validator(schema)) for schema in found.values())


def _warnings_in(node: Any) -> Iterator[Any]:
    if isinstance(node, dict):
        yield from node.get("x-warnings", ())
        for below in node.values():
            yield from _warnings_in(below)
    elif isinstance(node, list):
        for below in node:
            yield from _warnings_in(below)


@cache
def files() -> tuple[Any, ...]:
    """Every document of every YAML file in this checkout that can be read, and every example of a schema."""
    found: list[Any] = []
    for folder in ("policies", "tests", "docs", "templates"):
        for path in sorted((ROOT / folder).rglob("*.y*ml")):
            found += [document.value for document in read_documents(path.read_bytes(), str(path))[0]]
    for schema, _, _ in schemas():
        found += [example for example in schema.get("examples", ()) if isinstance(example, dict)]
    return tuple(found)


def _spots(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a value, as the list or mapping that holds it and the index or key."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _spots(value[key])


def mutant(value: Any, dice: random.Random) -> Any:
    """Return *value* with one to three things changed that an author, or an attacker, might write."""
    changed = copy.deepcopy(value)
    for _ in range(dice.randint(1, 3)):
        spots = list(_spots(changed))
        if not spots:
            break
        holder, key = dice.choice(spots)
        match dice.randint(0, 4):
            case 0:
                del holder[key]
            case 1 | 2:
                holder[key] = copy.deepcopy(dice.choice(ODD))
            case 3 if isinstance(holder, dict):
                name = dice.choice(("x", "name", "id", "enabled", "conditions", "metadata", ""))
                holder[name] = copy.deepcopy(dice.choice(ODD))
            case 3:
                holder.append(copy.deepcopy(dice.choice([*ODD, holder[key]])))
            case _ if isinstance(holder[key], str):
                at = dice.randint(0, len(holder[key]))
                holder[key] = holder[key][:at] + dice.choice(("\n", "é", "*", "0", " ", "/")) + holder[key][at:]
            case _:
                holder[key] = [holder[key]]
    return changed


def _disagreements(values: list[Any], of: list[Any]) -> Iterator[str]:
    for value, (_, gate, validator) in zip(values, of, strict=True):
        verdict = gate(value)
        if verdict is not None and verdict is not validator.is_valid(value):
            yield f"the gate says {verdict} of {json.dumps(value)[:400]}"


def test_every_schema_of_a_file_has_a_gate() -> None:
    assert all(gate is not None for _, gate, _ in (*schemas(), *warnings()))


def test_both_agree_on_every_file_in_this_checkout() -> None:
    for schema in (*schemas(), *warnings()):
        assert list(_disagreements(list(files()), [schema] * len(files()))) == []


def test_both_agree_on_whatever_stands_where_a_document_should() -> None:
    for schema in (*schemas(), *warnings()):
        assert list(_disagreements(list(ODD), [schema] * len(ODD))) == []


@pytest.mark.parametrize("count", [2_000, pytest.param(40_000, marks=pytest.mark.heavy)])
def test_both_agree_on_mutants(count: int) -> None:
    dice = random.Random(count)
    fitting = [(value, [schema for schema in schemas() if schema[1](value)]) for value in files()]

    chosen = [dice.choice([each for each in fitting if each[1]]) for _ in range(count)]
    values = [mutant(value, dice) for value, _ in chosen]
    of = [dice.choice(fits if dice.random() < 0.9 else warnings()) for _, fits in chosen]

    assert list(_disagreements(values, of)) == []
    refused = sum(1 for value, (_, gate, _) in zip(values, of, strict=True) if gate(value) is False)
    assert count * 0.2 < refused < count * 0.9


@pytest.mark.skipif(not SUITE.is_dir(), reason="the JSON Schema Test Suite is not beside the checkout")
def test_both_agree_on_the_official_suite() -> None:
    judged, wrong = 0, []
    for path in required_files():
        for name, schema, data, valid in cases_of(path):
            gate = make_gate(schema, formats=False)
            verdict = gate(data) if gate is not None else None
            if verdict is not None:
                judged += 1
                if verdict is not valid:
                    wrong.append(f"{path.stem}: {name}")

    assert wrong == []
    assert judged > 500


def test_a_list_of_other_things_than_text_is_left_to_jsonschema() -> None:
    gate = make_gate({"uniqueItems": True})
    assert gate is not None

    assert gate([1, True]) is None
    assert gate(["a", "b"]) is True
    assert gate(["a", "a"]) is False


@pytest.mark.parametrize(
    "schema",
    [{"$ref": "#"}, {"multipleOf": 2}, {"unevaluatedProperties": False}, {"enum": [[]]}, {"type": "thing"}, 1,
     {"pattern": "("}, {"properties": {"a": {"$anchor": "x"}}}, {"$schema": "https://example.com/own"}],
)  # fmt: skip
def test_a_schema_that_it_does_not_understand_has_no_gate(schema: Any) -> None:
    assert make_gate(schema) is None


def test_one_that_remotes_would_explain_has_none() -> None:
    if not SUITE.is_dir():
        pytest.skip("the JSON Schema Test Suite is not beside the checkout")

    assert all(make_gate({"$ref": address}) is None for address in remotes())
