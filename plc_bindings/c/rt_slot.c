/*
 * Hot update: a running model is replaced while threads run it.
 *
 *     rte_slot_update   interface checked -> a warmed context for every reader -> offered -> activation time
 *                       -> every reader has taken its own -> old contexts freed
 *     rte_slot_pick     slot_pick (native code): the offered context from the activation time on, states carried over
 *
 * `updating` is held throughout an update, and while readers come and go. `state` guards the readers' list and who runs; it is
 * held for moments only, and never by a thread that picks.
 */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "rt_internal.h"

#define NEVER INT64_MAX

enum { MARGIN_NS = 5000000, POLL_NS = 200000 };

struct rte_reader {
    rte_native_reader native; /* first: native code gets its address */
    rte_native_arrangement offers[2], *offer; /* in turn: one may be what it runs; the newest */
    rte_slot *slot;
    rte_reader *next;
    rte_context *running, *offered; /* as far as the updating thread knows */
    rte_context *fresh;             /* an update's new context */
    bool runs;
    bool late;
};

struct rte_slot {
    rte_native_change native;
    pthread_mutex_t updating, state;
    const rte_model *model;
    atomic_uint_fast64_t version;
    rte_reader *readers;
};

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void wait_a_moment(void) {
    nanosleep(&(struct timespec){0, POLL_NS}, NULL);
}

/* --- contexts and what they carry -------------------------------------------------------------------------------------- */

/** A context that has run once on zeros, so that its memory is in the caches and no first run is slow. */
static rte_status warmed(const rte_model *model, uint64_t version, rte_context **context) {
    rte_status status = rte_context_new(model, context);
    if (status)
        return status;
    rte_run(*context);
    for (size_t i = 0; i < model->outputs.count; i++)
        memset((*context)->arena + model->outputs.offset[i], 0, model->outputs.tensors[i].bytes);
    rte_reset(*context);
    (*context)->block.status = 0;
    (*context)->block.runs = 0;
    (*context)->block.version = (int64_t)version;
    return RTE_OK;
}

/** Free what an update prepared for a reader and did not use. */
static void discard(rte_reader *reader) {
    rte_context_free(reader->fresh);
    reader->fresh = NULL;
}

/** All memory that an update needs, before anything is changed. */
static rte_status prepare(rte_slot *slot, const rte_model *model, uint64_t version) {
    rte_status status = RTE_OK;
    for (rte_reader *r = slot->readers; r && !status; r = r->next)
        status = warmed(model, version, &r->fresh);
    if (status)
        for (rte_reader *r = slot->readers; r; r = r->next)
            discard(r);
    return status;
}

/* --- offering and taking ----------------------------------------------------------------------------------------------- */

/** The states of the context that runs go over to it if they are the same; also when it is taken back. */
static void offer(rte_reader *reader, rte_context *context) {
    bool runs_first = atomic_load(&reader->native.arrangement) == rte_at(&reader->offers[0]);
    reader->offered = context;
    reader->offer = &reader->offers[runs_first];
    reader->offer->active = rte_at(context);
    reader->offer->carry_to = rte_same(&reader->running->model->states, &context->model->states) ? rte_at(context) : 0;
    reader->offer->change = rte_at(&reader->slot->native);
    atomic_store(&reader->native.next, rte_at(reader->offer));
}

/** Has the thread the offered context, with its states? Takes it for a thread that does not run. */
static bool has_taken(rte_reader *reader) {
    pthread_mutex_lock(&reader->slot->state);
    if (!reader->runs && atomic_load(&reader->native.next))
        slot_pick(rte_at(reader), NEVER);
    pthread_mutex_unlock(&reader->slot->state);
    if (atomic_load(&reader->native.arrangement) != rte_at(reader->offer))
        return false; /* not offered's turn yet, or its states are being copied at this moment */
    reader->running = reader->offered;
    return true;
}

/** Take an offer back; false if the thread has taken it at this very moment. */
static bool withdraw(rte_reader *reader) {
    if (slot_withdraw(rte_at(reader)))
        return true;
    while (!has_taken(reader)) /* it is inside of slot_pick: copying its states */
        wait_a_moment();
    return false;
}

/** Wait until all readers that are `late` have taken their offer, at most until `until_ns`; gives how many have not. */
static uint32_t settle(rte_slot *slot, int64_t until_ns) {
    uint32_t late;
    for (;;) {
        late = 0;
        for (rte_reader *r = slot->readers; r; r = r->next)
            late += r->late = r->late && !has_taken(r);
        if (!late || now_ns() >= until_ns)
            break;
        wait_a_moment();
    }
    late = 0;
    for (rte_reader *r = slot->readers; r; r = r->next)
        late += r->late = r->late && withdraw(r);
    return late;
}

static int64_t later(int64_t a_ns, int64_t b_ns) {
    return a_ns > INT64_MAX - b_ns ? INT64_MAX : a_ns + b_ns;
}

/** Offer the new contexts; gives how many readers did not take theirs: `late` ones run the old context. */
static uint32_t go_over(rte_slot *slot, int64_t activation_ns, int64_t timeout_ns) {
    atomic_store(&slot->native.activation_ns, NEVER);
    for (rte_reader *r = slot->readers; r; r = r->next) {
        offer(r, r->fresh);
        r->late = true;
    }
    atomic_store(&slot->native.activation_ns, activation_ns);
    return settle(slot, later(activation_ns, timeout_ns));
}

/** Give those who took the new context the old one again; gives how many did not take that: `late` ones run the new. */
static uint32_t go_back(rte_slot *slot, rte_context *const *old, int64_t timeout_ns) {
    atomic_store(&slot->native.activation_ns, NEVER);
    size_t i = 0;
    for (rte_reader *r = slot->readers; r; r = r->next, i++) {
        r->late = r->running != old[i];
        if (r->late)
            offer(r, old[i]);
    }
    int64_t activation_ns = now_ns() + MARGIN_NS;
    atomic_store(&slot->native.activation_ns, activation_ns);
    return settle(slot, later(activation_ns, timeout_ns));
}

/* --- readers ----------------------------------------------------------------------------------------------------------- */

rte_status rte_slot_reader_new(rte_slot *slot, rte_reader **reader) {
    if (!slot || !reader)
        return rte_fail(RTE_BAD_ARGUMENT, "rte_slot_reader_new: a null pointer");
    rte_reader *made = rte_memory(sizeof *made);
    if (!made)
        return rte_fail(RTE_NO_MEMORY, "no memory for a reader");
    pthread_mutex_lock(&slot->updating);
    rte_status status = warmed(slot->model, atomic_load(&slot->version), &made->running);
    if (status) {
        free(made);
    } else {
        made->slot = slot;
        atomic_store(&made->native.active, rte_at(made->running));
        made->next = slot->readers;
        slot->readers = made;
        *reader = made;
    }
    pthread_mutex_unlock(&slot->updating);
    return status;
}

void rte_slot_reader_free(rte_reader *reader) {
    if (!reader)
        return;
    rte_slot *slot = reader->slot;
    pthread_mutex_lock(&slot->updating);
    for (rte_reader **r = &slot->readers; *r; r = &(*r)->next)
        if (*r == reader) {
            *r = reader->next;
            break;
        }
    pthread_mutex_unlock(&slot->updating);
    rte_context_free(reader->running);
    free(reader);
}

static void set_runs(rte_reader *reader, bool runs) {
    if (!reader)
        return;
    pthread_mutex_lock(&reader->slot->state);
    reader->runs = runs;
    pthread_mutex_unlock(&reader->slot->state);
}

void rte_slot_reader_start(rte_reader *reader) {
    set_runs(reader, true);
}

void rte_slot_reader_stop(rte_reader *reader) {
    set_runs(reader, false);
}

rte_context *rte_slot_pick(rte_reader *reader, int64_t tick_ns) {
    return (rte_context *)(uintptr_t)slot_pick(rte_at(reader), tick_ns);
}

/* --- slots ------------------------------------------------------------------------------------------------------------- */

rte_status rte_slot_new(const rte_model *model, rte_slot **slot) {
    if (!model || !slot)
        return rte_fail(RTE_BAD_ARGUMENT, "rte_slot_new: a null pointer");
    rte_slot *made = rte_memory(sizeof *made);
    if (!made)
        return rte_fail(RTE_NO_MEMORY, "no memory for a slot");
    atomic_store(&made->native.activation_ns, NEVER);
    pthread_mutex_init(&made->updating, NULL);
    pthread_mutex_init(&made->state, NULL);
    made->model = rte_share(model);
    atomic_store(&made->version, 1);
    *slot = made;
    return RTE_OK;
}

void rte_slot_free(rte_slot *slot) {
    if (!slot)
        return;
    while (slot->readers)
        rte_slot_reader_free(slot->readers);
    rte_release(slot->model);
    pthread_mutex_destroy(&slot->updating);
    pthread_mutex_destroy(&slot->state);
    free(slot);
}

uint64_t rte_slot_version(rte_slot *slot) {
    return slot ? atomic_load(&slot->version) : 0;
}

/** RTE_OK if `model` can take the place of the running one. */
static rte_status fits(const rte_slot *slot, const rte_model *model) {
    if (!rte_same(&slot->model->inputs, &model->inputs))
        return rte_fail(RTE_OTHER_INTERFACE, "the new model's inputs differ from the running one's in name, shape or type");
    if (!rte_same(&slot->model->outputs, &model->outputs))
        return rte_fail(RTE_OTHER_INTERFACE, "the new model's outputs differ from the running one's in name, shape or type");
    return RTE_OK;
}

/** Between which ticks running readers took the new model. */
static void note_ticks(rte_slot *slot, rte_update *update) {
    pthread_mutex_lock(&slot->state);
    for (const rte_reader *r = slot->readers; r; r = r->next) {
        if (!r->runs || r->native.taken_ns == NEVER)
            continue;
        if (!update->first_taken_ns || r->native.taken_ns < update->first_taken_ns)
            update->first_taken_ns = r->native.taken_ns;
        if (r->native.taken_ns > update->last_taken_ns)
            update->last_taken_ns = r->native.taken_ns;
    }
    pthread_mutex_unlock(&slot->state);
}

static rte_carried fate(const rte_slot *slot, const rte_ends *new) {
    const rte_ends *old = &slot->model->states;
    rte_carried state = !old->count ? RTE_STATE_NONE : rte_same(old, new) ? RTE_STATE_CARRIED : RTE_STATE_RESET;
    for (const rte_reader *r = slot->readers; r; r = r->next)
        if (r->native.dropped)
            state = RTE_STATE_RESET;
    return state;
}

/** Everybody has the new contexts: the old ones and the old model go. */
static void retire(rte_slot *slot, const rte_model *model, rte_context *const *old) {
    size_t i = 0;
    for (rte_reader *r = slot->readers; r; r = r->next, i++) {
        rte_context_free(old[i]);
        r->fresh = NULL;
        discard(r);
    }
    const rte_model *before = slot->model;
    slot->model = rte_share(model);
    rte_release(before);
    atomic_fetch_add(&slot->version, 1);
}

/** Not everybody took it: back to the old contexts. A reader that is stuck with its new one keeps it, and its old one goes. */
static rte_status take_back(rte_slot *slot, rte_context *const *old, int64_t timeout_ns, rte_update *update) {
    update->stuck = go_back(slot, old, timeout_ns);
    size_t i = 0;
    for (rte_reader *r = slot->readers; r; r = r->next, i++) {
        if (r->running == r->fresh) {
            r->fresh = NULL;
            rte_context_free(old[i]);
        }
        discard(r);
    }
    return rte_fail(RTE_LATE, "%u readers did not take the new model in time; %u still run it, the others run the old one",
                    (unsigned)update->late, (unsigned)update->stuck);
}

static rte_status replace(rte_slot *slot, const rte_model *model, int64_t at_ns, int64_t timeout_ns, rte_update *update) {
    int64_t begin = now_ns();
    size_t count = 0;
    for (const rte_reader *r = slot->readers; r; r = r->next)
        count++;
    rte_context **old = malloc((count + 1) * sizeof *old);
    if (!old)
        return rte_fail(RTE_NO_MEMORY, "no memory for an update of %zu readers", count);
    rte_status status = prepare(slot, model, atomic_load(&slot->version) + 1);
    if (!status) {
        size_t i = 0;
        for (const rte_reader *r = slot->readers; r; r = r->next)
            old[i++] = r->running;
        int64_t ready = now_ns();
        update->prepared_ns = ready - begin;
        update->activation_ns = at_ns ? at_ns : ready + MARGIN_NS;
        if (update->activation_ns <= ready) {
            for (rte_reader *r = slot->readers; r; r = r->next)
                discard(r);
            status = rte_fail(RTE_LATE, "the activation time had passed %lld ns before all contexts were ready",
                              (long long)(ready - update->activation_ns));
        } else if ((update->late = go_over(slot, update->activation_ns, timeout_ns)) != 0) {
            status = take_back(slot, old, timeout_ns, update);
        } else {
            update->live_ns = now_ns() - begin;
            update->state = fate(slot, &model->states);
            note_ticks(slot, update);
            retire(slot, model, old);
        }
    }
    free(old);
    return status;
}

rte_status rte_slot_update(rte_slot *slot, const rte_model *model, int64_t at_ns, int64_t timeout_ns, rte_update *update) {
    rte_update unwanted;
    if (!slot || !model || at_ns < 0 || timeout_ns < 0)
        return rte_fail(RTE_BAD_ARGUMENT, "rte_slot_update: a null pointer or a negative time");
    update = update ? update : &unwanted;
    memset(update, 0, sizeof *update);
    pthread_mutex_lock(&slot->updating);
    rte_status status = fits(slot, model);
    if (!status)
        status = replace(slot, model, at_ns, timeout_ns, update);
    update->version = atomic_load(&slot->version);
    pthread_mutex_unlock(&slot->updating);
    return status;
}
