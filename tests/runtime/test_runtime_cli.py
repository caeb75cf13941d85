"""The train and evaluate commands, as a user meets them."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import fake_network
import numpy as np
import pytest

from runtime import cli
from runtime.checkpoint import read_checkpoint

ROOT = Path(__file__).parents[2]
PROGRAM = """
import argparse, sys, time
sys.path[:0] = [{tests!r}, {root!r}]
import fake_network
from runtime import cli
class Slow(fake_network.Network):
    def train_step(self, x, y, rows=None):
        time.sleep(0.002)
        return super().train_step(x, y, rows)
fake_network.Network = Slow
parser = argparse.ArgumentParser()
cli.add_train_arguments(parser)
sys.exit(cli.train(parser.parse_args(), fake_network))
"""


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x, y = fake_network.small_images(130)
    np.savez(tmp_path / "data.npz", x_train=x[:100], y_train=y[:100], x_test=x[100:], y_test=y[100:])
    return "data.npz"


def train(*options, module=fake_network):
    parser = argparse.ArgumentParser()
    cli.add_train_arguments(parser)
    return cli.train(parser.parse_args([*map(str, options)]), module)


def evaluate(*options, module=fake_network):
    parser = argparse.ArgumentParser()
    cli.add_evaluate_arguments(parser)
    return cli.evaluate(parser.parse_args([*map(str, options)]), module)


def events(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_train_then_evaluate(data, capsys):
    assert train("--data", data, "--epochs", 3, "--batch-size", 16) == 0
    output = capsys.readouterr()
    lines = output.out.splitlines()
    assert lines[0] == "data: data.npz, 100 training and 30 test samples"
    assert lines[1] == "model: fake, 7,850 parameters, float32, threads 1, seed 0, learning rate 0.1"
    assert [line[:9] for line in lines[2:5]] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert "held-out loss" in lines[4] and "images/s" in lines[4]
    assert lines[5] == "weights: weights/fake.safetensors"
    assert output.err == ""
    assert os.listdir("weights") == ["fake.safetensors"]

    assert evaluate("--data", data) == 0
    assert "on 30 test samples, weights weights/fake.safetensors" in capsys.readouterr().out


def test_quiet_is_without_progress_and_not_without_results(data, capsys):
    """It was refused, though `compile` knows it."""
    assert train("--data", data, "--epochs", 2, "--quiet") == 0
    first, second, last = capsys.readouterr().out.splitlines()
    assert first.startswith("data: ") and second.startswith("model: ")
    assert last == "weights: weights/fake.safetensors"
    assert evaluate("--data", data, "--quiet") == 0
    assert "on 30 test samples" in capsys.readouterr().out
    assert train("--data", data, "--epochs", 1, "--no-save", "--quiet", "--json") == 0
    assert [event["event"] for event in events(capsys)] == ["data", "model", "epoch"]


def test_json_lines(data, capsys):
    assert train("--data", data, "--epochs", 2, "--json") == 0
    trained = events(capsys)
    assert [event["event"] for event in trained] == ["data", "model", "epoch", "epoch", "saved"]
    assert {"epoch", "epochs", "loss", "val_loss", "val_accuracy", "val_accuracy_error", "seconds"} < trained[
        3
    ].keys()
    assert evaluate("--data", data, "--json") == 0
    result = events(capsys)[-1]
    assert result["event"] == "evaluation" and result["samples"] == 30
    assert result["accuracy"] == trained[3]["val_accuracy"]


def test_resume_is_exact_and_remembers_its_options(data):
    options = ("--data", data, "--batch-size", 16, "--seed", 3, "--learning-rate", 0.05)
    assert train(*options, "--epochs", 2, "--weights", "straight") == 0
    assert train(*options, "--epochs", 1, "--weights", "first") == 0
    assert (
        train("--data", data, "--epochs", 2, "--resume", "first", "--weights", "second", "--threads", 2) == 0
    )
    assert Path("second").read_bytes() == Path("straight").read_bytes()


@pytest.mark.parametrize("step", [1, 3, 6, 9])
def test_a_run_that_is_stopped_in_an_epoch_goes_on_there(data, monkeypatch, capsys, step):
    options = ("--data", data, "--batch-size", 16, "--save-every", 1)
    assert train(*options, "--epochs", 2, "--weights", "straight") == 0

    class Failing(fake_network.Network):
        def train_step(self, x, y, rows=None):
            if self.step == step:
                raise MemoryError("no more")
            return super().train_step(x, y, rows)

    module = fake_network.make_module("fake_failing")
    module.Network = type("Network", (Failing,), {"home": "fake_failing"})
    capsys.readouterr()
    assert train(*options, "--epochs", 2, "--weights", "second", module=module) == 1
    place = f"{16 * (step % 7)} samples of epoch {step // 7 + 1}"
    assert f"Kept: second, as it was after {place}. Go on with --resume second" in capsys.readouterr().err
    assert (
        train("--data", data, "--epochs", 2, "--save-every", 1, "--resume", "second", "--weights", "second")
        == 0
    )
    assert Path("second").read_bytes() == Path("straight").read_bytes()


def test_forced_to_go_on_otherwise(data, capsys):
    assert train("--data", data, "--epochs", 1, "--weights", "first") == 0
    forced = ("--force", "--seed", 9, "--batch-size", 7)
    assert train("--data", data, "--epochs", 2, "--resume", "first", "--weights", "second", *forced) == 0
    state = read_checkpoint("second").state
    assert (state.seed, state.batch_size, state.epoch) == (9, 7, 2)


def test_resume_of_a_finished_run(data, capsys):
    assert train("--data", data, "--epochs", 1) == 0
    before = Path("weights/fake.safetensors").read_bytes()
    assert train("--data", data, "--epochs", 1, "--resume", "weights/fake.safetensors") == 0
    assert "1 epochs are done already" in capsys.readouterr().err
    assert Path("weights/fake.safetensors").read_bytes() == before


def test_no_save(data, capsys):
    assert train("--data", data, "--epochs", 1, "--no-save") == 0
    assert os.listdir() == ["data.npz"]
    assert "weights" not in capsys.readouterr().out


def test_the_embedded_digits_are_announced(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert train("--offline", "--epochs", 3, "--json") == 0
    output = events(capsys)
    assert output[0]["source"].startswith("NOT MNIST")
    assert output[4]["val_accuracy"] > 0.8


def test_a_model_on_flat_images_and_one_with_too_few_classes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    flat = fake_network.make_module("fake_flat", INPUT_SHAPE=(784,), MODEL_NAME="flat")
    assert train("--offline", "--epochs", 1, module=flat) == 0
    assert "samples/s" in capsys.readouterr().out
    few = fake_network.make_module("fake_few", OUTPUT_SHAPE=(5,), MODEL_NAME="few")
    assert train("--offline", module=few) == 1
    assert "whole numbers from 0 to 4" in capsys.readouterr().err


def test_nothing_is_downloaded_for_a_model_that_mnist_does_not_fit(monkeypatch, capsys):
    monkeypatch.setattr(
        "runtime.commands.data.load_mnist", lambda *arguments, **options: pytest.fail("data were fetched")
    )
    colour = fake_network.make_module("fake_colour", INPUT_SHAPE=(32, 32, 3), MODEL_NAME="colour")
    assert train(module=colour) == 1
    assert "samples of shape (32, 32, 3), index labels" in capsys.readouterr().err
    real = fake_network.make_module("fake_autoencoder", LABEL_KIND="real", MODEL_NAME="real")
    assert train(module=real) == 1
    assert "real labels of shape (10,)" in capsys.readouterr().err


def test_a_folder_of_images_of_another_size(data, capsys):
    for part in ("train", "t10k"):
        Path(f"{part}-images-idx3-ubyte").write_bytes(
            bytes([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2]) + bytes(4)
        )
        Path(f"{part}-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 1, 0]))
    assert train("--data", ".") == 1
    error = capsys.readouterr().err
    assert "samples of shape (28, 28, 1)" in error and "samples of shape (2, 2, 1)" in error


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    "options, message",
    [
        (["--data", "missing"], "no such folder"),
        (["--data", "missing.npz"], "cannot read missing.npz"),
        (["--data", "data.npz", "--resume", "missing"], "cannot read missing"),
        (["--data", "data.npz", "--resume", "data.npz"], "not a valid safetensors file"),
        (["--data", "data.npz", "--weights", "data.npz/w"], "cannot make the folder"),
        (["--data", "data.npz", "--weights", "."], "cannot write"),
        (
            ["--data", "data.npz", "--learning-rate", "1e38", "--batch-size", "4"],
            "training diverged in epoch 1",
        ),
    ],
)
def test_failures_are_one_message_and_exit_code_1(data, capsys, options, message):
    assert train(*options) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and "Traceback" not in error


def test_evaluate_failures(data, capsys):
    assert evaluate("--data", data) == 1
    assert "cannot read weights/fake.safetensors" in capsys.readouterr().err
    assert train("--data", data, "--epochs", 1) == 0
    other = fake_network.make_module("fake_other", OUTPUT_SHAPE=(11,))
    assert evaluate("--data", data, module=other) == 1
    assert "the model wants (784, 11)" in capsys.readouterr().err
    changed = fake_network.make_module("fake_version", MODEL_HASH="ffff")
    assert evaluate("--data", data, module=changed) == 0
    assert "another version of the model" in capsys.readouterr().err


@pytest.mark.parametrize(
    "option", [("--epochs", "0"), ("--batch-size", "x"), ("--seed", "-1"), ("--learning-rate", "nan")]
)
def test_usage_errors_are_exit_code_2(option, capsys):
    with pytest.raises(SystemExit) as caught:
        train(*option)
    assert caught.value.code == 2
    assert option[0] in capsys.readouterr().err


def test_a_failing_save_stops_and_tells_what_is_kept(data, capsys, monkeypatch):
    assert train("--data", data, "--epochs", 1) == 0

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert train("--data", data, "--epochs", 2, "--resume", "weights/fake.safetensors") == 1
    error = capsys.readouterr().err
    assert "No space left on device" in error and "as it was after epoch 1" in error
    assert read_checkpoint("weights/fake.safetensors").state.epoch == 1


def obey_signals() -> None:
    """A shell starts background jobs with SIGINT ignored, nohup all with SIGHUP; children inherit that."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT for one process")
@pytest.mark.parametrize(
    ("epochs_before", "number", "words"),
    [
        (0, signal.SIGINT, "Interrupted."),
        (1, signal.SIGINT, "Interrupted."),
        (1, signal.SIGTERM, "Terminated."),
        (1, signal.SIGHUP, "Hung up."),
    ],
)
def test_stopped_by_a_signal(data, tmp_path, epochs_before, number, words):
    program = PROGRAM.format(tests=str(Path(__file__).parent), root=str(ROOT))
    command = [sys.executable, "-c", program, "--data", data, "--epochs", "1000", "--batch-size", "2"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, preexec_fn=obey_signals, **pipes) as process:
        for line in process.stdout:
            if line.startswith("epoch" if epochs_before else "model"):
                break
        # The line of an epoch is printed before its weights are saved.
        while epochs_before and not Path("weights/fake.safetensors").exists():
            time.sleep(0.01)
        process.send_signal(number)
        error = process.stderr.read()
    assert process.returncode == 128 + number
    assert words in error and "Traceback" not in error
    if epochs_before or Path("weights/fake.safetensors").exists():
        place = read_checkpoint("weights/fake.safetensors").state.place
        assert f"as it was {place}." in error
    else:
        assert "No weights were saved." in error
    assert list(Path("weights").glob("*.tmp")) == []
