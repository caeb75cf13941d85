"""Passes that can be left out, one by one: what a module computes then changes by rounding alone.

`bounds` and `prune` are not among them, for kernels read nothing outside a tensor and compute nothing that
nobody reads; nor are the stable forms, without which a loss overflows.
"""

from __future__ import annotations

from compiler.errors import ModelError, Problem

SWITCHES: dict[str, str] = {
    "commute": "functions stay before the max that follows them, at every point of a window",
    "demand": "the whole of every tensor is computed, what nobody reads included",
    "pad": "reads outside a tensor are guarded instead of read from a padded copy",
    "simplify": "derivatives stay as the rules give them, in stable form",
    "distribute": "a contraction of several products stays one term",
    "select": "the cotangent of a max is stored with its zeros",
    "invert": "cotangents stay scatters",
    "pick": "a contraction is computed everywhere before a saved winner picks from it",
    "winograd": "convolutions multiply every position by every tap",
    "pack": "weights are read in their own order",
    "fuse": "every definition is a kernel of its own",
    "zeros": "zeros among the inputs are multiplied like other numbers",
    "tile": "a tile is one example",
}
"""Name of each pass, and what a module is like without it. All are on unless somebody asks."""


STAGES = (
    *("commute", "demand", "pad", "vjp", "jvp", "simplify", "stabilise", "prune", "distribute", "bounds"),
    *("select", "invert", "pick", "winograd", "pack"),
)
"""What `--dump-after` may be asked for: the steps that programs go through, in order."""


def parse_switches(text: str) -> frozenset[str]:
    """Names separated by commas. Raises ModelError for one that is no switch."""
    names = frozenset(word.strip() for word in text.split(",") if word.strip())
    unknown = sorted(names - SWITCHES.keys())
    if unknown:
        raise ModelError(Problem("no such pass", expected=", ".join(SWITCHES), found=", ".join(unknown)))
    return names
