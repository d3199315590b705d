/*
 * Loading: the bytes of an .rtp file (docs/rtp.md) -> a checked model.
 *
 *     read whole -> header -> checksum -> sections -> kernels -> tensors -> nodes -> records -> model
 *
 * The file is read into memory of the process, not mapped: who overwrites it later cannot change, or tear away, what runs.
 * Nothing is used before it was checked; every check that fails says what is wrong where.
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rt_internal.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the file is used where it lies");

#define AGAIN "compile the model again, or take the library of the version that compiled it"
#define MOST_BYTES ((uint64_t)1 << 31) /* of a file, and of an arena: no controller has more for one model */

enum { HEADER = 64, TABLE_ENTRY = 24, CHECKED_FROM = 16, FORMAT = 1, KERNEL_ABI = 1, MOST_AXES = 64 };

static const unsigned char magic[8] = {0x89, 'R', 'T', 'P', 0x0d, 0x0a, 0x1a, 0x0a};

enum kind { STRINGS, KERNELS, RECORDS, WEIGHTS, SHAPES, TENSORS, INITIAL, NODES, NUMBERS, RESULTS, ATTRIBUTES, CLASSES, NOTES, KINDS };

static const uint32_t element_bytes[KINDS] = {1, 4, sizeof(rte_record), 1, 8, 40, 1, 64, 4, 40, 8, 16, 4};

typedef struct section {
    const unsigned char *data;
    uint64_t count;
} section;

/** A file whose header and section table are good. */
typedef struct image {
    const unsigned char *file;
    uint64_t size, arena;
    uint32_t inputs, outputs, states;
    section of[KINDS];
} image;

static uint32_t u32(const unsigned char *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static uint64_t u64(const unsigned char *at) {
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* --- the whole: header, checksum, sections ----------------------------------------------------------------------------- */

/** CRC-32 as in zlib, eight bytes at a time. */
static uint32_t crc32(const unsigned char *data, size_t size) {
    uint32_t table[8][256], crc = 0xFFFFFFFFu;
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++)
            c = c & 1 ? c >> 1 ^ 0xEDB88320u : c >> 1;
        table[0][i] = c;
    }
    for (int k = 1; k < 8; k++)
        for (uint32_t i = 0; i < 256; i++)
            table[k][i] = table[k - 1][i] >> 8 ^ table[0][table[k - 1][i] & 255];
    for (; size >= 8; data += 8, size -= 8) {
        uint32_t low = u32(data) ^ crc, high = u32(data + 4);
        crc = table[7][low & 255] ^ table[6][low >> 8 & 255] ^ table[5][low >> 16 & 255] ^ table[4][low >> 24] ^
              table[3][high & 255] ^ table[2][high >> 8 & 255] ^ table[1][high >> 16 & 255] ^ table[0][high >> 24];
    }
    while (size--)
        crc = crc >> 8 ^ table[0][(crc ^ *data++) & 255];
    return crc ^ 0xFFFFFFFFu;
}

static rte_status check_header(image *m) {
    const unsigned char *h = m->file;
    if (m->size < sizeof magic || memcmp(h, magic, sizeof magic) != 0)
        return rte_fail(RTE_NOT_A_PROGRAM, "the file does not begin as a compiled program (.rtp) does");
    if (m->size < HEADER)
        return rte_fail(RTE_DAMAGED, "the file ends inside of its header");
    if (u32(h + 8) != FORMAT)
        return rte_fail(RTE_OTHER_VERSION, "the file has format %u, this library reads %d: " AGAIN, (unsigned)u32(h + 8), FORMAT);
    if (u64(h + 16) != m->size)
        return rte_fail(RTE_DAMAGED, "the file has %llu bytes, its header says %llu", (unsigned long long)m->size,
                        (unsigned long long)u64(h + 16));
    if (u32(h + 12) != crc32(h + CHECKED_FROM, (size_t)(m->size - CHECKED_FROM)))
        return rte_fail(RTE_DAMAGED, "the checksum is wrong: copy the file again");
    if (u32(h + 24) != KERNEL_ABI || u32(h + 28) != sizeof(rte_record))
        return rte_fail(RTE_OTHER_VERSION, "the program was compiled for kernels of version %u, this library has %d: " AGAIN,
                        (unsigned)u32(h + 24), KERNEL_ABI);
    m->arena = u64(h + 32);
    m->inputs = u32(h + 40), m->outputs = u32(h + 44), m->states = u32(h + 48);
    if (m->arena < RTE_LINE || m->arena > MOST_BYTES)
        return rte_fail(RTE_DAMAGED, "a context of %llu bytes", (unsigned long long)m->arena);
    if (u32(h + 52) != KINDS || m->size < HEADER + KINDS * TABLE_ENTRY)
        return rte_fail(RTE_DAMAGED, "%u sections instead of %d", (unsigned)u32(h + 52), KINDS);
    return RTE_OK;
}

static rte_status check_sections(image *m) {
    for (uint32_t kind = 0; kind < KINDS; kind++) {
        const unsigned char *entry = m->file + HEADER + kind * TABLE_ENTRY;
        uint64_t count = u32(entry + 4), offset = u64(entry + 8), bytes = u64(entry + 16);
        if (u32(entry) != kind || bytes != count * element_bytes[kind] || offset % RTE_LINE || offset > m->size ||
            bytes > m->size - offset)
            return rte_fail(RTE_DAMAGED, "section %u: kind %u, %llu elements, %llu bytes at %llu", (unsigned)kind,
                            (unsigned)u32(entry), (unsigned long long)count, (unsigned long long)bytes,
                            (unsigned long long)offset);
        m->of[kind] = (section){m->file + offset, count};
    }
    const section *s = &m->of[STRINGS];
    if (!s->count || s->data[0] || s->data[s->count - 1])
        return rte_fail(RTE_DAMAGED, "the strings have no end");
    if (m->of[TENSORS].count != (uint64_t)m->inputs + m->outputs + m->states)
        return rte_fail(RTE_DAMAGED, "%llu tensors for %u inputs, %u outputs and %u states",
                        (unsigned long long)m->of[TENSORS].count, (unsigned)m->inputs, (unsigned)m->outputs, (unsigned)m->states);
    if (m->of[RESULTS].count && m->of[RESULTS].count != m->of[RECORDS].count)
        return rte_fail(RTE_DAMAGED, "%llu results of %llu records", (unsigned long long)m->of[RESULTS].count,
                        (unsigned long long)m->of[RECORDS].count);
    return RTE_OK;
}

/** The text that the u32 at `at` names, or NULL. */
static const char *text(const image *m, const unsigned char *at) {
    uint32_t offset = u32(at);
    return offset < m->of[STRINGS].count ? (const char *)m->of[STRINGS].data + offset : NULL;
}

/* --- the parts: each is checked and entered in the model --------------------------------------------------------------- */

static int by_name(const void *name, const void *kernel) {
    return strcmp(name, ((const rte_kernel *)kernel)->name);
}

static rte_status take_kernels(const image *m, rte_model *model) {
    for (uint64_t i = 0; i < m->of[KERNELS].count; i++) {
        const char *name = text(m, m->of[KERNELS].data + 4 * i);
        if (!name)
            return rte_fail(RTE_DAMAGED, "kernel %llu has no name", (unsigned long long)i);
        const rte_kernel *kernel = bsearch(name, rte_kernels, rte_kernel_count, sizeof *rte_kernels, by_name);
        if (!kernel)
            return rte_fail(RTE_MISSING_KERNEL, "the program needs %s '%s', which this library does not have: export it "
                            "with this model, or " AGAIN,
                            strchr(name, '.') ? "the field" : "the kernel", name);
        model->table[i] = (int64_t)(uintptr_t)kernel->run;
    }
    return RTE_OK;
}

/** Bytes of an element by its ONNX number; 0 for what no tensor has. Types of fewer than 8 bits take a byte. */
static uint64_t dtype_bytes(uint32_t dtype) {
    static const unsigned char bytes[] = {0, 4, 1, 1, 2, 2, 4, 8, 0, 1, 2, 8, 4, 8, 0, 0, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    return dtype < sizeof bytes ? bytes[dtype] : 0;
}

/** Do `rank` axes and a type make so many bytes? At most MOST_BYTES, so that nothing overflows. */
static bool is_size(const int64_t *shape, uint32_t rank, uint32_t dtype, uint64_t bytes) {
    uint64_t product = dtype_bytes(dtype);
    bool empty = false;
    for (uint32_t i = 0; i < rank; i++) {
        if (shape[i] < 0 || (uint64_t)shape[i] > MOST_BYTES)
            return false;
        empty = empty || !shape[i];
        product = shape[i] ? product * (uint64_t)shape[i] : product;
        if (product > MOST_BYTES)
            return false;
    }
    return dtype_bytes(dtype) && bytes == (empty ? 0 : product);
}

/** A checked tensor of 40 bytes at `at`, and where it lies in the arena. */
static rte_status read_tensor(const image *m, const unsigned char *at, rte_tensor *tensor, int64_t *place) {
    uint32_t dtype = u32(at + 4), rank = u32(at + 8), first = u32(at + 12);
    uint64_t offset = u64(at + 16), bytes = u64(at + 24);
    const char *name = text(m, at);
    if (!name || rank > MOST_AXES || (uint64_t)first + rank > m->of[SHAPES].count)
        return rte_fail(RTE_DAMAGED, "a tensor's name or axes are outside of their sections");
    const int64_t *shape = (const int64_t *)(const void *)m->of[SHAPES].data + first;
    if (!is_size(shape, rank, dtype, bytes) || offset < RTE_LINE || offset % RTE_LINE || offset > m->arena ||
        bytes > m->arena - offset)
        return rte_fail(RTE_DAMAGED, "tensor '%s': type %u, %llu bytes at %llu of %llu", name, (unsigned)dtype,
                        (unsigned long long)bytes, (unsigned long long)offset, (unsigned long long)m->arena);
    *tensor = (rte_tensor){name, (int32_t)dtype, rank, shape, (size_t)bytes};
    *place = (int64_t)offset;
    return RTE_OK;
}

static rte_status take_tensor(const image *m, const unsigned char *at, rte_ends *ends, size_t place) {
    rte_tensor *tensor = &ends->tensors[place];
    rte_status status = read_tensor(m, at, tensor, &ends->offset[place]);
    if (status || !ends->initial)
        return status;
    uint64_t initial = u64(at + 32);
    if (initial % RTE_LINE || initial > m->of[INITIAL].count || tensor->bytes > m->of[INITIAL].count - initial)
        return rte_fail(RTE_DAMAGED, "state '%s': its initial value is outside of the file's", tensor->name);
    ends->initial[place] = m->of[INITIAL].data + initial;
    return RTE_OK;
}

static rte_status take_tensors(const image *m, rte_model *model) {
    rte_ends *kinds[] = {&model->inputs, &model->outputs, &model->states};
    const unsigned char *at = m->of[TENSORS].data;
    for (size_t kind = 0; kind < 3; kind++)
        for (size_t i = 0; i < kinds[kind]->count; i++, at += element_bytes[TENSORS]) {
            rte_status status = take_tensor(m, at, kinds[kind], i);
            if (status)
                return status;
        }
    uint64_t state_bytes = 0; /* states lie side by side in an arena */
    for (size_t i = 0; i < model->states.count; i++)
        state_bytes += model->states.tensors[i].bytes;
    if (state_bytes > m->arena)
        return rte_fail(RTE_DAMAGED, "states of %llu bytes in a context of %llu", (unsigned long long)state_bytes,
                        (unsigned long long)m->arena);
    model->state_bytes = (size_t)state_bytes;
    return RTE_OK;
}

/** What records write first is for profiles, and only checked here: a result of type 0 is none. */
static rte_status check_results(const image *m) {
    rte_tensor unused;
    int64_t place;
    for (uint64_t i = 0; i < m->of[RESULTS].count; i++) {
        const unsigned char *at = m->of[RESULTS].data + element_bytes[RESULTS] * i;
        rte_status status = u32(at + 4) ? read_tensor(m, at, &unused, &place) : RTE_OK;
        if (status)
            return status;
    }
    return RTE_OK;
}

static rte_status take_nodes(const image *m, rte_model *model) {
    for (uint64_t i = 0; i < m->of[NODES].count; i++) {
        model->nodes[i] = text(m, m->of[NODES].data + element_bytes[NODES] * i);
        if (!model->nodes[i])
            return rte_fail(RTE_DAMAGED, "node %llu has no name", (unsigned long long)i);
    }
    return RTE_OK;
}

/** -1 (absent), an offset into the weights with its lowest bit set, or one into the arena. */
static bool is_operand(const image *m, int64_t operand) {
    if (operand == -1)
        return true;
    uint64_t offset = (uint64_t)operand & ~(uint64_t)1;
    return operand >= 0 && offset % RTE_LINE == 0 && offset < (operand & 1 ? m->of[WEIGHTS].count : m->arena);
}

/** Where `jump` and `loop` go on: a jump goes forward, to the end at most; a loop goes back. */
static bool is_target(const image *m, const rte_record *record, uint64_t index) {
    const char *kernel = text(m, m->of[KERNELS].data + 4 * (uint64_t)record->kernel);
    int64_t target = record->size[0];
    if (strcmp(kernel, "jump") == 0)
        return target > (int64_t)index && target <= (int64_t)m->of[RECORDS].count;
    return strcmp(kernel, "loop") != 0 || (target >= 0 && target <= (int64_t)index);
}

static rte_status take_records(const image *m, rte_model *model) {
    model->records = (const rte_record *)(const void *)m->of[RECORDS].data;
    for (uint64_t i = 0; i < m->of[RECORDS].count; i++) {
        const rte_record *record = &model->records[i];
        if (record->kernel >= m->of[KERNELS].count || !model->table[record->kernel] || record->node >= m->of[NODES].count)
            return rte_fail(RTE_DAMAGED, "record %llu: kernel %u of %llu, node %u of %llu", (unsigned long long)i,
                            (unsigned)record->kernel, (unsigned long long)m->of[KERNELS].count, (unsigned)record->node,
                            (unsigned long long)m->of[NODES].count);
        for (int k = 0; k < RTE_OPERANDS; k++)
            if (!is_operand(m, record->operand[k]))
                return rte_fail(RTE_DAMAGED, "record %llu: operand %d is at %lld", (unsigned long long)i, k,
                                (long long)record->operand[k]);
        if (!is_target(m, record, i))
            return rte_fail(RTE_DAMAGED, "record %llu goes on at record %lld", (unsigned long long)i, (long long)record->size[0]);
    }
    return RTE_OK;
}

/* --- a model ----------------------------------------------------------------------------------------------------------- */

static bool allocate_ends(rte_ends *ends, size_t count, bool state) {
    ends->count = count;
    ends->tensors = calloc(count + 1, sizeof *ends->tensors);
    ends->offset = calloc(count + 1, sizeof *ends->offset);
    ends->initial = state ? calloc(count + 1, sizeof *ends->initial) : NULL;
    return ends->tensors && ends->offset && (ends->initial || !state);
}

static void free_ends(const rte_ends *ends) {
    free(ends->tensors);
    free(ends->offset);
    free(ends->initial);
}

static bool allocate(const image *m, rte_model *model) {
    model->shares = malloc(sizeof *model->shares);
    model->table = calloc((size_t)m->of[KERNELS].count + 1, sizeof *model->table);
    model->nodes = calloc((size_t)m->of[NODES].count + 1, sizeof *model->nodes);
    bool inputs = allocate_ends(&model->inputs, m->inputs, false), outputs = allocate_ends(&model->outputs, m->outputs, false);
    return allocate_ends(&model->states, m->states, true) && inputs && outputs && model->shares && model->table && model->nodes;
}

static void free_model(rte_model *model) {
    free_ends(&model->inputs);
    free_ends(&model->outputs);
    free_ends(&model->states);
    free(model->nodes);
    free(model->table);
    free(model->file);
    free(model->shares);
    free(model);
}

void rte_release(const rte_model *model) {
    if (atomic_fetch_sub(model->shares, 1) == 1)
        free_model((rte_model *)model); /* it was made as one that can be changed */
}

static rte_status build(const image *m, rte_model *model) {
    if (!allocate(m, model))
        return rte_fail(RTE_NO_MEMORY, "no memory for the model's tables");
    atomic_init(model->shares, 1);
    model->weights = m->of[WEIGHTS].data;
    model->record_count = (size_t)m->of[RECORDS].count;
    model->arena_size = (size_t)m->arena;
    rte_status status = take_kernels(m, model);
    status = status ? status : take_tensors(m, model);
    status = status ? status : check_results(m);
    status = status ? status : take_nodes(m, model);
    return status ? status : take_records(m, model);
}

/** A model of `size` bytes of aligned memory, which become its own, or are freed. */
static rte_status make(unsigned char *file, size_t size, rte_model **model) {
    image m = {.file = file, .size = size};
    rte_status status = check_header(&m);
    status = status ? status : check_sections(&m);
    status = status ? status : rte_cpu_check();
    rte_model *made = status ? NULL : calloc(1, sizeof *made);
    if (!made) {
        free(file);
        return status ? status : rte_fail(RTE_NO_MEMORY, "no memory for a model");
    }
    made->file = file;
    status = build(&m, made);
    if (status)
        free_model(made);
    else
        *model = made;
    return status;
}

/** Memory for a file, on a multiple of RTE_LINE; NULL, with the status noted, if it cannot be. */
static unsigned char *room(uint64_t size) {
    unsigned char *file = size <= MOST_BYTES ? aligned_alloc(RTE_LINE, (size_t)((size + RTE_LINE) / RTE_LINE * RTE_LINE)) : NULL;
    if (!file)
        rte_fail(RTE_NO_MEMORY, "no memory for a program of %llu bytes; the most is %llu", (unsigned long long)size,
                 (unsigned long long)MOST_BYTES);
    return file;
}

rte_status rte_load_memory(const void *data, size_t size, rte_model **model) {
    if (!data || !model)
        return rte_fail(RTE_BAD_ARGUMENT, "rte_load_memory: a null pointer");
    unsigned char *file = room(size);
    if (!file)
        return RTE_NO_MEMORY;
    memcpy(file, data, size);
    return make(file, size, model);
}

static bool read_whole(int descriptor, unsigned char *to, size_t size) {
    while (size) {
        ssize_t got = read(descriptor, to, size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        to += got, size -= (size_t)got;
    }
    return true;
}

static rte_status load(int descriptor, const char *path, rte_model **model) {
    struct stat about;
    if (fstat(descriptor, &about) || !S_ISREG(about.st_mode))
        return rte_fail(RTE_NO_FILE, "%s is no file", path);
    size_t size = (size_t)about.st_size;
    unsigned char *file = room((uint64_t)about.st_size);
    if (!file)
        return RTE_NO_MEMORY;
    if (!read_whole(descriptor, file, size)) {
        free(file);
        return rte_fail(RTE_NO_FILE, "%s cannot be read: %s", path, errno ? strerror(errno) : "it became shorter");
    }
    return make(file, size, model);
}

rte_status rte_load(const char *path, rte_model **model) {
    if (!path || !model)
        return rte_fail(RTE_BAD_ARGUMENT, "rte_load: a null pointer");
    errno = 0;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* opening a pipe must not wait for its writer */
    if (descriptor < 0)
        return rte_fail(RTE_NO_FILE, "%s cannot be opened: %s", path, strerror(errno));
    rte_status status = load(descriptor, path, model);
    close(descriptor);
    return status;
}
