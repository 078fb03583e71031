"""Failed schema keywords into violations: our own sentences, with the nearest right spelling and a way out.

Knows no validator and no file: `schema.py` brings the failures and places the violations.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

from reconciler.core.formats import FORMATS, minutes_of
from reconciler.core.model import Json, Severity

_TYPE_WORDS: Final[Mapping[str, str]] = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping of keys",
    "null": "nothing (null)",
}

#: Keys of hours that make one window: start, end, and what each is when left out (semantics.md B.6, B.9).
_WINDOWS: Final = (
    ("allowed_hours_start", "allowed_hours_end", 0, 24),
    ("business_hours_start", "business_hours_end", 8, 18),
)

_WINDOW_KEYS: Final = frozenset(key for start, end, *_ in _WINDOWS for key in (start, end))

_MOST_EXTRAS: Final = 100

#: Keywords that speak of several keys at once.
_RULES: Final = ("anyOf", "oneOf", "not", "required", "dependentRequired")


@dataclass(frozen=True, slots=True)
class Violation:
    """One way in which a value does not fit, placed by JSON pointer; `key` means the key there, not its value."""

    code: str
    message: str
    pointer: str
    key: bool = False
    fix: str | None = None
    label: str = ""
    allowed: tuple[str, ...] = ()
    why: str | None = None
    severity: Severity = Severity.ERROR


@dataclass(frozen=True, slots=True)
class Failure:
    """One keyword that a value failed: the keyword and its value, the schema it stands in, the value and where it is.

    `is_key`: the value is a key of the object at `pointer`.
    """

    keyword: str
    wanted: Any
    schema: Mapping[str, Any]
    value: Any
    pointer: str
    is_key: bool = False


def violations_of(failures: Sequence[Failure], hints: Mapping[str, str]) -> Iterator[Violation]:
    """Translate *failures*; one sentence per place where two keywords say the same.

    Rules between keys are not judged where a key is misspelt: they would only say once more that it is missing.
    """
    meant: set[tuple[str, str]] = set()  # keys that are there, misspelt: (object, right spelling)
    missing: dict[tuple[str, str], Violation] = {}
    formatted: set[str] = set()
    rules: list[Violation] = []
    for failure in failures:
        pointer = failure.pointer
        if failure.keyword == "additionalProperties":
            for key in _extras(failure):
                near = _near(key, failure.schema.get("properties", {}))
                if near:
                    meant.add((pointer, near))
                yield _unknown_key(key, near, failure.schema, pointer, hints)
        elif failure.keyword == "required" and "x-message" not in failure.schema:
            for key in failure.wanted:
                if key not in failure.value:
                    missing[(pointer, key)] = _missing_key(key, failure.schema, pointer)
        elif failure.keyword in ("format", "pattern"):
            at = f"{pointer}/{escape(failure.value)}" if failure.is_key else pointer
            if at not in formatted:
                formatted.add(at)
                yield _bad_format(failure, at)
        elif failure.keyword in _RULES and "x-message" in failure.schema:
            rules.append(_violation(failure, pointer))
        else:
            yield _violation(failure, pointer)
    yield from (found for place, found in missing.items() if place not in meant)
    misspelt = {pointer for pointer, _ in meant}
    yield from (found for found in rules if found.pointer not in misspelt)


def _violation(failure: Failure, pointer: str) -> Violation:
    schema = failure.schema
    if "x-message" in schema:
        at_object = isinstance(failure.value, dict) and bool(pointer)
        return Violation(
            schema.get("x-code", "rule-conflict"), schema["x-message"], pointer, key=at_object, fix=schema.get("x-fix")
        )
    subject = _subject(pointer)
    match failure.keyword:
        case "type":
            return _wrong_type(failure, pointer, subject)
        case "enum" | "const":
            return _unknown_value(failure, pointer, subject)
        case "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum":
            return _out_of_range(failure, pointer, subject)
        case "minLength" | "minItems" | "minProperties":
            need = f"at least {failure.wanted}"
            what = "must not be empty" if failure.wanted == 1 else f"is too short: {need}"
            return Violation("wrong-size", f"{subject} {what}", pointer, fix="fill it in, or delete the key")
        case "maxLength" | "maxItems" | "maxProperties":
            return Violation("wrong-size", f"{subject} is too long: at most {failure.wanted}", pointer)
        case _:
            return Violation("does-not-fit", f"{subject} does not fit the schema ({failure.keyword})", pointer)


def _unknown_key(key: str, near: str, schema: Mapping[str, Any], pointer: str, hints: Mapping[str, str]) -> Violation:
    properties: Mapping[str, Any] = schema.get("properties", {})
    home = f" in {_subject(pointer)}" if pointer else ""
    fix, label = None, ""
    child = next((name for name, entry in properties.items() if key in _properties_of(entry)), None)
    own = schema.get("x-hints", {} if pointer else hints)
    if key in own:
        fix = own[key]
    elif child is not None:
        fix, label = f"move it under `{child}`", f"belongs under {child}"
    elif near:
        fix, label = f"write `{near}`", f'did you mean "{near}"?'
    return Violation(
        "unknown-key",
        f'there is no key "{_short(key)}"{home}',
        f"{pointer}/{escape(key)}",
        key=True,
        fix=fix,
        label=label,
        allowed=()
        if fix
        else tuple(sorted(name for name, entry in properties.items() if entry is True or "x-alias-of" not in entry)),
    )


def _missing_key(key: str, schema: Mapping[str, Any], pointer: str) -> Violation:
    entry = _properties_of(schema).get(key)
    entry = entry if isinstance(entry, Mapping) else {}
    example = next(iter(entry.get("examples", ())), None)
    shown = f"{key}: {json.dumps(example, ensure_ascii=False)}" if example is not None else f"{key}:"
    where = _subject(pointer) if pointer else "the document"
    return Violation(
        "missing-key",
        f'"{key}" is missing from {where}',
        pointer,
        key=bool(pointer) and not pointer.rsplit("/", 1)[-1].isdigit(),
        fix=f"add it, for example {shown}",
        why=entry.get("description"),
    )


def _wrong_type(failure: Failure, pointer: str, subject: str) -> Violation:
    wanted = failure.wanted if isinstance(failure.wanted, list) else [failure.wanted]
    words = " or ".join(_TYPE_WORDS[name] for name in wanted if name != "null" or len(wanted) == 1)
    value, fix = failure.value, None
    if "boolean" in wanted and isinstance(value, str) and value.lower() in ("yes", "no", "on", "off", "true", "false"):
        fix = "write true" if value.lower() in ("yes", "on", "true") else "write false"
    elif {"integer", "number"} & set(wanted) and isinstance(value, str) and _is_number(value):
        fix = f"write {value} without quotes"
    elif "string" in wanted and isinstance(value, bool | int | float):
        fix = f'write "{json.dumps(value)}" in quotes'
    elif "array" in wanted and isinstance(value, str):
        fix = f'write a list: ["{_short(value)}"]'
    return Violation("wrong-type", f"{subject} must be {words}, not {_kind(value)}", pointer, fix=fix)


def _unknown_value(failure: Failure, pointer: str, subject: str) -> Violation:
    choices = failure.wanted if failure.keyword == "enum" else [failure.wanted]
    allowed = tuple(_shown(choice) for choice in choices if choice is not None)
    near = _near(failure.value, allowed) if isinstance(failure.value, str) else ""
    return Violation(
        "unknown-value",
        f"{subject} cannot be {_quoted(failure.value)}",
        pointer,
        fix=f"write {near}" if near else None,
        label=f'did you mean "{near}"?' if near else "",
        allowed=allowed,
        why=failure.schema.get("description"),
    )


def _out_of_range(failure: Failure, pointer: str, subject: str) -> Violation:
    bound = _shown(failure.wanted)
    words = {
        "minimum": f"under {bound}, the least it may be",
        "maximum": f"over {bound}, the most it may be",
        "exclusiveMinimum": f"not more than {bound}",
        "exclusiveMaximum": f"not less than {bound}",
    }[failure.keyword]
    fix = f"write {bound} or {'more' if failure.keyword == 'minimum' else 'less'}"
    fix = fix if failure.keyword in ("minimum", "maximum") else "write a number between the limits"
    return Violation("out-of-range", f"{subject} is {words}", pointer, fix=fix)


def _bad_format(failure: Failure, pointer: str) -> Violation:
    subject = f'the key "{_short(failure.value)}"' if failure.is_key else _subject(pointer)
    check = FORMATS.get(failure.schema.get("format", ""))
    flaw = check(failure.value) if check is not None else None
    if flaw is None:
        return Violation("bad-format", f"{subject} is not written as it must be", pointer, key=failure.is_key)
    return Violation("bad-format", f"{subject} is {flaw.what}", pointer, key=failure.is_key, fix=flaw.fix)


def as_policy_type(found: Violation, discriminator: str) -> Violation:
    if found.code == "unknown-value" and found.pointer == f"/{discriminator}":
        return replace(found, code="unknown-policy-type", why="the type decides which other keys there are")
    return found


def empty_windows(value: Json, pointer: str) -> Iterator[Violation]:
    """A window that ends when it starts is empty or a whole day; nobody can tell, so it is an failure (B.6)."""
    if not isinstance(value, dict) or not _has_hours(value):
        return
    for start, end, first, last in _WINDOWS:
        if start in value or end in value:
            opens, closes = minutes_of(value.get(start, first)), minutes_of(value.get(end, last))
            if opens is not None and opens == closes:
                yield Violation(
                    "empty-hours",
                    f"{start} and {end} are the same time",
                    f"{pointer}/{start if start in value else end}",
                    fix="write a later end; for the whole day write 0 and 24, or delete both",
                )
    for key, entry in value.items():
        yield from empty_windows(entry, f"{pointer}/{escape(key)}")


# -------------------------------------------------------------------------------------------------- helpers


def _has_hours(value: dict[str, Json]) -> bool:
    """Whether a window may stand in *value* or below it; asked of every document, and nearly always false."""
    if not _WINDOW_KEYS.isdisjoint(value):
        return True
    for entry in value.values():  # noqa: SIM110 - a generator costs as much as the question
        if isinstance(entry, dict) and _has_hours(entry):
            return True
    return False


def _extras(failure: Failure) -> list[str]:
    known = failure.schema.get("properties", {})
    return list(islice((key for key in failure.value if key not in known), _MOST_EXTRAS))


def _properties_of(schema: Any) -> Mapping[str, Any]:
    found = schema.get("properties", {}) if isinstance(schema, Mapping) else {}
    return found if isinstance(found, Mapping) else {}


def _near(word: str, known: Iterable[str]) -> str:
    """Return the known word most like *word*, whatever its case and hyphens; empty when none is near."""
    folded = {_fold(name): name for name in known}
    found = difflib.get_close_matches(_fold(word[:200]), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else ""


def _fold(word: str) -> str:
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in word).replace("-", "_").strip("_")


def escape(token: str) -> str:
    return token.replace("~", "~0").replace("/", "~1")


def exists(value: Json, pointer: str) -> bool:
    for token in pointer.split("/")[1:]:
        token = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and token in value:
            value = value[token]
        elif isinstance(value, list) and token.isdigit() and int(token) < len(value):
            value = value[int(token)]
        else:
            return False
    return True


def _subject(pointer: str) -> str:
    if not pointer:
        return "the document"
    *parents, last = (token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:])
    if last.isdigit() and parents:
        return f"entry {int(last) + 1} of {_short(parents[-1])}"
    return _short(last)


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "…"


def _quoted(value: Json) -> str:
    if isinstance(value, str):
        return f'"{_short(value)}"'
    return json.dumps(value) if isinstance(value, bool | int | float) or value is None else _kind(value)


def _shown(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _kind(value: Json) -> str:
    match value:
        case bool():
            return json.dumps(value)
        case None:
            return "null"
        case str():
            return "text"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case _:
            return "a mapping of keys"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.isascii()
