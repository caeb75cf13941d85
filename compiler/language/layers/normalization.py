"""Normalisations over one example, channels last: the formulas of the papers, in stages.

That a gradient through mean and variance has three terms is found by the compiler; nothing here says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from compiler.errors import ModelError, Problem
from compiler.language.initializers import DEFAULT_BIAS, DEFAULT_SCALE, Initializer
from compiler.language.layers import checks
from compiler.language.layers.base import Forward, Layer, Parameter, Shape
from compiler.language.layers.shaping import axis_names


@dataclass(frozen=True)
class LayerNormalization(Layer):
    """Mean 0 and variance 1 over the last axis, then scaled and shifted: (…, c) to the same.

    Parameters gamma and beta (c,), left out where `scale` or `center` is False. Ba, Kiros and Hinton, "Layer
    normalization" (2016).
    """

    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True
    beta_initializer: Initializer = DEFAULT_BIAS
    gamma_initializer: Initializer = DEFAULT_SCALE

    any_number = True

    def problems(self) -> Iterator[Problem]:
        yield from centred_problems(self)

    def forward(self, x: Shape) -> Forward:
        checks.at_least_rank_one(x)
        formula = f"""
            mean[...] = mean[k](x[..., k])
            variance[...] = mean[k]((x[..., k] - mean[...])**2)
            normalized[..., c] = (x[..., c] - mean[...]) / sqrt(variance[...] + epsilon)
            y[..., c] = {in_scale(self, "normalized[..., c]", "c")}
            """
        return Forward(formula, x, gamma_and_beta(self, x[-1]), {"epsilon": self.epsilon})


@dataclass(frozen=True)
class RMSNormalization(Layer):
    """Mean square 1 over the last axis, then scaled: (…, c) to the same, parameter gamma (c,).

    Zhang and Sennrich, "Root mean square layer normalization" (NeurIPS 2019).
    """

    epsilon: float = 1e-6
    gamma_initializer: Initializer = DEFAULT_SCALE

    any_number = True

    def problems(self) -> Iterator[Problem]:
        yield from checks.positive_number("epsilon", self.epsilon)
        yield from checks.initializer("gamma_initializer", self.gamma_initializer)

    def forward(self, x: Shape) -> Forward:
        checks.at_least_rank_one(x)
        formula = """
            square[...] = mean[k](x[..., k]**2)
            normalized[..., c] = x[..., c] / sqrt(square[...] + epsilon)
            y[..., c] = gamma[c] * normalized[..., c]
            """
        gamma = {"gamma": Parameter((x[-1],), self.gamma_initializer)}
        return Forward(formula, x, gamma, {"epsilon": self.epsilon})


@dataclass(frozen=True)
class GroupNormalization(Layer):
    """Mean 0 and variance 1 over all places and each of `groups` parts of the channels: (…, c) to (…, c).

    Parameters gamma and beta (c,). With as many groups as channels it is instance normalisation, with one
    group layer normalisation over the whole example. Wu and He, "Group normalization" (ECCV 2018).
    """

    groups: int = 32
    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True
    beta_initializer: Initializer = DEFAULT_BIAS
    gamma_initializer: Initializer = DEFAULT_SCALE

    any_number = True

    def problems(self) -> Iterator[Problem]:
        yield from checks.positive_integer("groups", self.groups)
        yield from centred_problems(self)

    def forward(self, x: Shape) -> Forward:
        checks.at_least_rank_one(x)
        groups, channels = self.groups, x[-1]
        if channels % groups:
            raise ModelError(
                Problem(
                    "the channels do not divide into groups",
                    expected=f"a multiple of groups={groups}",
                    found=f"{channels} channels",
                )
            )
        return _grouped(self, x, groups)


@dataclass(frozen=True)
class InstanceNormalization(Layer):
    """Mean 0 and variance 1 over all places of each channel: (…, c) to (…, c).

    Parameters gamma and beta (c,). Ulyanov, Vedaldi and Lempitsky, "Instance normalization" (2016).
    """

    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True
    beta_initializer: Initializer = DEFAULT_BIAS
    gamma_initializer: Initializer = DEFAULT_SCALE

    any_number = True

    def problems(self) -> Iterator[Problem]:
        yield from centred_problems(self)

    def forward(self, x: Shape) -> Forward:
        if len(x) < 2:
            raise ModelError(
                Problem(
                    "there are no places to normalise over",
                    expected="two or more dimensions, the last of channels",
                    found=str(x),
                )
            )
        return _grouped(self, x, x[-1])


def _grouped(layer: GroupNormalization | InstanceNormalization, x: Shape, groups: int) -> Forward:
    places = axis_names(len(x))[:-1]
    at = ", ".join(("b", *places))
    over = ", ".join((*places, "k"))
    formula = f"""
        mean[b, g] = mean[{over}](x[{at}, ravel(g, k)])
        variance[b, g] = mean[{over}]((x[{at}, ravel(g, k)] - mean[b, g])**2)
        normalized[{at}, g, k] = (x[{at}, ravel(g, k)] - mean[b, g]) / sqrt(variance[b, g] + epsilon)
        y[{at}, ravel(g, k)] = {in_scale(layer, f"normalized[{at}, g, k]", "ravel(g, k)")}
        """
    sizes = {"g": groups, "k": x[-1] // groups}
    return Forward(formula, x, gamma_and_beta(layer, x[-1]), {"epsilon": layer.epsilon}, sizes=sizes)


class Centred(Protocol):
    """A normalisation that is scaled and shifted, as far as its arguments say so."""

    @property
    def epsilon(self) -> float: ...

    @property
    def center(self) -> bool: ...

    @property
    def scale(self) -> bool: ...

    @property
    def beta_initializer(self) -> Initializer: ...

    @property
    def gamma_initializer(self) -> Initializer: ...


def in_scale(layer: Centred, value: str, channel: str) -> str:
    """The value times gamma plus beta, as far as the layer has them."""
    scaled = f"gamma[{channel}] * {value}" if layer.scale else value
    return f"{scaled} + beta[{channel}]" if layer.center else scaled


def gamma_and_beta(layer: Centred, channels: int) -> dict[str, Parameter]:
    """Those of the two parameters that the layer has, one value for each channel."""
    parameters = {}
    if layer.scale:
        parameters["gamma"] = Parameter((channels,), layer.gamma_initializer)
    if layer.center:
        parameters["beta"] = Parameter((channels,), layer.beta_initializer)
    return parameters


def centred_problems(layer: Centred) -> Iterator[Problem]:
    """What is wrong with the arguments that all of these have."""
    yield from checks.positive_number("epsilon", layer.epsilon)
    yield from checks.boolean("center", layer.center)
    yield from checks.boolean("scale", layer.scale)
    yield from checks.initializer("beta_initializer", layer.beta_initializer)
    yield from checks.initializer("gamma_initializer", layer.gamma_initializer)
