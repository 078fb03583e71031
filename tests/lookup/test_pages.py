"""The pages of `explain`: one for every code that the program can say, none for others, and examples that are true."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.config import parse_config
from reconciler.core.documents import load_yaml, read_documents
from reconciler.core.guard import GUARDS
from reconciler.core.model import Problem
from reconciler.core.problems import FilesError
from reconciler.core.schema import find_key_conflicts, load_schemas
from reconciler.reports.pages import CodePage, code_pages, guard_pages

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "reconciler"
CODE = re.compile(r"[a-z][a-z0-9]*(?:[-.][a-z0-9.]+)*")
SCHEMAS = load_schemas()


def sources() -> dict[str, ast.Module]:
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.parent.name != "semantics"  # its faults are about events and rules; no command prints them yet
    }


def code_positions(trees: dict[str, ast.Module]) -> dict[str, set[int]]:
    """Return, for every function, method or dataclass with a parameter `code`, where it stands among the positions."""
    found: dict[str, set[int]] = {}
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                fields = [each.target.id for each in node.body if _is_field(each)]  # type: ignore[attr-defined]
                if "code" in fields:
                    found.setdefault(node.name, set()).add(fields.index("code"))
                for each in node.body:
                    if isinstance(each, ast.FunctionDef):
                        names = [argument.arg for argument in each.args.args][1:]
                        name = node.name if each.name == "__init__" else each.name
                        if "code" in names:
                            found.setdefault(name, set()).add(names.index("code"))
            elif isinstance(node, ast.FunctionDef):
                names = [argument.arg for argument in node.args.args]
                if "code" in names and names[0] != "self":
                    found.setdefault(node.name, set()).add(names.index("code"))
    return found


def _is_field(node: ast.stmt) -> bool:
    return isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)


def codes_in(tree: ast.Module, positions: dict[str, set[int]]) -> Iterator[str]:
    """Yield every text constant that *tree* uses as a code: keyword, argument, class attribute, table of words."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            given = [each.value for each in node.keywords if each.arg == "code"]
            given += [node.args[at] for at in positions.get(name, ()) if at < len(node.args)]
            for value in given:
                yield from _texts(value)
        elif isinstance(node, ast.Assign) and any(getattr(each, "id", "") == "code" for each in node.targets):
            yield from _texts(node.value)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("yaml-"):
            yield node.value


def _texts(node: ast.expr) -> Iterator[str]:
    """The texts a value can be: itself, either side of a choice, the default of a look-up."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from (*_texts(node.body), *_texts(node.orelse))
    elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".get") and len(node.args) == 2:
        yield from _texts(node.args[1])


def schema_codes(node: Any) -> Iterator[str]:
    """Yield the codes that a schema gives to problems: beside a failing rule, and of a warning."""
    if isinstance(node, dict):
        if "x-code" in node:
            yield node["x-code"]
        for warning in node.get("x-warnings", ()):
            yield warning["code"]
        for value in node.values():
            yield from schema_codes(value)
    elif isinstance(node, list):
        for value in node:
            yield from schema_codes(value)


def used_codes() -> set[str]:
    trees = sources()
    positions = code_positions(trees)
    found = {code for tree in trees.values() for code in codes_in(tree, positions) if not code.endswith("-1.2")}
    return found | {code for schema in SCHEMAS.raw.values() for code in schema_codes(schema)}


def test_every_code_has_a_page_and_every_page_a_code() -> None:
    used = used_codes()

    missing = used - code_pages().keys() - guard_pages().keys()  # an error may have the name of the guard it enforces
    assert missing == set(), "write a page for these in reconciler/_pages/"
    assert code_pages().keys() - used == set(), "no line of the program says these"


def test_the_search_for_codes_finds_each_way_of_writing_one() -> None:
    tree = ast.parse(
        """
class Wrong(ReconcilerError):
    code = "class-code"
def make(path, code, message): ...
raise Wrong("x", where="y", fix="z", code="keyword-code" if a else "other-code")
raise Wrong("x", where="y", fix="z", code=schema.get("x-code", "default-code"))
make("p", "argument-code", "m")
table = (("words", ("yaml-table", "m")),)
"""
    )

    found = set(codes_in(tree, code_positions({"m": tree})))

    assert found == {"class-code", "keyword-code", "other-code", "default-code", "argument-code", "yaml-table"}


def test_every_guard_has_a_page_and_every_page_a_guard() -> None:
    assert guard_pages().keys() == GUARDS.keys()


@pytest.mark.parametrize("page", code_pages().values(), ids=lambda page: page.code)
def test_a_page_is_whole(page: CodePage) -> None:
    for text in (page.what, page.why, page.fix):
        assert text[0].isupper() or text[0] in "`0", text
        assert text[-1] in ".?", text
        assert "\n" not in text
    assert bool(page.example) != bool(page.wrong)
    assert bool(page.wrong) == bool(page.right) == bool(page.kind)


BASES: dict[str, dict[str, Any]] = {
    "neosc": {"id": "pol-mfa-required", "name": "MFA", "type": "access", "rules": ["Require MFA for login"]},
    "opena2a": {"name": "Limit", "policy_type": "rate_limit", "conditions": {"max_requests_per_hour": 1000}},
    "opena2a:trust_score": {"name": "Trust", "policy_type": "trust_score", "conditions": {"min_trust_score": 70}},
    "opena2a:unauthorized_access": {
        "name": "Access",
        "policy_type": "unauthorized_access",
        "conditions": {"restricted_resources": ["secret/**"]},
    },
    "aim:trust_score_low": {
        "name": "Trust",
        "policyType": "trust_score_low",
        "enforcementAction": "alert_only",
        "rules": {"trust_threshold": 0.5},
    },
    "reconciler.yaml": {"version": 1},
}


def whole_file(kind: str, part: str) -> bytes:
    """Return a file of *kind* with the keys of *part* in it, all other keys as they must be."""
    if kind in ("raw", "neosc-file"):
        return part.encode()
    keys = re.findall(r"^([a-z_]+|enabld):", part, re.MULTILINE)
    meant = {"enabld": "enabled"}
    rest = {key: value for key, value in BASES[kind].items() if key not in {meant.get(each, each) for each in keys}}
    return "\n".join([*(f"{key}: {json.dumps(value)}" for key, value in rest.items()), part, ""]).encode()


def problems_of(kind: str, data: bytes) -> tuple[Problem, ...]:
    provider = kind.split(":")[0].removesuffix("-file")
    documents, problems = read_documents(data, "policies/example.yaml")
    if kind == "raw" or problems:
        return problems
    if kind == "reconciler.yaml":
        try:
            parse_config(data, "reconciler.yaml", SCHEMAS)
        except FilesError as error:
            return error.problems
        return ()
    found = [problem for document in documents for problem in SCHEMAS.check_policy(provider, document)]
    return (*found, *find_key_conflicts(provider, documents))


@pytest.mark.parametrize(
    "page", [page for page in code_pages().values() if page.wrong], ids=lambda page: str(page.code)
)
def test_the_wrong_example_has_this_problem_and_the_right_one_none(page: CodePage) -> None:
    wrong = problems_of(page.kind, whole_file(page.kind, page.wrong))
    right = problems_of(page.kind, whole_file(page.kind, page.right))

    assert page.code in {problem.code for problem in wrong}
    assert [problem.message for problem in right] == []


@pytest.mark.parametrize("page", guard_pages().values(), ids=lambda page: page.name)
def test_an_override_shown_as_an_example_is_a_valid_one(page: Any) -> None:
    at = page.example.find("overrides:")
    if at < 0:
        assert not GUARDS[page.name].liftable
        return

    (value,) = load_yaml(page.example[at:].encode())

    assert SCHEMAS.violations("overrides", value) == ()
    assert isinstance(value, dict)
    assert value["overrides"][0]["guard"] == page.name  # type: ignore[index, call-overload]
