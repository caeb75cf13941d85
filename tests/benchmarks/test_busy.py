"""What `make busy` makes of its turns."""

from __future__ import annotations

import statistics

from benchmarks import busy
from benchmarks.busy import Row, measure, render


def test_turns_alternate_and_the_first_round_does_not_count(monkeypatch) -> None:
    taken = []
    monkeypatch.setattr(busy, "take_turn", lambda step: taken.append(step()) or float(len(taken)))
    row = measure("x", 0, {1: lambda: 1, 2: lambda: 2}, rounds=3)
    assert taken == [2, 1, 1, 2, 2, 1, 1, 2]
    assert (row.one, row.two) == ([3.0, 6.0, 7.0], [4.0, 5.0, 8.0])


def test_a_turn_is_the_mean_of_its_steps(monkeypatch) -> None:
    monkeypatch.setattr(busy, "TURN_SECONDS", 0)
    calls = []
    assert busy.take_turn(lambda: calls.append(1) or 0.0) >= 0
    assert calls == [1]


def test_the_table_and_its_worst_row() -> None:
    rows = [
        Row("fast", 0, [0.002, 0.002, 0.002], [0.001, 0.001, 0.0012]),
        Row("slow", 2, [0.001, 0.001, 0.001], [0.0012, 0.0011, 0.0013]),
    ]
    text = render(rows)
    assert "| fast | 0 | 2 | 1 | 0.50 | 0.50 to 0.60 |" in text
    assert text.endswith("worst: 1.20, slow, 2 neighbours: ABOVE 1.10")
    assert render(rows[:1]).endswith("worst: 0.50, fast, 0 neighbours: within 1.10")
    assert statistics.median(rows[1].ratios) == rows[1].ratios[1]
