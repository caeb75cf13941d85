"""Choices and powers of the scalar language, with the meaning that IEEE 754 gives them.

SymPy reasons over the real numbers, where `x != x` never holds and `exp(-x**2) > 0` always does. In floats
both can be otherwise, and a constant branch must not be folded through what surrounds a choice. So these
nodes are the scalar language's own: SymPy moves them about, differentiates around them, and leaves them as
they are. Each says what it evaluates to, what its derivative is, and how NumPy and JAX write it:

    Select(condition, then, otherwise)    `then` where the condition holds, else `otherwise`
    Maximum(a, b), Minimum(a, b)          NaN if one is NaN; `b` where they are equal, also for the derivative
    Absolute(a), Sign(a)                  Sign is 0 at 0 and NaN at NaN; it is the derivative of Absolute
    Power(a, b)                           C's pow, for an exponent that is no number

The conditions are in conditions.py. A rule that is used below keeps every float: `Select(c, a, a)` is a. The
derivative of a choice is the choice of the derivatives; a condition has none.

Powers follow PyTorch: the slope along the base is 0 where the exponent is 0, and the slope along the
exponent is 0 where the base is 0 and the exponent is not negative.
"""

from __future__ import annotations

from typing import Any

import sympy
from sympy.logic.boolalg import BooleanAtom

from compiler.ir.scalar.conditions import Both, Either, Equal, Less, LessEqual, Negated, NotEqual


class Scalar(sympy.Expr):
    """A real number, or NaN, that SymPy does not look into."""

    is_commutative = True
    is_extended_real = True

    name: str
    """What a formula calls it."""

    def _sympystr(self, printer: Any) -> str:
        return f"{self.name}({', '.join(map(printer._print, self.args))})"

    def _branches(self) -> tuple[sympy.Expr, ...]:
        """What the value can be."""
        raise NotImplementedError

    def _eval_is_finite(self) -> bool | None:
        return True if all(branch.is_finite for branch in self._branches()) else None

    def _eval_is_extended_positive(self) -> bool | None:
        return True if all(branch.is_extended_positive for branch in self._branches()) else None

    def _eval_is_extended_nonnegative(self) -> bool | None:
        return True if all(branch.is_extended_nonnegative for branch in self._branches()) else None

    def _eval_is_extended_negative(self) -> bool | None:
        return True if all(branch.is_extended_negative for branch in self._branches()) else None

    def _eval_is_extended_nonpositive(self) -> bool | None:
        return True if all(branch.is_extended_nonpositive for branch in self._branches()) else None


class Select(Scalar):
    """`then` where the condition holds, else `otherwise`."""

    def _sympystr(self, printer: Any) -> str:
        condition, then, otherwise = map(printer._print, self.args)
        return f"({then} if {condition} else {otherwise})"

    def __new__(cls, condition: sympy.Basic, then: Any, otherwise: Any, evaluate: bool = True) -> Any:
        then, otherwise = sympy.sympify(then), sympy.sympify(otherwise)
        if not evaluate:
            return super().__new__(cls, condition, then, otherwise)
        if isinstance(condition, BooleanAtom):
            return then if condition else otherwise
        if isinstance(condition, Negated):
            return cls(condition.args[0], otherwise, then)
        if isinstance(then, Select) and then.args[0] == condition:
            then = then.args[1]
        if isinstance(otherwise, Select) and otherwise.args[0] == condition:
            otherwise = otherwise.args[2]
        return then if then == otherwise else super().__new__(cls, condition, then, otherwise)

    def _branches(self) -> tuple[sympy.Expr, ...]:
        return self.args[1:]

    def _eval_derivative(self, symbol: sympy.Symbol) -> sympy.Expr:
        condition, then, otherwise = self.args
        return Select(condition, then.diff(symbol), otherwise.diff(symbol))

    def _numpycode(self, printer: Any) -> str:
        condition, then, otherwise = map(printer._print, self.args)
        return f"{printer._module_format(printer._module + '.where')}({condition}, {then}, {otherwise})"

    _jaxcode = _numpycode


class Extremum(Scalar):
    """The larger or the smaller of two: the second where they are equal, NaN where one is NaN."""

    def __new__(cls, first: Any, second: Any, evaluate: bool = True) -> Any:
        first, second = sympy.sympify(first), sympy.sympify(second)
        if evaluate:
            if first == second:
                return first
            if first.is_number and second.is_number:
                return first if cls.beats(first, second) == sympy.true else second
        return super().__new__(cls, first, second)

    @staticmethod
    def beats(first: sympy.Expr, second: sympy.Expr) -> sympy.Basic:
        """The condition under which the first is strictly better than the second."""
        raise NotImplementedError

    @staticmethod
    def yields(first: sympy.Expr, second: sympy.Expr) -> sympy.Basic:
        """The condition under which the second is as good as the first."""
        raise NotImplementedError

    @property
    def choice(self) -> tuple[sympy.Basic, sympy.Expr, sympy.Expr]:
        """(condition, then, otherwise): a NaN of the one that is no number is let through."""
        first, second = self.args
        if second.is_number:
            return self.yields(first, second), second, first
        return self.beats(first, second), first, second

    def _branches(self) -> tuple[sympy.Expr, ...]:
        return self.args

    def _eval_derivative(self, symbol: sympy.Symbol) -> sympy.Expr:
        condition, then, otherwise = self.choice
        return Select(condition, then.diff(symbol), otherwise.diff(symbol))


class Maximum(Extremum):
    """The larger of two."""

    name = "max"

    @staticmethod
    def beats(first: sympy.Expr, second: sympy.Expr) -> sympy.Basic:
        return Less(second, first)

    @staticmethod
    def yields(first: sympy.Expr, second: sympy.Expr) -> sympy.Basic:
        return LessEqual(first, second)

    def _eval_is_extended_positive(self) -> bool | None:
        return True if any(a.is_extended_positive for a in self.args) else None

    def _eval_is_extended_nonnegative(self) -> bool | None:
        return True if any(a.is_extended_nonnegative for a in self.args) else None

    def _numpycode(self, printer: Any) -> str:
        return f"{printer._module_format('numpy.maximum')}({', '.join(map(printer._print, self.args))})"

    def _jaxcode(self, printer: Any) -> str:
        return _chosen_in_jax(self, printer)


class Minimum(Extremum):
    """The smaller of two."""

    name = "min"

    @staticmethod
    def beats(first: sympy.Expr, second: sympy.Expr) -> sympy.Basic:
        return Less(first, second)

    @staticmethod
    def yields(first: sympy.Expr, second: sympy.Expr) -> sympy.Basic:
        return LessEqual(second, first)

    def _eval_is_extended_negative(self) -> bool | None:
        return True if any(a.is_extended_negative for a in self.args) else None

    def _eval_is_extended_nonpositive(self) -> bool | None:
        return True if any(a.is_extended_nonpositive for a in self.args) else None

    def _numpycode(self, printer: Any) -> str:
        return f"{printer._module_format('numpy.minimum')}({', '.join(map(printer._print, self.args))})"

    def _jaxcode(self, printer: Any) -> str:
        return _chosen_in_jax(self, printer)


def _chosen_in_jax(value: Extremum, printer: Any) -> str:
    """With `jnp.where`, whose derivative at a tie is that of one side; `jnp.maximum` takes half of each."""
    first, second = value.args
    condition = value.choice[0] if second.is_number else Either(value.choice[0], NotEqual(first, first))
    return printer._print(Select(condition, *value.choice[1:], evaluate=False))


class Absolute(Scalar):
    """The magnitude. Its derivative is Sign."""

    name = "abs"

    def __new__(cls, value: Any, evaluate: bool = True) -> Any:
        value = sympy.sympify(value)
        if not evaluate:
            return super().__new__(cls, value)
        coefficient, rest = value.as_coeff_Mul()
        if value.is_number:
            return abs(value)
        if value.is_nonnegative or isinstance(value, Absolute):
            return value
        if coefficient != 1:
            return abs(coefficient) * cls(rest)
        if value.is_nonpositive or value.could_extract_minus_sign():
            return cls(-value)
        return super().__new__(cls, value)

    def _branches(self) -> tuple[sympy.Expr, ...]:
        return self.args

    def _eval_is_extended_positive(self) -> bool | None:
        return True if self.args[0].is_extended_nonzero else None

    def _eval_is_extended_nonnegative(self) -> bool:
        return True

    def _eval_is_extended_negative(self) -> bool:
        return False

    def _eval_is_extended_nonpositive(self) -> bool | None:
        return None

    def _eval_derivative(self, symbol: sympy.Symbol) -> sympy.Expr:
        (value,) = self.args
        return Sign(value) * value.diff(symbol)

    def _numpycode(self, printer: Any) -> str:
        return f"abs({printer._print(self.args[0])})"

    _jaxcode = _numpycode


class Sign(Scalar):
    """1 above 0, -1 below, 0 at 0 and NaN at NaN; constant wherever it has a derivative."""

    name = "sign"
    is_finite = True

    def __new__(cls, value: Any, evaluate: bool = True) -> Any:
        value = sympy.sympify(value)
        if evaluate and value.is_number:
            return sympy.sign(value)
        if evaluate and value.could_extract_minus_sign():
            return -cls(-value)
        return super().__new__(cls, value)

    def _branches(self) -> tuple[sympy.Expr, ...]:
        return self.args

    def _eval_derivative(self, symbol: sympy.Symbol) -> sympy.Expr:
        return sympy.S.Zero

    def _numpycode(self, printer: Any) -> str:
        return f"{printer._module_format(printer._module + '.sign')}({printer._print(self.args[0])})"

    _jaxcode = _numpycode


class Power(Scalar):
    """`base**exponent`, the exponent no number and the base no positive number; else it is SymPy's own."""

    name = "pow"

    def __new__(cls, base: Any, exponent: Any, evaluate: bool = True) -> Any:
        base, exponent = sympy.sympify(base), sympy.sympify(exponent)
        if evaluate and not is_own_power(base, exponent):
            return sympy.Pow(base, exponent)
        return super().__new__(cls, base, exponent)

    def _eval_is_finite(self) -> None:
        return None

    def _eval_is_extended_positive(self) -> bool | None:
        return True if self.args[0].is_extended_positive else None

    def _eval_is_extended_nonnegative(self) -> bool | None:
        return True if self.args[0].is_extended_nonnegative else None

    def _eval_is_extended_negative(self) -> None:
        return None

    def _eval_is_extended_nonpositive(self) -> None:
        return None

    def _eval_derivative(self, symbol: sympy.Symbol) -> sympy.Expr:
        base, exponent = self.args
        along_base = Select(Equal(exponent, 0), 0, exponent * Power(base, exponent - 1))
        nothing = Both(Equal(base, 0), LessEqual(0, exponent))
        along_exponent = Select(nothing, 0, self * self._logarithm_of_base)
        return along_base * base.diff(symbol) + along_exponent * exponent.diff(symbol)

    @property
    def _logarithm_of_base(self) -> sympy.Expr:
        base = self.args[0]
        if base == 0:
            # Asked where the exponent is negative alone: the power is infinite there, its slope -inf.
            return sympy.S.NegativeOne
        # SymPy's logarithm of a negative constant is complex; that of minus a magnitude is NaN, as in floats.
        return sympy.log(-Absolute(self) if base.is_number and base.is_negative else base)

    def _numpycode(self, printer: Any) -> str:
        base, exponent = map(printer._print, self.args)
        return f"{printer._module_format(printer._module + '.power')}({base}, {exponent})"

    _jaxcode = _numpycode


def masked(product: sympy.Expr) -> sympy.Expr:
    """A product, or a sum of them, whose factors stand inside the choices that may discard them.

    a·(0 if c else b)   becomes   0 if c else a·b

    So what a choice discards is not multiplied by 0, which would be NaN for an infinite or undefined `a`: the
    derivative of sqrt(max(x, 0)) at -1 is 0, though that of the square root is infinite there.
    """
    if isinstance(product, Select):
        condition, then, otherwise = product.args
        return Select(condition, masked(then), masked(otherwise))
    if product.is_Add:
        return sympy.Add(*map(masked, product.args))
    if not product.is_Mul:
        return product
    factors = [masked(factor) for factor in product.args]
    mask = next((f for f in factors if isinstance(f, Select) and sympy.S.Zero in f.args[1:]), None)
    if mask is None:
        return sympy.Mul(*factors)
    condition, then, otherwise = mask.args
    others = sympy.Mul(*(factor for factor in factors if factor is not mask))
    return Select(condition, masked(others * then), masked(others * otherwise))


CHOICES = (Select, Maximum, Minimum)
"""Values of which a part is computed and thrown away."""
KINKED = (*CHOICES, Absolute, Sign)
"""Scalars whose derivative is found case by case."""
NOT_NUMBERS = tuple(map(type, (sympy.nan, sympy.zoo, sympy.oo, -sympy.oo, sympy.I)))
"""What SymPy makes of an undefined operation on constants: log(0), 0/0, the square root of -1."""


def is_own_power(base: sympy.Expr, exponent: sympy.Expr) -> bool:
    return not exponent.is_number and not (base.is_number and base.is_positive)
