/* run_model MODEL.rtp IN OUT CYCLES: the inputs of each cycle from IN, one after the other; its outputs to OUT. */
#include <stdio.h>
#include <stdlib.h>

#include "rt_engine.h"

int main(int argc, char **argv) {
    rte_model *model;
    rte_context *context;
    if (argc != 5)
        return 2;
    if (rte_load(argv[1], &model) || rte_context_new(model, &context)) {
        fprintf(stderr, "%s\n", rte_error_text());
        return 1;
    }
    size_t inputs, outputs;
    const rte_tensor *in = rte_inputs(model, &inputs), *out = rte_outputs(model, &outputs);
    for (size_t i = 0; i < inputs; i++)
        printf("in %s %d %u %zu\n", in[i].name, (int)in[i].dtype, (unsigned)in[i].rank, in[i].bytes);
    for (size_t i = 0; i < outputs; i++)
        printf("out %s %d %u %zu\n", out[i].name, (int)out[i].dtype, (unsigned)out[i].rank, out[i].bytes);
    rte_free(model); /* the context keeps its share */
    FILE *from = fopen(argv[2], "rb"), *to = fopen(argv[3], "wb");
    if (!from || !to)
        return 1;
    for (int cycle = 0; cycle < atoi(argv[4]); cycle++) {
        for (size_t i = 0; i < inputs; i++)
            if (fread(rte_input(context, i), 1, in[i].bytes, from) != in[i].bytes)
                return 1;
        rte_status status = rte_run(context);
        if (status) {
            fprintf(stderr, "%s at %s\n", rte_status_text(status), rte_failed_node(context));
            return 1;
        }
        for (size_t i = 0; i < outputs; i++)
            fwrite(rte_output(context, i), 1, out[i].bytes, to);
    }
    fclose(from);
    fclose(to);
    rte_context_free(context);
    return 0;
}
