"""Policy files as text: new ones, and people's own with only what changed changed. The one module that has ruamel.yaml.

Bytes in, bytes out; which file is written is for the caller to say. Every result is read back by our own strict reader:
what it would not read as the wanted value is never returned.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from typing import Any

from reconciler.core.canonical import canonical_json, json_equal
from reconciler.core.documents import read_documents
from reconciler.core.model import Json
from reconciler.core.scalars import ScalarError, resolve_plain
from reconciler.core.textedit import CannotEdit, edit

#: No line of a value is ever folded: a diff shows a value, not where it was broken.
_WIDTH = 1 << 20


class CannotWrite(Exception):
    """No text that we would read says this; the message is the reason, for people."""


def new_file(value: Mapping[str, Json], path: str, schema_path: str) -> bytes:
    """Return the text of a new policy file: the editor's schema line, then *value* in its order."""
    text = f"# yaml-language-server: $schema={schema_path}\n{_render(dict(value))}"
    return _read_back(text, path, 0, [dict(value)])


def edit_file(data: bytes, path: str, index: int, value: Mapping[str, Json]) -> bytes:
    """Return *data* with its document number *index* saying *value*, and every other line as it was.

    Where that cannot be done in place ruamel.yaml writes the file anew, with comments and order kept.
    """
    documents, problems = read_documents(data, path)
    if problems or index >= len(documents):
        raise CannotWrite("the file was changed meanwhile")
    wanted = [dict(document.value) for document in documents]
    if json_equal(wanted[index], dict(value)):
        return data
    old, wanted[index] = wanted[index], dict(value)
    text = data.decode("utf-8")
    crlf = "\r\n" in text
    text = text.replace("\r\n", "\n")

    def finish(done: str) -> bytes:
        return _read_back(done.replace("\n", "\r\n") if crlf else done, path, index, wanted)

    try:
        return finish(edit(text, index, old, value, _render))
    except (CannotEdit, CannotWrite):
        return finish(_write_anew(text, index, dict(value)))


def _read_back(text: str, path: str, index: int, wanted: list[dict[str, Json]]) -> bytes:
    """Return *text* as bytes once it is known to say *wanted*."""
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError:
        raise CannotWrite("it holds text that is not Unicode") from None
    documents, problems = read_documents(data, path)
    if problems:
        raise CannotWrite(problems[0].message)
    found = [dict(document.value) for document in documents]
    if len(found) != len(wanted) or not all(map(json_equal, found, wanted)):
        raise CannotWrite(f"document {index + 1} would not be read as it is")
    return data


# ---------------------------------------------------------------------------------------------- ruamel.yaml


def _yaml() -> Any:
    from ruamel.yaml import YAML

    yaml = YAML(typ="rt")
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.preserve_quotes = True
    yaml.allow_duplicate_keys = False
    yaml.width = _WIDTH
    return yaml


def _render(value: Json) -> str:
    """Return a mapping or list in block style; the first level of a list is not indented."""
    yaml = _yaml()
    if isinstance(value, list):
        yaml.indent(mapping=2, sequence=2, offset=0)
    out = StringIO()
    try:
        yaml.dump(_quoted(value), out)
    except (ValueError, OverflowError, RecursionError) as error:
        raise CannotWrite(f"it cannot be written as YAML ({type(error).__name__})") from error
    return out.getvalue()


def _quoted(value: Json) -> Any:
    """Put in quotes what a plain scalar would not be read back as: `no`, `12:30:45`, `1e3`, text of several lines."""
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if isinstance(value, dict):
        return {_quoted(key): _quoted(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_quoted(item) for item in value]
    if isinstance(value, str) and not _stays_text(value):
        return DoubleQuotedScalarString(value)
    return value


def _stays_text(text: str) -> bool:
    try:
        return text.isprintable() and resolve_plain(text) == text
    except ScalarError:
        return False


def _write_anew(text: str, index: int, value: dict[str, Json]) -> str:
    """The whole file as ruamel.yaml writes it, with document *index* changed to *value*."""
    from ruamel.yaml.error import YAMLError

    yaml = _yaml()
    try:
        documents = list(yaml.load_all(text))
        held = [position for position, document in enumerate(documents) if document is not None]
        _patch(documents[held[index]], value)
        yaml.explicit_start = text.lstrip().startswith("---")
        out = StringIO()
        yaml.dump_all(documents, out)
    except (YAMLError, ValueError, IndexError) as error:
        raise CannotWrite(f"it cannot be written as YAML ({type(error).__name__})") from error
    return out.getvalue()


def _patch(node: Any, value: Json) -> None:
    """Change a loaded mapping or list into *value*, leaving alone what is equal: there the comments are."""
    if isinstance(value, dict):
        for key in [key for key in node if key not in value]:
            del node[key]
        for position, (key, entry) in enumerate(value.items()):
            if key not in node:
                node.insert(position, _quoted(key), _quoted(entry))
            elif not _patched(node[key], entry):
                node[key] = _quoted(entry)
        return
    assert isinstance(value, list)  # noqa: S101 - the caller looked
    del node[len(value) :]
    for position, entry in enumerate(value):
        if position >= len(node):
            node.append(_quoted(entry))
        elif not _patched(node[position], entry):
            node[position] = _quoted(entry)


def _patched(node: Any, value: Json) -> bool:
    """Whether *node* says *value*, now or already."""
    if (isinstance(value, dict) and isinstance(node, dict)) or (isinstance(value, list) and isinstance(node, list)):
        _patch(node, value)
        return True
    if isinstance(node, (dict, list)):
        return False
    try:
        return canonical_json(node) == canonical_json(value)
    except TypeError:  # ruamel.yaml takes 2027-01-31 for a date; it writes it as it stood
        return str(node) == value
