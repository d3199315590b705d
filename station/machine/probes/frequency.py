"""The clock rate of the task's core: does it stay where it is?"""

from __future__ import annotations

from collections.abc import Iterator

from station.machine.computer import CPU_FOLDER, Computer, Fact


def governor(m: Computer) -> Iterator[Fact]:
    """Does the core keep its clock?"""
    folder = f"{CPU_FOLDER}/cpu{m.task_cpu}/cpufreq"
    found, driver = m.read(f"{folder}/scaling_governor"), m.read(f"{folder}/scaling_driver")
    if found is None:
        return
    value, everywhere = f"{found} ({driver})" if driver else found, f"{CPU_FOLDER}/cpu*/cpufreq"
    if found == "performance":
        yield Fact("frequency governor", "ok", value, "the core keeps its highest clock")
    else:
        meaning = "the core slows down while the task sleeps, and wakes slowly"
        fix = f"echo performance | sudo tee {everywhere}/scaling_governor"
        yield Fact("frequency governor", "bad", value, meaning, fix)


def preference(m: Computer) -> Iterator[Fact]:
    """Does the processor choose its clock itself, with an eye on energy?"""
    file = "cpufreq/energy_performance_preference"
    found = m.read(f"{CPU_FOLDER}/cpu{m.task_cpu}/{file}")
    if found in ("performance", "0"):
        yield Fact("energy preference", "ok", found, "the processor does not save energy at the task's cost")
    elif found:
        meaning = "the processor lowers the clock by itself to save energy: execution times vary"
        yield Fact("energy preference", "warn", found, meaning, f"echo performance | sudo tee {CPU_FOLDER}/cpu*/{file}")


def turbo(m: Computer) -> Iterator[Fact]:
    """Does the clock jump with temperature and the load of other cores?"""
    no_turbo = m.read(f"{CPU_FOLDER}/intel_pstate/no_turbo")
    boost = m.read(f"{CPU_FOLDER}/cpufreq/boost")
    if no_turbo is None and boost is None:
        return
    name, value = ("intel_pstate/no_turbo", "1") if no_turbo is not None else ("cpufreq/boost", "0")
    if no_turbo == "0" or boost == "1":
        meaning = "the clock depends on temperature and on other cores: execution times vary"
        yield Fact("turbo", "warn", "on", meaning, f"echo {value} | sudo tee {CPU_FOLDER}/{name}")
    else:
        yield Fact("turbo", "ok", "off", "execution times do not depend on other cores' load")


def heat(m: Computer) -> Iterator[Fact]:
    """Has the core been slowed down because it was too hot?"""
    folder = f"{CPU_FOLDER}/cpu{m.task_cpu}/thermal_throttle"
    counts = {part: m.number(f"{folder}/{part}_throttle_count") for part in ("core", "package")}
    if all(count is None for count in counts.values()):
        return
    hot = {part: count for part, count in counts.items() if count}
    if hot:
        value = ", ".join(f"{part} {count:,} times" for part, count in hot.items())
        meaning = "since the start it was too hot and ran slowly for a while: cycles took longer"
        fix = f"grep . {folder}/*   # watch it under load; then better cooling, or turbo off"
        yield Fact("heat", "warn", value, meaning, fix)
    else:
        yield Fact("heat", "ok", "never too hot", "the core was not slowed down since the start")


FAMILY = "clock rate"
ORDER = 60
PROBES = (governor, preference, turbo, heat)
