"""What somebody meant who misspelt a name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def meant(word: object, names: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the one of `names` that is most like `word`; None where none is, up to `cutoff`."""
    by_lower = {name.lower(): name for name in names}
    found = difflib.get_close_matches(str(word).lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[found[0]] if found else None


def did_you_mean(word: object, names: Iterable[str]) -> str:
    """Return the beginning of a hint: the question with a space after it, or nothing."""
    name = meant(word, names)
    return "" if name is None else f"Did you mean {name}? "
