"""A derivation as code to paste: NumPy functions of every mode, a PyTorch function, a JAX one."""

from __future__ import annotations

from collections.abc import Iterable

from compiler.derive.vjp import vjp
from compiler.emit.arrays.backend import NUMPY
from compiler.emit.arrays.loops import cython_text
from compiler.emit.arrays.module import Function, Pullback, functions_text, jax_text, torch_text
from compiler.show.names import Called, called
from compiler.simplify.simplify import simplify, stabilise
from compiler.tools.derive.derivation import Derived
from compiler.tools.derive.problem import Question, given_cotangent
from compiler.tools.derive.report import MEANINGS

HEAD = '''"""{formula}

Written by `chainrule derive`; it needs {needs} and nothing else.
"""

'''


def numpy_text(asked: Question, modes: Iterable[Derived]) -> str:
    """The formula and each mode as a function of NumPy arrays."""
    functions, names = _functions(asked, modes)
    code = functions_text(functions, names)
    return HEAD.format(formula=asked.formula.replace("\n", "\n    "), needs="NumPy") + code


def _functions(asked: Question, modes: Iterable[Derived]) -> tuple[list[Function], Called]:
    """The formula and each mode, and what their tensors are called."""
    modes = tuple(modes)
    stable, _ = stabilise(asked.program)
    functions = [Function("forward", "The formula.", stable, (asked.output,))]
    for mode in modes:
        name = "gradient" if mode.mode == "vjp" and mode.seeded is None else mode.mode
        meaning = MEANINGS[mode.mode]
        by = ", ".join(by for by, _ in mode.results if by)
        words = f"{meaning[0].upper()}{meaning[1:]}{', by ' + by if by else ''}."
        functions.append(Function(name, words, mode.stable, tuple(r for _, r in mode.results)))
    # What a tensor was made of is in the program that the rules derived, if no longer in this one.
    names = called(
        (
            asked.program,
            *(m.plain for m in modes),
            *(m.simple for m in modes),
            *(f.program for f in functions),
        )
    )
    return functions, names


def cython_text_of(asked: Question, modes: Iterable[Derived]) -> str:
    """The same as functions of Cython, in loops."""
    functions, names = _functions(asked, modes)
    about = HEAD.format(formula=asked.formula.replace("\n", "\n    "), needs="Cython and NumPy")
    return cython_text(functions, names, NUMPY.helpers["check_shapes("], about.rstrip("\n") + "\n")


def torch_code(asked: Question) -> str:
    """An `autograd.Function`."""
    pullback, names = _pullback(asked)
    code = torch_text(pullback, names)
    return HEAD.format(formula=asked.formula, needs="PyTorch") + code


def jax_code(asked: Question) -> str:
    """A function with a `custom_vjp`."""
    pullback, names = _pullback(asked)
    code = jax_text(pullback, names)
    return HEAD.format(formula=asked.formula, needs="JAX") + code


def _pullback(asked: Question) -> tuple[Pullback, Called]:
    """The formula with its reverse mode in stable form, and what tensors are called."""
    plain, _ = vjp(asked.program, asked.output, asked.wrt, seed="input")
    program, _ = simplify(plain)
    seed = given_cotangent(plain, asked.output)
    results = tuple(zip(asked.wrt, plain.outputs[-len(asked.wrt) :], strict=True))
    words = asked.formula.replace("\n", "; ")
    pullback = Pullback("formula", words, program, asked.output, seed, results)
    return pullback, called((asked.program, plain, program))
