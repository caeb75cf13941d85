"""Cython with colours, and with marks on the indices and tensors that its formula has too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.sax.saxutils import escape

from compiler.tools.explain.blocks import Code

WORDS = {"cdef", "for", "in", "if", "else", "elif", "while", "and", "or", "not", "range", "noexcept", "nogil"}
TYPES = {"void", "const", "real", "vector", "integers", "Py_ssize_t", "uint8", "int32", "double", "float"}
PIECES = re.compile(r"[^\W\d]\w*|\d[\w.]*(?:[eE][-+]?\d+)?|.", re.DOTALL)
REGISTER = re.compile(r"(?:start|after\d+_)?(.+?)(?:_[vs]\d+)?")
"""How a kernel calls what it has loaded of a tensor: `w_v0` a vector of it, `x_s1` a single value."""


def coloured(code: Code) -> str:
    """The text as elements of HTML; `data-at` says which index or tensor of the formula stands there."""
    marks = {axis: f"i{number}" for number, axis in enumerate(code.axes)}
    tensors = {name: f"t{number}" for number, (_, name) in enumerate(code.tensors)}
    return "\n".join(_line(line, marks, tensors) for line in code.text.splitlines())


def _line(line: str, axes: dict[str, str], tensors: dict[str, str]) -> str:
    comment = line.lstrip().startswith("#")
    # A comment calls tensors as the model does, which is not what the code calls them.
    if comment:
        inner = "".join(_piece(piece, axes, {}, plain=True) for piece in PIECES.findall(line))
        return f'<span class="comment">{inner}</span>'
    return "".join(_piece(piece, axes, tensors) for piece in PIECES.findall(line))


def _piece(piece: str, axes: dict[str, str], tensors: dict[str, str], plain: bool = False) -> str:
    shown = escape(piece)
    at = axes.get(piece) or next((tensors[name] for name in _tensor(piece) if name in tensors), None)
    if at:
        return f'<span data-at="{at}">{shown}</span>'
    kind = "word" if piece in WORDS else "type" if piece in TYPES else "digit" if piece[0].isdigit() else ""
    return f'<span class="{kind}">{shown}</span>' if kind and not plain else shown


def _tensor(piece: str) -> Iterator[str]:
    """The names of tensors that an identifier may speak of."""
    yield piece
    found = REGISTER.fullmatch(piece)
    if found:
        yield found[1]
