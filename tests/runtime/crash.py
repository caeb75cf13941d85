"""What is left of a training that is killed: `make crash-test` (`python -m tests.runtime.crash`).

A child trains a built module, with a checkpoint after every update. It is
killed by SIGKILL at a random moment; what it has left must be loadable, never older than before, and the next
child goes on from it. A run that reaches its end must end with the bytes of one that was never killed. Then a
checkpoint is damaged, bit by bit and cut by cut: what can still be read must be what was written. Last come
the places and times of tests/runtime/crash_places.py.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import numpy as np

from runtime.callbacks import ModelCheckpoint, ReduceLROnPlateau
from runtime.checkpoint import load_checkpoint, read_checkpoint
from runtime.errors import WeightsError
from runtime.interface import ModelInterface
from runtime.modules import load_module
from runtime.safetensors import load_file
from runtime.trainer import fit
from tests.runtime import crash_places

EPOCHS, BATCH, SAMPLES = 3, 8, 120
SEED = 20


@dataclass
class Report:
    """What was seen. `wrong` says what should not be, in words; it must stay empty."""

    kills: int = 0
    before_the_first: int = 0
    in_an_epoch: int = 0
    finished_runs: int = 0
    leftovers: int = 0
    cuts: int = 0
    flips: int = 0
    harmless: int = 0
    places: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = (
            f"killed {self.kills:,} times, {self.before_the_first:,} before the first checkpoint",
            f"  {self.in_an_epoch:,} left one in the middle of an epoch; {self.leftovers:,} a temporary file",
            f"  {self.finished_runs:,} runs went on to their end, with the bytes of one that was not killed",
            f"{self.cuts:,} cuts and {self.flips:,} flipped bits of a checkpoint",
            f"  {self.harmless:,} without an effect, all others refused",
            *self.places,
            *(("WRONG:", *self.wrong) if self.wrong else ("nothing wrong",)),
        )
        return "\n".join(lines)


@dataclass(frozen=True)
class Subject:
    """What is trained, and on what."""

    module: ModuleType
    x: np.ndarray
    y: np.ndarray

    def train(self, path: Path, epochs: int = EPOCHS) -> None:
        """From `path` if it is there, else from the start, to the end."""
        interface = ModelInterface.of_module(self.module)
        network = self.module.Network(seed=SEED)
        state = load_checkpoint(network, path).state if path.exists() else None
        callbacks = [ReduceLROnPlateau("loss", 0.5, patience=1), ModelCheckpoint(path, save_freq=1)]
        fit(
            network,
            *(self.x, self.y),
            batch_size=BATCH,
            epochs=epochs,
            verbose=0,
            callbacks=callbacks,
            resume=state,
            interface=interface,
        )


def subject_of(module: ModuleType) -> Subject:
    """Random examples of the shapes that a module takes."""
    interface = ModelInterface.of_module(module)
    random = np.random.Generator(np.random.Philox(key=SEED))
    x = random.random((SAMPLES, *interface.input_shape)).astype(interface.dtype)
    if interface.input_limit is not None:
        x = random.integers(interface.input_limit, size=(SAMPLES, *interface.input_shape))
    if interface.classes is not None:
        return Subject(module, x, random.integers(interface.classes, size=(SAMPLES, *interface.label_shape)))
    return Subject(module, x, random.random((SAMPLES, *interface.label_shape)).astype(interface.dtype))


def kill_again_and_again(subject: Subject, folder: Path, kills: int, report: Report) -> bytes:
    """Trainings that are killed `kills` times in all; the bytes of a run that was not."""
    straight, path = folder / "straight", folder / "killed"
    begun = time.monotonic()
    subject.train(straight)
    duration = time.monotonic() - begun
    expected = straight.read_bytes()
    moments = np.random.Generator(np.random.Philox(key=SEED))
    step = -1
    while report.kills < kills:
        # A run of its own takes the whole duration, one that goes on less: many die early, some finish.
        if not _killed_after(subject, path, float(moments.random()) * duration / 2):
            report.finished_runs += 1
            if path.read_bytes() != expected:
                report.wrong.append(f"the run that ended after kill {report.kills} has other bytes")
            path.unlink(missing_ok=True)
            step = -1
            continue
        report.kills += 1
        step = _look_at(path, step, report)
    report.leftovers += sum(1 for left in folder.iterdir() if left not in (straight, path))
    subject.train(path)
    if path.read_bytes() != expected:
        report.wrong.append("the last run, which was let alone, has other bytes")
    return expected


def _killed_after(subject: Subject, path: Path, seconds: float) -> bool:
    """Train in a child; False where it ended by itself before it was killed."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            subject.train(path)
            code = 0
        finally:
            os._exit(code)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0:
        raise RuntimeError("a training that was to be killed failed by itself: see above")
    return os.WIFSIGNALED(status)


def _look_at(path: Path, before: int, report: Report) -> int:
    """The step at which the file stands, which must not be before that of an earlier look."""
    if not path.exists():
        report.before_the_first += 1
        if before >= 0:
            report.wrong.append(f"kill {report.kills}: the checkpoint is gone")
        return -1
    try:
        state = read_checkpoint(path).state
    except WeightsError as error:
        report.wrong.append(f"kill {report.kills}: {error}")
        return before
    report.in_an_epoch += state.samples > 0
    if state.step < before:
        report.wrong.append(f"kill {report.kills}: step {state.step}, and it was {before}")
    return state.step


def damage(content: bytes, path: Path, cuts: int, flips: int, report: Report) -> None:
    """Cut the file at every byte of its header and at `cuts` places; flip `flips` of its bits, one by one."""
    path.write_bytes(content)
    original = _read(path)
    random = np.random.Generator(np.random.Philox(key=SEED + 1))
    header = 8 + int.from_bytes(content[:8], "little")
    for length in sorted({*range(header + 1), *random.integers(len(content), size=cuts).tolist()}):
        path.write_bytes(content[:length])
        report.cuts += 1
        if _read(path) is not None:
            report.wrong.append(f"a file that was cut at byte {length} was read")
    for bit in random.integers(8 * len(content), size=flips).tolist():
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        report.flips += 1
        found = _read(path)
        report.harmless += found is not None
        if found is not None and found != original:
            report.wrong.append(f"bit {bit} was flipped, and something else was read")


def _read(path: Path) -> tuple[object, ...] | None:
    """All that a checkpoint says, None where it is refused."""
    try:
        checkpoint = read_checkpoint(path)
        tensors = load_file(path).tensors
    except WeightsError:
        return None
    arrays = tuple((name, array.dtype.str, array.shape, array.tobytes()) for name, array in tensors.items())
    return arrays, checkpoint.model_name, checkpoint.model_hash, checkpoint.state


def crash(
    module: ModuleType, folder: Path, kills: int, cuts: int, flips: int, model: Path | None = None
) -> Report:
    """All of it, in a folder of its own; `model` is a file to compile, if that is tried too."""
    report, subject = Report(), subject_of(module)
    content = kill_again_and_again(subject, folder, kills, report)
    damage(content, folder / "damaged", cuts, flips, report)
    for place in (
        crash_places.full_and_read_only,
        crash_places.two_trainings,
        crash_places.clock_set_back,
    ):
        report.places.append(place(subject, folder, content, report.wrong))
    if model is not None:
        report.places.append(crash_places.two_compilations(model, folder, report.wrong))
    return report


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.runtime.crash", description=__doc__)
    parser.add_argument("module", type=Path, help="a built module: generated/mlp.*.so, or without its ending")
    parser.add_argument("--model", type=Path, help="its model file, to be compiled by two at once")
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--cuts", type=int, default=1000)
    parser.add_argument("--flips", type=int, default=10_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chainrule-crash-") as folder:
        module = load_module(arguments.module)
        damages = arguments.kills, arguments.cuts, arguments.flips
        report = crash(module, Path(folder), *damages, arguments.model)
    print(report)
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
