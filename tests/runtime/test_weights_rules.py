"""Which files a run may replace with its weights, and which it may go on from."""

import argparse
import json
import os
import shutil
import stat
import threading
from pathlib import Path

import fake_network
import numpy as np
import pytest

from runtime import cli
from runtime.checkpoint import OLDER_FORMATS, load_weights, read_checkpoint
from runtime.errors import DataError, WeightsError
from runtime.safetensors import load_file, save_file

posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX files")
MODEL = "from compiler import *\nmodel = Sequential([Input(3)])\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two data sets of one kind, and an empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    for name, seed in (("one.npz", 0), ("two.npz", 1)):
        x, y = fake_network.small_images(60, seed)
        np.savez(tmp_path / name, x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:])
    return tmp_path


def parsed(*options, add=cli.add_train_arguments):
    parser = argparse.ArgumentParser()
    add(parser)
    return parser.parse_args([*map(str, options)])


def train(*options, module=fake_network):
    return cli.train(parsed("--epochs", 1, *options), module)


def evaluate(*options, module=fake_network):
    return cli.evaluate(parsed(*options, add=cli.add_evaluate_arguments), module)


def module(name="fake", network="11", everything="22"):
    return fake_network.make_module(f"m_{name}", MODEL_NAME=name, MODEL_HASH=f"{network}-{everything}")


def in_time(action):
    """The exception of an action that must not wait for anything."""
    caught = []

    def run():
        try:
            action()
        except (WeightsError, DataError) as error:
            caught.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive() and caught
    return str(caught[0])


def place(folder, kind):
    path = folder / "place"
    if kind == "a FIFO":
        os.mkfifo(path)
    elif kind == "a folder":
        path.mkdir()
    elif kind == "a device":
        path = Path("/dev/null")
    elif kind == "a link to a device":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes(
            {"a model": MODEL.encode(), "an image": b"\x89PNG\r\n" * 9, "data": b"PK" * 99}[kind]
        )
    return path


@posix
@pytest.mark.parametrize(
    "kind", ["a FIFO", "a folder", "a device", "a link to a device", "a model", "an image", "data"]
)
@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
def test_what_is_no_weights_file_is_refused_before_anything_runs(folder, kind, overwrite):
    path = place(folder, kind)
    before = identity(path)
    error = in_time(lambda: cli.check_train_files(parsed("--weights", path, *overwrite)))
    assert str(path) in error and "--weights PATH" in error
    assert kind != "a model" or "begins with b'from compiler import" in error
    assert train("--weights", path, "--data", "one.npz", *overwrite) == 1
    assert identity(path) == before


def identity(path):
    status = os.lstat(path)
    return status.st_mode, status.st_ino, status.st_size, status.st_mtime_ns


@posix
def test_other_files_of_the_command_line_are_looked_at_too(folder):
    for options in (["--resume", "missing"], ["--resume", "one.npz"], ["--data", "missing"]):
        in_time(lambda options=options: cli.check_train_files(parsed(*options)))
    os.mkfifo("pipe")
    for options in (["--weights", "pipe"], ["--weights", "missing"], ["--data", "missing.npz"]):
        arguments = parsed(*options, add=cli.add_evaluate_arguments)
        in_time(lambda arguments=arguments: cli.check_evaluate_files(arguments))
    cli.check_train_files(parsed("--weights", "one.npz", "--no-save"))
    cli.check_train_files(parsed("--weights", "new/weights"))
    assert not Path("new").exists()


def test_weights_of_another_program(folder, capsys):
    save_file("weights", {"x": np.zeros(3, np.float32)}, {"format": "pt"})
    assert train("--weights", "weights", "--data", "one.npz") == 1
    assert "was not written by `train`" in capsys.readouterr().err
    assert train("--weights", "weights", "--data", "one.npz", "--overwrite") == 0
    Path("empty").write_bytes(b"")
    assert train("--weights", "empty", "--data", "one.npz") == 0


@posix
def test_the_mode_of_weights_is_kept(folder):
    assert train("--weights", "w", "--data", "one.npz") == 0
    for mode in (0o600, 0o640):
        Path("w").chmod(mode)
        assert train("--weights", "w", "--data", "one.npz") == 0
        assert stat.S_IMODE(Path("w").stat().st_mode) == mode


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (["--data", "one.npz"], ["--data", "one.npz"], None),
        (["--data", "one.npz"], ["--data", "one.npz", "--seed", "7", "--batch-size", "8"], None),
        (["--offline"], ["--offline"], None),
        (["--offline"], ["--data", "one.npz"], None),
        (["--data", "one.npz"], ["--offline"], None),
        (["--data", "one.npz"], ["--data", "two.npz"], "trained on one.npz, and this run is on two.npz"),
    ],
)
def test_weights_of_other_data(folder, capsys, first, second, words):
    assert train(*first) == 0
    assert train(*second) == (1 if words else 0)
    if words:
        before = Path("weights/fake.safetensors").read_bytes()
        error = capsys.readouterr().err
        assert words in error and "--overwrite" in error
        assert Path("weights/fake.safetensors").read_bytes() == before
        assert train(*second, "--no-save") == 0 and train(*second, "--weights", "other") == 0
        assert train(*second, "--overwrite") == 0
        assert Path("weights/fake.safetensors").read_bytes() != before


def test_the_embedded_digits_have_a_file_of_their_own(folder, capsys):
    """And are evaluated by it where it is there; a file that was asked for is not shared either."""
    own, digits = Path("weights/fake.safetensors"), Path("weights/fake-digits.safetensors")
    assert evaluate("--offline") == 1
    assert "cannot read weights/fake.safetensors" in capsys.readouterr().err
    assert train("--offline") == 0 and not own.exists()
    kept = digits.read_bytes()
    assert evaluate("--data", "one.npz") == 0
    captured = capsys.readouterr()
    assert (
        "fake-digits.safetensors was trained on the embedded digits, which are not MNIST, and this is one.npz"
        in captured.err
    )
    assert train("--data", "one.npz") == 0 and digits.read_bytes() == kept
    for data, path in ((["--data", "one.npz"], own), (["--offline"], digits)):
        capsys.readouterr()
        assert evaluate(*data) == 0
        captured = capsys.readouterr()
        assert f"weights {path}" in captured.out and "was trained on" not in captured.err
    for data, path in ((["--data", "one.npz"], digits), (["--offline"], own)):
        before = path.read_bytes()
        assert train(*data, "--weights", path) == 1
        assert "is not replaced" in capsys.readouterr().err and path.read_bytes() == before


def test_other_data_of_one_name(folder, capsys):
    assert train("--data", "one.npz") == 0
    shutil.copy("two.npz", "one.npz")
    assert train("--data", "one.npz") == 1
    assert "other data of that name (one.npz)" in capsys.readouterr().err


def test_weights_of_another_model(folder, capsys):
    """By name, or of other layers in a file of the same name; another optimizer is the same model."""
    data = ("--data", "one.npz")
    assert train(*data, module=module("a")) == 0
    assert train(*data, module=module("a", everything="33")) == 0
    assert train(*data, module=module("a", network="44")) == 1
    assert "weights of other layers of that name" in capsys.readouterr().err
    assert train(*data, "--weights", "weights/a.safetensors", module=module("b")) == 1
    assert "weights of the model 'a', and this is 'b'" in capsys.readouterr().err
    assert train(*data, "--overwrite", module=module("a", network="44")) == 0


def test_two_files_of_one_name_do_not_take_each_others_weights(folder, capsys):
    """Their names and shapes agree, and their default weights are one file."""
    one, two = module("net", network="11"), module("net", network="22")
    assert train("--data", "one.npz", module=one) == 0
    assert evaluate("--data", "one.npz", module=one) == 0
    capsys.readouterr()
    assert evaluate("--data", "one.npz", module=two) == 1
    assert (
        "holds the weights of another model, though their names and shapes agree" in capsys.readouterr().err
    )
    assert train("--data", "one.npz", "--resume", "weights/net.safetensors", module=two) == 1
    assert "another version of the model" in capsys.readouterr().err
    assert evaluate("--data", "one.npz", "--weights", "weights/net.safetensors", module=two) == 0
    assert "another version of the model" in capsys.readouterr().err


def test_older_weights_say_neither(folder, capsys):
    """Files of the format before: real data may replace them, the embedded digits may not."""
    assert train("--data", "one.npz") == 0
    path = Path("weights/fake.safetensors")
    file = load_file(path)
    metadata = {key: text for key, text in file.metadata.items() if key not in ("data", "checksum")}
    save_file(path, file.tensors, metadata | {"format": OLDER_FORMATS[0]})
    assert evaluate("--data", "one.npz") == 0
    assert train("--data", "one.npz", "--epochs", 2, "--resume", path, "--weights", "other") == 0
    capsys.readouterr()
    assert train("--offline", "--weights", path) == 1
    assert "data that it does not name" in capsys.readouterr().err
    assert train("--data", "two.npz") == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--data", "two.npz"], "trained on one.npz then, on two.npz now"),
        (["--offline"], "trained on one.npz then, on the embedded digits"),
        (["--data", "one.npz", "--seed", "4"], "seed 3 then, 4 now"),
        (["--data", "one.npz", "--batch-size", "8"], "batch size 16 then, 8 now"),
        (["--data", "one.npz", "--learning-rate", "0.5"], "learning rate 0.05 then, 0.5 now"),
    ],
)
def test_resuming_what_would_not_be_one_long_run(folder, capsys, options, words):
    first = ("--seed", 3, "--batch-size", 16, "--learning-rate", 0.05)
    assert train("--data", "one.npz", *first, "--weights", "w") == 0
    before = Path("w").read_bytes()
    capsys.readouterr()
    resumed = ("--epochs", 2, "--resume", "w", "--weights", "w")
    assert train(*resumed, *options) == 1
    error = capsys.readouterr().err
    assert words in error and "--force" in error and Path("w").read_bytes() == before
    assert train(*resumed, *options, "--force") == 0
    assert f"note: {words}" in capsys.readouterr().err
    assert read_checkpoint("w").state.epoch == 2


def test_all_that_differs_is_said_at_once_and_what_does_not_is_not(folder, capsys):
    first = ("--seed", 3, "--batch-size", 16, "--learning-rate", 0.05)
    assert train("--data", "one.npz", *first, "--weights", "w") == 0
    changed = ("--seed", 4, "--batch-size", 8, "--learning-rate", 0.5, "--data", "two.npz")
    assert train("--epochs", 2, "--resume", "w", *changed) == 1
    error = capsys.readouterr().err
    assert sum(f" then, {now} now" in error for now in (4, 8, 0.5)) == 3 and "two.npz now" in error
    shutil.copy("one.npz", "moved.npz")
    assert train("--epochs", 2, "--resume", "w", "--weights", "w", "--data", "moved.npz", *first) == 0


def test_the_same_data_give_the_same_file_wherever_they_lie(folder):
    os.makedirs("elsewhere")
    shutil.copy("one.npz", "elsewhere/one.npz")
    assert train("--data", "one.npz", "--weights", "a") == 0
    assert train("--data", "elsewhere/one.npz", "--weights", "b") == 0
    assert Path("a").read_bytes() == Path("b").read_bytes()
    assert json.loads(load_file("a").metadata["data"])["name"] == "one.npz"


@posix
def test_a_disk_without_room_for_the_weights_is_found_before_the_first_step(folder, capsys, monkeypatch):
    import resource

    monkeypatch.setattr(cli, "fit", lambda *arguments, **options: pytest.fail("training was begun"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        assert train("--data", "one.npz") == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    error = capsys.readouterr().err
    assert "cannot write weights/fake.safetensors" in error and "free some disk space" in error
    assert os.listdir("weights") == []


def test_a_new_run_begins_with_what_fits(folder, capsys):
    """Another number of classes: the bias is lost, the optimizer and all counters are fresh."""
    data = ("--data", "one.npz")
    assert train(*data, "--weights", "earlier") == 0
    earlier = load_file("earlier").tensors
    capsys.readouterr()
    assert train(*data, "--init-from", "earlier", "--learning-rate", "1e-30") == 0
    assert "2 of 2 arrays of the model begin as in earlier" in capsys.readouterr().err
    state, now = (
        read_checkpoint("weights/fake.safetensors").state,
        load_file("weights/fake.safetensors").tensors,
    )
    assert (state.epoch, state.step) == (1, 1)
    assert all((now[name] == earlier[name]).all() for name in ("dense.kernel", "dense.bias"))
    assert (now["optimizer/velocity/dense.bias"] != earlier["optimizer/velocity/dense.bias"]).any()

    save_file("part", {"dense.kernel": earlier["dense.kernel"], "dense.bias": np.zeros(3, np.float32)})
    assert train(*data, "--init-from", "part", "--no-save") == 0
    error = capsys.readouterr().err
    assert "1 of 2 arrays" in error and "dense.bias has shape (3,), the model wants (10,)" in error
    save_file("nothing", {"other": np.zeros(3, np.float32)})
    assert train(*data, "--init-from", "nothing") == 1
    assert "nothing fits, of nothing in this model" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parsed("--init-from", "part", "--resume", "part")


def test_weights_by_name(folder):
    network = fake_network.Network()
    save_file("part", {"dense.kernel": np.ones((784, 10)), "extra": np.zeros(3)})
    with pytest.raises(WeightsError, match=r"dense\.bias is missing") as error:
        load_weights(network, "part")
    assert "extra is unknown" in str(error.value) and not (network.parameters["dense.kernel"] == 1).any()
    left = load_weights(network, "part", by_name=True).left
    assert left == {
        "dense.bias": "dense.bias is missing, shape (10,)",
        "extra": "extra is unknown to the model",
    }
    assert (network.parameters["dense.kernel"] == 1).all()


def test_a_beginning_from_weights_of_which_nothing_fits_says_so(folder):
    assert train("--data", "one.npz", "--weights", "earlier") == 0
    network = fake_network.Network()
    network.parameters = {f"other.{name}": array for name, array in network.parameters.items()}
    with pytest.raises(WeightsError, match="nothing fits, of earlier in this model"):
        load_weights(network, "earlier", by_name=True)
    with pytest.raises(WeightsError, match="earlier does not fit this model"):
        load_weights(network, "earlier")
