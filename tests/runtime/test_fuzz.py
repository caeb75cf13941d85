"""A few hundred of the inputs of `make fuzz`, and what it does with one that is answered wrongly."""

import random
import tracemalloc
import warnings

from tests.runtime import fuzz, fuzz_readers


def test_hostile_files_are_read_or_refused(tmp_path):
    with warnings.catch_warnings():
        assert fuzz.run(600, 1, tmp_path / "kept") == 0
    assert not (tmp_path / "kept").exists()


def test_what_was_answered_wrongly_once_is_refused_or_read(tmp_path):
    """A PNG whose last piece announces 4 GB, for which Pillow would ask the file."""
    tracemalloc.start()
    try:
        read = 0
        for target in fuzz_readers.targets(tmp_path):
            for path in fuzz_readers.FOUND.glob(f"{target.name}-*"):
                target.refuses(path)
                read += 1
        assert read == len(list(fuzz_readers.FOUND.iterdir())) > 0
        assert tracemalloc.get_traced_memory()[1] < 2**25
    finally:
        tracemalloc.stop()


def test_every_reader_reads_its_seeds(tmp_path):
    """What is refused from the beginning leads an input nowhere."""
    for target in fuzz_readers.targets(tmp_path):
        found = len(list(fuzz_readers.FOUND.glob(f"{target.name}-*")))
        for content in target.seeds[: len(target.seeds) - found]:
            path = tmp_path / f"input{target.ending}"
            path.write_bytes(content)
            target.read(path)


def test_what_is_answered_wrongly_is_kept(tmp_path, monkeypatch, capsys):
    def read(path):
        raise KeyError("no words for a person")

    broken = fuzz.Target("broken", ".broken", read, (b"seed",))
    monkeypatch.setattr(fuzz, "targets", lambda folder: (broken,))
    with warnings.catch_warnings():
        assert fuzz.run(3, 0, tmp_path / "kept") == 3
    assert len(list((tmp_path / "kept").iterdir())) == 3
    assert "KeyError" in capsys.readouterr().err


def test_inputs_follow_from_the_seed():
    inputs = [fuzz.mutated(random.Random(3), b"a valid file" * 9, (b"another",)) for _ in range(2)]
    assert inputs[0] == inputs[1] != b"a valid file" * 9
