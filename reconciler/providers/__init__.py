"""One module per live API, and what they stand on: the one place where a connection is opened.

httpx imports its own command line with itself, and with that rich and pygments, which takes longer than the rest of
it. Nobody here calls it; as where they are not installed, httpx does without.
"""

import sys

sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
