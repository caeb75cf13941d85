"""A C program that measures what a processor does at most, and how it is built and run.

It is given jobs, and does all of them in every round, so that each gets its share of a moment in which the
machine is busy otherwise. Threads of a job begin together; a round lasts from the first beginning to the last
end.
"""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from compiler.errors import ModelError, Problem
from compiler.machine.elements import REALS
from compiler.machine.target import Target
from compiler.toolchain.build import OPTIMISATION, Toolchain
from compiler.toolchain.processes import run

ACCUMULATORS = 12
"""Independent chains: more than a multiply-add takes cycles, times how many start in a cycle."""

OPERATIONS = 2
"""Of a multiply-add."""

CHAIN_CYCLES = 4
"""Latency of a 64-bit integer product and an exclusive or, on x86-64 processors of the last fifteen years."""

SIDE_BY_SIDE = 8
"""Vectors that a loop over memory reads or writes in a step."""

Kind = Literal["multiply-adds", "chain", "read", "write", "read-far", "write-far"]


@dataclass(frozen=True)
class Job:
    """What each of some threads does in a round: `passes` of it.

    A pass is a step of the loop of multiply-adds, or of the chain of integer operations; or it reads or
    writes `room` bytes: the same in each pass and round, or, of far memory, others each time.
    """

    kind: Kind
    threads: int = 1
    passes: int = 1
    room: int = 0


@dataclass(frozen=True)
class Seconds:
    """What a job took: the shortest round, and the median of all."""

    best: float
    median: float


def run_jobs(
    target: Target, dtype: str, toolchain: Toolchain, jobs: Sequence[Job], rounds: int, far_bytes: int = 0
) -> tuple[Seconds, ...]:
    """The seconds of each job, in order. `far_bytes` of memory are gone through where a job asks for it.

    Raises ModelError where the program cannot be built or run, as for a target that this processor is not.
    """
    words = [f"{job.kind}:{job.threads}:{job.passes}:{job.room}" for job in jobs]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pace.c"
        path.write_text(_source(target, dtype))
        program = str(path.with_suffix(""))
        command = [*toolchain.command, *OPTIMISATION, *target.flags, "-pthread", str(path), "-o", program]
        _done(command, folder)
        printed = _done([program, str(rounds), str(far_bytes), *words], folder)
    rows = (line.split() for line in printed.splitlines())
    return tuple(Seconds(float(best), float(median)) for best, median in rows)


def _done(command: Sequence[str], folder: str) -> str:
    """What a program prints."""
    result = run(command, TMPDIR=folder)
    if result.returncode:
        words = result.stderr[-2000:].strip()
        raise ModelError(
            Problem(
                "the program that measures this processor cannot be built or run",
                found=f"exit code {result.returncode} of\n{shlex.join(command)}\n{words}",
                advice="chainrule doctor; another compiler in CC; TMPDIR in a place with room for programs",
            )
        )
    return result.stdout


def _source(target: Target, dtype: str) -> str:
    accumulators, places = [f"a{k}" for k in range(ACCUMULATORS)], range(SIDE_BY_SIDE)
    vectors = target.machine.lanes(dtype) > 1
    return PROGRAM.format(
        real=REALS[dtype].c_type,
        attribute=f"__attribute__((vector_size({target.machine.vector_bytes})))" if vectors else "",
        accumulators=", ".join(f"{name} = (vector){{0}} + half" for name in accumulators),
        updates=" ".join(f"{name} = {name} * factor + term;" for name in accumulators),
        sum=" + ".join(accumulators),
        begun=", ".join(f"w{k} = {{0}}" for k in places),
        read=" ".join(f"w{k} ^= p[i + {k}];" for k in places),
        joined=" ^ ".join(f"w{k}" for k in places),
        write=" ".join(f"p[i + {k}] = value;" for k in places),
        side_by_side=SIDE_BY_SIDE,
    )


PROGRAM = """
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
typedef {real} real;
typedef real vector {attribute};
typedef uint64_t words {attribute};
typedef struct {{ char kind[16]; int threads; long passes; size_t room; }} Job;
typedef struct {{ const Job *job; words *place; int *missing; double start, end; }} Share;

static double now(void)
{{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}}

static void multiply_adds(long passes)
{{
    volatile real half = 0.5, one = 1;
    vector factor = (vector){{0}} + half, term = (vector){{0}} + one, {accumulators};
    for (long i = 0; i < passes; ++i) {{
        {updates}
    }}
    vector sum = {sum};
    volatile real sink = *(real *)&sum;
    (void)sink;
}}

static void chain(long passes)
{{
    volatile uint64_t odd = 6364136223846793005u;
    uint64_t product = 1, by = odd;
    for (long i = 0; i < passes; ++i) product = (product * by) ^ by;
    odd = product;
}}

static void reading(const words *p, size_t n)
{{
    words {begun};
    for (size_t i = 0; i < n; i += {side_by_side}) {{
        {read}
    }}
    words all = {joined};
    volatile uint64_t sink = *(uint64_t *)&all;
    (void)sink;
}}

static void writing(words *p, size_t n)
{{
    volatile uint64_t one = 1;
    words value = (words){{0}} + one;
    for (size_t i = 0; i < n; i += {side_by_side}) {{
        {write}
    }}
}}

static void run(const Job *job, words *place, long passes)
{{
    if (job->kind[0] == 'm') multiply_adds(passes);
    else if (job->kind[0] == 'c') chain(passes);
    else for (long pass = 0; pass < passes; ++pass) {{
        if (job->kind[0] == 'r') reading(place, job->room / sizeof(words));
        else writing(place, job->room / sizeof(words));
        __asm__ volatile("" ::: "memory");
    }}
}}

static int is_far(const Job *job) {{ return strstr(job->kind, "-far") != NULL; }}

static void *share(void *given)
{{
    Share *own = given;
    if (!is_far(own->job)) run(own->job, own->place, 1);
    __atomic_sub_fetch(own->missing, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(own->missing, __ATOMIC_SEQ_CST) > 0) sched_yield();
    own->start = now();
    run(own->job, own->place, own->job->passes);
    own->end = now();
    return NULL;
}}

static double timed(const Job *job, words *place)
{{
    Share shares[job->threads];
    pthread_t helpers[job->threads];
    int missing = job->threads;
    for (int t = 0; t < job->threads; ++t) {{
        shares[t] = (Share){{job, place + t * (job->room / sizeof(words)), &missing, 0, 0}};
        if (t && pthread_create(&helpers[t], NULL, share, &shares[t])) {{
            fprintf(stderr, "no thread can be started\\n");
            exit(3);
        }}
    }}
    share(&shares[0]);
    double start = shares[0].start, end = shares[0].end;
    for (int t = 1; t < job->threads; ++t) {{
        pthread_join(helpers[t], NULL);
        if (shares[t].start < start) start = shares[t].start;
        if (shares[t].end > end) end = shares[t].end;
    }}
    return end - start;
}}

static words *memory(size_t bytes)
{{
    void *place = NULL;
    if (posix_memalign(&place, 4096, bytes + 4096)) {{
        fprintf(stderr, "there is no memory of %zu bytes\\n", bytes);
        exit(4);
    }}
    memset(place, 1, bytes + 4096);
    return place;
}}

static int by_value(const void *a, const void *b)
{{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}}

int main(int count, char **arguments)
{{
    int rounds = atoi(arguments[1]), jobs = count - 3;
    size_t far_bytes = strtoull(arguments[2], NULL, 10), near_bytes = 0, next = 0;
    Job *job = calloc(jobs, sizeof(Job));
    double *seconds = calloc((size_t)jobs * rounds, sizeof(double));
    for (int j = 0; j < jobs; ++j) {{
        Job *own = job + j;
        sscanf(arguments[3 + j], "%15[^:]:%d:%ld:%zu", own->kind, &own->threads, &own->passes, &own->room);
        size_t bytes = own->threads * own->room;
        if (!is_far(own) && bytes > near_bytes) near_bytes = bytes;
        if (is_far(own) && bytes > far_bytes) far_bytes = bytes;
    }}
    words *near_memory = memory(near_bytes), *far_memory = memory(far_bytes);
    for (int round = 0; round < rounds; ++round)
        for (int j = 0; j < jobs; ++j) {{
            words *place = near_memory;
            if (is_far(job + j)) {{
                size_t bytes = job[j].threads * job[j].room;
                if (next + bytes > far_bytes) next = 0;
                place = far_memory + next / sizeof(words);
                next += bytes;
            }}
            seconds[(size_t)j * rounds + round] = timed(job + j, place);
        }}
    for (int j = 0; j < jobs; ++j) {{
        double *own = seconds + (size_t)j * rounds;
        qsort(own, rounds, sizeof(double), by_value);
        printf("%.9g %.9g\\n", own[0], own[rounds / 2]);
    }}
    return 0;
}}
"""
