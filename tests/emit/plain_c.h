#include <math.h>
#include <stdint.h>
#include <string.h>
typedef double real;
static long fdiv(long a, long b) { long q = a / b; return q - (q * b > a); }
static long fmod_(long a, long b) { return a - b * fdiv(a, b); }
static long least(long a, long b) { return a < b ? a : b; }
static long most(long a, long b) { return a > b ? a : b; }
static uint32_t turned(uint32_t x, int n) { return x << n | x >> (32 - n); }
/* Threefry-2x32, 20 rounds: compiler/ir/tensor/counter_random.py. */
static real uniform(uint32_t seed, uint32_t stream, uint32_t number, uint32_t step)
{
    static const int turns[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
    uint32_t keys[3] = {seed, stream, seed ^ stream ^ 0x1BD11BDAu}, x = number + seed, y = step + stream;
    for (int group = 0; group < 5; group++) {
        for (int k = 0; k < 4; k++) { x += y; y = turned(y, turns[group % 2][k]) ^ x; }
        x += keys[(group + 1) % 3];
        y += keys[(group + 2) % 3] + group + 1;
    }
    return (x >> 8) * 0x1p-24;
}
