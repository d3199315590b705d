/**
 * @file rt_internal.h
 * What the files of the library share. Not for users.
 *
 *     rte_model      bytes of the file | tensors, names of nodes, table of kernel addresses
 *     rte_context    block (what `execute` gets) | tensors' addresses | arena: header, inputs, outputs, states, the rest
 *
 * The layouts that native code reads are those of rt_engine/kernels/interface/record.py and rt_engine/run/blocks.py; a test compares them.
 */
#ifndef RT_INTERNAL_H
#define RT_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>

#include "rt_engine.h"
#include "rt_kernels.h"

#pragma GCC visibility push(hidden)

enum { RTE_LINE = 64, RTE_OPERANDS = 6, RTE_SIZES = 10, RTE_PARAMS = 6 };

/** One kernel call: `RECORD`. */
typedef struct rte_record {
    uint32_t kernel;
    uint32_t node;
    uint64_t spare;
    int64_t operand[RTE_OPERANDS];
    int64_t size[RTE_SIZES];
    double param[RTE_PARAMS];
} rte_record;

/** One context of one program, as `execute` sees it: `BLOCK`. */
typedef struct rte_block {
    int64_t arena, records, count, table, status, node, runs, version, tensors, states, good, needs_ns, envelope, slices, spare[2];
} rte_block;

/** One state of a context: `STATE`. */
typedef struct rte_native_state {
    int64_t address, nbytes, dtype, initial;
} rte_native_state;

/** What `rte_block.states` is the address of. */
typedef struct rte_native_states {
    int64_t count;
    rte_native_state state[];
} rte_native_states;

/** Shared by all readers of a slot: `CHANGE`. */
typedef struct rte_native_change {
    _Atomic int64_t activation_ns, verdict;
    int64_t tick_ns, task, place, spare[3];
} rte_native_change;

/** What a reader runs: `ARRANGEMENT`. Here there is no second version: of it only what an update needs is set. */
typedef struct rte_native_arrangement {
    int64_t active, second, mode, carry_to, fall_to, change, watch, spare;
} rte_native_arrangement;

/** One thread's view of a slot: `READER`. */
typedef struct rte_native_reader {
    _Atomic int64_t active, next, arrangement;
    int64_t watch, taken_ns, switches, switched_ns, dropped;
} rte_native_reader;

/** Tensors of one kind, and where each lies in an arena. */
typedef struct rte_ends {
    size_t count;
    rte_tensor *tensors;
    const unsigned char **initial; /**< of states: where their first values are; else NULL */
    int64_t *offset;
} rte_ends;

struct rte_model {
    atomic_size_t *shares; /**< apart, so that a const model can be shared */
    void *file;
    int64_t *table; /**< addresses of the kernels */
    const rte_record *records;
    const unsigned char *weights;
    const char **nodes; /**< their names */
    size_t record_count, arena_size, state_bytes;
    rte_ends inputs, outputs, states;
};

struct rte_context {
    rte_block block; /**< first: the address of a context is that of its block */
    const rte_model *model;
    unsigned char *arena;
    rte_native_states *states; /**< behind the arena */
};

/** Note what was wrong, for `rte_error_text`; gives `status`. */
rte_status rte_fail(rte_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** An address as native code has it: a number of 64 bits, on 32-bit machines too. */
static inline int64_t rte_at(const volatile void *place) {
    return (int64_t)(uintptr_t)place;
}

/** Zeroed memory on a multiple of RTE_LINE, every page touched; NULL if there is none. */
void *rte_memory(size_t bytes);

/** One more share of a model. */
const rte_model *rte_share(const rte_model *model);

/** One share less; the last one frees it. */
void rte_release(const rte_model *model);

/** Do two kinds of tensors have the same names, shapes and types? */
bool rte_same(const rte_ends *a, const rte_ends *b);

#pragma GCC visibility pop

#endif
