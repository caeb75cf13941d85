cdef inline void compute_alone(Context* context) noexcept nogil:
    # No other process computes a part of the batch.
    context.whole, context.gathered = context.batch, context.crossing
    context.first_lane, context.lane_count, context.all_lanes = 0, LANE_COUNT, 0
    context.part, context.parts = 0, 1


cdef inline void compute_lanes(
    Context* context, Py_ssize_t first, Py_ssize_t last, Py_ssize_t lanes, Py_ssize_t rank, Py_ssize_t ranks
) noexcept nogil:
    # Of all lanes those from first to last are this process's, and one part of so many of what is summed at once.
    context.first_lane, context.lane_count, context.all_lanes = first, last - first, lanes
    context.part, context.parts = rank, ranks


cdef inline void compute_rows(Context* context, Py_ssize_t rank, Py_ssize_t ranks) noexcept nogil:
    # Of the whole batch some rows side by side are this process's, which has all lanes for them.
    context.before += context.whole * rank // ranks
    context.whole = context.batch


cdef void put_aside(
    const Context* context, Py_ssize_t lane, Py_ssize_t start, Py_ssize_t stop, bint first
) noexcept nogil:
    # Adds what the lane holds to what it has put aside, and what is lost of it by rounding to the errors (Knuth's
    # sum of two). So a lane of any number of tiles is as exact as one of LANE_TILES.
    cdef real* held = context.lanes + lane * LANE_ELEMENTS
    cdef real* aside = context.lanes + (LANE_COUNT + 2 * lane) * LANE_ELEMENTS
    cdef real* errors = aside + LANE_ELEMENTS
    cdef real more, total, added
    cdef Py_ssize_t i
    if first:
        memcpy(aside + start, held + start, (stop - start) * sizeof(real))
        memset(errors + start, 0, (stop - start) * sizeof(real))
    else:
        for i in range(start, stop):
            more = held[i]
            total = aside[i] + more
            added = total - aside[i]
            errors[i] += (aside[i] - (total - added)) + (more - added)
            aside[i] = total
    memset(held + start, 0, (stop - start) * sizeof(real))


cdef void take_back(const Context* context, Py_ssize_t lane, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    # The lane holds all that it has added up. The error of an infinite sum is no number, and says nothing.
    cdef real* held = context.lanes + lane * LANE_ELEMENTS
    cdef const real* aside = context.lanes + (LANE_COUNT + 2 * lane) * LANE_ELEMENTS
    cdef const real* errors = aside + LANE_ELEMENTS
    cdef Py_ssize_t i
    for i in range(start, stop):
        held[i] = aside[i] + (held[i] + (errors[i] if errors[i] == errors[i] else <real>0))


cdef inline void share_out(
    const Context* context, int threads, int site, Py_ssize_t size, Piece piece, const void* given, Py_ssize_t count
) noexcept nogil:
    # Computes the pieces of a job from 0 to count. A site's work takes time in proportion to its size.
    cdef Py_ssize_t number
    if threads == 1 or count <= 1 or size == 0 or context.team == NULL:
        for number in range(count):
            piece(given, number, count, 0)
    else:
        team_share(context.team, site, size, piece, given, count)


cdef struct Sum:
    # Of values from start to stop of so many lanes.
    const Context* context
    Py_ssize_t lanes, start, stop


cdef void reduce_lanes(
    const Context* context, int threads, int site, Py_ssize_t lanes, Py_ssize_t start, Py_ssize_t stop
) noexcept nogil:
    # Sums the lanes in a fixed tree, so that the result does not depend on who computed which lane. Of a process
    # that has some of them, what is whole in the tree, and then stands in the first lane of each of its branches.
    cdef Sum given
    given.context, given.lanes, given.start, given.stop = context, lanes, start, stop
    share_out(context, threads, site, lanes, reduce_part, &given, min((stop - start + 1023) // 1024, <Py_ssize_t>PARTS))


cdef void reduce_part(
    const void* given, Py_ssize_t part, Py_ssize_t parts, Py_ssize_t member
) noexcept nogil:
    # Blocks of as many values as stay in the cache while the lanes are added up.
    cdef const Sum* sum = <const Sum*>given
    cdef Py_ssize_t blocks = (sum.stop - sum.start + 1023) // 1024
    cdef Py_ssize_t block
    for block in range(blocks * part // parts, blocks * (part + 1) // parts):
        reduce_block(
            sum.context, sum.lanes, sum.start + block * 1024, min(sum.stop, sum.start + block * 1024 + 1024)
        )


cdef void reduce_block(const Context* context, Py_ssize_t lanes, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    cdef Py_ssize_t first = context.first_lane, last = first + lanes, end = max(last, context.all_lanes)
    cdef Py_ssize_t i, lane, distance = 1
    cdef real* into
    cdef const real* other
    while distance < end:
        # The first branch of this size that begins here.
        lane = (first + 2 * distance - 1) // (2 * distance) * (2 * distance)
        while lane + distance < last:
            if min(lane + 2 * distance, end) <= last:
                into = context.lanes + (lane - first) * LANE_ELEMENTS
                other = into + distance * LANE_ELEMENTS
                for i in range(start, stop):
                    into[i] += other[i]
            lane += 2 * distance
        distance *= 2
    memcpy(context.total + start, context.lanes + start, (stop - start) * sizeof(real))


cdef void* _address(array) except? NULL:
    # Of a contiguous array. Through the buffer protocol, since `array.ctypes` takes as long as a small layer.
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_SIMPLE)
    cdef void* address = view.buf
    PyBuffer_Release(&view)
    return address
