"""What Python's operators mean on layers and values: `+` adds two values, and the others raise."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from compiler.errors import ModelError, Problem
from compiler.language.layers.caller import caller

_PRODUCT = 'Formula("y[...] = x1[...] * x2[...]")(a, b), or another formula of what is meant'
_TAKEN_APART = 'Formula("y[b, i] = x[b, i + 1]", sizes={"i": …})(x), Cropping1D, Reshape or Permute'
_CHOICE = "a Formula with where(…): the graph is the same for every example"


def _without(use: str, advice: str = _PRODUCT) -> Callable[..., NoReturn]:
    """The method behind a use of layers and values that they are not made for."""

    def refuse(self: object, *others: object) -> NoReturn:
        if getattr(getattr(self, "layer", self), "_is_placeholder", False):
            # What it stands for is reported already, and might have been made for this.
            raise ModelError()
        raise ModelError(
            Problem(
                f"layers and values of a graph have no {use}",
                caller(),
                expected="a + b, or a layer that does what is meant",
                found=", ".join(f"a {type(value).__name__}" for value in (self, *others[:1])),
                advice=advice,
            )
        )

    return refuse


class Operators:
    """All operators but `+`, `==` and `!=`; each raises ModelError, which says where it stands."""

    __sub__ = __rsub__ = __isub__ = _without("a - b")
    __mul__ = __rmul__ = __imul__ = _without("a * b")
    __matmul__ = __rmatmul__ = __imatmul__ = _without("a @ b")
    __truediv__ = __rtruediv__ = __itruediv__ = _without("a / b")
    __floordiv__ = __rfloordiv__ = __ifloordiv__ = _without("a // b")
    __mod__ = __rmod__ = __imod__ = _without("a % b")
    __divmod__ = __rdivmod__ = _without("divmod(a, b)")
    __pow__ = __rpow__ = __ipow__ = _without("a ** b")
    __lshift__ = __rlshift__ = __ilshift__ = _without("a << b")
    __rshift__ = __rrshift__ = __irshift__ = _without("a >> b")
    __and__ = __rand__ = __iand__ = _without("a & b")
    __or__ = __ror__ = __ior__ = _without("a | b")
    __xor__ = __rxor__ = __ixor__ = _without("a ^ b")
    __neg__ = _without("-a")
    __pos__ = _without("+a")
    __abs__ = _without("abs(a)", "Pointwise(lambda x: maximum(x, -x))(a), for instance")
    __invert__ = _without("~a")
    __round__ = _without("round(a)")
    __lt__ = _without("a < b", _CHOICE)
    __le__ = _without("a <= b", _CHOICE)
    __gt__ = _without("a > b", _CHOICE)
    __ge__ = _without("a >= b", _CHOICE)
    __bool__ = _without("truth, as in if a, a and b, a or b, not a", _CHOICE)
    __getitem__ = _without("a[…]", _TAKEN_APART)
    __iter__ = _without("parts, as in for part in a, and b, c = a", _TAKEN_APART)
    __contains__ = _without("b in a", _TAKEN_APART)
    __len__ = _without("len(a)", _TAKEN_APART)
    __int__ = __float__ = __index__ = __complex__ = _without("number, as in float(a)", _CHOICE)
