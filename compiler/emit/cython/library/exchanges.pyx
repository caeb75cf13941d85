def _owned(ranks, whole, tile):
    """How many lanes a batch has, and for each process the first of its own, and the first behind them."""
    lanes = min((whole + tile - 1) // tile, LANES)
    if ranks > LANES:
        raise ValueError(f"share: at most {LANES} processes can add up in order, found {ranks}; in any order more can")
    firsts = [min(LANES * rank // ranks, lanes) for rank in range(ranks + 1)]
    return lanes, list(zip(firsts, firsts[1:]))


def _positions(share, whole, rank, tile):
    """Which examples of a batch a process computes: those of its lanes, or some in a row."""
    if not share.ordered:
        return np.arange(whole * rank // share.ranks, whole * (rank + 1) // share.ranks)
    _, owned = _owned(share.ranks, whole, tile)
    first, last = owned[rank]
    lanes = np.arange(whole) // tile % LANES
    return np.flatnonzero((lanes >= first) & (lanes < last))


def _run_phases(network, share, whole, batch, tile, own, crossing, gathered, arenas):
    """Run the phases of a step, and exchange between two what they need; `own` is what its lanes have added up."""
    size, total, ranks = np.dtype(DTYPE).itemsize, arenas["total"], range(share.ranks)
    lanes, owned = _owned(share.ranks, whole, tile) if share.ordered else (0, [])
    pending = []
    for phase, (examples, at_once, summed) in enumerate(_EXCHANGES):
        _finish(pending, phase)
        if share.ordered and examples:
            pairs = [
                tuple(
                    array[place * count:].view(np.uint8)[:bytes * count].reshape(count, bytes)
                    for array, count in ((crossing, batch), (gathered, whole))
                )
                for place, bytes in examples
            ]
            share.gather(pairs, [_positions(share, whole, rank, tile) for rank in ranks])
        results = [
            total[place:place + values] if arena == "total" else arenas[arena][place:place + values * size].view(DTYPE)
            for arena, place, values in at_once
        ]
        if share.ordered:
            for result in results:
                result[:] = 0
        network._run_phase(phase)
        # What the next phase reads is waited for; what a later one reads is on its way until then.
        for wanted in sorted({wanted for _, _, wanted in summed}):
            ranges = [(start, stop) for start, stop, reader in summed if reader == wanted]
            totals = [total[start:stop] for start, stop in ranges]
            if share.ordered:
                finish = share.sum(owned, lanes, [(own[:, start:stop], to) for (start, stop), to in zip(ranges, totals)])
            else:
                finish = share.add(totals)
            if wanted == phase + 1:
                finish()
            else:
                pending.append((wanted, finish))
        if results:
            (share.join(results) if share.ordered else share.add(results))()
    _finish(pending, len(_EXCHANGES))


def _finish(pending, phase):
    for wanted, finish in pending:
        if wanted == phase:
            finish()
