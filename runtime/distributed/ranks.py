"""How processes that were started together train.

ordered     they add up in a fixed order, with the bits of one process
unordered   they add up in any
each        each computes a part of the batch as a batch of its own, and their gradients are averaged
alone       each trains by itself
"""

from __future__ import annotations

from typing import Literal

Ranks = Literal["ordered", "unordered", "each", "alone"]
