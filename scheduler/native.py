"""The scheduler's native library: the cycle, its clock, its tap, the ready steps, and the executor of models."""

from rt_native.library import Library

NATIVE = Library(
    "scheduler",
    modules=(
        "scheduler.clock_native",
        "scheduler.outputs_native",
        "scheduler.envelope_native",
        "scheduler.cycle_native",
        "scheduler.tap_native",
        "scheduler.controllers_native",
        "rt_engine.run.executor_native",
        "rt_engine.run.slices_native",
    ),
)
