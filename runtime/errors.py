"""The errors a user of the runtime can meet. All are theirs to mend, so each says how."""

from __future__ import annotations


class ChainruleRuntimeError(Exception):
    """Base of all errors raised on purpose by the runtime.

    `expected`, `found` and `advice` are optional and printed on lines of their own below `message`.
    """

    def __init__(
        self,
        message: str,
        *,
        expected: str | None = None,
        found: str | None = None,
        advice: str | None = None,
    ):
        self.message = message
        self.expected = expected
        self.found = found
        self.advice = advice
        lines = [message]
        for label, text in (("expected", expected), ("found", found), ("try", advice)):
            if text:
                lines.append(f"    {label + ':':<10}{text}")
        super().__init__("\n".join(lines))


class DataError(ChainruleRuntimeError):
    """A data set cannot be read, is damaged, or does not fit the model."""


class WeightsError(ChainruleRuntimeError):
    """A weights file cannot be read or written, is damaged, or does not fit the model."""


class TrainingError(ChainruleRuntimeError):
    """Training cannot start or cannot go on."""


class NotFinite(TrainingError):
    """A loss, a parameter or a state is no number, or infinite."""


class InterfaceError(ChainruleRuntimeError):
    """An object handed to the runtime is not a module or network that chainrule generated."""
