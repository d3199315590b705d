/* Statuses, models' ends, contexts: what is used once a model is loaded. */
#include "rt_engine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rt_internal.h"

_Static_assert(sizeof(rte_record) == 192 && sizeof(rte_block) == 128, "layouts of rt_engine/kernels/interface/record.py, rt_engine/run/blocks.py");
_Static_assert(sizeof(rte_native_change) == 64 && sizeof(rte_native_arrangement) == 64 && sizeof(rte_native_reader) == 64, "layouts of rt_engine/run/blocks.py");
_Static_assert(sizeof(void *) <= 8, "addresses are numbers of 64 bits");

/* --- the library ------------------------------------------------------------------------------------------------------- */

static _Thread_local char error_text[256];

rte_status rte_fail(rte_status status, const char *format, ...) {
    va_list values;
    va_start(values, format);
    vsnprintf(error_text, sizeof error_text, format, values);
    va_end(values);
    for (char *c = error_text; *c; c++) /* names come from files: nothing that a terminal would obey */
        if (*c < ' ' || *c > '~')
            *c = '?';
    return status;
}

const char *rte_error_text(void) {
    return error_text;
}

const char *rte_status_text(rte_status status) {
    switch (status) {
#define CASE(number, name)                                                                                                  \
    case number:                                                                                                            \
        return name;
        RTE_STATUSES(CASE)
#undef CASE
    default:
        return "unknown";
    }
}

const char *rte_version(void) {
    return rte_library_version;
}

const char *rte_level(void) {
    return rte_kernel_level;
}

void *rte_memory(size_t bytes) {
    if (bytes > SIZE_MAX - RTE_LINE)
        return NULL;
    size_t whole = (bytes + RTE_LINE - 1) / RTE_LINE * RTE_LINE;
    void *memory = aligned_alloc(RTE_LINE, whole ? whole : RTE_LINE);
    return memory ? memset(memory, 0, whole ? whole : RTE_LINE) : NULL;
}

/* --- models ------------------------------------------------------------------------------------------------------------ */

const rte_model *rte_share(const rte_model *model) {
    atomic_fetch_add(model->shares, 1);
    return model;
}

void rte_free(rte_model *model) {
    if (model)
        rte_release(model);
}

static const rte_tensor *ends(const rte_ends *these, size_t *count) {
    if (count)
        *count = these ? these->count : 0;
    return these ? these->tensors : NULL;
}

const rte_tensor *rte_inputs(const rte_model *model, size_t *count) {
    return ends(model ? &model->inputs : NULL, count);
}

const rte_tensor *rte_outputs(const rte_model *model, size_t *count) {
    return ends(model ? &model->outputs : NULL, count);
}

const rte_tensor *rte_states(const rte_model *model, size_t *count) {
    return ends(model ? &model->states : NULL, count);
}

int rte_find(const rte_tensor *tensors, size_t count, const char *name) {
    for (size_t i = 0; tensors && name && i < count; i++)
        if (strcmp(tensors[i].name, name) == 0)
            return (int)i;
    return -1;
}

bool rte_same(const rte_ends *a, const rte_ends *b) {
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        const rte_tensor *x = &a->tensors[i], *y = &b->tensors[i];
        if (strcmp(x->name, y->name) != 0 || x->dtype != y->dtype || x->rank != y->rank ||
            memcmp(x->shape, y->shape, x->rank * sizeof *x->shape) != 0)
            return false;
    }
    return true;
}

/* --- contexts ---------------------------------------------------------------------------------------------------------- */

/** Are all elements numbers, neither NaN nor infinite? The exponent of those is all ones. */
static bool all_finite(const unsigned char *at, size_t bytes, rte_dtype dtype) {
    size_t size = dtype == RTE_FLOAT64 ? 8 : dtype == RTE_FLOAT32 ? 4 : 2;
    uint64_t infinite = dtype == RTE_FLOAT64 ? UINT64_C(0x7FF0000000000000) : dtype == RTE_FLOAT32 ? 0x7F800000 : dtype == RTE_FLOAT16 ? 0x7C00 : 0x7F80;
    for (size_t i = 0; i < bytes; i += size) {
        uint64_t bits = 0;
        memcpy(&bits, at + i, size); /* little-endian, as all machines are that kernels are built for */
        if ((bits & infinite) == infinite)
            return false;
    }
    return true;
}

/** The number of a state's type where it has to stay finite; 0 where it is no float, or begins with a NaN or an infinity. */
static int64_t kept_finite(const rte_ends *states, size_t i) {
    rte_dtype dtype = states->tensors[i].dtype;
    bool is_float = dtype == RTE_FLOAT32 || dtype == RTE_FLOAT64 || dtype == RTE_FLOAT16 || dtype == RTE_BFLOAT16;
    return is_float && all_finite(states->initial[i], states->tensors[i].bytes, dtype) ? (int64_t)dtype : 0;
}

/** Tell native code where states are, and what they begin with. */
static void list_states(rte_context *context) {
    const rte_ends *states = &context->model->states;
    context->states->count = (int64_t)states->count;
    for (size_t i = 0; i < states->count; i++)
        context->states->state[i] = (rte_native_state){
            rte_at(context->arena + states->offset[i]),
            (int64_t)states->tensors[i].bytes,
            kept_finite(states, i),
            rte_at(states->initial[i]),
        };
    context->block.states = rte_at(context->states);
}

rte_status rte_context_new(const rte_model *model, rte_context **context) {
    if (!model || !context)
        return rte_fail(RTE_BAD_ARGUMENT, "rte_context_new: a null pointer");
    size_t before = (sizeof(rte_context) + RTE_LINE - 1) / RTE_LINE * RTE_LINE;
    size_t arena = (model->arena_size + RTE_LINE - 1) / RTE_LINE * RTE_LINE; /* its size was checked at load */
    size_t behind = sizeof(rte_native_states) + model->states.count * sizeof(rte_native_state);
    rte_context *made = behind < SIZE_MAX - before - arena ? rte_memory(before + arena + behind) : NULL;
    if (!made)
        return rte_fail(RTE_NO_MEMORY, "no memory for a context of %zu bytes", model->arena_size);
    made->model = rte_share(model);
    made->arena = (unsigned char *)made + before;
    made->states = (rte_native_states *)(made->arena + arena);
    int64_t weights = rte_at(model->weights);
    memcpy(made->arena, &weights, sizeof weights); /* the arena's header */
    made->block.arena = rte_at(made->arena);
    made->block.records = rte_at(model->records);
    made->block.count = (int64_t)model->record_count;
    made->block.table = rte_at(model->table);
    list_states(made);
    rte_reset(made);
    *context = made;
    return RTE_OK;
}

void rte_context_free(rte_context *context) {
    if (!context)
        return;
    rte_release(context->model);
    free(context);
}

static unsigned char *memory_of(const rte_context *context, const rte_ends *these, size_t index) {
    return index < these->count ? context->arena + these->offset[index] : NULL;
}

void *rte_input(rte_context *context, size_t index) {
    return context ? memory_of(context, &context->model->inputs, index) : NULL;
}

const void *rte_output(const rte_context *context, size_t index) {
    return context ? memory_of(context, &context->model->outputs, index) : NULL;
}

void *rte_state(rte_context *context, size_t index) {
    return context ? memory_of(context, &context->model->states, index) : NULL;
}

rte_status rte_run(rte_context *context) {
    return context ? (rte_status)execute(rte_at(&context->block)) : RTE_BAD_ARGUMENT;
}

const char *rte_failed_node(const rte_context *context) {
    return context && context->block.status ? context->model->nodes[context->block.node] : "";
}

void rte_reset(rte_context *context) {
    if (!context)
        return;
    const rte_ends *states = &context->model->states;
    for (size_t i = 0; i < states->count; i++)
        memcpy(context->arena + states->offset[i], states->initial[i], states->tensors[i].bytes);
}

int rte_state_is_finite(const rte_context *context) {
    return context ? state_is_finite(rte_at(&context->block)) != 0 : 1;
}

size_t rte_state_bytes(const rte_model *model) {
    return model ? model->state_bytes : 0;
}

rte_status rte_state_save(const rte_context *context, void *to, size_t size) {
    if (!context || size != context->model->state_bytes || (size && !to))
        return RTE_BAD_ARGUMENT;
    const rte_ends *states = &context->model->states;
    unsigned char *next = to;
    for (size_t i = 0; i < states->count; next += states->tensors[i++].bytes)
        memcpy(next, context->arena + states->offset[i], states->tensors[i].bytes);
    return RTE_OK;
}

rte_status rte_state_restore(rte_context *context, const void *from, size_t size) {
    if (!context || size != context->model->state_bytes || (size && !from))
        return RTE_BAD_ARGUMENT;
    const rte_ends *states = &context->model->states;
    const unsigned char *next = from;
    for (size_t i = 0; i < states->count; next += states->tensors[i++].bytes)
        memcpy(context->arena + states->offset[i], next, states->tensors[i].bytes);
    return RTE_OK;
}

uint64_t rte_context_version(const rte_context *context) {
    return context ? (uint64_t)context->block.version : 0;
}
