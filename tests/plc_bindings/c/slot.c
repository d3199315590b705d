/*
 * slot CASE OLD.rtp NEW.rtp: hot updates of a slot; ends with 0 when what the case says holds, else with the line that does not.
 *
 * Threads tick every millisecond on a common grid and note the version of each tick.
 */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "rt_engine.h"

#define EXPECT(what) ((what) ? (void)0 : fail(__LINE__, #what))

static void fail(int line, const char *what) {
    printf("line %d: %s; %s\n", line, what, rte_error_text());
    exit(1);
}

enum { THREADS = 4, TICKS = 4000 };
static const int64_t period_ns = 1000000;

typedef struct task {
    pthread_t thread;
    rte_reader *reader;
    int64_t start_ns;
    atomic_bool stop, hung;
    atomic_uint hangs_with; /* the version that it hangs with, once it has it */
    atomic_int count;
    unsigned char version[TICKS]; /* of each tick since start_ns; 0 where a tick was left out */
    int wrong;                    /* runs with a status, or with outputs that belong to no whole version */
} task;

static rte_model *old_model, *new_model;
static rte_slot *slot;
static task tasks[THREADS];
static float expected[3][64]; /* first output for inputs of 0.5, of version 1 and 2 */
static size_t output_bytes;

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void sleep_until(int64_t at_ns) {
    struct timespec t = {(time_t)(at_ns / 1000000000), (long)(at_ns % 1000000000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL)) {
    }
}

static void write_inputs(const rte_model *model, rte_context *context) {
    size_t count;
    const rte_tensor *in = rte_inputs(model, &count);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < in[i].bytes / sizeof(float); k++)
            ((float *)rte_input(context, i))[k] = 0.5f;
}

static void learn(const rte_model *model, int version) {
    rte_context *context;
    EXPECT(rte_context_new(model, &context) == RTE_OK);
    write_inputs(model, context);
    EXPECT(rte_run(context) == RTE_OK);
    output_bytes = rte_outputs(model, NULL)[0].bytes;
    EXPECT(output_bytes <= sizeof expected[0]);
    memcpy(expected[version], rte_output(context, 0), output_bytes);
    rte_context_free(context);
}

static void *work(void *argument) {
    task *t = argument;
    int64_t tick_ns = t->start_ns;
    for (int i = 0; i < TICKS && !t->stop; i++, tick_ns += period_ns) {
        sleep_until(tick_ns);
        while (t->hung && !t->stop)
            sleep_until(now_ns() + period_ns);
        rte_context *context = rte_slot_pick(t->reader, tick_ns);
        write_inputs(old_model, context);
        t->wrong += rte_run(context) != RTE_OK;
        t->version[i] = (unsigned char)rte_context_version(context);
        if (rte_state_bytes(old_model) == 0)
            t->wrong += memcmp(rte_output(context, 0), expected[1 + (t->version[i] + 1) % 2], output_bytes) != 0;
        t->count = i + 1;
        if (t->hangs_with && t->version[i] == t->hangs_with)
            t->hung = true;
    }
    rte_slot_reader_stop(t->reader);
    return NULL;
}

static void start(int threads) {
    int64_t start_ns = (now_ns() / period_ns + 20) * period_ns;
    for (int i = 0; i < threads; i++) {
        EXPECT(rte_slot_reader_new(slot, &tasks[i].reader) == RTE_OK);
        tasks[i].start_ns = start_ns;
        rte_slot_reader_start(tasks[i].reader);
        EXPECT(pthread_create(&tasks[i].thread, NULL, work, &tasks[i]) == 0);
    }
    sleep_until(start_ns + 20 * period_ns);
}

static void end(int threads) {
    for (int i = 0; i < threads; i++)
        tasks[i].stop = true;
    for (int i = 0; i < threads; i++)
        pthread_join(tasks[i].thread, NULL);
}

/** End the threads, where odd versions were the old model and even ones the new. */
static void stop(int threads) {
    end(threads);
    for (int i = 0; i < threads; i++)
        EXPECT(tasks[i].wrong == 0);
}

/** Every thread has made a tick that is later than now, and so after all that was said to the slot. */
static void ticked(int threads) {
    int64_t from_ns = now_ns();
    for (int i = 0; i < threads; i++)
        while (tasks[i].count < TICKS && tasks[i].start_ns + (tasks[i].count - 1) * period_ns <= from_ns)
            sleep_until(now_ns() + period_ns);
}

/** An update at a tick that is soon; gives which. Who is interrupted until it has passed tries the next one. */
static int64_t update_soon(rte_model *model, rte_update *update) {
    for (int attempt = 0;; attempt++) {
        int64_t at_ns = (now_ns() / period_ns + 100) * period_ns;
        rte_status status = rte_slot_update(slot, model, at_ns, 2000000000, update);
        if (status == RTE_OK)
            return at_ns;
        EXPECT(status == RTE_LATE && attempt < 10);
    }
}

/** The first tick with a version, from a tick on; -1 if none. */
static int first(const task *t, unsigned char version, int from) {
    for (int i = from; i < t->count; i++)
        if (t->version[i] == version)
            return i;
    return -1;
}

/** All threads go over at the same tick, again and again, and each tick belongs to one version. */
static void same_tick(void) {
    rte_update update;
    int64_t taken[6];
    start(THREADS);
    for (int i = 0; i < 6; i++) { /* to new, to old, to new ... */
        EXPECT(rte_slot_update(slot, i % 2 ? old_model : new_model, 0, 2000000000, &update) == RTE_OK);
        EXPECT(update.version == (uint64_t)i + 2 && rte_slot_version(slot) == update.version && update.late == 0);
        EXPECT(update.first_taken_ns == update.last_taken_ns && update.first_taken_ns >= update.activation_ns);
        EXPECT(update.first_taken_ns - update.activation_ns < period_ns && update.live_ns > update.prepared_ns);
        taken[i] = update.first_taken_ns;
    }
    stop(THREADS);
    for (int i = 0; i < 6; i++)
        for (int k = 0; k < THREADS; k++)
            EXPECT(tasks[k].start_ns + first(&tasks[k], (unsigned char)(i + 2), 0) * period_ns == taken[i]);
}

/** A thread that hangs is late: nobody keeps the new model; the update after it works. */
static void late(void) {
    rte_update update;
    start(THREADS);
    tasks[1].hung = true;
    sleep_until(now_ns() + 5 * period_ns);
    EXPECT(rte_slot_update(slot, new_model, 0, 600000000, &update) == RTE_LATE);
    EXPECT(update.late == 1 && update.stuck == 0 && update.version == 1 && rte_slot_version(slot) == 1);
    EXPECT(strstr(rte_error_text(), "1 readers did not take"));
    tasks[1].hung = false;
    ticked(THREADS);
    EXPECT(first(&tasks[0], 2, 0) >= 0); /* it had taken it ... */
    for (int k = 0; k < THREADS; k++)
        EXPECT(tasks[k].version[tasks[k].count - 1] == 1); /* ... and given it back */
    EXPECT(rte_slot_update(slot, new_model, 0, 2000000000, &update) == RTE_OK);
    stop(THREADS);
    for (int k = 0; k < THREADS; k++)
        EXPECT(tasks[k].version[tasks[k].count - 1] == 2);
}

/** One thread is late, one hangs with the new model: it keeps that, is told of, and the update after it takes all along. */
static void stuck(void) {
    rte_update update;
    start(THREADS);
    tasks[1].hung = true;
    tasks[2].hangs_with = 2;
    sleep_until(now_ns() + 5 * period_ns);
    EXPECT(rte_slot_update(slot, new_model, 0, 600000000, &update) == RTE_LATE);
    EXPECT(update.late == 1 && update.stuck == 1 && rte_slot_version(slot) == 1);
    tasks[2].hangs_with = 0;
    tasks[1].hung = tasks[2].hung = false;
    ticked(THREADS);
    for (int k = 0; k < THREADS; k++)
        EXPECT(tasks[k].version[tasks[k].count - 1] == (k == 2 ? 2 : 1));
    EXPECT(rte_slot_update(slot, old_model, 0, 2000000000, &update) == RTE_OK);
    EXPECT(rte_slot_update(slot, old_model, 0, 2000000000, &update) == RTE_OK && update.version == 3);
    end(THREADS);
    for (int k = 0; k < THREADS; k++)
        EXPECT(tasks[k].version[tasks[k].count - 1] == 3);
}

static void *updates(void *model) {
    for (int i = 0; i < 6; i++)
        EXPECT(rte_slot_update(slot, model, 0, 2000000000, NULL) == RTE_OK);
    return NULL;
}

/** Comes, picks a few times and goes, again and again. */
static void *visits(void *unused) {
    (void)unused;
    for (int i = 0; i < 30; i++) {
        rte_reader *reader;
        EXPECT(rte_slot_reader_new(slot, &reader) == RTE_OK);
        rte_slot_reader_start(reader);
        for (int k = 0; k < 5; k++) {
            rte_context *context = rte_slot_pick(reader, now_ns());
            write_inputs(old_model, context);
            EXPECT(rte_run(context) == RTE_OK);
            sleep_until(now_ns() + period_ns / 4);
        }
        rte_slot_reader_stop(reader);
        rte_slot_reader_free(reader);
    }
    return NULL;
}

/** Two threads update, one comes and goes, four run: every update is made, one after the other. */
static void crowd(void) {
    pthread_t threads[3];
    start(THREADS);
    EXPECT(pthread_create(&threads[0], NULL, updates, old_model) == 0);
    EXPECT(pthread_create(&threads[1], NULL, updates, old_model) == 0);
    EXPECT(pthread_create(&threads[2], NULL, visits, NULL) == 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    end(THREADS);
    EXPECT(rte_slot_version(slot) == 13);
}

/** A point in time that has passed changes nothing; one to come is kept to the tick. */
static void activation(void) {
    rte_update update;
    start(THREADS);
    EXPECT(rte_slot_update(slot, new_model, now_ns() - 1, 1000000000, &update) == RTE_LATE && rte_slot_version(slot) == 1);
    int64_t at_ns = update_soon(new_model, &update);
    EXPECT(update.activation_ns == at_ns && update.first_taken_ns == at_ns && update.last_taken_ns == at_ns);
    stop(THREADS);
    for (int k = 0; k < THREADS; k++)
        EXPECT(tasks[k].start_ns + first(&tasks[k], 2, 0) * period_ns == at_ns);
}

/** Readers whose threads do not run change here and now; so do those that stop before the time. */
static void idle(void) {
    rte_update update;
    rte_reader *reader;
    EXPECT(rte_slot_reader_new(slot, &reader) == RTE_OK);
    EXPECT(rte_context_version(rte_slot_pick(reader, 1)) == 1);
    EXPECT(rte_slot_update(slot, new_model, 0, 0, &update) == RTE_OK && update.first_taken_ns == 0);
    EXPECT(rte_context_version(rte_slot_pick(reader, 1)) == 2);
    start(1);
    tasks[0].stop = true; /* it ends at its next tick */
    update_soon(old_model, &update);
    stop(1);
    EXPECT(rte_context_version(rte_slot_pick(tasks[0].reader, 1)) == 3);
    rte_slot_reader_free(reader);
}

/** States go over in the tick of the switch: as if the model had never changed, where both are the same. */
static void state(void) {
    rte_update update;
    rte_context *alone, *context;
    rte_reader *reader;
    size_t bytes = rte_state_bytes(old_model);
    char one[1024], other[1024];
    EXPECT(bytes && bytes <= sizeof one);
    EXPECT(rte_context_new(old_model, &alone) == RTE_OK && rte_slot_reader_new(slot, &reader) == RTE_OK);
    for (int i = 0; i < 10; i++) {
        if (i == 5)
            EXPECT(rte_slot_update(slot, old_model, 0, 0, &update) == RTE_OK && update.state == RTE_STATE_CARRIED);
        context = rte_slot_pick(reader, i);
        write_inputs(old_model, alone);
        write_inputs(old_model, context);
        EXPECT(rte_run(alone) == RTE_OK && rte_run(context) == RTE_OK);
        EXPECT(rte_state_save(alone, one, bytes) == RTE_OK && rte_state_save(context, other, bytes) == RTE_OK);
        EXPECT(memcmp(one, other, bytes) == 0);
    }
    EXPECT(rte_state_save(alone, one, bytes - 1) == RTE_BAD_ARGUMENT && rte_state_restore(alone, one, 0) == RTE_BAD_ARGUMENT);
    rte_reset(alone);
    EXPECT(rte_state_restore(alone, other, bytes) == RTE_OK && memcmp(rte_state(alone, 0), other, 4) == 0);
    rte_context_free(alone);
}

/** States go over while threads run, again and again: at the end they are those of as many runs of one context. */
static void carried(void) {
    rte_update update;
    size_t bytes = rte_state_bytes(old_model);
    char one[1024], other[1024];
    EXPECT(bytes && bytes <= sizeof one);
    start(THREADS);
    for (int i = 0; i < 8; i++)
        EXPECT(rte_slot_update(slot, new_model, 0, 2000000000, &update) == RTE_OK && update.state == RTE_STATE_CARRIED);
    stop(THREADS);
    for (int k = 0; k < THREADS; k++) {
        rte_context *alone, *context = rte_slot_pick(tasks[k].reader, 0);
        EXPECT(rte_context_new(old_model, &alone) == RTE_OK);
        write_inputs(old_model, alone);
        for (int i = 0; i < tasks[k].count; i++)
            EXPECT(rte_run(alone) == RTE_OK);
        EXPECT(rte_state_save(alone, one, bytes) == RTE_OK && rte_state_save(context, other, bytes) == RTE_OK);
        EXPECT(memcmp(one, other, bytes) == 0 && rte_context_version(context) == 9);
        rte_context_free(alone);
    }
}

/** States of another shape start anew. */
static void anew(void) {
    rte_update update;
    rte_reader *reader;
    EXPECT(rte_slot_reader_new(slot, &reader) == RTE_OK);
    rte_context *context = rte_slot_pick(reader, 0);
    float first_value = *(float *)rte_state(context, 0);
    *(float *)rte_state(context, 0) = 7;
    EXPECT(rte_slot_update(slot, new_model, 0, 0, &update) == RTE_OK && update.state == RTE_STATE_RESET);
    EXPECT(*(float *)rte_state(rte_slot_pick(reader, 0), 0) == first_value);
}

/** A state that is infinite, or no number, goes over in no update: it begins anew, and that is told. */
static void not_finite(void) {
    static const uint32_t bits[] = {0x7F800000, 0xFF800000, 0x7FC00000}; /* inf, -inf, NaN */
    rte_update update;
    rte_reader *reader;
    EXPECT(rte_slot_reader_new(slot, &reader) == RTE_OK);
    float first_value = *(float *)rte_state(rte_slot_pick(reader, 0), 0);
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++) {
        rte_context *context = rte_slot_pick(reader, 0);
        EXPECT(rte_state_is_finite(context) && rte_state_is_finite(NULL));
        memcpy(rte_state(context, 0), &bits[i], 4);
        EXPECT(!rte_state_is_finite(context));
        EXPECT(rte_slot_update(slot, new_model, 0, 0, &update) == RTE_OK && update.state == RTE_STATE_RESET);
        context = rte_slot_pick(reader, 0);
        EXPECT(*(float *)rte_state(context, 0) == first_value && rte_state_is_finite(context));
        EXPECT(rte_slot_update(slot, new_model, 0, 0, &update) == RTE_OK && update.state == RTE_STATE_CARRIED);
    }
}

/** Another interface is refused, and so is nonsense; nothing changes. */
static void refused(void) {
    rte_update update;
    rte_context *context = NULL;
    EXPECT(rte_slot_update(slot, new_model, 0, 1000, &update) == RTE_OTHER_INTERFACE && rte_slot_version(slot) == 1);
    EXPECT(rte_slot_update(slot, NULL, 0, 1000, &update) == RTE_BAD_ARGUMENT);
    EXPECT(rte_slot_update(slot, old_model, -1, 1000, NULL) == RTE_BAD_ARGUMENT);
    EXPECT(rte_slot_new(NULL, &slot) == RTE_BAD_ARGUMENT && rte_load(NULL, &old_model) == RTE_BAD_ARGUMENT);
    EXPECT(rte_load("/dev/null/none", &old_model) == RTE_NO_FILE && rte_load("/dev/zero", &old_model) == RTE_NO_FILE);
    rte_reset(NULL);
    EXPECT(rte_context_new(NULL, &context) == RTE_BAD_ARGUMENT && !context && rte_run(NULL) == RTE_BAD_ARGUMENT);
    EXPECT(rte_context_new(old_model, &context) == RTE_OK && !rte_input(context, 99) && !rte_output(context, 99));
    size_t count;
    const rte_tensor *in = rte_inputs(old_model, &count);
    EXPECT(rte_find(in, count, in[0].name) == 0 && rte_find(in, count, "no such") == -1 && rte_find(NULL, 1, "x") == -1);
    rte_context_free(context);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*run)(void);
    } cases[] = {{"same_tick", same_tick}, {"late", late},   {"stuck", stuck}, {"crowd", crowd}, {"activation", activation},
                 {"idle", idle},           {"state", state}, {"carried", carried},
                 {"anew", anew},           {"not_finite", not_finite}, {"refused", refused}};
    EXPECT(argc == 4 && rte_load(argv[2], &old_model) == RTE_OK && rte_load(argv[3], &new_model) == RTE_OK);
    EXPECT(rte_slot_new(old_model, &slot) == RTE_OK);
    learn(old_model, 1);
    learn(new_model, 2);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (strcmp(argv[1], cases[i].name) == 0) {
            cases[i].run();
            rte_slot_free(slot);
            rte_free(old_model);
            rte_free(new_model);
            puts("good");
            return 0;
        }
    return 2;
}
