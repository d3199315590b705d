/**
 * @file rt_engine.h
 * Real-time neural-network inference in C and C++: load a compiled program (.rtp), run it in a cyclic thread, replace it
 * while it runs. Needs libc and pthread, no Python.
 *
 *     rte_load --> rte_model (immutable, shared) --> rte_context (one per thread) --> rte_run, every cycle
 *                                               \--> rte_slot --> rte_reader (one per thread) --> rte_slot_pick, every cycle
 *
 * - **Real time.** `rte_run`, `rte_slot_pick`, `rte_reset`, `rte_input`, `rte_output`, `rte_state` and the saving and restoring
 *   of states never allocate, lock or call the system. Everything else may.
 * - **Threads.** A model may be used by any number of threads at once. A context or a reader belongs to one thread at a time.
 * - **Ownership.** What a `_new` or `load` function gives is freed by its `_free` function. Models count who uses them:
 *   `rte_free` gives up your share; memory goes when the last context and slot have let go. Pointers into a model, context or
 *   reader are valid as long as that lives.
 * - **Errors.** Functions that can fail give an `rte_status`; 0 is good, and on anything else their results are untouched.
 *   `rte_status_text` names the number, `rte_error_text` says what was wrong where.
 */
#ifndef RT_ENGINE_H
#define RT_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#include "rt_status.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define RTE_API __attribute__((visibility("default")))
#else
#define RTE_API
#endif

/** A status number, as in `rt_status.h`: the same in Python, over ADS and Modbus, and in Structured Text. */
typedef int32_t rte_status;

/** Type of a tensor's elements, numbered as in ONNX. */
typedef enum rte_dtype {
    RTE_FLOAT32 = 1,
    RTE_UINT8 = 2,
    RTE_INT8 = 3,
    RTE_UINT16 = 4,
    RTE_INT16 = 5,
    RTE_INT32 = 6,
    RTE_INT64 = 7,
    RTE_BOOL = 9, /**< one byte, 0 or 1 */
    RTE_FLOAT16 = 10,
    RTE_FLOAT64 = 11,
    RTE_UINT32 = 12,
    RTE_UINT64 = 13,
    RTE_BFLOAT16 = 16
} rte_dtype;

/** An input, output or state of a model. Elements lie in C order (last axis fastest), without gaps, in native byte order. */
typedef struct rte_tensor {
    const char *name;     /**< UTF-8, owned by the model */
    int32_t dtype;        /**< an `rte_dtype`; types of fewer than 8 bits have other ONNX numbers and one byte per element */
    uint32_t rank;        /**< number of axes; 0 for a scalar */
    const int64_t *shape; /**< `rank` numbers, owned by the model */
    size_t bytes;         /**< of the whole tensor */
} rte_tensor;

/** A compiled model: immutable, shared between threads. */
typedef struct rte_model rte_model;

/** The private memory in which one thread runs a model: inputs, outputs, state, intermediate results. */
typedef struct rte_context rte_context;

/** The place in which a running model is replaced. */
typedef struct rte_slot rte_slot;

/** One thread's view of a slot. */
typedef struct rte_reader rte_reader;

/* --- the library ------------------------------------------------------------------------------------------------------- */

/** Version of this library, as "1.2.3". */
RTE_API const char *rte_version(void);

/** What this library's kernels were built for, as "x86-64-v3". */
RTE_API const char *rte_level(void);

/** Has this processor the instructions that the kernels were built for? Gives RTE_OK or RTE_OTHER_PROCESSOR. */
RTE_API rte_status rte_cpu_check(void);

/** Name of a status, as "DAMAGED"; "unknown" for a number that is none. Never NULL; a constant. */
RTE_API const char *rte_status_text(rte_status status);

/** What the last function that failed in this thread found, in one sentence of printable ASCII; "" before the first failure. */
RTE_API const char *rte_error_text(void);

/* --- models ------------------------------------------------------------------------------------------------------------ */

/**
 * Load a compiled program that `rt-engine compile` made. The file is read once and may be replaced or removed afterwards.
 * @param path of the .rtp file.
 * @param model receives the model; free it with `rte_free`.
 * @return RTE_OK, RTE_NO_FILE, RTE_NOT_A_PROGRAM, RTE_OTHER_VERSION, RTE_DAMAGED, RTE_MISSING_KERNEL, RTE_OTHER_PROCESSOR,
 *         RTE_NO_MEMORY or RTE_BAD_ARGUMENT.
 */
RTE_API rte_status rte_load(const char *path, rte_model **model);

/** Like `rte_load`, from memory: `size` bytes at `data`, which are copied. */
RTE_API rte_status rte_load_memory(const void *data, size_t size, rte_model **model);

/** Give up a model; NULL is allowed. Its contexts and slots go on working. */
RTE_API void rte_free(rte_model *model);

/** The inputs, in the order of the signature; their number goes to `count`. States are not among them. */
RTE_API const rte_tensor *rte_inputs(const rte_model *model, size_t *count);

/** The outputs, in the order of the signature; their number goes to `count`. */
RTE_API const rte_tensor *rte_outputs(const rte_model *model, size_t *count);

/** What a context carries from run to run; the number of states goes to `count`. */
RTE_API const rte_tensor *rte_states(const rte_model *model, size_t *count);

/** Place of the tensor called `name` among `count` tensors, or -1. */
RTE_API int rte_find(const rte_tensor *tensors, size_t count, const char *name);

/* --- contexts ---------------------------------------------------------------------------------------------------------- */

/**
 * Make a context. Inputs are zero, states at their initial values, every page of it touched.
 * @return RTE_OK, RTE_NO_MEMORY or RTE_BAD_ARGUMENT.
 */
RTE_API rte_status rte_context_new(const rte_model *model, rte_context **context);

/** Free a context; NULL is allowed. Not one that `rte_slot_pick` gave: that belongs to its reader. */
RTE_API void rte_context_free(rte_context *context);

/** Memory of input number `index`, 64-byte aligned, to be written before a run; NULL if there is none. It keeps its values. */
RTE_API void *rte_input(rte_context *context, size_t index);

/** Memory of output number `index`, as the last run left it; NULL if there is none. */
RTE_API const void *rte_output(const rte_context *context, size_t index);

/** Memory of state number `index`: what the next run starts from; NULL if there is none. */
RTE_API void *rte_state(rte_context *context, size_t index);

/**
 * Run once, on the inputs as they are now. Denormals count as zero meanwhile.
 * @return RTE_OK, or the status of the kernel that ended the run (below 100): then the outputs are not to be used, and
 *         `rte_failed_node` says where.
 */
RTE_API rte_status rte_run(rte_context *context);

/** Name of the node at which the last run stopped, owned by the model; "" if it ended well. */
RTE_API const char *rte_failed_node(const rte_context *context);

/** Put every state back to its initial value; NULL is allowed. */
RTE_API void rte_reset(rte_context *context);

/**
 * Is no element of a state NaN or infinite? One absurd sample can make a state so for ever: then `rte_reset` helps. Of a state whose
 * initial value is not finite, it may be so, and it is not looked at. A NULL context has none.
 */
RTE_API int rte_state_is_finite(const rte_context *context);

/** Bytes that `rte_state_save` writes: those of all states. */
RTE_API size_t rte_state_bytes(const rte_model *model);

/** Copy all states, one after the other, to `size` bytes at `to`. @return RTE_OK, or RTE_BAD_ARGUMENT if `size` differs. */
RTE_API rte_status rte_state_save(const rte_context *context, void *to, size_t size);

/** Take all states from what `rte_state_save` wrote. @return RTE_OK, or RTE_BAD_ARGUMENT if `size` differs. */
RTE_API rte_status rte_state_restore(rte_context *context, const void *from, size_t size);

/** Version of the model that this context runs: 1 for a slot's first model, one more after each update; 0 without a slot. */
RTE_API uint64_t rte_context_version(const rte_context *context);

/* --- hot update -------------------------------------------------------------------------------------------------------- */

/** What became of the states at an update. */
typedef enum rte_carried {
    RTE_STATE_NONE = 0,    /**< the model has none */
    RTE_STATE_CARRIED = 1, /**< each thread's states went over in the tick that took the new model */
    RTE_STATE_RESET = 2    /**< the new model starts at its initial values: names, shapes or types differ, or NaN or infinity was there */
} rte_carried;

/** How an update went. Times are nanoseconds; points in time are of CLOCK_MONOTONIC. */
typedef struct rte_update {
    uint64_t version;       /**< that the slot runs now */
    int64_t prepared_ns;    /**< from the call to the contexts being ready */
    int64_t live_ns;        /**< from the call to the last thread having taken the new model */
    int64_t activation_ns;  /**< from this point in time on, a tick takes the new model */
    int64_t first_taken_ns; /**< the earliest tick that took it, of all running readers; 0 if none runs */
    int64_t last_taken_ns;  /**< the latest such tick: equal to the earliest where all threads have the same ticks */
    rte_carried state;
    uint32_t late;  /**< readers that did not take it in time; 0 when the update went well */
    uint32_t stuck; /**< after RTE_LATE: readers that still run the new model, as they stopped picking; update again */
} rte_update;

/** Make a slot that runs `model`. @return RTE_OK, RTE_NO_MEMORY or RTE_BAD_ARGUMENT. */
RTE_API rte_status rte_slot_new(const rte_model *model, rte_slot **slot);

/** Free a slot, all its readers and their contexts; NULL is allowed. No thread may pick or update any more. */
RTE_API void rte_slot_free(rte_slot *slot);

/** Version that the slot runs: 1 for the first model, one more after each update. */
RTE_API uint64_t rte_slot_version(rte_slot *slot);

/**
 * Make a reader: a thread's view of the slot, with a context of its own that has run once. Waits while an update is under way, so
 * it is not to be called by a thread that has a running reader of this slot: the update would wait for that.
 * @return RTE_OK, RTE_NO_MEMORY or RTE_BAD_ARGUMENT.
 */
RTE_API rte_status rte_slot_reader_new(rte_slot *slot, rte_reader **reader);

/** Free a reader that does not run; NULL is allowed. Waits while an update is under way, as `rte_slot_reader_new` does. */
RTE_API void rte_slot_reader_free(rte_reader *reader);

/** From here on the calling thread picks every cycle, and an update waits for it. To be called before the first pick. */
RTE_API void rte_slot_reader_start(rte_reader *reader);

/** This thread picks no more: updates are applied to the reader for it. To be called after the last pick. */
RTE_API void rte_slot_reader_stop(rte_reader *reader);

/**
 * The context to use in the tick that was due at `tick_ns` (CLOCK_MONOTONIC): that of the new model from its activation time
 * on. Pick once per cycle, then write inputs, run and read outputs; a context from an earlier cycle is not to be used.
 * A new model's context has inputs of zero.
 */
RTE_API rte_context *rte_slot_pick(rte_reader *reader, int64_t tick_ns);

/**
 * Replace the model while threads run it; returns when every running reader has taken it at its first tick at or after the
 * activation time, and the old contexts are freed. Not to be called by a thread that has a running reader of this slot.
 * @param model the new version, with the same names, shapes and types of inputs and outputs; the slot keeps a share of it.
 * @param at_ns CLOCK_MONOTONIC of the activation; 0 for 5 ms after the contexts are ready.
 * @param timeout_ns how long threads may take after that.
 * @param update receives how it went, also on RTE_LATE; may be NULL.
 * @return RTE_OK; RTE_OTHER_INTERFACE, RTE_NO_MEMORY, RTE_BAD_ARGUMENT: nothing has changed; RTE_LATE: a thread did not take it
 *         in time, or `at_ns` had passed before all was ready: all run the old model (but `stuck` readers).
 */
RTE_API rte_status rte_slot_update(rte_slot *slot, const rte_model *model, int64_t at_ns, int64_t timeout_ns,
                                   rte_update *update);

#ifdef __cplusplus
}
#endif

#endif
