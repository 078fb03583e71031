"""The engines agree on the borders of windows, and would not if a border were drawn elsewhere (semantics.md D.5).

Each file in `mutants/` moves one border in a copy of the relational engine. The same search that finds no disagreement
in the engine as it is must find one in every copy, or the search could not find a real mistake either.
"""

from __future__ import annotations

import random
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis.errors import NoSuchExample

from reconciler.impact import outcomes, suspended
from reconciler.impact.lift import Values
from reconciler.semantics.decide import Engine
from tests.impact.test_agreement import ENGINES, event_by_event
from tests.support.boundaries import COLUMNS, Case, cases
from tests.support.replays import events_table

FOLDER = Path(__file__).parent / "mutants"
MUTANTS = sorted(path.stem for path in FOLDER.glob("*.toml"))
EQUIVALENT = [name for name in MUTANTS if tomllib.loads((FOLDER / f"{name}.toml").read_text()).get("equivalent")]
MUST_DIE = [name for name in MUTANTS if name not in EQUIVALENT]
#: So many cases and no disagreement: the mutant lives.
MOST = 200


def disagreement(case: Case, engine: str) -> str | None:
    """What the engines say of a case, where they do not say the same of outcomes or of who is suspended."""
    program, events = case.program, case.events
    with events_table(engine, events) as whole:
        table = whole.select(*COLUMNS)
        values = Values(table)
        rows = outcomes.outcomes(program, table, values).to_pyarrow().to_pylist()
        held = suspended.suspended([program], table, values)
        kept = set() if held is None else {row["seq"] for row in held.to_pyarrow().to_pylist()}
    said = {row["seq"]: int(row["outcome"]) for row in rows}
    want = {seq: verdict[0] for seq, verdict in event_by_event(program, events).items() if verdict[0]}
    decide = Engine([program], on_missing=False)
    stays = {event.seq for event in events if decide.step(event).suspended}
    if (said, kept) == (want, stays):
        return None
    return f"{case}\nevent by event: {want}, suspended {stays}\nas relations: {said}, suspended {kept}"


@contextmanager
def planted(name: str) -> Iterator[None]:
    """The relational engine with one mutant in it."""
    mutant = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    original = sys.modules[mutant["module"]]
    source = Path(str(original.__file__)).read_text(encoding="utf-8")
    for change in mutant["changes"]:
        assert source.count(change["before"]) == 1, f"{name} no longer fits: {change['before']}"
        source = source.replace(change["before"], change["after"])
    spec = spec_from_loader(mutant["module"], loader=None)
    assert spec is not None
    copy = module_from_spec(spec)
    exec(compile(source, f"{name}.toml", "exec"), vars(copy))
    swapped = list(_swap(original, copy))
    try:
        yield
    finally:
        for module, attribute, was in swapped:
            setattr(module, attribute, was)


def _swap(original: ModuleType, copy: ModuleType) -> Iterator[tuple[ModuleType, str, Callable[..., object]]]:
    """Put the functions of *copy* wherever the engine holds those of *original*."""
    own = {name: each for name, each in vars(original).items() if getattr(each, "__module__", "") == original.__name__}
    for module in [each for name, each in sys.modules.items() if name.startswith("reconciler.impact.")]:
        for attribute, was in list(vars(module).items()):
            if any(was is each for each in own.values()) and callable(was) and hasattr(copy, was.__name__):
                setattr(module, attribute, getattr(copy, was.__name__))
                yield module, attribute, was


def killed(name: str, engine: str, most: int = MOST) -> str | None:
    """The first disagreement that a mutant causes, looked for among conditions of the kind that it concerns."""
    kind = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8")).get("kind")
    with planted(name):
        search = settings(max_examples=most, phases=[Phase.generate], database=None, deadline=None)
        try:
            case = find(
                cases(kind),
                lambda case: disagreement(case, engine) is not None,
                settings=search,
                random=random.Random(1),
            )
        except NoSuchExample:
            return None
        found: str | None = disagreement(case, engine)
        return found


@settings(max_examples=6)
@given(cases())
def test_on_the_borders_of_windows_both_engines_say_the_same(case: Case) -> None:
    assert disagreement(case, "sqlite") is None


@pytest.mark.heavy
@pytest.mark.parametrize("engine", ENGINES)
def test_hundreds_of_cases_on_the_borders_come_out_alike(engine: str) -> None:
    @settings(max_examples=150)
    @given(cases())
    def check(case: Case) -> None:
        assert disagreement(case, engine) is None

    check()


@pytest.mark.parametrize("name", ["tumbling-bucket", "sum-inclusive"])
def test_a_border_drawn_elsewhere_is_found(name: str) -> None:
    assert killed(name, "sqlite") is not None


@pytest.mark.heavy
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", MUST_DIE)
def test_every_border_drawn_elsewhere_is_found(name: str, engine: str) -> None:
    assert killed(name, engine) is not None


@pytest.mark.heavy
@pytest.mark.parametrize("name", EQUIVALENT)
def test_a_change_that_moves_no_border_is_not_found(name: str) -> None:
    assert killed(name, "sqlite", most=60) is None


def test_seven_borders_are_watched_and_every_mutant_still_fits() -> None:
    assert len(MUST_DIE) == 7
    for name in MUTANTS:
        with planted(name):
            pass
