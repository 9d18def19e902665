/* libyuv at the work of benches/compositor.rs: N sources into a grid on one canvas, one thread.
 *
 *   compositor SOURCE_W SOURCE_H CANVAS_W CANVAS_H N
 *
 * Reads numbers of frames, a line each, and answers each with the nanoseconds of
 * CPU time that composing them took. */
#include <inttypes.h>
#include <libyuv.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { RING = 4 };

int main(int argc, char **argv) {
    if (argc != 6) return 2;
    int sw = atoi(argv[1]), sh = atoi(argv[2]), w = atoi(argv[3]), h = atoi(argv[4]), n = atoi(argv[5]);
    if (sw < 2 || sh < 2 || w < 2 || h < 2 || n < 1 || n > 64) return 2;
    int columns = (int)sqrt(n), cw = w / columns / 2 * 2, ch = h / columns / 2 * 2;
    size_t luma = (size_t)sw * sh, len = luma * 3 / 2;
    uint8_t *source[64 * RING], *canvas = aligned_alloc(64, ((size_t)w * h * 3 / 2 + 63) / 64 * 64), value = 128;
    uint32_t state = 1;
    for (int i = 0; i < n * RING; i++) {
        source[i] = aligned_alloc(64, (len + 63) / 64 * 64);
        if (!source[i] || !canvas) return 1;
        for (size_t k = 0; k < len; k++) {
            state = state * 1664525u + 1013904223u;
            source[i][k] = value += (uint8_t)((state >> 24) % 9 - 4);
        }
    }
    uint64_t frames, step = 0;
    while (scanf("%" SCNu64, &frames) == 1) {
        struct timespec a, b;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
        for (uint64_t f = 0; f < frames; f++, step++) {
            for (int i = 0; i < n; i++) {
                const uint8_t *y = source[i * RING + step % RING], *u = y + luma, *v = u + luma / 4;
                int left = i % columns * cw, top = i / columns * ch;
                uint8_t *dy = canvas + (size_t)top * w + left;
                uint8_t *du = canvas + (size_t)w * h + (size_t)top / 2 * (w / 2) + left / 2, *dv = du + (size_t)w * h / 4;
                if (sw == cw && sh == ch)
                    I420Copy(y, sw, u, sw / 2, v, sw / 2, dy, w, du, w / 2, dv, w / 2, cw, ch);
                else
                    I420Scale(y, sw, u, sw / 2, v, sw / 2, sw, sh, dy, w, du, w / 2, dv, w / 2, cw, ch, kFilterBilinear);
            }
        }
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
        printf("%lld\n", (long long)(b.tv_sec - a.tv_sec) * 1000000000 + (b.tv_nsec - a.tv_nsec));
        fflush(stdout);
    }
    return 0;
}
