"""The C that Cython writes, in units that a C compiler translates side by side.

    loops    functions that know nothing of Python and call no other function of the module: loops over
             arrays, of which a step's time is made; in several units where there are many
    door     everything else: what Python calls, and what calls the loops

Four fifths of the time that it takes to optimise a small module would go into the door, and gain nothing. So
each kind has a level of its own: at -Og the door is made in half the time of -O1, and a call takes a tenth of
a microsecond more; at -O0 it would take one and a half more. Which is which is read off the text: Cython
writes the head of a function on one line, and closes it with a brace in the first column. A file without its
marks is one unit, of loops.

All units have the types and prototypes. A static variable that is declared in C, as clocks are, is another
one in each: loops must not use any.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

from compiler.errors import CompilerBug

LOOPS, DOOR, NONE = "-O3", "-Og", "-O0"
"""Levels of optimisation: of loops over arrays, and of what surrounds them."""
LARGEST = 600_000
"""Characters of functions in a unit of loops, about. Each takes some 0.2 s for the headers of Python."""
_SECTION = "/* #### Code section: {} ### */"
_END = "#endif /* Py_PYTHON_H */"
_PROTOTYPE = re.compile(r"^static (?:CYTHON_INLINE )?(?P<head>[^;=]*?(?P<name>__pyx_f_\w+)\(.*\));", re.M)
_FUNCTION = re.compile(
    r"^static (?:CYTHON_INLINE )?(?P<head>[^;=\n]*?(?P<name>__pyx_f_\w+)\(.*\)) \{\n(?P<body>(?:.*\n)*?)\}\n",
    re.M,
)
_PYTHON = re.compile(r"\b(?:__pyx_(?!v_\D|t_|e_|r\b|L\d)|__Pyx|__PYX|CYTHON_(?!UNUSED)|Py(?!_ssize_t\b))\w*")
"""Words of Python and of Cython, other than variables, types, results and labels."""
_VISIBLE = '__attribute__((visibility("hidden"))) '
"""For all units of the module, and for nobody else."""


@dataclass(frozen=True)
class Unit:
    """Text of C that is compiled by itself, and at which level."""

    text: str
    level: str


def units_of(text: str, largest: int = LARGEST) -> tuple[Unit, ...]:
    """The units of a C file: the door first, then loops. One that is not as Cython writes it stays whole."""
    # Types, what Cython needs of its own, prototypes, functions.
    marks = ("utility_code_proto", "module_declarations", "typeinfo")
    own, prototypes, functions = (text.find(_SECTION.format(mark)) for mark in marks)
    loops = dict(_loops(text[functions:])) if 0 <= own < prototypes < functions < text.rfind(_END) else {}
    if not loops:
        return (Unit(text, LOOPS),)
    declared = _PROTOTYPE.sub(lambda match: _prototype(match, loops), text[prototypes:functions])
    rest = _FUNCTION.sub(lambda match: "" if match["name"] in loops else match[0], text[functions:])
    door = Unit(text[:prototypes] + declared + rest, DOOR)
    head = text[:own] + declared
    return door, *(Unit(f"{head}{''.join(part)}\n{_END}\n", LOOPS) for part in _parts(loops, largest))


def loops_of(text: str) -> str:
    """The one unit of a C file whose functions all are loops. Raises CompilerBug where one is not."""
    door, *loops = units_of(text, len(text))
    others = [match["name"] for match in _FUNCTION.finditer(door.text)]
    if others or len(loops) != 1:
        raise CompilerBug(f"not a loop over arrays: {', '.join(others) or 'all of it'}")
    return loops[0].text


def _loops(text: str) -> Iterator[tuple[str, str]]:
    """Functions that stand for themselves, by name."""
    for match in _FUNCTION.finditer(text):
        head = match["head"].replace(match["name"], "", 1)
        if not _PYTHON.search(head) and not _PYTHON.search(_COMMENT.sub("", match["body"])):
            yield match["name"], f"{_VISIBLE}{match['head']} {{\n{match['body']}}}\n"


_COMMENT = re.compile(r"/\*.*?\*/", re.S)


def _prototype(match: re.Match[str], loops: Mapping[str, str]) -> str:
    return f"{_VISIBLE}{match['head']};" if match["name"] in loops else match[0]


def _parts(loops: Mapping[str, str], largest: int) -> Iterable[list[str]]:
    """The functions in order, in parts of about one size, which is at most `largest`."""
    sizes = list(map(len, loops.values()))
    count = -(-sum(sizes) // largest)
    parts: list[list[str]] = [[] for _ in range(count)]
    for function, end in zip(loops.values(), accumulate(sizes), strict=True):
        parts[(end - 1) * count // sum(sizes)].append(function)
    return [part for part in parts if part]
