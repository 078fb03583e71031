"""Looking for a secret in everything a program left behind: what it printed, files, git objects (reliability.md G8)."""

from __future__ import annotations

import base64
import random
import string
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

PLAIN = string.ascii_letters + string.digits
ODD = PLAIN + "+/=._~-!$&*'\"\\<>%#@()[]^|"


def random_token(seed: int, length: int = 40) -> str:
    """The same for the same seed: letters and digits for an even one, else with all that means something somewhere."""
    return "".join(random.Random(seed).choices(ODD if seed % 2 else PLAIN, k=length))


def spellings(secret: str) -> Mapping[str, str]:
    """The ways in which a secret is written by somebody who wants to get it past a filter."""
    data, half = secret.encode(), len(secret) // 2
    return {
        "raw": secret,
        "percent": "".join(f"%{byte:02X}" for byte in data),
        "percent, lower case": "".join(f"%{byte:02x}" for byte in data),
        "percent where needed": quote(secret, safe=""),
        "json": "".join(f"\\u{byte:04x}" for byte in data),
        "json, upper case": "".join(f"\\u{byte:04X}" for byte in data),
        "json where needed": secret.replace("\\", "\\\\").replace('"', '\\"'),
        "html": "".join(f"&#{byte};" for byte in data),
        "hex": data.hex(),
        "hex, upper case": data.hex().upper(),
        **{f"base64 at {offset}": _base64(data, offset) for offset in range(3)},
        **{f"base64url at {offset}": _base64(data, offset, b"-_") for offset in range(3)},
        "halves swapped": secret[half:] + secret[:half],
        "halves reversed": secret[:half][::-1] + secret[half:][::-1],
        "reversed": secret[::-1],
    }


def _base64(data: bytes, offset: int, others: bytes = b"+/") -> str:
    """The characters of base64 that come from *data* alone, when *offset* bytes stand before it."""
    text = base64.b64encode(b"\0" * offset + data + b"\0" * 3, others).decode()
    return text[-(-offset * 8 // 6) : (offset + len(data)) * 8 // 6]


def found(secret: str, places: Mapping[str, bytes]) -> list[str]:
    """Every place that holds the secret, with the spelling."""
    needles = {name: text.encode() for name, text in spellings(secret).items()}
    return [f"{place}: {name}" for place, data in places.items() for name, needle in needles.items() if needle in data]


def left_behind(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below *folder* with its name in it, and every object of every git repository there."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield str(path), str(path).encode() + b"\n" + path.read_bytes()
        if path.name == "HEAD" and (path.parent / "objects").is_dir():
            yield f"objects of {path.parent}", _objects(path.parent)


def _objects(git_dir: Path) -> bytes:
    command = ["git", f"--git-dir={git_dir}", "cat-file", "--batch-all-objects", "--batch"]
    return subprocess.run(command, capture_output=True, check=True).stdout
