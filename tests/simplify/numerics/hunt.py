"""Random compositions at hostile points, for as long as one likes: what is wrong goes into a file.

python -m tests.simplify.numerics.hunt FIRST COUNT FILE
"""

from __future__ import annotations

import math
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import ModuleType

import mpmath
import numpy as np

from compiler.errors import CompilerBug, ModelError
from compiler.ir.tensor.interpreter import run
from tests.simplify.numerics.accuracy import (
    DIGITS,
    HUGE,
    MODES,
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
    0.0,
    1e-38,
    1e-30,
    1e-3,
    0.03,
    0.5,
    1.0,
    3.0,
    8.0,
    15.0,
    25.0,
    44.0,
    60.0,
    88.0,
    90.0,
    700.0,
    1e19,
    3e38,
)
POINTS = tuple(sign * size for size in SIZES for sign in (1.0, -1.0))
FAR = 1e25
"""What is infinite is nearly as at this."""
NEAR = 1e-4
LONGEST = 20
"""Seconds of processor time for one composition."""


def wrong_in(composition: Composition, jax: ModuleType, modes: tuple[str, ...] = MODES) -> Iterator[Wrong]:
    """What is wrong with the programs of a composition, finite points first."""
    points = np.array([*POINTS, math.inf, -math.inf, math.nan], dtype=np.float32)
    program = forward(composition.text)
    found = computed(derived(program, modes), points)
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
    """Write each composition with something wrong, and the first things wrong with it."""
    import jax
    import jax.scipy.special

    def stop(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGVTALRM, stop)

    with path.open("a") as file:
        for number in range(first, first + count):
            random = Random(number)
            composition = random_composition(random)
            started = time.process_time()
            signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST)
            try:
                found = list(
                    wrong_in(composition, jax, random.choice((("vjp",), ("jvp",), ("hvp",), ("vjp",))))
                )
            except TimeoutError:
                file.write(f"SLOW {number} {composition.whole}\n")
                file.flush()
                continue
            except (CompilerBug, ModelError, ValueError, TypeError, ArithmeticError) as error:
                file.write(f"CRASH {number} {composition.whole}: {type(error).__name__} {error}\n")
                continue
            for one in found:
                kind = "BEHIND" if one.behind else "LOOSE"
                kind = "NONFINITE " + kind if not math.isfinite(one.found) else kind
                file.write(f"{kind} {number} {composition.whole} :: {one}\n")
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            file.write(f"done {number} {time.process_time() - started:.2f}\n")
            file.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
