"""How often something may happen: a rate, and the token bucket that keeps to it."""

from __future__ import annotations

import dataclasses
import math
import re

_FORM = re.compile(r"([1-9][0-9]{0,8})/([smh])")
_SECONDS = {"s": 1, "m": 60, "h": 3600}

_ONE = 1 - 1e-6
"""What passes for a token: sums of floats are not exact."""


@dataclasses.dataclass(frozen=True)
class Rate:
    """So many a second in the long run, and up to `burst` at once."""

    per_second: float
    burst: int

    @classmethod
    def of(cls, rate: object, burst: object, *, where: str) -> Rate | None:
        """Make one of what a developer wrote `where`; raise `TypeError` for what is no rate.

        Without a `burst`, the number of the rate is one: "5/m" are five at once, if need be.
        """
        if rate is None:
            if burst is not None:
                raise TypeError(f"{where}: a burst needs a rate, as in rate='20/s', burst=40")
            return None
        form = _FORM.fullmatch(rate) if isinstance(rate, str) else None
        if form is None:
            raise TypeError(f"{where}: a rate is '20/s', '5/m' or '100/h', say, not {rate!r}")
        number = int(form[1])
        return cls(
            number / _SECONDS[form[2]], number if burst is None else whole(burst, f"{where}: burst")
        )


def whole(value: object, where: str) -> int:
    """Return a whole number of at least 1; raise `TypeError` for anything else, True included."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise TypeError(f"{where}: a whole number of at least 1 is needed, not {value!r}")
    return value


class Bucket:
    """What is left of a rate. Times are seconds of a clock that never goes back."""

    __slots__ = ("_at", "_rate", "_tokens")

    def __init__(self, rate: Rate, now: float) -> None:
        self._rate = rate
        self._tokens = float(rate.burst)
        self._at = now

    def take(self, now: float) -> float:
        """Take a token, and return 0; or take none, and return in how many seconds there is one.

        That is rounded up to milliseconds.
        """
        rate = self._rate
        self._tokens = min(rate.burst, self._tokens + (now - self._at) * rate.per_second)
        self._at = now
        if self._tokens >= _ONE:
            self._tokens -= 1
            return 0.0
        return math.ceil((1 - self._tokens) / rate.per_second * 1000) / 1000
