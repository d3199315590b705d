/**
 * @file rt_kernels.h
 * What the library is told about its kernels: one generated C file per library defines these.
 *
 *     #include "rt_kernels.h"
 *     int64_t k_add_f32(int64_t, int64_t);
 *     ...
 *     const rte_kernel rte_kernels[] = {{"add_f32", k_add_f32}, {"conv.panel", NULL}, ...};      sorted by name, as strcmp sorts
 */
#ifndef RT_KERNELS_H
#define RT_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

/** A kernel, under the name that programs have for it; or a later field of records that its kernels know: run is NULL. */
typedef struct rte_kernel {
    const char *name;
    int64_t (*run)(int64_t arena, int64_t record);
} rte_kernel;

extern const rte_kernel rte_kernels[]; /**< sorted by name, as strcmp sorts */
extern const size_t rte_kernel_count;
extern const char *const rte_library_version;   /**< of the project that exported it: "1.2.3" */
extern const char *const rte_kernel_level;      /**< what they were built for: "x86-64-v3" */
extern const char *const rte_kernel_features[]; /**< instructions that they may use, in LLVM's words ("avx2"); then NULL */

/* Of the objects that rt_engine/run/executor_native.py, slot_native.py and state_native.py are compiled to. */
int64_t execute(int64_t block);
int64_t slot_pick(int64_t reader, int64_t tick_ns);
int64_t slot_withdraw(int64_t reader);
int64_t state_is_finite(int64_t block);

#pragma GCC visibility pop

#endif
