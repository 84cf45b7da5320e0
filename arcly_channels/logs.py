"""What log lines about connections say in fields of their own, beside the text."""

from __future__ import annotations


def noted(
    connection: int | None = None,
    tenant: str | None = None,
    code: int | None = None,
    reason: str | None = None,
) -> dict[str, object]:
    """Return the `extra` of such a line: always the same four keys, None where it is not known.

    Payloads, tokens and claims have no place there.
    """
    number = None if code is None else int(code)
    return {"connection": connection, "tenant": tenant, "code": number, "reason": reason}
