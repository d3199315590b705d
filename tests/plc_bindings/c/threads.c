/* threads MODEL.rtp RUNS: two threads share a model, each with a context; both get the bits that one alone gets. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rt_engine.h"

static rte_model *model;
static long runs, wrong[2];

static void fill(rte_context *context, long number) {
    size_t count;
    const rte_tensor *in = rte_inputs(model, &count);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < in[i].bytes / sizeof(float); k++)
            ((float *)rte_input(context, i))[k] = (float)((number * 31 + (long)k * 7) % 101) / 50 - 1;
}

/** Every input twice in a row, in two contexts: one private to this call, one that all 16 numbers go through. */
static void *work(void *argument) {
    size_t thread = (size_t)argument, count;
    const rte_tensor *out = rte_outputs(model, &count);
    rte_context *mine, *fresh;
    if (rte_context_new(model, &mine))
        abort();
    for (long run = 0; run < runs; run++) {
        if (rte_context_new(model, &fresh))
            abort();
        fill(mine, run % 16);
        fill(fresh, run % 16);
        if (rte_run(mine) || rte_run(fresh))
            abort();
        for (size_t i = 0; i < count; i++)
            wrong[thread] += memcmp(rte_output(mine, i), rte_output(fresh, i), out[i].bytes) != 0;
        rte_context_free(fresh);
    }
    rte_context_free(mine);
    return NULL;
}

int main(int argc, char **argv) {
    pthread_t thread[2];
    if (argc != 3 || rte_load(argv[1], &model))
        return 2;
    runs = atol(argv[2]);
    for (size_t i = 0; i < 2; i++)
        pthread_create(&thread[i], NULL, work, (void *)i);
    for (size_t i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    rte_free(model);
    printf("%ld wrong\n", wrong[0] + wrong[1]);
    return wrong[0] + wrong[1] != 0;
}
