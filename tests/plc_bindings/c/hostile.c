/* hostile FILE...: loads each file, in both ways, and makes a context of what loads; prints the status and why. */
#include <stdio.h>
#include <stdlib.h>

#include "rt_engine.h"

static rte_status from_memory(const char *path, rte_model **model) {
    FILE *file = fopen(path, "rb");
    if (!file)
        return RTE_NO_FILE;
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    rewind(file);
    unsigned char *data = malloc(size ? size : 1); /* of exactly this size: reading beyond it is seen */
    if (!data || fread(data, 1, size, file) != size)
        abort();
    fclose(file);
    rte_status status = rte_load_memory(data, size, model);
    free(data);
    return status;
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        rte_model *a = NULL, *b = NULL;
        rte_context *context = NULL;
        rte_status status = rte_load(argv[i], &a), same = from_memory(argv[i], &b);
        if (status != same || (status && (a || b)))
            abort();
        if (!status && rte_context_new(a, &context))
            abort();
        printf("%d %s %s\n", (int)status, rte_status_text(status), status ? rte_error_text() : "");
        rte_context_free(context);
        rte_free(a);
        rte_free(b);
    }
    return 0;
}
