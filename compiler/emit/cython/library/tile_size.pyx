cdef inline Py_ssize_t tile_size(Py_ssize_t batch, Py_ssize_t least, Py_ssize_t most) noexcept nogil:
    # Examples in a tile: as many tiles as lanes, where that leaves enough in one. It depends on the batch alone.
    while least < most and least * LANE_COUNT < batch:
        least *= 2
    return least
