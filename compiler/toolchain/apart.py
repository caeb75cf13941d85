"""The kernels of a module's text apart from its door, so that several Cythons translate them side by side.

    # Kernels                       in the door:
    cdef void dense(                cdef extern from *:
        const real* x, real* y          \"\"\"void __pyx_f_7kernels_dense(const real* x, real* y);\"\"\"
    ) noexcept nogil:                   void dense "__pyx_f_7kernels_dense"(const real* x, real* y) noexcept
        y[0] = 2 * x[0]                 nogil

Kernels know nothing of Python, and nothing of the module but what stands before its constants: the types and
functions of C. So a part is that and some kernels, and the door knows of each kernel what it is called with.
Every line keeps its number. A small module stays whole: two Cythons take a second more to begin, and each
unit of C a fifth of one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

PREFIX = "__pyx_f_7kernels_"
"""What Cython puts before the names of functions in a file that is called `FILE`."""
FILE = "kernels.pyx"
SMALLEST, MOST = 200_000, 4
"""Characters of kernels that are worth a part of their own; parts at most."""
_CONSTANTS, _KERNELS, _PROGRAMS = "\n# Constants of this model\n", "\n# Kernels\n", "\n# Programs: "
_KERNEL = re.compile(
    r"^cdef void (?P<name>\w+)\((?P<parameters>\n(?: {4}.*\n)+)\) noexcept nogil:\n(?: {4}.*\n|\n)+", re.M
)
_ALIAS = re.compile(r"\b(\w+) as (\w+)\b")


@dataclass(frozen=True)
class Apart:
    """A module's text in texts for several Cythons."""

    door: str
    """All but the kernels; each of these is declared."""
    parts: tuple[str, ...]
    """Of the kernels."""


def apart(text: str) -> Apart | None:
    """The text in parts; None where it has too few kernels to be worth it, or is no module's."""
    ends = [text.find(mark) for mark in (_CONSTANTS, _KERNELS, _PROGRAMS)]
    if not 0 < ends[0] < ends[1] < ends[2]:
        return None
    constants, begin, end = ends
    count = min(MOST, (end - begin) // SMALLEST)
    if count < 2:
        return None
    kernels = list(_KERNEL.finditer(text, begin, end))
    head = text[:constants]
    known = {short: name for name, short in _ALIAS.findall(head)}
    door, place = [], 0
    for kernel in kernels:
        door += [text[place : kernel.start()], _declared(kernel, known)]
        place = kernel.end()
    parts = tuple(_part(text, constants, some) for some in _shares(kernels, count))
    return Apart("".join([*door, text[place:]]), parts)


def _declared(kernel: re.Match[str], known: dict[str, str]) -> str:
    """What the door is told of a kernel, in as many lines."""
    parameters = " ".join(kernel["parameters"].split())
    in_c = re.sub(r"\w+(?=[* ])", lambda word: known.get(word[0], word[0]), parameters)
    name = PREFIX + kernel["name"]
    declared = f'''cdef extern from *:
    """__attribute__((visibility("hidden"))) void {name}({in_c});"""
    void {kernel["name"]} "{name}"({parameters}) noexcept nogil
'''
    return declared + "\n" * (kernel[0].count("\n") - declared.count("\n"))


def _part(text: str, constants: int, kernels: Sequence[re.Match[str]]) -> str:
    """The types and functions of C, and some kernels."""
    made, place = [text[:constants]], constants
    for kernel in kernels:
        made += ["\n" * text.count("\n", place, kernel.start()), kernel[0]]
        place = kernel.end()
    return "".join(made)


def _shares(kernels: Sequence[re.Match[str]], count: int) -> Iterator[list[re.Match[str]]]:
    """The kernels in order, in parts of about one size."""
    sizes = [len(kernel[0]) for kernel in kernels]
    shares: list[list[re.Match[str]]] = [[] for _ in range(count)]
    for kernel, end in zip(kernels, accumulate(sizes), strict=True):
        shares[(end - 1) * count // sum(sizes)].append(kernel)
    return filter(None, shares)
