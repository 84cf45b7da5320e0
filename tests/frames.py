"""Frames of up to 1 MiB that would cost a careless server much time; by what is wrong with them."""

from __future__ import annotations

import json

MEGABYTE = 2**20
FRAMES = {
    "deep ref": '{"event":"e","ref":' + "[" * 1000 + "]" * 1000 + "}",
    "deep ref of much": '{"event":"e","ref":' + f'["{"x" * 1000}",' * 1000 + "0" + "]" * 1000 + "}",
    "ref of a megabyte": json.dumps({"event": "e", "ref": "x" * (MEGABYTE - 30)}),
    "event of a megabyte": json.dumps({"event": "x" * (MEGABYTE - 30)}),
    "event of line feeds": json.dumps({"event": "\n" * (MEGABYTE // 2 - 30)}),
    "arrays": '{"data":[' + "[]," * 300_000 + "0]}",
    "deep arrays": '{"data":[' + ("[" * 60 + "]" * 60 + ",") * 8000 + "0]}",
    "deep objects": '{"data":[' + ('{"":' * 60 + "0" + "}" * 60 + ",") * 3000 + "0]}",
    "as many arrays as may be": '{"data":['
    + ("[" * 60 + "]" * 60 + ",") * 800
    + "0," * 450_000
    + "0]}",
    "as many objects as may be": '{"data":[' + '{"":{"":0}},' * 24_000 + "0," * 350_000 + "0]}",
    "keys": json.dumps({f"{number:x}": 1 for number in range(80_000)}),
    "one key": "{" + '"event":"e",' * 80_000 + '"event":"e"}',
    "digits": '{"ref":' + "1" * 100_000 + "}",
    "numbers": '{"data":[' + "1e308," * 170_000 + "0]}",
    "surrogate": r'{"event":"\ud800"}',
    "brackets": "[" * MEGABYTE,
    "quotes": '"' * MEGABYTE,
}
