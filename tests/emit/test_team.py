"""The team that shares work out, taken from its template and run without Python; ThreadSanitizer too."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from compiler.emit.cython.names import LIBRARY
from compiler.toolchain.build import find_toolchain
from tests.workshop import EAGER

HEAD = """
#define _GNU_SOURCE
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
typedef long Py_ssize_t;
"""

# Every job: each piece once; never two pieces at a time in the hands of one member; what a piece wrote is
# seen by the caller; the memory of a job, on the caller's stack, is not touched when the job is over.
RANDOM_JOBS = """
#include <sched.h>
typedef struct { uint64_t seed, done[64], results[64], members; int busy[8], clashes; } Job;

static uint64_t next(uint64_t *state)
{ *state = *state * 6364136223846793005u + 1442695040888963407u; return *state >> 33; }

static void compute(const void *given, Py_ssize_t number, Py_ssize_t count, Py_ssize_t member)
{
    Job *job = (Job *)given;
    uint64_t state = job->seed + number, length = next(&state) % 5;
    if (__atomic_exchange_n(&job->busy[member], 1, __ATOMIC_SEQ_CST)) __atomic_add_fetch(&job->clashes, 1, 5);
    if (length == 4) sched_yield();
    for (uint64_t k = 0; k < length * 50; k++) job->results[number] += next(&state) % (count + 1);
    job->done[number]++;
    __atomic_store_n(&job->busy[member], 0, __ATOMIC_SEQ_CST);
}

int main(int argc, char **argv)
{
    long jobs = argc > 1 ? atol(argv[1]) : 0, wrong = 0;
    uint64_t state = 1;
    for (int round = 0; round < 8; round++) {
        Team *team = team_new(1 + round, 4);
        for (long k = 0; k < jobs / 8; k++) {
            Job job = {0}, alone = {0};
            Py_ssize_t count = 1 + next(&state) % 64;
            job.seed = alone.seed = next(&state);
            team_share(team, next(&state) % 4, 1 + next(&state) % 1000, compute, &job, count);
            for (Py_ssize_t number = 0; number < count; number++) compute(&alone, number, count, 0);
            wrong += job.clashes || memcmp(job.done, alone.done, sizeof job.done)
                || memcmp(job.results, alone.results, sizeof job.results);
        }
        team_free(team);
    }
    printf("%ld wrong\\n", wrong);
    return wrong != 0;
}
"""

# A helper that is put aside with a piece in its hands, here until everything else is done, delays that alone.
PUT_ASIDE = """
typedef struct { int left, by_caller; } Job;

static void compute(const void *given, Py_ssize_t number, Py_ssize_t count, Py_ssize_t member)
{
    Job *job = (Job *)given;
    if (member) while (__atomic_load_n(&job->left, __ATOMIC_SEQ_CST) > 1) team_pause();
    (void)number; (void)count;
    if (!member) __atomic_add_fetch(&job->by_caller, 1, __ATOMIC_SEQ_CST);
    __atomic_sub_fetch(&job->left, 1, __ATOMIC_SEQ_CST);
}

int main(void)
{
    Team *team = team_new(2, 1);
    for (int k = 0; k < 200; k++) {
        Job job = {16, 0};
        team_share(team, 0, 1, compute, &job, 16);
        if (job.left || job.by_caller < 15) return 1;
    }
    team_free(team);
    return 0;
}
"""


def _program(tmp_path: Path, main: str, *flags: str) -> Path:
    template = (LIBRARY / "team.pyx").read_text()
    code = re.search(r'"""(.*?)"""', template, re.DOTALL).group(1)
    assert _build(tmp_path, HEAD + code + main, "-Wall", "-Wextra", "-Werror", "-Wno-unused-function", *flags)
    return tmp_path / "team"


def _build(folder: Path, code: str, *flags: str) -> bool:
    (folder / "team.c").write_text(code)
    command = [*find_toolchain().command, "-O2", "-pthread", *flags, str(folder / "team.c"), "-lm"]
    return subprocess.run([*command, "-o", str(folder / "team")], check=False).returncode == 0


def _sanitized(tmp_path: Path, main: str, *flags: str) -> Path:
    if not _build(tmp_path, "int main(void) { return 0; }", "-fsanitize=thread"):
        pytest.skip("this C compiler has no ThreadSanitizer")
    return _program(tmp_path, main, "-fsanitize=thread", "-g", *flags)


def _jobs(program: Path, count: int) -> None:
    result = subprocess.run([program, str(count)], capture_output=True, text=True, check=False, timeout=600)
    assert (result.returncode, result.stdout) == (0, "0 wrong\n"), result.stderr


@pytest.mark.parametrize("flags", [(), EAGER], ids=["as it is", "eager"])
def test_random_jobs(flags: tuple[str, ...], tmp_path: Path) -> None:
    _jobs(_program(tmp_path, RANDOM_JOBS, *flags), 800)


@pytest.mark.parametrize("flags", [(), EAGER], ids=["as it is", "eager"])
def test_random_jobs_race_for_nothing(flags: tuple[str, ...], tmp_path: Path) -> None:
    _jobs(_sanitized(tmp_path, RANDOM_JOBS, *flags), 400)


@pytest.mark.long
@pytest.mark.parametrize("flags", [(), EAGER], ids=["as it is", "eager"])
def test_many_random_jobs(flags: tuple[str, ...], tmp_path: Path) -> None:
    _jobs(_program(tmp_path, RANDOM_JOBS, *flags), 40_000)
    _jobs(_sanitized(tmp_path, RANDOM_JOBS, *flags), 10_000)


def test_who_is_put_aside_delays_one_piece(tmp_path: Path) -> None:
    subprocess.run([_program(tmp_path, PUT_ASIDE, *EAGER)], check=True, timeout=120)
