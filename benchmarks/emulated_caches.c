/* emulated_caches MODEL.rtp COUNT: runs a model so many times, on zeros. */
#include <stdlib.h>

#include "rt_engine.h"

int main(int argc, char **argv) {
    rte_model *model;
    rte_context *context;
    if (argc != 3 || rte_load(argv[1], &model) || rte_context_new(model, &context))
        return 1;
    for (long i = 0; i < atol(argv[2]); i++)
        if (rte_run(context))
            return 1;
    return 0;
}
