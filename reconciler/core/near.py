"""The known word most like one that nobody knows: keys of policies, targets, codes, fields."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from reconciler.core.safe import quoted


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known word most like *word*, whatever its case; empty when none is near.

    >>> nearest("POL-MFA-REQUIRD", ["pol-mfa-required", "pol-session-recording"])
    'pol-mfa-required'
    """
    folded = {name.casefold(): name for name in known}
    found = difflib.get_close_matches(word.casefold()[:200], folded, n=1)
    return folded[found[0]] if found else ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the end of a sentence that names the nearest word, or nothing.

    >>> did_you_mean("neosk", ["neosc", "opena2a"])
    '; did you mean "neosc"?'
    """
    near = nearest(word, known)
    return f"; did you mean {quoted(near, 120)}?" if near else ""
