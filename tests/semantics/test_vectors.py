"""Every golden vector through the per-event engine, and through the schemas."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.core.judge import make_validator
from reconciler.core.schema import load_schemas
from reconciler.semantics.compile import FAMILIES, compile_policy
from reconciler.semantics.decide import Composition, Decision, Engine, Mode
from reconciler.semantics.events import Event, parse_event
from reconciler.semantics.interpret import Runner
from reconciler.semantics.nodes import from_json, to_json
from reconciler.semantics.program import Program
from reconciler.semantics.shared import Data
from tests.support.vectors import Vector, load_vectors

VECTORS = list(load_vectors())
GOOD = [vector for vector in VECTORS if vector.error is None]
SCHEMAS = load_schemas()


def named(vectors: list[Vector]) -> Any:
    return pytest.mark.parametrize("vector", vectors, ids=lambda vector: f"{vector.cites}: {vector.name}")


def programs_of(vector: Vector) -> list[Program]:
    data = Data(**{key: tuple(value) if isinstance(value, list) else value for key, value in vector.data.items()})
    programs = []
    for policy in vector.policies:
        program = compile_policy(policy, checks=vector.checks, data=data)
        assert isinstance(program, Program), [str(fault) for fault in program]
        programs.append(program)
    return programs


def events_of(vector: Vector) -> list[Event]:
    events = []
    for index, columns in enumerate(vector.events):
        event = parse_event(columns, seq=index)
        assert isinstance(event, Event), [str(fault) for fault in event]
        events.append(event)
    return events


def engine_of(vector: Vector, programs: list[Program]) -> Engine:
    return Engine(programs, Mode(vector.mode), composition=Composition(vector.composition))


def shown(decision: Decision) -> dict[str, Any]:
    return {
        "decision": "block" if decision.is_blocked else "allow",
        "would_block": decision.would_block,
        "violated": list(decision.violated),
        "unknown": list(decision.unknown),
        "alerts": [f"{each.policy} (suspended)" if each.suspension else each.policy for each in decision.alerts],
        "primary": decision.primary,
        "label": decision.label and decision.label.value,
        "suspended": bool(decision.suspended),
        "status": decision.status,
        "retry_after": decision.retry_after_s,
    }


@named(GOOD)
def test_a_vector_comes_out_as_written(vector: Vector) -> None:
    programs, events = programs_of(vector), events_of(vector)

    if vector.outcomes is not None or vector.enforced is not None:
        runner = Runner(programs[0])
        verdicts = [runner.step(event) for event in events]
        assert vector.outcomes in (None, [verdict.outcome.value for verdict in verdicts])
        assert vector.enforced in (None, [verdict.enforced.value for verdict in verdicts])
    if vector.decisions is not None:
        engine = engine_of(vector, programs)
        decisions = [shown(engine.step(event)) for event in events]
        assert len(decisions) == len(vector.decisions)
        assert [{key: got[key] for key in want} for got, want in zip(decisions, vector.decisions, strict=True)] == (
            vector.decisions
        )
    assert vector.effect in (None, programs[0].effect.value)
    assert vector.not_replayed in (None, list(programs[0].not_replayed))
    assert vector.unchecked in (None, list(programs[0].unchecked))


@named([vector for vector in VECTORS if vector.error is not None])
def test_a_policy_that_cannot_be_run_is_an_error_value(vector: Vector) -> None:
    faults = compile_policy(vector.policies[0], checks=vector.checks)

    assert not isinstance(faults, Program)
    assert {fault.code for fault in faults} <= set(str(vector.error).split("|"))


@named([vector for vector in VECTORS if vector.policies and "policy_type" in vector.policies[0]])
def test_the_schemas_accept_what_compiles(vector: Vector) -> None:
    expected = vector.schema_accepts if vector.schema_accepts is not None else vector.error is None

    for policy in vector.policies:
        schema = SCHEMAS.policy_schema("opena2a", policy["policy_type"])
        assert make_validator(schema).is_valid(policy) is expected


@named(GOOD)
def test_a_program_survives_being_written_as_json(vector: Vector) -> None:
    for program in programs_of(vector):
        assert from_json(to_json(program)) == program


def test_every_vector_says_what_it_expects_and_where_that_stands() -> None:
    for vector in VECTORS:
        assert vector.cites.startswith(("B.", "D.")), vector.name
        assert any(
            expected is not None
            for expected in (vector.outcomes, vector.decisions, vector.error, vector.effect, vector.unchecked)
        ), vector.name
        assert vector.outcomes is None or len(vector.outcomes) == len(vector.events), vector.name


def test_there_are_vectors_for_every_type_and_no_name_twice() -> None:
    types = {policy.get("policy_type", policy.get("type")) for vector in GOOD for policy in vector.policies}
    names = [vector.name for vector in VECTORS]

    assert types >= {*FAMILIES, "access", "network", "session"}
    assert sorted(set(names)) == sorted(names)
    assert len(VECTORS) >= 150
