"""`chainrule.derive("y = (3x + 2)²")`: a derivation as a value, which notebooks show typeset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from compiler.tools.derive.as_text import as_text
from compiler.tools.derive.derivation import Derived, derive_modes
from compiler.tools.derive.problem import Question, question
from compiler.tools.derive.report import Page, page
from compiler.tools.derive.steps import Step

if TYPE_CHECKING:
    from compiler.tools.derive.checks import Findings


@dataclass(frozen=True)
class Derivation:
    """A formula's derivatives. `str()` is the answer; `steps` are the record, `numpy` and the like code."""

    asked: Question
    modes: tuple[Derived, ...]

    @cached_property
    def page(self) -> Page:
        """All that is shown, as notation."""
        return page(self.asked, self.modes)

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every recorded step of every mode, in order."""
        return tuple(step for section in self.page.sections for step in section.steps)

    def text(self, steps: bool = False) -> str:
        """For a terminal."""
        return as_text(self.page, steps=steps)

    def latex(self, steps: bool = False) -> str:
        """A LaTeX document."""
        from compiler.tools.derive.as_latex import as_latex

        return as_latex(self.page, steps=steps)

    def html(self, steps: bool = False) -> str:
        """A page of HTML, with all that it needs."""
        from compiler.tools.derive.as_html import as_html

        return as_html(self.page, steps=steps)

    @property
    def numpy(self) -> str:
        """The formula and each mode as functions of NumPy arrays."""
        from compiler.tools.derive.code import numpy_text

        return numpy_text(self.asked, self.modes)

    @property
    def cython(self) -> str:
        """Cython functions in plain loops, to compile."""
        from compiler.tools.derive.code import cython_text_of

        return cython_text_of(self.asked, self.modes)

    @property
    def torch(self) -> str:
        """A `torch.autograd.Function`."""
        from compiler.tools.derive.code import torch_code

        return torch_code(self.asked)

    @property
    def jax(self) -> str:
        """A function with a `jax.custom_vjp`."""
        from compiler.tools.derive.code import jax_code

        return jax_code(self.asked)

    def check(self, seed: int = 0) -> Findings:
        """The rungs at a random point; that of JAX where it is installed."""
        from compiler.tools.check import installed_jax
        from compiler.tools.derive.checks import check_derivation

        return check_derivation(self.asked, self.modes, installed_jax(), seed)

    def __str__(self) -> str:
        return self.text()

    def _repr_latex_(self) -> str:
        from compiler.tools.derive.as_latex import formulas

        return formulas(self.page)

    def _repr_html_(self) -> str:
        from compiler.tools.derive.as_html import as_html

        return as_html(self.page, whole=False)


def derive(
    formula: str,
    *,
    wrt: str | Iterable[str] = (),
    modes: str | Iterable[str] = ("vjp",),
    sizes: Mapping[str, int] | None = None,
) -> Derivation:
    """The derivatives of a formula, without a model.

    `wrt` are the tensors by which, all real ones that are read unless some are named; `modes` are of "vjp",
    "jvp", "hvp", "jacobian"; `sizes` say how far axes go, which are small numbers otherwise. Scalars need no
    brackets: "y = (3x + 2)²". Raises ModelError for what cannot be read, does not fit, or is no mode.
    """
    asked = question(formula, wrt=_names(wrt), sizes=sizes)
    return Derivation(asked, derive_modes(asked, _names(modes)))


def _names(given: str | Iterable[str]) -> tuple[str, ...]:
    parts = given.split(",") if isinstance(given, str) else given
    return tuple(part.strip() for part in parts if part.strip())
