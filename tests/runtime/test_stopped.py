"""What a training leaves that a signal stops in the middle of an epoch: where it is, to the bit."""

import http.server
import os
import signal
import threading
import time

import fake_network
import pytest
from test_runtime_cli import data, train

from runtime.border import guarded
from runtime.cache_folder import cache_folder
from runtime.checkpoint import read_checkpoint
from runtime.data import mnist
from runtime.signals import ENDING, Postponed, postponing

__all__ = ["data"]
PATH = "weights/fake.safetensors"


@pytest.fixture(autouse=True)
def obeyed():
    """Whatever started the tests may have told them to ignore a signal."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def stops(monkeypatch):
    """Have a signal come in the middle of update `step`, once."""

    def at(step, number):
        original = fake_network.Network.train_step

        def train_step(self, x, y, rows=None):
            loss = original(self, x, y, rows)
            if self.step == step:
                monkeypatch.setattr(fake_network.Network, "train_step", original)
                signal.raise_signal(number)
            return loss

        monkeypatch.setattr(fake_network.Network, "train_step", train_step)

    return at


@pytest.mark.parametrize(("step", "number"), [(1, signal.SIGINT), (5, signal.SIGTERM), (13, signal.SIGINT)])
@pytest.mark.parametrize(
    "options", [[], ["--ema", "0.9", "--augment", "shift=0.1"]], ids=["plain", "averages"]
)
def test_a_run_goes_on_from_where_it_was_stopped(data, stops, capsys, step, number, options):
    command = ["--data", data, "--epochs", 2, "--batch-size", 10, "--quiet", *options]
    assert train(*command, "--weights", "straight.safetensors") == 0
    stops(step, number)
    assert train(*command) == 128 + number
    state = read_checkpoint(PATH).state
    assert (state.step, state.samples) == (step, 10 * step % 100)
    assert f"as it was {state.place}. Go on with --resume {PATH}" in capsys.readouterr().err
    assert train("--data", data, "--epochs", 2, "--quiet", "--resume", PATH) == 0
    straight, gone_on = (read_checkpoint(path) for path in ("straight.safetensors", PATH))
    assert straight.state == gone_on.state
    with open("straight.safetensors", "rb") as one, open(PATH, "rb") as other:
        assert one.read() == other.read()


def test_a_beginning_does_not_replace_what_an_earlier_run_has_left(data, stops, capsys):
    command = ["--data", data, "--epochs", 2, "--batch-size", 10, "--quiet"]
    assert train(*command) == 0
    stops(3, signal.SIGINT)
    assert train(*command) == 130
    assert f"Nothing was saved; {PATH} is as it was before." in capsys.readouterr().err
    assert read_checkpoint(PATH).state.epoch == 2
    stops(23, signal.SIGINT)
    assert train("--data", data, "--epochs", 3, "--quiet", "--resume", PATH) == 130
    assert read_checkpoint(PATH).state.step == 23


def test_a_signal_waits_while_it_is_busy_and_not_otherwise():
    seen = []
    with pytest.raises(KeyboardInterrupt), postponing() as signals:
        signals.busy = True
        signal.raise_signal(signal.SIGINT)
        seen.append("one")
        signals.let_through()
        seen.append("two")
    with pytest.raises(KeyboardInterrupt), postponing():
        signal.raise_signal(signal.SIGTERM)
        seen.append("three")
    with pytest.raises(KeyboardInterrupt), postponing() as signals:
        signals.busy = True
        signal.raise_signal(signal.SIGINT)
    assert seen == ["one"]
    assert all(signal.getsignal(number) is signal.default_int_handler for number in ENDING)
    Postponed().let_through()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_while_downloading(monkeypatch, capsys, number):
    """A server that never comes to an end; what was read of it is nowhere left."""
    waiting = threading.Event()

    class Endless(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"a beginning")
            self.wfile.flush()
            os.kill(os.getpid(), number)
            waiting.wait(20)

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endless) as server:
        monkeypatch.setattr(mnist, "MIRRORS", (f"http://127.0.0.1:{server.server_port}/",))
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        began = time.monotonic()
        assert guarded(lambda: int(mnist.load_mnist() is None)) == 128 + number
        assert time.monotonic() - began < 10
        waiting.set()
        server.shutdown()
    assert ENDING[number] in capsys.readouterr().err
    assert not (cache_folder() / "mnist").exists()
