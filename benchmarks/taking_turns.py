"""Two models that take turns: a generator, and a discriminator that tells what it makes from what is real.

Neither reads the other. What the discriminator's loss says of a point that was made is the cotangent of the
generator's output: `net.vjp` takes it from there to the generator's parameters.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def take_turns(
    generator: Any,
    discriminator: Any,
    real: np.ndarray,
    noise_shape: tuple[int, ...],
    *,
    epochs: int,
    batch_size: int,
) -> None:
    """Train both networks in place on real examples (N, …), in batches, in an order by the generator's seed.

    The generator takes noise (B, *noise_shape), normally distributed, and was compiled with the mode
    pullback; the discriminator gives the probability (B, 1) that an example is real, and has a loss of such
    labels. The rates fall from the models' own by the same amount after every epoch. What is left of an
    epoch and fills no batch is not used.
    """
    rng = np.random.default_rng(generator.seed)
    own = [(network, network.learning_rate) for network in (generator, discriminator)]
    yes, no = np.ones((batch_size, 1), np.float32), np.zeros((batch_size, 1), np.float32)

    def noise() -> np.ndarray:
        return rng.standard_normal((batch_size, *noise_shape), np.float32)

    for epoch in range(epochs):
        for network, rate in own:
            network.learning_rate = rate * (1 - epoch / epochs)
        order = rng.permutation(len(real))
        for first in range(0, len(real) - batch_size + 1, batch_size):
            seen = real[order[first : first + batch_size]]
            made = generator.predict(noise())
            discriminator.train_step(np.concatenate([seen, made]), np.concatenate([yes, no]))
            given = noise()
            # The generator is better the more its points are taken for real ones.
            _, judged = discriminator.value_and_grad(generator.predict(given), yes, inputs=True)
            _, gradients = generator.vjp(given, judged["input"])
            generator.apply_gradients(gradients)
