"""The reference pages, made from the program and its schemas: `python docs/reference.py` writes docs/reference/*.md.

The pages are checked in, so that they read the same on a forge; `tests/docs/test_reference.py` fails when one is not
what the code says today (`./run golden` writes them anew). What a person writes about a thing stands in the thing
itself: help texts, schema descriptions, `reconciler/_pages`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from reconciler.core.fields import FieldPage

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "reference"

#: In the words of `--help`; that a code is missing here is an error.
EXIT_CODES: Final = {
    "DONE": "done, or in sync; of `plan` without `--detailed-exitcode` also: changes are pending",
    "ERROR": "an error: a file is not valid, a setting is wrong, the API said no",
    "CHANGES": "changes are pending (`plan --detailed-exitcode`), or there is drift (`drift`)",
    "BLOCKED": "a guard blocks; nothing was sent, or nothing beyond what the guard leaves free",
    "PARTIAL": "apply stopped half-way, or cannot say what became of a request: read its report",
    "STALE": "the plan does not fit any more: git or the live system moved",
    "USAGE": "the command line is wrong",
    "TRY_AGAIN": "try again later: the network, a busy API, another run's lock",
    "INTERRUPTED": "interrupted, by Ctrl-C or SIGTERM",
}

_TYPES: Final = {
    "array": "list",
    "boolean": "true or false",
    "integer": "whole number",
    "null": "`null`",
    "object": "mapping",
    "string": "text",
}


# ------------------------------------------------------------------------------------------------------ pages


def commands() -> str:
    """Every command's help, as the program prints it."""
    from reconciler.cli.app import COMMANDS

    lines = _head("Commands", "What `reconciler --help` and `reconciler COMMAND --help` print.")
    lines += [*_block(_help()), ""]
    for group, names in COMMANDS.items():
        lines += [f"## {group}", ""]
        for name, (_, summary) in names.items():
            lines += [f"### {name}", "", _prose(summary), "", *_block(_help(name)), ""]
    return _text(lines)


def exit_codes() -> str:
    """Every exit code and what it means."""
    from reconciler.errors import WORST_FIRST, ExitCode

    lines = _head("Exit codes", "One list for all commands.")
    lines += _table(("Code", "Means"), ((str(int(code)), EXIT_CODES[code.name]) for code in ExitCode))
    order = ", ".join(str(int(code)) for code in WORST_FIRST)
    lines += ["", f"With several targets the worst one wins, in this order: {order}."]
    return _text(lines)


def errors() -> str:
    """Every error code, as `explain` has it."""
    from reconciler.reports.pages import code_pages

    lines = _head("Error codes", "The word in `error[…]`. `reconciler explain CODE` prints the same.")
    lines += ["![Two errors as `validate` prints them](../img/errors.svg)", ""]
    for code, page in code_pages().items():
        lines += [f"## {code}", "", _prose(page.what), "", _prose(page.why), "", f"**Fix:** {_prose(page.fix)}", ""]
        for title, text in (("Wrong:", page.wrong), ("Right:", page.right), ("Example:", page.example)):
            lines += [title, "", *_block(text), ""] if text else []
    return _text(lines)


def guards() -> str:
    """Every guard: when it fires, the way out, an example."""
    from reconciler.core.guard import GUARDS
    from reconciler.reports.pages import guard_pages

    lines = _head(
        "Guards",
        "A guard stops a whole apply: nothing is sent, exit code 3. `overrides.yaml` lifts one guard for one policy "
        "until a day; see [Override a guard](../how-to/override-a-guard.md). `incomplete-read` holds back creates and "
        "deletes only: the rest is applied first.",
    )
    rows = ((f"`{name}`", _prose(guard.sentence), _lift(guard.liftable, guard.whole)) for name, guard in GUARDS.items())
    lines += [*_table(("Guard", "Says", "Override"), rows), ""]
    for name, guard in GUARDS.items():
        page = guard_pages()[name]
        lines += [f"## {name}", "", _prose(page.when), "", f"**Way out:** {_prose(guard.way_out)}.", ""]
        lines += [*_block(page.example), ""]
    return _text(lines)


def configuration() -> str:
    """Every key of `reconciler.yaml`, `overrides.yaml` and `settings.yaml`."""
    lines = _head(
        "Configuration",
        "The files beside the policies. Tokens stand in none of them: see [Environment](environment.md).",
    )
    about = {
        "reconciler.yaml": "At the root of a policies repository.",
        "overrides.yaml": "Beside it: guards lifted and policies held, each until a day.",
        "settings.yaml": "At the top of a target's policies folder: what holds for the whole target.",
    }
    for file, text in about.items():
        fields = [page for page in _fields() if page.file == file]
        lines += [f"## {file}", "", text, "", *_field_table(fields, direction=False), ""]
    return _text(lines)


def policies(provider: str, title: str) -> str:
    """Every field of one provider's policies, those of each type apart."""
    from reconciler.core.schema import load_schemas

    found = [page for page in _fields() if page.file == f"{provider} policy"]
    types = load_schemas().policy_types(provider)
    common = [page for page in found if not page.types]
    lines = _head(
        title,
        "What a policy file may hold. The last column says which way protection goes when the value changes; "
        "[Keywords](../schema-keywords.md) explains how that is known.",
    )
    lines += ["## Every policy", "", *_field_table(common, direction=True), ""]
    for name in types:
        own = [page for page in found if name in page.types]
        lines += [f"## {name}", "", *_field_table(own, direction=True), ""] if own else []
    return _text(lines)


def formats() -> str:
    """Every machine format that has a schema: where each value stands and what it may be."""
    from reconciler.core.schema import load_schemas

    schemas = load_schemas()
    lines = _head(
        "Machine formats",
        "What `--json` prints, by the schemas in `schemas/`. Each has `format`, its name and version. `?` marks a key "
        "that may be missing.",
    )
    for name in sorted(schemas.raw):
        schema = schemas.whole_schema(name)
        title = str(schema.get("title", ""))
        if title.startswith("reconciler.") and title.rpartition("/")[2].isdecimal():
            rows = ((f"`{path}`" + ("" if always else " ?"), words) for path, always, words in _values(schema, ""))
            lines += [f"## {title}", "", _prose(schema["description"]), "", *_table(("Where", "What"), rows), ""]
    return _text(lines)


PAGES: Mapping[str, Callable[[], str]] = {
    "aim-policies.md": lambda: policies("aim", "AIM policies"),
    "commands.md": commands,
    "configuration.md": configuration,
    "errors.md": errors,
    "exit-codes.md": exit_codes,
    "formats.md": formats,
    "guards.md": guards,
    "neosc-policies.md": lambda: policies("neosc", "NeoSC policies"),
    "opena2a-policies.md": lambda: policies("opena2a", "OpenA2A policies"),
}


# ------------------------------------------------------------------------------------------------------ parts


def _help(*command: str) -> str:
    from click import unstyle
    from click.testing import CliRunner

    from reconciler.cli.app import State, program

    plain = dict.fromkeys(("FORCE_COLOR", "CLICOLOR_FORCE", "PY_COLORS", "GITHUB_ACTIONS"))
    done = CliRunner(env={**plain, "NO_COLOR": "1", "COLUMNS": "80", "TERMINAL_WIDTH": "80"}).invoke(
        program, [*command, "--help"], obj=State(), prog_name="reconciler"
    )
    if done.exit_code:
        raise RuntimeError(f"reconciler {' '.join(command)} --help ended with {done.exit_code}: {done.output}")
    return "\n".join(line.rstrip() for line in unstyle(done.output).splitlines()).strip("\n")


def _fields() -> tuple[FieldPage, ...]:
    from reconciler.core.fields import field_pages
    from reconciler.core.schema import load_schemas

    return field_pages(load_schemas())


def _field_table(fields: list[FieldPage], *, direction: bool) -> Iterator[str]:
    head = ("Key", "Means", "Takes", "Default", *(["Protection"] if direction else []))
    rows = (
        (
            f"`{page.path}`",
            _prose(page.description),
            _prose(page.takes),
            f"`{page.default}`" if page.default is not None else "",
            *([_prose(page.direction)] if direction else []),
        )
        for page in fields
    )
    return _table(head, rows)


def _values(schema: Mapping[str, Any], path: str) -> Iterator[tuple[str, bool, str]]:
    """Yield where each value of a format stands, whether it is always there, and what it may be."""
    always = set(schema.get("required", ()))
    for name, node in schema.get("properties", {}).items():
        where = f"{path}{name}"
        yield where, name in always, _words(node)
        yield from _below(node, where)


def _below(node: Mapping[str, Any] | bool, where: str) -> Iterator[tuple[str, bool, str]]:
    if not isinstance(node, Mapping):
        return
    for branch in (node, *node.get("anyOf", ()), *node.get("oneOf", ())):
        yield from _values(branch, f"{where}.")
        if isinstance(branch.get("items"), Mapping):
            yield from _below(branch["items"], f"{where}[]")


def _words(node: Mapping[str, Any] | bool) -> str:
    """What a value may be, in words; the schema's own where it has some."""
    if not isinstance(node, Mapping):
        return "any value"
    if "const" in node:
        return f"`{json.dumps(node['const'])}`"
    if "enum" in node:
        return ", ".join(f"`{json.dumps(value)}`" for value in node["enum"])
    if "anyOf" in node or "oneOf" in node:
        return " or ".join(dict.fromkeys(_words(each) for each in node.get("anyOf") or node["oneOf"]))
    given = node.get("type", [])
    names = [given] if isinstance(given, str) else list(given)
    words = " or ".join(_TYPES.get(name, name) for name in names) or "any value"
    if "items" in node:
        words = words.replace("list", f"list of {_words(node['items'])}", 1)
    return f"{words}. {_prose(node['description'])}" if "description" in node else words


def _lift(liftable: bool, whole: bool) -> str:
    return ('with `policy: "*"`' if whole else "for one policy") if liftable else "none"


def _head(title: str, about: str) -> list[str]:
    return [f"<!-- Made by docs/reference.py; do not edit. -->\n\n# {title}", "", about, ""]


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", r"\|").replace("\n", " ") for cell in row) + " |"


def _block(text: str) -> Iterator[str]:
    """Text as it is, in a fence that nothing inside can end."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    yield f"{fence}text"
    yield text
    yield fence


def _prose(text: str) -> str:
    """Plain text as Markdown: what stands in back-ticks stays code, all else is escaped."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if index % 2 else re.sub(r"([\\*_<>\[\]])", r"\\\1", part) for index, part in enumerate(parts))


def _text(lines: list[str]) -> str:
    return "\n".join(lines).rstrip("\n") + "\n"


def main() -> None:
    sys.path.insert(0, str(ROOT))
    FOLDER.mkdir(exist_ok=True)
    for name, make in PAGES.items():
        (FOLDER / name).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main()
