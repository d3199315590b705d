/* rt_engine/run/slot_native.py in C, so that the thread sanitizer sees its atomic accesses: it cannot see into the kernels' objects. */
#include <string.h>

#include "rt_internal.h"

int64_t slot_pick(int64_t reader, int64_t tick_ns) {
    rte_native_reader *r = (rte_native_reader *)reader;
    int64_t next = atomic_load_explicit(&r->next, memory_order_acquire);
    const rte_native_arrangement *offer = (const rte_native_arrangement *)next;
    if (offer && tick_ns >= atomic_load_explicit(&((rte_native_change *)offer->change)->activation_ns, memory_order_acquire) &&
        atomic_compare_exchange_strong(&r->next, &next, 0)) {
        const rte_context *from = (const rte_context *)atomic_load_explicit(&r->active, memory_order_relaxed);
        const rte_context *to = (const rte_context *)offer->active;
        r->dropped = offer->carry_to && !rte_state_is_finite(from);
        for (int64_t i = 0; offer->carry_to && i < from->states->count; i++) {
            rte_native_state new = to->states->state[i];
            memcpy((void *)new.address, (const void *)(r->dropped ? new.initial : from->states->state[i].address), (size_t)new.nbytes);
        }
        r->taken_ns = r->switched_ns = tick_ns;
        r->switches++;
        atomic_store_explicit(&r->active, offer->active, memory_order_relaxed);
        atomic_exchange(&r->arrangement, (int64_t)offer);
    }
    return atomic_load_explicit(&r->active, memory_order_relaxed);
}

int64_t slot_withdraw(int64_t reader) {
    return atomic_exchange(&((rte_native_reader *)reader)->next, 0);
}
