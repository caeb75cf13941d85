"""A hash that is kept is the one that equal values have."""

from __future__ import annotations

from dataclasses import dataclass, replace

from compiler.ir.affine.expression import Affine, axis
from compiler.ir.affine.kept_hash import keeps_hash

ASKED: list[int] = []


class Part:
    def __hash__(self) -> int:
        ASKED.append(1)
        return 7

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Part)


@keeps_hash
@dataclass(frozen=True)
class Whole:
    part: Part
    number: int = 0


def test_it_is_worked_out_once() -> None:
    ASKED.clear()
    whole = Whole(Part())
    assert {hash(whole) for _ in range(5)} == {hash(Whole(Part()))}
    assert len(ASKED) == 2


def test_a_changed_value_has_its_own() -> None:
    one = Whole(Part())
    assert hash(one) != hash(replace(one, number=1))
    assert one == Whole(Part()) != replace(one, number=1)
    assert repr(one).endswith("number=0)")


def test_products_and_sums_are_as_they_are_built() -> None:
    h, p = axis("h"), axis("p")
    index = 2 * h + p - 3
    assert index * 1 == index and index * 0 == Affine() and hash(index * 1) == hash(index)
    assert -index == Affine.build({"p": -1, "h": -2}, 3)
    assert index + Affine((), 4) == Affine((), 4) + index == Affine.build({"p": 1, "h": 2}, 1)
    assert (index - 2 * h - p).is_constant
    assert index.axes == frozenset("hp") and index.reads == ()
