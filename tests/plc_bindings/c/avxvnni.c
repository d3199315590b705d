/* vpdpbusd of AVX-VNNI for processors without it: linked to a program, it does in software what the processor refuses.
 *
 *   C4  RXB.00010  0.vvvv.L.01  50  ModRM [SIB] [displacement]        VEX.66.0F38.W0 50 /r
 *
 * Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2: VPDPBUSD, and chapter 2 on how operands are encoded. Any
 * other instruction that is refused ends the program, as it would without this file. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

enum { MAGIC_AT = 464, XSTATE_BV = 512, YMM_HIGH = 576 }; /* in what the kernel saved: XSAVE's standard format */
enum { XSTATE_MAGIC = 0x46505853, SSE_AND_AVX = 6 };

static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                              REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

/** Half (16 bytes) of a vector register. */
static uint8_t *half_of(ucontext_t *context, unsigned number, unsigned half) {
    uint8_t *saved = (uint8_t *)context->uc_mcontext.fpregs;
    return half ? saved + YMM_HIGH + 16 * number : (uint8_t *)&context->uc_mcontext.fpregs->_xmm[number];
}

static int32_t displacement(const uint8_t **at, unsigned bytes) {
    int32_t value = 0;
    if (bytes == 1)
        value = (int8_t)**at;
    else if (bytes == 4)
        memcpy(&value, *at, 4);
    *at += bytes;
    return value;
}

/** The address of a memory operand; `at` comes to stand behind the instruction. */
static const uint8_t *memory(const greg_t *regs, const uint8_t **at, unsigned x, unsigned b) {
    unsigned modrm = *(*at)++, mod = modrm >> 6, base = modrm & 7, bytes = mod == 1 ? 1 : mod == 2 ? 4 : 0;
    uint64_t address = 0;
    if (base == 4) {
        unsigned sib = *(*at)++, index = (sib >> 3 & 7) | x << 3;
        base = sib & 7;
        if (index != 4)
            address += (uint64_t)regs[order[index]] << (sib >> 6);
    } else if (base == 5 && mod == 0) { /* from the next instruction on */
        int32_t far = displacement(at, 4);
        return (const uint8_t *)((uintptr_t)*at + (uintptr_t)(intptr_t)far);
    }
    if (base == 5 && mod == 0)
        bytes = 4;
    else
        address += (uint64_t)regs[order[base | b << 3]];
    return (const uint8_t *)(address + (uint64_t)(int64_t)displacement(at, bytes));
}

static void refused(int number, siginfo_t *info, void *given) {
    (void)info;
    ucontext_t *context = given;
    greg_t *regs = context->uc_mcontext.gregs;
    const uint8_t *at = (const uint8_t *)regs[REG_RIP];
    uint32_t magic;
    memcpy(&magic, (uint8_t *)context->uc_mcontext.fpregs + MAGIC_AT, 4);
    if (at[0] != 0xC4 || (at[1] & 31) != 2 || (at[2] & 0x83) != 1 || at[3] != 0x50 || magic != XSTATE_MAGIC) {
        signal(number, SIG_DFL);
        return;
    }
    unsigned r = !(at[1] >> 7), x = !(at[1] >> 6 & 1), b = !(at[1] >> 5 & 1), second = ~(at[2] >> 3) & 15, halves = 1 + (at[2] >> 2 & 1);
    unsigned modrm = at[4], sum = (modrm >> 3 & 7) | r << 3;
    const uint8_t *place = NULL;
    at += 4;
    if (modrm >> 6 == 3)
        at++;
    else
        place = memory(regs, &at, x, b);
    for (unsigned half = 0; half < 2; half++) {
        uint8_t *out = half_of(context, sum, half);
        if (half >= halves) { /* the upper half of what a short instruction writes is zero */
            memset(out, 0, 16);
            continue;
        }
        const uint8_t *u = half_of(context, second, half);
        const int8_t *s = (const int8_t *)(place ? place + 16 * half : half_of(context, (modrm & 7) | b << 3, half));
        uint32_t acc[4];
        memcpy(acc, out, 16);
        for (int i = 0; i < 16; i++)
            acc[i / 4] += (uint32_t)(u[i] * s[i]);
        memcpy(out, acc, 16);
    }
    ((uint8_t *)context->uc_mcontext.fpregs)[XSTATE_BV] |= SSE_AND_AVX; /* what is to be restored */
    regs[REG_RIP] = (greg_t)at;
}

__attribute__((constructor)) static void install(void) {
    struct sigaction action = {.sa_sigaction = refused, .sa_flags = SA_SIGINFO};
    sigaction(SIGILL, &action, NULL);
}
