"""Adds an import, or an item of a list, to Python code, and leaves all the rest as it is."""

from __future__ import annotations

import ast


class Unclear(ValueError):
    """The code is not written as it usually is, so somebody has to look at it."""


def with_import(code: str, module: str, name: str) -> str:
    """Return the code with `from module import name` behind its last import, unless it has that."""
    body = _parsed(code).body
    imports = [node for node in body if isinstance(node, (ast.Import, ast.ImportFrom))]
    same = (each for each in imports if isinstance(each, ast.ImportFrom) and each.module == module)
    if any(name in (alias.asname or alias.name for alias in each.names) for each in same):
        return code
    if not imports:
        raise Unclear("it imports nothing")
    lines = code.splitlines(keepends=True)
    lines.insert(imports[-1].end_lineno or 0, f"from {module} import {name}\n")
    return "".join(lines)


def with_item(code: str, variable: str, item: str) -> str:
    """Return the code with one more item at the end of the list that a variable is assigned.

    Raises `Unclear` where that list has not a line for each item, and a comma behind the last.
    """
    found = _list(code, variable)
    lines = code.splitlines(keepends=True)
    end = (found.end_lineno or 0) - 1
    if lines[end].strip() != "]":
        raise Unclear(f"the list of {variable} does not end in a line of its own")
    lines.insert(end, f"    {item},\n")
    edited = "".join(lines)
    if len(_list(edited, variable).elts) != len(found.elts) + 1:
        raise Unclear(f"the list of {variable} has no comma behind its last item")
    return edited


def _list(code: str, variable: str) -> ast.List:
    """Return the one list that a variable is assigned."""
    values = [
        node.value
        for node in _parsed(code).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == variable
    ]
    if len(values) != 1 or not isinstance(values[0], ast.List):
        raise Unclear(f"{variable} is not assigned one list")
    return values[0]


def _parsed(code: str) -> ast.Module:
    try:
        return ast.parse(code)
    except SyntaxError as error:
        raise Unclear(f"it is no Python: {error}") from None
