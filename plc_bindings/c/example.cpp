/*
 * A control loop of 1 kHz in C++ whose model is replaced while it runs.
 *
 *     ./example old.rtp new.rtp [cycles]
 *
 *     loop thread     sleep until the tick -> rte_slot_pick -> write inputs -> rte_run -> read outputs
 *     main thread     rte_load(new) -> rte_slot_update, in the middle of it
 *
 * The inputs are constant, so the outputs change at exactly one cycle: that of the update. Prints both, and a histogram of how
 * late the loop's cycles ended.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#include "rt_engine.h"

namespace {

constexpr int64_t second_ns = 1'000'000'000;
constexpr int64_t period_ns = 1'000'000;

void check(rte_status status, const char *what) {
    if (status == RTE_OK) return;
    std::fprintf(stderr, "%s: %d %s: %s\n", what, status, rte_status_text(status), rte_error_text());
    std::exit(1);
}

int64_t now_ns() {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return int64_t(t.tv_sec) * second_ns + t.tv_nsec;
}

void sleep_until(int64_t tick_ns) {
    timespec t{};
    t.tv_sec = tick_ns / second_ns;
    t.tv_nsec = tick_ns % second_ns;
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, nullptr) != 0) {
    }
}

/** SCHED_FIFO and locked memory, where the system grants them. */
bool become_real_time() {
    sched_param priority{};
    priority.sched_priority = 80;
    bool locked = mlockall(MCL_CURRENT | MCL_FUTURE) == 0;
    return pthread_setschedparam(pthread_self(), SCHED_FIFO, &priority) == 0 && locked;
}

/** What one cycle leaves behind; made before the loop, so that the loop allocates nothing. */
struct Cycle {
    uint64_t version;
    uint32_t outputs;  // a checksum of all output bytes
    rte_status status;
    int64_t late_ns;  // from the tick to the outputs being there
};

/** FNV-1a of the outputs: two cycles with the same bits have the same number. */
uint32_t fingerprint(const rte_context *context, const rte_tensor *tensors, size_t count) {
    uint32_t sum = 2166136261u;
    for (size_t i = 0; i < count; i++) {
        auto bytes = static_cast<const unsigned char *>(rte_output(context, i));
        for (size_t k = 0; k < tensors[i].bytes; k++) sum = (sum ^ bytes[k]) * 16777619u;
    }
    return sum;
}

/** Inputs of 0.5: only floating-point ones are written here. */
void write_inputs(rte_context *context, const rte_tensor *tensors, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (tensors[i].dtype == RTE_FLOAT32) {
            auto values = static_cast<float *>(rte_input(context, i));
            std::fill(values, values + tensors[i].bytes / sizeof(float), 0.5f);
        }
}

void loop(const rte_model *model, rte_reader *reader, std::vector<Cycle> &cycles, std::atomic<bool> &real_time) {
    size_t input_count, output_count;
    const rte_tensor *inputs = rte_inputs(model, &input_count);
    const rte_tensor *outputs = rte_outputs(model, &output_count);
    real_time = become_real_time();
    rte_slot_reader_start(reader);
    int64_t tick_ns = now_ns() / period_ns * period_ns;
    for (Cycle &cycle : cycles) {
        tick_ns += period_ns;
        sleep_until(tick_ns);
        rte_context *context = rte_slot_pick(reader, tick_ns);
        write_inputs(context, inputs, input_count);
        cycle.status = rte_run(context);
        cycle.version = rte_context_version(context);
        cycle.outputs = fingerprint(context, outputs, output_count);
        cycle.late_ns = now_ns() - tick_ns;
    }
    rte_slot_reader_stop(reader);
}

void print_histogram(const std::vector<Cycle> &cycles) {
    std::vector<int64_t> late;
    for (const Cycle &cycle : cycles) late.push_back(cycle.late_ns);
    std::sort(late.begin(), late.end());
    std::array<size_t, 24> bins{};
    for (int64_t ns : late) {
        size_t bin = 0;
        while (bin + 1 < bins.size() && ns >= int64_t(1000) << bin) bin++;
        bins[bin]++;
    }
    std::printf("outputs ready after the tick, microseconds:\n");
    for (size_t bin = 0; bin < bins.size(); bin++)
        if (bins[bin]) std::printf("  below %8" PRId64 "  %7zu\n", int64_t(1) << bin, bins[bin]);
    auto at = [&](double part) { return double(late[size_t(part * double(late.size() - 1))]) / 1000; };
    std::printf("p50 %.1f  p99 %.1f  p99.9 %.1f  max %.1f\n", at(0.5), at(0.99), at(0.999), at(1.0));
}

/** The cycle in which the outputs changed; prints every change. */
int changes(const std::vector<Cycle> &cycles) {
    int found = 0;
    for (size_t i = 1; i < cycles.size(); i++)
        if (cycles[i].outputs != cycles[i - 1].outputs) {
            found++;
            std::printf("outputs changed at cycle %zu (version %" PRIu64 " -> %" PRIu64 ")\n", i, cycles[i - 1].version,
                        cycles[i].version);
        }
    return found;
}

}  // namespace

int main(int argc, char **argv) {
    if (argc < 3) {
        std::fprintf(stderr, "usage: %s OLD.rtp NEW.rtp [CYCLES]\n", argv[0]);
        return 2;
    }
    std::vector<Cycle> cycles(argc > 3 ? std::max(std::atoi(argv[3]), 100) : 2000);
    rte_model *old_model, *new_model;
    rte_slot *slot;
    rte_reader *reader;
    check(rte_cpu_check(), "this processor");
    check(rte_load(argv[1], &old_model), argv[1]);
    check(rte_slot_new(old_model, &slot), "slot");
    check(rte_slot_reader_new(slot, &reader), "reader");

    std::atomic<bool> real_time{false};
    std::thread thread(loop, old_model, reader, std::ref(cycles), std::ref(real_time));
    std::this_thread::sleep_for(std::chrono::nanoseconds(period_ns * int64_t(cycles.size()) / 2));

    rte_update update;
    check(rte_load(argv[2], &new_model), argv[2]);
    check(rte_slot_update(slot, new_model, 0, second_ns, &update), "update");
    thread.join();

    std::printf("rt_engine %s, kernels for %s, %s\n", rte_version(), rte_level(),
                real_time ? "SCHED_FIFO with locked memory" : "ordinary priority: SCHED_FIFO or mlockall was not granted");
    std::printf("update: ready after %.3f ms, live after %.3f ms, taken at tick %" PRId64 "\n", double(update.prepared_ns) / 1e6,
                double(update.live_ns) / 1e6, update.first_taken_ns);
    bool good = std::all_of(cycles.begin(), cycles.end(), [](const Cycle &c) { return c.status == RTE_OK; });
    int found = changes(cycles);
    print_histogram(cycles);

    rte_slot_free(slot);
    rte_free(new_model);
    rte_free(old_model);
    return good && found == 1 ? 0 : 1;
}
