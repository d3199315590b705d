"""A drive as IEC 61800-7-201 has it, written from its tables of states, transitions and commands, not from our code."""

from dataclasses import dataclass

STATUS = {
    "not ready": 0b0000_0000,
    "off": 0b0100_0000,
    "ready": 0b0010_0001,
    "on": 0b0010_0011,
    "enabled": 0b0010_0111,
    "stopping": 0b0000_0111,
    "reacting": 0b0000_1111,
    "fault": 0b0000_1000,
}
"""State -> bits 6, 5, 3, 2, 1, 0 of its status word (table "state coding")."""

COMMANDS = {
    "shutdown": (0b1000_0111, 0b0000_0110),
    "switch on": (0b1000_1111, 0b0000_0111),
    "enable": (0b1000_1111, 0b0000_1111),
    "disable voltage": (0b1000_0010, 0b0000_0000),
    "quick stop": (0b1000_0110, 0b0000_0010),
}
"""Command -> (bits of the control word that count, what they are) (table "command coding"); disable operation is switch on."""

TRANSITIONS = {
    ("off", "shutdown"): "ready",  # 2
    ("ready", "switch on"): "on",  # 3
    ("ready", "enable"): "on",  # 3, then 4 with the next one
    ("on", "enable"): "enabled",  # 4
    ("enabled", "switch on"): "on",  # 5, disable operation
    ("on", "shutdown"): "ready",  # 6
    ("ready", "quick stop"): "off",  # 7
    ("ready", "disable voltage"): "off",  # 7
    ("enabled", "shutdown"): "ready",  # 8
    ("enabled", "disable voltage"): "off",  # 9
    ("on", "disable voltage"): "off",  # 10
    ("on", "quick stop"): "off",  # 10
    ("enabled", "quick stop"): "stopping",  # 11
    ("stopping", "disable voltage"): "off",  # 12
    ("stopping", "enable"): "enabled",  # 16
}
"""(state, command) -> the next state."""


@dataclass
class Twin:
    """One drive: `step` takes a control word, as it does in each cycle."""

    state: str = "not ready"
    reset_bit: int = 0
    stopping: int = 0
    needs: int = 3
    """Cycles until a quick stop has ended."""
    code: int = 0
    curable: bool = True
    is_local: bool = False

    def step(self, controlword: int) -> None:
        """One cycle."""
        rises, self.reset_bit = controlword & 0x80 and not self.reset_bit, controlword & 0x80
        if self.state == "not ready":
            self.state = "off"
        elif self.state == "reacting":
            self.state = "fault"
        elif self.state == "fault":
            if rises and self.curable:
                self.state, self.code = "off", 0
        elif not self.is_local:
            command = next((name for name, (mask, bits) in COMMANDS.items() if controlword & mask == bits), "")
            self.stopping = self.stopping + 1 if self.state == "stopping" else 0
            self.state = TRANSITIONS.get((self.state, command), self.state)

    def fail(self, code: int) -> None:
        """A fault, from any state."""
        if self.state not in ("fault", "reacting"):
            self.state, self.code = "reacting", code

    @property
    def statusword(self) -> int:
        """What it shows: its state, voltage, remote, and in a quick stop whether it stands."""
        has_ended = self.state == "stopping" and self.stopping >= self.needs
        follows = 0x1000 if self.state == "enabled" else 0
        return STATUS[self.state] | follows | 0x10 | (0 if self.is_local else 0x200) | (0x400 if has_ended else 0)
