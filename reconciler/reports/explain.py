"""What `explain` prints: everything that one word can mean, as text and as `reconciler.explain/1`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from reconciler.core.fields import FieldPage
from reconciler.core.guard import GUARDS, Guard
from reconciler.core.model import CommitInfo, Json
from reconciler.core.safe import for_log, safe
from reconciler.reports.pages import CodePage, GuardPage, code_pages, guard_pages

FORMAT = "reconciler.explain/1"
_WIDTH = 80
_INDENT = 2
_LABEL = 11

#: State of a policy against the ledger, and what it means.
STATES = {
    "never-applied": "never applied from this repository, as far as this clone knows",
    "as-applied": "applied as it stands here",
    "changed": "changed here since it was applied",
}


@dataclass(frozen=True, slots=True)
class PolicyPage:
    """A policy of this repository: where it stands, who changed it last, how it relates to what was applied.

    `state` is one of `STATES`, from the ledger of this clone; the live system is not asked. `commit` is None for a
    file that is not committed, `applied` (the commit of the ledger's entry) for a policy that never was.
    """

    target: str
    key: str
    name: str
    path: str
    line: int
    enabled: bool
    critical: bool
    owner: str | None
    rationale: str | None
    commit: CommitInfo | None
    state: str
    applied: str | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that a word means. `guards` are (name, rule, page)."""

    word: str
    codes: tuple[CodePage, ...] = ()
    guards: tuple[tuple[str, Guard, GuardPage], ...] = ()
    fields: tuple[FieldPage, ...] = ()
    policies: tuple[PolicyPage, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.codes or self.guards or self.fields or self.policies)


def render_explanation(found: Explanation) -> str:
    """Return every meaning as a block of its own (no final newline)."""
    blocks = [_code(page) for page in found.codes]
    blocks += [_guard(name, guard, page) for name, guard, page in found.guards]
    blocks += [_field(page) for page in found.fields]
    blocks += [_policy(page) for page in found.policies]
    return for_log("\n\n".join("\n".join(map(_no_command, block)) for block in blocks), prefix="")


def render_index() -> str:
    """Return one line for every code and guard there is (no final newline)."""
    rows = ["Error codes"]
    rows += list(_entries((code, page.what) for code, page in code_pages().items()))
    rows += ["", "Guards"]
    rows += list(_entries((name, guard.sentence) for name, guard in sorted(GUARDS.items())))
    rows += ["", "Also: any field, such as conditions.max_requests_per_hour, and any policy's key."]
    return "\n".join(rows)


def explanation_to_json(found: Explanation) -> dict[str, Json]:
    """Return `reconciler.explain/1`."""
    entries: list[Json] = [
        {
            "kind": "code",
            "code": page.code,
            "what": page.what,
            "why": page.why,
            "fix": page.fix,
            "example": page.example or None,
            "wrong": page.wrong or None,
            "right": page.right or None,
        }
        for page in found.codes
    ]
    entries += [
        {
            "kind": "guard",
            "guard": name,
            "sentence": guard.sentence,
            "when": page.when,
            "fix": guard.way_out,
            "liftable": guard.liftable,
            "example": page.example,
        }
        for name, guard, page in found.guards
    ]
    entries += [
        {
            "kind": "field",
            "path": page.path,
            "file": page.file,
            "types": list(page.types),
            "description": page.description,
            "takes": page.takes,
            "direction": page.direction or None,
            "default": page.default,
            "examples": list(page.examples),
        }
        for page in found.fields
    ]
    entries += [_policy_to_json(page) for page in found.policies]
    return {"format": FORMAT, "word": found.word, "found": entries}


def index_to_json() -> dict[str, Json]:
    """Return every code and guard as `reconciler.explain/1`, with `word` null."""
    everything = Explanation(
        "",
        codes=tuple(code_pages().values()),
        guards=tuple((name, guard, guard_pages()[name]) for name, guard in sorted(GUARDS.items())),
    )
    return explanation_to_json(everything) | {"word": None}


def _policy_to_json(page: PolicyPage) -> dict[str, Json]:
    commit = page.commit
    return {
        "kind": "policy",
        "target": page.target,
        "key": page.key,
        "name": page.name,
        "path": page.path,
        "line": page.line,
        "enabled": page.enabled,
        "critical": page.critical,
        "owner": page.owner,
        "rationale": page.rationale,
        "commit": {"sha": commit.sha, "author": commit.author, "subject": commit.subject} if commit else None,
        "state": page.state,
        "applied": page.applied,
    }


# --------------------------------------------------------------------------------------------------- blocks


def _code(page: CodePage) -> Iterator[str]:
    yield f"{page.code}: an error code"
    yield from _paragraph("what", page.what)
    yield from _paragraph("why", page.why)
    yield from _paragraph("fix", page.fix)
    for label in ("wrong", "right", "example"):
        yield from _lines(label, getattr(page, label))


def _guard(name: str, guard: Guard, page: GuardPage) -> Iterator[str]:
    yield f"{name}: a guard"
    yield from _paragraph("what", _sentence(guard.sentence))
    yield from _paragraph("when", page.when)
    yield from _paragraph("fix", _sentence(guard.way_out))
    yield from _paragraph("override", "lifts it" if guard.liftable else "cannot lift it")
    yield from _lines("example", page.example)


def _field(page: FieldPage) -> Iterator[str]:
    yield f"{page.path}: a field of {_article(page.file)}"
    yield from _paragraph("means", page.description)
    if page.types:
        yield from _paragraph("types", ", ".join(page.types))
    yield from _paragraph("takes", page.takes)
    yield from _paragraph("default", page.default or "none")
    if page.direction:
        yield from _paragraph("direction", page.direction)
    for number, example in enumerate(page.examples):
        yield from _paragraph("example" if number == 0 else "", example)


def _policy(page: PolicyPage) -> Iterator[str]:
    yield f"{safe(page.key)}: a policy of target {page.target}"
    if page.name != page.key:
        yield from _paragraph("name", safe(page.name))
    yield from _paragraph("where", safe(f"{page.path}:{page.line}"))
    yield from _paragraph("enabled", ("true" if page.enabled else "false") + (", critical" if page.critical else ""))
    for label, text in (("owner", page.owner), ("rationale", page.rationale)):
        if text is not None:
            yield from _paragraph(label, safe(text))
    if page.commit is None:
        yield from _paragraph("commit", "not committed")
    else:
        author, subject = safe(page.commit.author, 60), safe(page.commit.subject)
        yield from _paragraph("commit", f'{page.commit.sha[:7]} {author} "{subject}"')
    applied = f" ({page.applied[:7]})" if page.applied else ""
    yield from _paragraph("state", STATES[page.state] + applied)
    yield from _paragraph("live", f"reconciler status --target {page.target}")


def _no_command(line: str) -> str:
    """A line that a CI system does not take for a command; runners skip blanks before `::`."""
    text = line.lstrip()
    return line[: -len(text)] + "\\x3a" + text[1:] if text.startswith("::") else line


def _paragraph(label: str, text: str) -> Iterator[str]:
    first = " " * _INDENT + label.ljust(_LABEL)
    yield from textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _lines(label: str, text: str) -> Iterator[str]:
    """Lines of a file or a terminal, as they are."""
    for number, line in enumerate(text.split("\n") if text else ()):
        yield (" " * _INDENT + ("" if number else label).ljust(_LABEL) + line).rstrip()


def _entries(entries: Iterator[tuple[str, str]]) -> Iterator[str]:
    for name, text in entries:
        yield from textwrap.wrap(text, _WIDTH, initial_indent=f"  {name:<24}", subsequent_indent=" " * 26)


def _article(file: str) -> str:
    return f"an {file}" if file[0] in "aeiou" and file.endswith("policy") else f"a {file}" if " " in file else file


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."
