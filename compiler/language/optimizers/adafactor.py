"""Adafactor: Shazeer and Stern, "Adafactor: adaptive learning rates with sublinear memory cost" (2018)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

from compiler.errors import Problem
from compiler.language.optimizers.base import Optimizer, not_negative, positive


@dataclass(frozen=True)
class Adafactor(Optimizer):
    """Steps scaled by a mean square of gradients that is a product: of a row's and a column's.

    Algorithms 4 and 5, without a first moment, as PyTorch has them. Of the last two axes of a parameter
    (…, rows, columns) `rows + columns` means are kept, in the slot `v`, in place of `rows * columns`; of a
    vector all of them. In update t they move by t**beta_2_decay; the rate is the given one, at most 1/√t,
    times the parameter's root mean square (at least `epsilon_2`); and a step whose root mean square is above
    `clip_threshold` is brought to that.
    """

    learning_rate: float = 1e-2
    beta_2_decay: float = -0.8
    epsilon_1: float = 2.0**-23
    epsilon_2: float = 1e-3
    clip_threshold: float = 1.0
    weight_decay: float = 0.0

    of_each = True
    slots = ("v",)
    formula = """
        moved[] = step[]**beta_2_decay
        new_v[i] = (1 - moved[]) * v[i] + moved[] * gradient[i]**2
        change[i] = gradient[i] / sqrt(max(new_v[i], epsilon_1**2))
        length[] = sqrt(mean[i](change[i]**2))
        own_length[] = sqrt(mean[i](parameter[i]**2))
        relative[] = max(epsilon_2, own_length[]) * min(rate[], 1 / sqrt(step[]))
        share[] = relative[] / max(1, length[] / clip_threshold)
        new_parameter[i] = (1 - rate[] * weight_decay) * parameter[i] - share[] * change[i]
        """

    def formula_of(self, shape: tuple[int, ...]) -> str:
        *_, rows, columns = (1, 1, *shape)
        if min(rows, columns) < 2:
            # A column's mean is then the mean of all rows': their product is the row's.
            return self.formula
        return _FACTORED.format(matrices=prod(shape[:-2]), rows=rows, columns=columns, values=rows * columns)

    @property
    def constants(self) -> Mapping[str, float]:
        names = ("beta_2_decay", "epsilon_1", "epsilon_2", "clip_threshold", "weight_decay")
        return {name: getattr(self, name) for name in names}

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        for name in ("epsilon_1", "epsilon_2", "clip_threshold"):
            yield from positive(name, getattr(self, name))
        yield from not_negative("weight_decay", self.weight_decay)
        decay = self.beta_2_decay
        if isinstance(decay, bool) or not isinstance(decay, int | float) or not -1 <= decay <= 0:
            yield Problem("wrong beta_2_decay", expected="a number from -1 to 0", found=repr(decay))


_FACTORED = """
        moved[] = step[]**beta_2_decay
        slope[m:{matrices}, r:{rows}, c:{columns}] = gradient[ravel(m, r, c)]
        row[m, r] = (1 - moved[]) * v[{values}*m + r] + moved[] * mean[c](slope[m, r, c]**2)
        column[m, c] = (1 - moved[]) * v[{values}*m + {rows} + c] + moved[] * mean[r](slope[m, r, c]**2)
        across[m] = max(mean[r](row[m, r]), epsilon_1)
        new_v[{values}*m + r] += row[m, r]
        new_v[{values}*m + {rows} + c] += column[m, c]
        change[m, r, c] = slope[m, r, c] / sqrt(max(row[m, r] * column[m, c] / across[m], epsilon_1**2))
        length[] = sqrt(mean[m, r, c](change[m, r, c]**2))
        own_length[] = sqrt(mean[i](parameter[i]**2))
        relative[] = max(epsilon_2, own_length[]) * min(rate[], 1 / sqrt(step[]))
        share[] = relative[] / max(1, length[] / clip_threshold)
        new_parameter[ravel(m, r, c)] = (
            (1 - rate[] * weight_decay) * parameter[ravel(m, r, c)] - share[] * change[m, r, c]
        )
        """
"""Of `matrices` of a parameter, which lies flat; the means of rows stand in front of those of columns."""
