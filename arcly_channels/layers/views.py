"""What is in a layer, as live mappings for tests and debugging."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

V = TypeVar("V")


class LiveView(Mapping[str, V]):
    """A mapping that is computed anew at every look; `delete` removes a key that is there."""

    def __init__(
        self, read: Callable[[], dict[str, V]], delete: Callable[[str], None] | None = None
    ) -> None:
        self._read = read
        self._delete = delete

    def __getitem__(self, key: str) -> V:
        return self._read()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __delitem__(self, key: str) -> None:
        if self._delete is None:
            raise TypeError("this view is read-only")
        if key not in self:
            raise KeyError(key)
        self._delete(key)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._read()!r})"
