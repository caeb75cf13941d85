"""Checkpoints: complete, checked before use, and applied as a whole or not at all."""

import fake_network
import numpy as np
import pytest

from runtime.checkpoint import (
    OLDER_FORMATS,
    DataIdentity,
    load_checkpoint,
    load_weights,
    read_checkpoint,
    save_checkpoint,
)
from runtime.errors import InterfaceError, WeightsError
from runtime.interface import ModelInterface
from runtime.safetensors import load_file, save_file


@pytest.fixture
def trained():
    network = fake_network.Network(seed=5)
    network.learning_rate = 0.1 + 0.2  # not a short decimal
    for _ in range(3):
        network.train_step(*fake_network.small_images(20))
    return network


def bits(network):
    arrays = {**network.parameters, **network.optimizer_state}
    return {name: array.tobytes() for name, array in arrays.items()}


def save(network, path):
    save_checkpoint(network, path, epoch=2, batch_size=20, history={"loss": [2.5, 1 / 3]})


def test_everything_comes_back_with_the_same_bits(tmp_path, trained):
    save(trained, tmp_path / "a")
    network = fake_network.Network(seed=1)
    checkpoint = load_checkpoint(network, tmp_path / "a")
    assert bits(network) == bits(trained)
    assert (network.step, network.seed, network.learning_rate) == (3, 5, 0.1 + 0.2)
    state = checkpoint.state
    assert (state.epoch, state.batch_size, state.history) == (2, 20, {"loss": [2.5, 1 / 3]})
    assert (checkpoint.model_name, checkpoint.model_hash) == ("fake", "0123abcd")
    assert read_checkpoint(tmp_path / "a") == checkpoint


def test_the_same_state_gives_the_same_file(tmp_path, trained):
    save(trained, tmp_path / "a")
    save(trained, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_weights_alone(tmp_path, trained):
    save(trained, tmp_path / "a")
    network = fake_network.Network(seed=1)
    state_before = {name: array.copy() for name, array in network.optimizer_state.items()}
    load_weights(network, tmp_path / "a")
    for name, array in network.parameters.items():
        np.testing.assert_array_equal(array, trained.parameters[name])
    for name, array in network.optimizer_state.items():
        np.testing.assert_array_equal(array, state_before[name])
    assert (network.step, network.seed) == (0, 1)


def test_weights_of_others_and_of_other_precision(tmp_path, trained):
    weights = {name: array.astype(np.float64) for name, array in trained.parameters.items()}
    save_file(tmp_path / "a", weights)
    network = fake_network.Network()
    assert load_weights(network, tmp_path / "a").state is None
    for name, array in network.parameters.items():
        np.testing.assert_array_equal(array, trained.parameters[name])
    with pytest.raises(WeightsError, match="cannot be resumed from"):
        load_checkpoint(network, tmp_path / "a")


def test_all_differences_are_listed_and_nothing_is_applied(tmp_path):
    network = fake_network.Network()
    before = bits(network)
    tensors = {
        "dense.kernel": np.ones((784, 11), np.float32),
        "dense_2.bias": np.ones(10, np.float32),
        "optimizer/velocity/dense.kernel": np.ones((784, 10), np.float32),
    }
    save_file(tmp_path / "a", tensors)
    with pytest.raises(WeightsError) as caught:
        load_weights(network, tmp_path / "a")
    for part in (
        "dense.bias is missing, shape (10,)",
        "dense.kernel has shape (784, 11), the model wants (784, 10)",
        "dense_2.bias is unknown",
        "nothing was loaded",
    ):
        assert part in str(caught.value)
    save_file(
        tmp_path / "a", {"dense.kernel": np.ones((784, 10), np.float32), "dense.bias": np.ones(10, np.int32)}
    )
    with pytest.raises(WeightsError, match=r"dense\.bias has dtype int32"):
        load_weights(network, tmp_path / "a")
    assert bits(network) == before


def test_resuming_wants_optimizer_state_and_the_same_precision(tmp_path, trained):
    save(trained, tmp_path / "a")
    file = load_file(tmp_path / "a")
    metadata = {key: text for key, text in file.metadata.items() if key != "checksum"}
    metadata["format"] = OLDER_FORMATS[0]  # which does without a checksum
    network = fake_network.Network()
    before = bits(network)
    without = {name: array for name, array in file.tensors.items() if not name.startswith("optimizer/")}
    save_file(tmp_path / "a", without, metadata)
    with pytest.raises(WeightsError, match=r"optimizer/velocity/dense\.kernel is missing"):
        load_checkpoint(network, tmp_path / "a")
    save_file(
        tmp_path / "a", {name: array.astype(np.float64) for name, array in file.tensors.items()}, metadata
    )
    with pytest.raises(WeightsError, match="dtype float64"):
        load_checkpoint(network, tmp_path / "a")
    assert bits(network) == before


def test_a_flipped_bit_is_noticed(tmp_path, trained):
    save(trained, tmp_path / "a")
    raw = bytearray((tmp_path / "a").read_bytes())
    for position in (len(raw) - 1, len(raw) // 2):
        damaged = raw.copy()
        damaged[position] ^= 1
        (tmp_path / "b").write_bytes(damaged)
        with pytest.raises(WeightsError, match="damaged"):
            load_weights(fake_network.Network(), tmp_path / "b")


@pytest.mark.parametrize(
    "key, text",
    [
        ("epoch", "-1"),
        ("epoch", "two"),
        ("step", "1e99"),
        ("step", "9" * 30),
        ("batch_size", "0"),
        ("seed", None),
        ("learning_rate", "nan"),
        ("history", "[]"),
        ("history", '{"loss": 3}'),
        ("history", '{"loss": ["high"]}'),
        ("history", '{"loss": [1.0], "val_loss": [1.0, 2.0]}'),
        ("history", '{"loss": [1.0, 2.0, 3.0]}'),
        ("history", '{"loss": [NaN, 1.0]}'),
        ("history", "[" * 100_000),
    ],
)
def test_invalid_training_state_is_refused(tmp_path, trained, key, text):
    save(trained, tmp_path / "a")
    file = load_file(tmp_path / "a")
    metadata = {**file.metadata, key: text}
    save_file(
        tmp_path / "a", file.tensors, {name: value for name, value in metadata.items() if value is not None}
    )
    network = fake_network.Network()
    before = bits(network)
    with pytest.raises(WeightsError, match="no valid training state"):
        load_checkpoint(network, tmp_path / "a")
    assert bits(network) == before


def test_another_model_is_told_apart(tmp_path, trained):
    save(trained, tmp_path / "a")
    checkpoint = read_checkpoint(tmp_path / "a")
    assert checkpoint.differs_from(ModelInterface.of_network(trained)) is None
    renamed = ModelInterface.of_module(fake_network.make_module("fake_renamed", MODEL_NAME="other"))
    changed = ModelInterface.of_module(fake_network.make_module("fake_changed", MODEL_HASH="ffff"))
    assert "by the model 'fake'" in checkpoint.differs_from(renamed)
    assert "another version" in checkpoint.differs_from(changed)


def test_only_generated_modules_have_an_interface():
    with pytest.raises(InterfaceError, match="no INPUT_SHAPE"):
        ModelInterface.of_module(np)
    with pytest.raises(InterfaceError):
        ModelInterface.of_network(object())


@pytest.mark.parametrize("cases", [200, pytest.param(10_000, marks=pytest.mark.long)])
def test_any_flipped_bit_of_the_file_is_noticed(tmp_path, cases):
    """Of arrays, training state, data, names and checksum: the metadata are covered too."""
    module = fake_network.make_module("fake_tiny", INPUT_SHAPE=(2,), OUTPUT_SHAPE=(3,))
    network = module.Network(seed=1)
    data = DataIdentity("data.npz", "0" * 64)
    save_checkpoint(
        network, tmp_path / "a", epoch=2, batch_size=20, history={"loss": [2.5, 1 / 3]}, data=data
    )
    raw = (tmp_path / "a").read_bytes()
    assert read_checkpoint(tmp_path / "a").state.data == data
    header = 8 + int.from_bytes(raw[:8], "little")
    random = np.random.default_rng(0)
    # Half of them in the head, which is where the checksum used not to look.
    for case in range(cases):
        position = int(random.integers(header if case % 2 else len(raw)))
        damaged = bytearray(raw)
        damaged[position] ^= 1 << int(random.integers(8))
        (tmp_path / "b").write_bytes(damaged)
        with pytest.raises(WeightsError):
            load_checkpoint(module.Network(), tmp_path / "b")


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("epoch", "3"),
        ("step", "4"),
        ("seed", "6"),
        ("learning_rate", "0.1"),
        ("batch_size", "21"),
        ("history", '{"loss": [2.5, 0.5]}'),
        ("model_hash", "ffff"),
        ("model_name", "other"),
    ],
)
def test_a_changed_training_state_is_noticed(tmp_path, trained, key, text):
    save(trained, tmp_path / "a")
    file = load_file(tmp_path / "a")
    save_file(tmp_path / "a", file.tensors, {**file.metadata, key: text})
    network = fake_network.Network()
    before = bits(network)
    with pytest.raises(WeightsError, match="damaged"):
        load_checkpoint(network, tmp_path / "a")
    assert bits(network) == before
