"""Random compositions at hostile points, as many as one likes: what is wrong with each, by kind.

python -m tests.simplify.numerics.hunt FIRST COUNT FILE    writes what is wrong with each composition

Those that FILE says are done are not looked at again: a hunt that was stopped goes on. JAX is needed;
`--extra bench` has it.
"""

from __future__ import annotations

import math
import re
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from random import Random
from types import ModuleType

import mpmath
import numpy as np

from compiler.errors import CompilerBug, ModelError
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.program import Program
from tests.simplify.numerics.accuracy import (
    DIGITS,
    HUGE,
    ORDER,
    SINGLE,
    Wrong,
    computed,
    derived,
    forward,
    judged,
    representable,
)
from tests.simplify.numerics.compositions import Composition, random_composition

SIZES = (
    *(0.0, 1e-38, 1e-30, 1e-3, 0.03, 0.5, 1.0, 3.0, 8.0),
    *(15.0, 25.0, 44.0, 60.0, 88.0, 90.0, 700.0, 1e19, 3e38),
)
POINTS = tuple(sign * size for size in SIZES for sign in (1.0, -1.0))
FAR = 1e25
"""What is infinite is nearly as at this."""
NEAR = 1e-4
LONGEST, LATE = 60, 2
"""Seconds of processor time that the hunter has for one composition, and that its derivation should take; the
tests have no clock."""
REFUSALS = (
    *(CompilerBug, ModelError, ValueError, TypeError, ArithmeticError),
    *(LookupError, AttributeError, RecursionError),
)
"""What a derivation may end in, if it is not compiled; most are mistakes of the compiler."""
MODES = (("vjp",), ("jvp",), ("hvp",), ("vjp",))


class Kind(Enum):
    """What may be wrong with a composition, the worst first."""

    REFUSED = "is not compiled"
    SLOW = "takes too long"
    LATE = "derived in more than 2 s of processor time"
    NOT_FINITE = "not finite where JAX is right"
    BEHIND = "not as near as JAX"
    NOT_FINITE_EITHER = "not finite, where JAX is not right either"
    LOOSE = "loose, where JAX is too"


@dataclass(frozen=True)
class Finding:
    """A kind of what is wrong with one composition, and the first such value."""

    kind: Kind
    number: int
    what: str

    def __str__(self) -> str:
        return f"{self.kind.name} {self.number} {self.what}"


def findings(number: int, jax: ModuleType) -> list[Finding]:
    """What is wrong with the composition of that number, one of a kind."""
    random = Random(number)
    composition = random_composition(random)
    modes = random.choice(MODES)
    started = time.process_time()
    try:
        programs = derived(forward(composition.text), modes)
        taken = time.process_time() - started
        wrong = list(wrong_in(composition, jax, programs))
    except TimeoutError:
        return [Finding(Kind.SLOW, number, f"{composition.whole} {modes}")]
    except REFUSALS as error:
        return [Finding(Kind.REFUSED, number, f"{composition.whole}: {type(error).__name__} {error}")]
    late = [Finding(Kind.LATE, number, f"{composition.whole} {modes} {taken:.1f}")] if taken > LATE else []
    first: dict[Kind, Wrong] = {}
    for one in wrong:
        first.setdefault(_kind(one), one)
    return late + [Finding(kind, number, f"{composition.whole} :: {one}") for kind, one in first.items()]


def _kind(wrong: Wrong) -> Kind:
    if math.isfinite(wrong.found):
        return Kind.BEHIND if wrong.behind else Kind.LOOSE
    return Kind.NOT_FINITE if wrong.behind else Kind.NOT_FINITE_EITHER


def wrong_in(composition: Composition, jax: ModuleType, programs: dict[str, Program]) -> Iterator[Wrong]:
    """What is wrong with the programs of a composition, finite points first."""
    points = np.array([*POINTS, math.inf, -math.inf, math.nan], dtype=np.float32)
    program = forward(composition.text)
    found = computed(programs, points)
    theirs = composition.in_jax(jax, points)
    for k, point in enumerate(map(float, points[:-1])):
        with mpmath.workdps(DIGITS):
            right = composition.jet(point if math.isfinite(point) else math.copysign(FAR, point))
        with mpmath.workprec(SINGLE):
            plain = composition.jet(point)
        if not representable(right[0]):
            continue
        for mode, values in found.items():
            n = ORDER[mode]
            value, exact, other = float(values[k]), right[n], float(theirs[n][k])
            if math.isinf(point):
                if math.isfinite(other) and abs(other - exact) < NEAR and not abs(value - exact) < 2 * NEAR:
                    yield Wrong(mode, point, value, float(exact), f"JAX has {other:g}", True)
            elif mpmath.isfinite(exact) and abs(exact) <= HUGE:
                wrong = judged(mode, point, value, exact, plain[n], other)
                if wrong is not None:
                    yield wrong
    plain_value = run(program, {"x": points[-1:].astype(float)}, dtype=np.float64)["y"]
    for mode in found:
        if mode == "value" and math.isnan(plain_value[0]) and not math.isnan(found[mode][-1]):
            yield Wrong(mode, math.nan, float(found[mode][-1]), math.nan, "a NaN is lost", False)


def main(first: int, count: int, path: Path) -> None:
    """Write what is wrong with each composition that the file does not have, and how many of each kind there
    are."""
    import jax
    import jax.scipy.special

    def stop(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGVTALRM, stop)
    done = set(_of_kinds(path, "done"))
    with path.open("a") as file:
        for number in range(first, first + count):
            if number in done:
                continue
            started = time.process_time()
            signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST)
            found = findings(number, jax)
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            lines = [*map(str, found), f"done {number} {time.process_time() - started:.2f}"]
            file.write("\n".join(lines) + "\n")
            file.flush()
    for kind in Kind:
        numbers = _of_kinds(path, kind.name)
        print(f"{sum(first <= n < first + count for n in numbers):5} of {count} {kind.value}")


def _of_kinds(path: Path, word: str) -> list[int]:
    """The numbers in the lines that begin with the word; none where there is no file."""
    lines = path.read_text() if path.exists() else ""
    return [int(number) for number in re.findall(rf"^{word} (\d+) ", lines, re.MULTILINE)]


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
