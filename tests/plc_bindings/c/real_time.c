/*
 * real_time MODEL.rtp RUNS [spoil]: runs in a process that may do nothing but compute.
 *
 * malloc, calloc, realloc and aligned_alloc are counted (-Wl,--wrap), and in strict seccomp mode the kernel kills the process at
 * any system call but read, write and exit. Page faults are counted before that, with the memory locked where that is allowed and both
 * contexts warm. The kernel takes a page away from anybody now and then (compaction, reclaim, balancing): a fault that the library makes
 * comes in every round. `spoil` breaks a rule on purpose: `malloc`, `call` or `fault`.
 */
#define _GNU_SOURCE
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rt_engine.h"

static long allocations;

#define WRAP(result, name, parameters, arguments)                                                                           \
    result __real_##name parameters;                                                                                        \
    result __wrap_##name parameters {                                                                                       \
        allocations++;                                                                                                      \
        return __real_##name arguments;                                                                                     \
    }
WRAP(void *, malloc, (size_t a), (a))
WRAP(void *, calloc, (size_t a, size_t b), (a, b))
WRAP(void *, realloc, (void *a, size_t b), (a, b))
WRAP(void *, aligned_alloc, (size_t a, size_t b), (a, b))

static long faults(void) {
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_minflt + usage.ru_majflt;
}

static void say(const char *text) {
    if (write(1, text, strlen(text)) < 0)
        syscall(SYS_exit, 3);
}

int main(int argc, char **argv) {
    rte_model *model;
    rte_context *context;
    rte_slot *slot;
    rte_reader *reader;
    if (argc < 3 || rte_load(argv[1], &model) || rte_context_new(model, &context) || rte_slot_new(model, &slot) ||
        rte_slot_reader_new(slot, &reader))
        return 2;
    if (!allocations)
        return 4; /* the counting does not work */
    rte_slot_reader_start(reader);
    long runs = atol(argv[2]), wrong = 0, before = allocations;
    const char *spoil = argc > 3 ? argv[3] : "";
    size_t bytes = rte_state_bytes(model);
    unsigned char states[4096];
    void *volatile spoiled = NULL; /* volatile: no compiler leaves the call out */
    wrong += rte_run(context) != RTE_OK;
    wrong += rte_run(rte_slot_pick(reader, 0)) != RTE_OK;
    mlockall(MCL_CURRENT);
    long faulted = 0;
    for (int round = 0; round == 0 || (faulted && round < 5); round++) {
        long counted = faults();
        for (long run = 0; run < runs; run++) {
            wrong += rte_run(context) != RTE_OK || rte_run(rte_slot_pick(reader, run)) != RTE_OK;
            if (strcmp(spoil, "fault") == 0)
                *(volatile char *)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) = 1;
        }
        faulted = faults() - counted;
    }
    if (bytes > sizeof states || prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT))
        return 2;
    for (long run = 0; run < runs; run++) {
        rte_context *picked = rte_slot_pick(reader, run);
        *(volatile char *)rte_input(picked, 0) = *(volatile char *)rte_input(context, 0) = 0;
        wrong += rte_run(context) != RTE_OK || rte_run(picked) != RTE_OK || !rte_output(context, 0);
        wrong += rte_state_save(context, states, bytes) != RTE_OK || rte_state_restore(picked, states, bytes) != RTE_OK;
        rte_reset(context);
        if (strcmp(spoil, "malloc") == 0)
            spoiled = malloc(16);
        if (strcmp(spoil, "call") == 0)
            getppid();
    }
    free(spoiled);
    say(allocations != before ? "allocated\n" : faulted ? "faulted\n" : wrong ? "wrong\n" : "clean\n");
    syscall(SYS_exit, allocations != before || faulted || wrong);
}
