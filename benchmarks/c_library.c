/* c_library MODEL.rtp COUNT: prints the nanoseconds of COUNT loads, one per line, then of COUNT runs, each timed as Python times it. */
#define _POSIX_C_SOURCE 200809L
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "rt_engine.h"

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int main(int argc, char **argv) {
    if (argc != 3)
        return 2;
    long count = atol(argv[2]);
    int64_t *load = calloc((size_t)count, sizeof *load), *run = calloc((size_t)count, sizeof *run);
    rte_model *model = NULL;
    rte_context *context;
    if (!load || !run)
        return 1;
    for (long i = 0; i < count; i++) {
        rte_free(model);
        int64_t start = now_ns();
        if (rte_load(argv[1], &model))
            return 1;
        load[i] = now_ns() - start;
    }
    if (rte_context_new(model, &context))
        return 1;
    for (long i = 0; i < count; i++) {
        int64_t start = now_ns();
        if (rte_run(context))
            return 1;
        run[i] = now_ns() - start;
    }
    for (long i = 0; i < count; i++)
        printf("%lld %lld\n", (long long)load[i], (long long)run[i]);
    return 0;
}
