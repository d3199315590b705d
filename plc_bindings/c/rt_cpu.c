/* Does this processor, with this system, have the instructions that the kernels may use? */
#include <string.h>

#include "rt_internal.h"

#if defined(__x86_64__)
#include <cpuid.h>

enum { EAX, EBX, ECX, EDX };
enum { BASIC, EXTENDED, EXTENDED_1, AMD, LEAVES };
enum { AVX_STATE = 0x6, AVX512_STATE = 0xe6 }; /* what the system must save of the registers: XCR0 */

static const unsigned leaves[LEAVES][2] = {{1, 0}, {7, 0}, {7, 1}, {0x80000001, 0}};

/** Where CPUID tells of a feature, and what of XCR0 it needs. Names are LLVM's. */
typedef struct feature {
    const char *name;
    unsigned leaf, word, bit, state;
} feature;

/* Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, CPUID; AMD64 volume 3, appendix E. */
static const feature features[] = {
    {"sse3", BASIC, ECX, 0, 0},
    {"pclmul", BASIC, ECX, 1, 0},
    {"ssse3", BASIC, ECX, 9, 0},
    {"fma", BASIC, ECX, 12, AVX_STATE},
    {"cx16", BASIC, ECX, 13, 0},
    {"sse4.1", BASIC, ECX, 19, 0},
    {"sse4.2", BASIC, ECX, 20, 0},
    {"movbe", BASIC, ECX, 22, 0},
    {"popcnt", BASIC, ECX, 23, 0},
    {"aes", BASIC, ECX, 25, 0},
    {"avx", BASIC, ECX, 28, AVX_STATE},
    {"f16c", BASIC, ECX, 29, AVX_STATE},
    {"bmi", EXTENDED, EBX, 3, 0},
    {"avx2", EXTENDED, EBX, 5, AVX_STATE},
    {"bmi2", EXTENDED, EBX, 8, 0},
    {"avx512f", EXTENDED, EBX, 16, AVX512_STATE},
    {"avx512dq", EXTENDED, EBX, 17, AVX512_STATE},
    {"adx", EXTENDED, EBX, 19, 0},
    {"avx512ifma", EXTENDED, EBX, 21, AVX512_STATE},
    {"avx512cd", EXTENDED, EBX, 28, AVX512_STATE},
    {"sha", EXTENDED, EBX, 29, 0},
    {"avx512bw", EXTENDED, EBX, 30, AVX512_STATE},
    {"avx512vl", EXTENDED, EBX, 31, AVX512_STATE},
    {"avx512vbmi", EXTENDED, ECX, 1, AVX512_STATE},
    {"avx512vbmi2", EXTENDED, ECX, 6, AVX512_STATE},
    {"gfni", EXTENDED, ECX, 8, 0},
    {"vaes", EXTENDED, ECX, 9, AVX_STATE},
    {"vpclmulqdq", EXTENDED, ECX, 10, AVX_STATE},
    {"avx512vnni", EXTENDED, ECX, 11, AVX512_STATE},
    {"avx512bitalg", EXTENDED, ECX, 12, AVX512_STATE},
    {"avx512vpopcntdq", EXTENDED, ECX, 14, AVX512_STATE},
    {"avx512vp2intersect", EXTENDED, EDX, 8, AVX512_STATE},
    {"avx512fp16", EXTENDED, EDX, 23, AVX512_STATE},
    {"avxvnni", EXTENDED_1, EAX, 4, AVX_STATE},
    {"avx512bf16", EXTENDED_1, EAX, 5, AVX512_STATE},
    {"avxifma", EXTENDED_1, EAX, 23, AVX_STATE},
    {"avxvnniint8", EXTENDED_1, EDX, 4, AVX_STATE},
    {"avxneconvert", EXTENDED_1, EDX, 5, AVX_STATE},
    {"avxvnniint16", EXTENDED_1, EDX, 10, AVX_STATE},
    {"sahf", AMD, ECX, 0, 0},
    {"lzcnt", AMD, ECX, 5, 0},
    {"sse4a", AMD, ECX, 6, 0},
    {"fma4", AMD, ECX, 16, AVX_STATE},
    {"xop", AMD, ECX, 11, AVX_STATE},
    {"tbm", AMD, ECX, 21, 0},
};

/** What the processor and the system say of themselves. */
typedef struct processor {
    unsigned word[LEAVES][4];
    unsigned state; /* XCR0: registers that the system saves */
} processor;

/** CPUID is slow in a virtual machine, so each leaf is asked for once. */
static processor ask(void) {
    processor p = {0};
    unsigned high;
    for (int i = 0; i < LEAVES; i++)
        if (!__get_cpuid_count(leaves[i][0], leaves[i][1], &p.word[i][EAX], &p.word[i][EBX], &p.word[i][ECX], &p.word[i][EDX]))
            memset(p.word[i], 0, sizeof p.word[i]);
    if (p.word[BASIC][ECX] >> 27 & 1) /* OSXSAVE: there is XGETBV */
        __asm__ volatile("xgetbv" : "=a"(p.state), "=d"(high) : "c"(0));
    return p;
}

static bool has(const processor *p, const char *name) {
    for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
        const feature *f = &features[i];
        if (strcmp(f->name, name) == 0)
            return p->word[f->leaf][f->word] >> f->bit & 1 && (p->state & f->state) == f->state;
    }
    return false; /* a feature that this file does not know is not there */
}

#elif defined(__aarch64__) || defined(__arm__)
#include <sys/auxv.h>

/** Where the system tells of a feature. Names are LLVM's. */
typedef struct feature {
    const char *name;
    unsigned word, bit;
} feature;

enum { HWCAP, HWCAP2, WORDS };

/* Linux, uapi/asm/hwcap.h of arch/arm64 and arch/arm */
static const feature features[] = {
#ifdef __arm__
    {"neon", HWCAP, 12},
    {"vfp3", HWCAP, 13},
    {"vfp4", HWCAP, 16},
    {"hwdiv-arm", HWCAP, 17},
    {"hwdiv", HWCAP, 18},
    {"d32", HWCAP, 19},
#else
    {"fp-armv8", HWCAP, 0},
    {"neon", HWCAP, 1},
    {"aes", HWCAP, 3},
    {"sha2", HWCAP, 6},
    {"crc", HWCAP, 7},
    {"lse", HWCAP, 8},
    {"fullfp16", HWCAP, 10},
    {"rdm", HWCAP, 12},
    {"jsconv", HWCAP, 13},
    {"complxnum", HWCAP, 14},
    {"rcpc", HWCAP, 15},
    {"sha3", HWCAP, 17},
    {"dotprod", HWCAP, 20},
    {"sve", HWCAP, 22},
    {"fp16fml", HWCAP, 23},
    {"sve2", HWCAP2, 1},
    {"i8mm", HWCAP2, 13},
    {"bf16", HWCAP2, 14},
#endif
};

/** What the system says of the processor. */
typedef struct processor {
    unsigned long word[WORDS];
} processor;

static processor ask(void) {
    return (processor){{getauxval(AT_HWCAP), getauxval(AT_HWCAP2)}};
}

static bool has(const processor *p, const char *name) {
    for (size_t i = 0; i < sizeof features / sizeof *features; i++)
        if (strcmp(features[i].name, name) == 0)
            return p->word[features[i].word] >> features[i].bit & 1;
    return false; /* a feature that this file does not know is not there */
}

#else
#error "rt_engine has kernels for x86-64, 64-bit Arm and ARMv7"
#endif

rte_status rte_cpu_check(void) {
    static atomic_bool good; /* it stays what it is */
    if (atomic_load(&good))
        return RTE_OK;
    processor p = ask();
    for (const char *const *name = rte_kernel_features; *name; name++)
        if (!has(&p, *name))
            return rte_fail(RTE_OTHER_PROCESSOR, "the library was built for %s; this processor, or its system, has no %s: "
                            "take one of a lower level (rt-engine export c --level)",
                            rte_kernel_level, *name);
    atomic_store(&good, true);
    return RTE_OK;
}
