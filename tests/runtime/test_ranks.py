"""Processes that train together, as far as it takes no MPI: their tree, how they wait, how they begin."""

import argparse
import itertools
import sys
import types

import fake_network
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.commands import data
from runtime.data.arrays import Arrays
from runtime.distributed import group as group_module
from runtime.distributed.group import LONGEST_NAP, Group
from runtime.distributed.launch import find_group
from runtime.distributed.network import SharedNetwork
from runtime.distributed.tree import added_up, branches
from runtime.distributed.uncaught import launched
from runtime.errors import TrainingError
from runtime.interface import ModelInterface


def one_alone(lanes):
    """The tree as a module with all lanes adds them up."""
    left, distance = [lane.copy() for lane in lanes], 1
    while distance < len(left):
        for lane in range(0, len(left) - distance, 2 * distance):
            left[lane] += left[lane + distance]
        distance *= 2
    return left[0]


@settings(max_examples=40)
@given(st.integers(1, 16), st.lists(st.integers(0, 16), max_size=5))
def test_any_division_of_the_lanes_has_the_bits_of_one(count, cuts):
    lanes = np.random.default_rng(count).normal(size=(count, 3)).astype(np.float32)
    bounds = [0, *sorted(min(cut, count) for cut in cuts), count]
    values = {}
    for first, last in itertools.pairwise(bounds):
        held, distance = {lane: lanes[lane].copy() for lane in range(first, last)}, 1
        while distance < count:
            for lane in range(0, count, 2 * distance):
                if first <= lane and lane + distance < last and min(lane + 2 * distance, count) <= last:
                    held[lane] += held.pop(lane + distance)
            distance *= 2
        assert branches(first, last, count) == sorted(held)
        values |= held
    assert added_up(values, count).tobytes() == one_alone(lanes).tobytes()


def group(**changes):
    fields = dict.fromkeys(("communicator", "failing", "machine"))
    fields |= {"rank": 1, "ranks": 2, "ordered": True, "processors": 1, "crowded": True}
    return Group(**{**fields, **changes})


@pytest.mark.parametrize("crowded", [True, False])
def test_who_waits_leaves_the_processor_to_others(monkeypatch, crowded):
    """Where ranks share processors at once, else after a moment; and never longer than a moment at once."""
    naps, now = [], iter(np.arange(0, 1e4, 1e-3))
    asked = iter(range(100))
    monkeypatch.setattr(group_module.time, "sleep", naps.append)
    monkeypatch.setattr(group_module.time, "perf_counter", lambda: next(now))
    group(crowded=crowded).wait(types.SimpleNamespace(Test=lambda: next(asked) == 99))
    assert len(naps) > 70 and sorted(naps) == naps and max(naps) == LONGEST_NAP
    assert next(asked, None) is None


def test_who_is_started_with_others():
    assert launched({}) == 1
    assert launched({"PMI_SIZE": "4"}) == launched({"OMPI_COMM_WORLD_SIZE": "4"}) == 4
    assert launched({"PMI_SIZE": "many"}) == 1
    assert find_group("alone") is None
    with pytest.raises(TrainingError, match="ranks makes no sense"):
        find_group("some")


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setenv("PMI_SIZE", "2")
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(TrainingError, match=r"pip install 'chainrule\[mpi\]'"):
        find_group()


def test_another_mpi_than_that_of_mpiexec_is_found_out(monkeypatch):
    monkeypatch.setenv("PMI_SIZE", "2")
    monkeypatch.setattr(Group, "of_all", lambda **said: group(ranks=1, rank=0))
    with pytest.raises(TrainingError, match="mpiexec has started 2 processes, and mpi4py sees 1"):
        find_group()


def test_a_shared_network_is_the_network_but_for_its_steps():
    seen = []
    network = types.SimpleNamespace(step=3, predict=lambda x: x, apply_gradients=seen.append)
    network.gradients = lambda x, y, rows=None, share=None: (share.ranks, [x, y, rows])
    shared = SharedNetwork(network, group())
    shared.step = 4
    assert network.step == 4 and shared.predict(7) == 7
    assert shared.train_step(1, 2, rows=3) == 2 and seen == [[1, 2, 3]]


def test_the_first_of_a_machine_reads_for_all(monkeypatch):
    """The others see its arrays, and are told what they are."""
    seen, memories, told = [], [], []
    arrays = Arrays(*fake_network.small_images(4), *fake_network.small_images(2), source="", name="")
    said = types.SimpleNamespace(arrays=lambda: arrays)
    monkeypatch.setattr(data, "load_mnist", lambda *given, **named: seen.append("read") or said)
    said_to_all = []

    def said_on_machine(self, given):
        told.append(given) if self.rank == 0 else None
        return told[0]

    def memory(self, shape, dtype):
        if self.rank == 0:
            memories.append(np.zeros(shape, dtype))
            return memories[-1]
        return memories.pop(0)

    def everybodys(self, own):
        said_to_all.append(own)
        return said_to_all

    monkeypatch.setattr(Group, "said_on_machine", said_on_machine)
    monkeypatch.setattr(Group, "memory_of_machine", memory)
    monkeypatch.setattr(Group, "everybodys", everybodys)
    asked = argparse.Namespace(data=None, offline=False, resize=False)
    interface = ModelInterface.of_module(fake_network)
    expected, identity = data.load_data(asked, interface)
    seen.clear()
    for rank in range(2):
        machine = types.SimpleNamespace(rank=rank, Ibarrier=lambda: types.SimpleNamespace(Test=lambda: True))
        found, known = data.load_data(asked, interface, group=group(machine=machine, rank=rank))
        assert seen == ["read"] and known == identity and found.source == expected.source
        for name in ("x_train", "y_train", "x_test", "y_test"):
            assert np.array_equal(getattr(found, name), getattr(expected, name))
