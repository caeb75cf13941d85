"""What a module can be asked to compute besides training, and which programs each mode needs.

    vjp          value_and_grad, train_step: always there
    jvp          the derivative of the loss along given tangents, in one forward pass
    hvp          the Hessian of the loss times given tangents
    per_example  losses and gradients of each example of a batch
    pullback     gradients for given cotangents of the outputs
    gauss_newton the Gauss-Newton matrix times given tangents
    fisher       the empirical Fisher matrix times given tangents
    diagnose     what a step does inside the network, layer by layer

Nothing is imported here but the errors: the command line asks before it loads anything heavy.
"""

from __future__ import annotations

from collections.abc import Iterable

from compiler.errors import ModelError, Problem

MODES = ("vjp", "jvp", "hvp", "per_example", "pullback", "gauss_newton", "fisher", "diagnose")


def checked_modes(modes: Iterable[str]) -> tuple[str, ...]:
    """The modes in the order of MODES, vjp among them. Raises ModelError for one that does not exist."""
    wanted = {"vjp", *modes}
    unknown = sorted(wanted.difference(MODES))
    if unknown:
        raise ModelError(
            Problem(
                "unknown mode", expected=f"some of {', '.join(MODES)}", found=", ".join(map(repr, unknown))
            )
        )
    return tuple(mode for mode in MODES if mode in wanted)
