/* Prints where the C structures have their fields: structure, field, offset. */
#include <stdio.h>

#include "rt_internal.h"

#define FIELD(structure, field) printf(#structure " " #field " %zu\n", offsetof(structure, field))

int main(void) {
    FIELD(rte_record, kernel);
    FIELD(rte_record, node);
    FIELD(rte_record, operand);
    FIELD(rte_record, size);
    FIELD(rte_record, param);
    FIELD(rte_block, arena);
    FIELD(rte_block, records);
    FIELD(rte_block, count);
    FIELD(rte_block, table);
    FIELD(rte_block, status);
    FIELD(rte_block, node);
    FIELD(rte_block, runs);
    FIELD(rte_block, version);
    FIELD(rte_block, tensors);
    FIELD(rte_block, states);
    FIELD(rte_block, good);
    FIELD(rte_block, needs_ns);
    FIELD(rte_block, envelope);
    FIELD(rte_block, slices);
    FIELD(rte_native_state, address);
    FIELD(rte_native_state, nbytes);
    FIELD(rte_native_state, dtype);
    FIELD(rte_native_state, initial);
    FIELD(rte_native_change, activation_ns);
    FIELD(rte_native_change, verdict);
    FIELD(rte_native_change, tick_ns);
    FIELD(rte_native_change, task);
    FIELD(rte_native_change, place);
    FIELD(rte_native_arrangement, active);
    FIELD(rte_native_arrangement, second);
    FIELD(rte_native_arrangement, mode);
    FIELD(rte_native_arrangement, carry_to);
    FIELD(rte_native_arrangement, fall_to);
    FIELD(rte_native_arrangement, change);
    FIELD(rte_native_arrangement, watch);
    FIELD(rte_native_reader, active);
    FIELD(rte_native_reader, next);
    FIELD(rte_native_reader, taken_ns);
    FIELD(rte_native_reader, switches);
    FIELD(rte_native_reader, arrangement);
    FIELD(rte_native_reader, watch);
    FIELD(rte_native_reader, switched_ns);
    FIELD(rte_native_reader, dropped);
    printf("rte_record size %zu\n", sizeof(rte_record));
    printf("rte_block size %zu\n", sizeof(rte_block));
    printf("rte_native_state size %zu\n", sizeof(rte_native_state));
    printf("rte_native_change size %zu\n", sizeof(rte_native_change));
    printf("rte_native_arrangement size %zu\n", sizeof(rte_native_arrangement));
    printf("rte_native_reader size %zu\n", sizeof(rte_native_reader));
    printf("version %s\n", rte_version());
    for (int i = -1; i < 400; i++)
        printf("status %d %s\n", i, rte_status_text(i));
    return 0;
}
