cdef extern from *:
    """
    #include <time.h>

    /* Seconds and calls of each kernel call of each program; they are kept for one thread. */
    static double clock_started, clock_seconds[CLOCKS + 1];
    static long clock_calls[CLOCKS + 1];
    static inline double clock_now(void)
    {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    }
    static inline double clock_since(double started) { return clock_now() - started; }
    static inline void clock_start(int number) { (void)number; clock_started = clock_now(); }
    static inline void clock_stop(int number)
    {
        clock_seconds[number] += clock_since(clock_started);
        ++clock_calls[number];
    }
    """
    enum: CLOCKS
    double clock_now() noexcept nogil
    double clock_since(double started) noexcept nogil
    void clock_start(int number) noexcept nogil
    void clock_stop(int number) noexcept nogil
    double* clock_seconds
    long* clock_calls


def kernel_clocks():
    """[(seconds, calls)] of every kernel call since the last time, in the order of the plans; all start anew."""
    cdef int number
    result = []
    for number in range(CLOCKS):
        result.append((clock_seconds[number], clock_calls[number]))
        clock_seconds[number] = 0
        clock_calls[number] = 0
    return result
