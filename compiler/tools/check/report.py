"""The result of a check as a table: a row for each parameter, columns for each mode and rung."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

TOLERANCE = 1e-9
"""Largest error that passes, relative to the largest entry of its tensor (float64)."""
SLOPE_TOLERANCE = 0.1
"""How far a Taylor slope may be from 2."""

COLUMNS = {
    ("VJP", "interpreter"): "value_and_grad against the derived program in plain NumPy",
    ("VJP", "JAX"): "value_and_grad against JAX's derivative of the formulas",
    ("JVP", "adjoint"): "jvp along one tangent against the interpreter's gradient times it",
    ("JVP", "JAX"): "jvp along one tangent against JAX",
    ("HVP", "interpreter"): "hvp against the derived program in plain NumPy",
    ("HVP", "JAX"): "hvp against JAX's derivative of its gradient",
}
"""What each column of the table compares."""


@dataclass(frozen=True)
class Report:
    """Errors of a checked model. A column that is missing was not measured."""

    model: str
    batch: int
    errors: Mapping[str, Mapping[tuple[str, str], float]]
    """Parameter (and "input") to column to relative error."""
    wholes: Mapping[str, float]
    """Errors that belong to no parameter, by what they are."""
    slopes: Mapping[str, float]
    """Taylor slopes, which are 2 where a derivative is one."""
    note: str = ""
    """Where the examples are from, if they are not the usual ones."""

    @property
    def passed(self) -> bool:
        """Whether every error and every slope is within its tolerance; nan is not."""
        errors = [error for row in self.errors.values() for error in row.values()]
        if not (errors or self.wholes or self.slopes):
            return False
        small = all(error <= TOLERANCE for error in (*errors, *self.wholes.values()))
        return small and all(abs(slope - 2) <= SLOPE_TOLERANCE for slope in self.slopes.values())

    def __str__(self) -> str:
        if not self.errors and self.note:
            return f"{self.model}: float64\n\nFAILED: {self.note}"
        columns = [c for c in COLUMNS if any(c in row for row in self.errors.values())]
        width = max(len("parameter"), *map(len, self.errors))
        lines = [f"{self.model}: float64, {self.batch} random examples, random parameters", ""]
        if self.note:
            lines[-1:] = [self.note, ""]
        lines.append(f"{'':<{width}}" + "".join(f"  {mode:>11}" for mode, _ in columns))
        lines.append(f"{'parameter':<{width}}" + "".join(f"  {rung:>11}" for _, rung in columns))
        for name, row in self.errors.items():
            cells = (f"{row[c]:>11.1e}" if c in row else f"{'':>11}" for c in columns)
            lines.append(f"{name:<{width}}  " + "  ".join(cells))
        lines.append("")
        lines += [f"{what}: {error:.1e}" for what, error in self.wholes.items()]
        lines += [f"{what}: slope {slope:.3f}" for what, slope in self.slopes.items()]
        lines.append("")
        if ("VJP", "JAX") not in columns:
            lines.append("JAX is not installed: the independent rung was left out (pip install jax)")
        verdict = "passed" if self.passed else "FAILED"
        lines.append(f"{verdict}: errors up to {TOLERANCE:.0e} and slopes within {SLOPE_TOLERANCE} of 2 pass")
        return "\n".join(lines)
