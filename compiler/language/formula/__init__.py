"""The formula language: index notation as text -> definitions of a tensor program.

    parser      text -> syntax tree                      (syntax, problems: its nodes, its errors)
    infer       shapes that are not given, from the axes
    resolve     `...` becomes named axes, every axis gets an extent   (extents)
    normalise   a value -> terms of one definition, and let-stages    (cases: choices by axes)
    affine_index, scalar   indices -> Affine, values -> SymPy scalars
    compile     all of these in order

The grammar is docs/formulas.md. Only `scalar` and `compile` need SymPy, which is imported when they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler.language.formula.scope import Operand

if TYPE_CHECKING:
    from compiler.language.formula.compile import CompiledFormula, compile_formula

__all__ = ["CompiledFormula", "Operand", "compile_formula"]


def __getattr__(name: str) -> object:
    if name in __all__:
        from compiler.language.formula import compile as compilation

        return getattr(compilation, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
