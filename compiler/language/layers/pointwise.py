"""Layers that are written down as a Python function of one element.

    Pointwise(lambda x, beta: x / (1 + exp(-beta * x)), beta=Parameter((), Ones()))

The function is called once, with SymPy symbols; what it returns becomes a formula. So it may do whatever
Python can do with them, and nothing of it is left when the layer runs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from compiler.errors import ModelError, Problem
from compiler.language.initializers.base import Initializer
from compiler.language.layers.base import Forward, Layer, Parameter, Shape
from compiler.language.layers.checks import is_number, wrong
from compiler.language.layers.formula import parameter_problems, reserved_problems
from compiler.language.layers.shaping import axis_names

if TYPE_CHECKING:
    import sympy

_ADVICE = "exp, where, maximum, equal, … from chainrule, and & | ~ between conditions"


@dataclass(frozen=True, init=False)
class Pointwise(Layer):
    """A function of each element: any shape to the same shape.

    `function` takes the inputs, in order, and by name what is given by keyword: a number, a parameter, or an
    initializer for a parameter of one value. A parameter's sizes stand for the last dimensions of the input:
    `Parameter((-1,), Zeros())` has a value for each channel, -1 being the input's size there, and
    `Parameter(None, Zeros())` one for each element. A size of 1 is shared along its dimension.
    """

    function: Callable[..., object]
    values: Mapping[str, Parameter | Initializer | int | float] = field(default_factory=dict)

    def __init__(self, function: Callable[..., object], *, name: str | None = None, **values: object):
        object.__setattr__(self, "function", function)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "name", name)
        self.__post_init__()

    @property
    def arity(self) -> tuple[int, int | None]:
        number = len(self._inputs())
        return number, number

    def problems(self) -> Iterator[Problem]:
        if not callable(self.function):
            yield wrong("function", "a function, such as lambda x: x**2", self.function)
            return
        known = _argument_names(self.function)
        if not self._inputs():
            yield Problem("the function takes no input", expected="lambda x, …: an expression of x")
        for key, value in self.values.items():
            if key not in known:
                expected = f"one of {', '.join(known)}"
                yield Problem(f"the function has no argument {key}", expected=expected)
            if not is_number(value):
                yield from reserved_problems(key)
                yield from parameter_problems(key, value)

    def forward(self, *shapes: Shape) -> Forward:
        inputs, shape = self._inputs(), shapes[0]
        for number, other in enumerate(shapes[1:], 2):
            if other != shape:
                found = f"{other}, the shape of input {number}"
                raise ModelError(
                    Problem("the inputs have different shapes", expected=f"{shape}", found=found)
                )
        axes = axis_names(len(shape))
        parameters = {
            key: _parameter(key, value, shape)
            for key, value in self.values.items()
            if isinstance(value, Parameter | Initializer)
        }
        place = ", ".join(("b", *axes))
        called = ("x",) if len(inputs) == 1 else tuple(f"x{k + 1}" for k in range(len(inputs)))
        reads = {name: f"{x}[{place}]" for name, x in zip(inputs, called, strict=True)}
        reads |= {
            key: f"{key}[{_indices(parameter.known_shape, axes)}]" for key, parameter in parameters.items()
        }
        constants = {key: value for key, value in self.values.items() if is_number(value)}
        return Forward(f"y[{place}] = {self._expression(reads, constants)}", shape, parameters)

    def _inputs(self) -> tuple[str, ...]:
        """The function's arguments that are not given by keyword."""
        return tuple(name for name in _argument_names(self.function) if name not in self.values)

    def _expression(self, reads: Mapping[str, str], constants: Mapping[str, int | float]) -> str:
        """The function's result as a value of the formula language."""
        # SymPy takes half a second to import: only a model with such a layer pays for it.
        import sympy

        from compiler.language.formula.from_sympy import formula_text

        # Of a symbol that may be anything SymPy concludes nothing: not that exp(-x**2) > 0 always holds.
        symbols = {name: sympy.Symbol(name) for name in reads}
        numbers = {
            key: sympy.Rational(repr(v)) if isinstance(v, float) else v for key, v in constants.items()
        }
        value = _called(self.function, {**symbols, **numbers})
        return formula_text(value, {symbol: reads[name] for name, symbol in symbols.items()})


def _argument_names(function: Callable[..., object]) -> tuple[str, ...]:
    return tuple(inspect.signature(function).parameters) if callable(function) else ()


def _called(function: Callable[..., object], arguments: Mapping[str, object]) -> sympy.Expr:
    """The function's result. Raises ModelError for one that does not work with symbols."""
    import sympy

    try:
        value = sympy.sympify(function(**arguments))
    except (TypeError, ValueError, AttributeError, sympy.SympifyError) as error:
        message = f"the function cannot be called with symbols: {error}"
        advice = "** for powers" if "for ^" in message else _ADVICE
        raise ModelError(Problem(message, expected="arithmetic and functions", advice=advice)) from None
    if value.has(sympy.I, sympy.nan, sympy.zoo, sympy.oo, -sympy.oo):
        message = "the function gives a constant that is not a finite real number"
        raise ModelError(Problem(message, found=str(value)))
    if not isinstance(value, sympy.Expr):
        raise ModelError(Problem("the function gives no value", expected="an expression", found=repr(value)))
    return value


def _parameter(key: str, value: Parameter | Initializer, shape: Shape) -> Parameter:
    """The parameter with its sizes put in. Raises ModelError for sizes that do not fit the input's."""
    if isinstance(value, Initializer):
        return Parameter((), value)
    if value.shape is None:
        return replace(value, shape=shape)
    tail = shape[len(shape) - len(value.shape) :]
    if len(value.shape) > len(shape) or any(
        size not in (-1, 1, there) for size, there in zip(value.shape, tail, strict=True)
    ):
        expected = f"the last sizes of {shape}, with 1 or -1 for any of them"
        raise ModelError(Problem(f"wrong shape of {key}", expected=expected, found=str(value.shape)))
    sizes = (there if size == -1 else size for size, there in zip(value.shape, tail, strict=True))
    return replace(value, shape=tuple(sizes))


def _indices(shape: Shape, axes: tuple[str, ...]) -> str:
    """The indices of a parameter: the last axes, and 0 along a dimension that it shares."""
    last = axes[len(axes) - len(shape) :]
    return ", ".join("0" if size == 1 else name for size, name in zip(shape, last, strict=True))
