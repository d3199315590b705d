/* Does this processor, with this system, have the instructions that the kernels may use? */
#include <string.h>

#include "rt_internal.h"

#if defined(__x86_64__)
#include <cpuid.h>

enum { EAX, EBX, ECX, EDX };
enum { AVX_STATE = 0x6, AVX512_STATE = 0xe6 }; /* what the system must save of the registers: XCR0 */

/** Where CPUID tells of a feature, and what of XCR0 it needs. Names are LLVM's. */
typedef struct feature {
    const char *name;
    unsigned leaf, subleaf, word, bit, state;
} feature;

/* Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, CPUID; AMD64 volume 3, appendix E. */
static const feature features[] = {
    {"sse3", 1, 0, ECX, 0, 0},
    {"pclmul", 1, 0, ECX, 1, 0},
    {"ssse3", 1, 0, ECX, 9, 0},
    {"fma", 1, 0, ECX, 12, AVX_STATE},
    {"cx16", 1, 0, ECX, 13, 0},
    {"sse4.1", 1, 0, ECX, 19, 0},
    {"sse4.2", 1, 0, ECX, 20, 0},
    {"movbe", 1, 0, ECX, 22, 0},
    {"popcnt", 1, 0, ECX, 23, 0},
    {"aes", 1, 0, ECX, 25, 0},
    {"avx", 1, 0, ECX, 28, AVX_STATE},
    {"f16c", 1, 0, ECX, 29, AVX_STATE},
    {"bmi", 7, 0, EBX, 3, 0},
    {"avx2", 7, 0, EBX, 5, AVX_STATE},
    {"bmi2", 7, 0, EBX, 8, 0},
    {"avx512f", 7, 0, EBX, 16, AVX512_STATE},
    {"avx512dq", 7, 0, EBX, 17, AVX512_STATE},
    {"adx", 7, 0, EBX, 19, 0},
    {"avx512ifma", 7, 0, EBX, 21, AVX512_STATE},
    {"avx512cd", 7, 0, EBX, 28, AVX512_STATE},
    {"sha", 7, 0, EBX, 29, 0},
    {"avx512bw", 7, 0, EBX, 30, AVX512_STATE},
    {"avx512vl", 7, 0, EBX, 31, AVX512_STATE},
    {"avx512vbmi", 7, 0, ECX, 1, AVX512_STATE},
    {"avx512vbmi2", 7, 0, ECX, 6, AVX512_STATE},
    {"gfni", 7, 0, ECX, 8, 0},
    {"vaes", 7, 0, ECX, 9, AVX_STATE},
    {"vpclmulqdq", 7, 0, ECX, 10, AVX_STATE},
    {"avx512vnni", 7, 0, ECX, 11, AVX512_STATE},
    {"avx512bitalg", 7, 0, ECX, 12, AVX512_STATE},
    {"avx512vpopcntdq", 7, 0, ECX, 14, AVX512_STATE},
    {"avx512vp2intersect", 7, 0, EDX, 8, AVX512_STATE},
    {"avx512fp16", 7, 0, EDX, 23, AVX512_STATE},
    {"avxvnni", 7, 1, EAX, 4, AVX_STATE},
    {"avx512bf16", 7, 1, EAX, 5, AVX512_STATE},
    {"avxifma", 7, 1, EAX, 23, AVX_STATE},
    {"avxvnniint8", 7, 1, EDX, 4, AVX_STATE},
    {"avxneconvert", 7, 1, EDX, 5, AVX_STATE},
    {"avxvnniint16", 7, 1, EDX, 10, AVX_STATE},
    {"sahf", 0x80000001, 0, ECX, 0, 0},
    {"lzcnt", 0x80000001, 0, ECX, 5, 0},
    {"sse4a", 0x80000001, 0, ECX, 6, 0},
    {"fma4", 0x80000001, 0, ECX, 16, AVX_STATE},
    {"xop", 0x80000001, 0, ECX, 11, AVX_STATE},
    {"tbm", 0x80000001, 0, ECX, 21, 0},
};

/** Registers that the system saves: XCR0, by XGETBV; 0 where it has no such instruction. */
static unsigned saved_state(void) {
    unsigned word[4], low, high;
    if (!__get_cpuid(1, &word[EAX], &word[EBX], &word[ECX], &word[EDX]) || !(word[ECX] >> 27 & 1))
        return 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static bool has(const char *name) {
    for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
        const feature *f = &features[i];
        unsigned word[4];
        if (strcmp(f->name, name) == 0)
            return __get_cpuid_count(f->leaf, f->subleaf, &word[EAX], &word[EBX], &word[ECX], &word[EDX]) &&
                   word[f->word] >> f->bit & 1 && (saved_state() & f->state) == f->state;
    }
    return false; /* a feature that this file does not know is not there */
}

#else /* 64-bit Arm: every processor has the NEON instructions that the kernels use */

static bool has(const char *name) {
    return strcmp(name, "neon") == 0 || strcmp(name, "fp-armv8") == 0;
}

#endif

rte_status rte_cpu_check(void) {
    for (const char *const *name = rte_kernel_features; *name; name++)
        if (!has(*name))
            return rte_fail(RTE_OTHER_PROCESSOR, "the library was built for %s; this processor, or its system, has no %s",
                            rte_kernel_level, *name);
    return RTE_OK;
}
