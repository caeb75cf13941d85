"""The formula language: index notation as text -> definitions of a tensor program.

    parser      text -> syntax tree                      (syntax, problems: its nodes, its errors)
    resolve     `...` becomes named axes, every axis gets an extent
    normalise   a value -> terms of one definition, and let-stages
    affine_index, scalar   indices -> Affine, values -> SymPy scalars
    compile     all of these in order

The grammar is docs/formulas.md.
"""

from compiler.formula.compile import CompiledFormula, compile_formula
from compiler.formula.scope import Operand

__all__ = ["CompiledFormula", "Operand", "compile_formula"]
