"""Drives in the table of a bus: their keys, and the tags that they bring."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationError

from fieldbus.errors import FieldbusError
from station.terms.tables import Array, Duration, Table

if TYPE_CHECKING:
    from fieldbus.ethercat.drives.drive import Drive

NS = 1_000_000_000
_HANDOVER_NS = 500_000_000
_TORQUE_SCALE, _TORQUE_UNIT = 0.1, "%"


class DriveTable(Table):
    """`[links.NAME.drives.AXIS]`: a CiA 402 drive, or one axis of several of a slave. It brings tags: `AXIS.position` ..."""

    slave: str | int = Field(description="The slave: its name in `slaves`, or its position on the bus, counted from 0.")
    axis: int = Field(
        default=0, ge=0, le=7, description="Which axis of the slave; objects of the next lie 0x800 further."
    )
    mode: Literal["csp", "csv", "cst"] = Field(
        default="csp", description="What the target is in every cycle: a position, a velocity or a torque."
    )
    inputs: Annotated[tuple[Literal["position", "velocity", "torque"], ...], Array] = Field(
        default=("position", "velocity", "torque"),
        description="What is read of the axis; the slave must have it in its PDOs. In csp the position always is.",
    )
    unit: str = Field(default="", description="Unit of the position, for people.")
    scale: float = Field(default=1.0, description="position = counts * scale + offset")
    offset: float = Field(default=0.0, description="position = counts * scale + offset")
    velocity_unit: str | None = Field(
        default=None, description="Unit of the velocity; left out: that of the position, and /s."
    )
    velocity_scale: float | None = Field(
        default=None,
        description="velocity = what the drive has * velocity_scale; left out: `scale`, for a drive that has counts/s.",
    )
    torque_unit: str = Field(default=_TORQUE_UNIT, description="Unit of the torque.")
    torque_scale: float = Field(
        default=_TORQUE_SCALE,
        description="torque = what the drive has * torque_scale: as a rule per mille of its rated torque.",
    )
    low: float = Field(default=float("-inf"), description="Least target, in its unit: it is clamped to it.")
    high: float = Field(default=float("inf"), description="Greatest target, in its unit: it is clamped to it.")
    max_rate: float = Field(
        default=float("inf"),
        gt=0,
        description="How fast the target that is sent moves at most, in its unit per second.",
    )
    handover_ns: Duration | None = Field(
        default=None,
        alias="handover",
        description="So long what lies between axis and target fades once the drive is enabled; left out: 500 ms in csp, else 0.",
    )
    quick_stop: int | None = Field(
        default=None,
        ge=-32768,
        le=8,
        description="Quick stop option code (0x605A), written at the start: 2 brakes and disables, 6 brakes and holds; "
        "left out: as the drive has it.",
    )
    stop_time_ns: Duration = Field(  # type: ignore[assignment]
        "1 s",
        alias="stop_time",
        description="How long a quick stop takes at most, for drives that do not say when they stand; "
        "a link that stops waits so long for all, and 20 s at most.",
    )
    mode_check: bool = Field(
        default=True,
        description="Enable it only when it shows the mode (0x6061); false: for drives that show it once they are enabled.",
    )

    def made(self, name: str) -> Drive:
        """Raises `ConfigurationError`."""
        from fieldbus.ethercat.drives.drive import Drive

        fades_ns = self.handover_ns if self.handover_ns is not None else _HANDOVER_NS if self.mode == "csp" else 0
        per_second = f"{self.unit}/s" if self.unit else ""
        return Drive(
            name=name,
            slave=str(self.slave),
            mode=self.mode,
            axis=self.axis,
            inputs=self.inputs,
            unit=self.unit,
            scale=self.scale,
            offset=self.offset,
            velocity_unit=per_second if self.velocity_unit is None else self.velocity_unit,
            velocity_scale=self.scale if self.velocity_scale is None else self.velocity_scale,
            torque_unit=self.torque_unit,
            torque_scale=self.torque_scale,
            low=self.low,
            high=self.high,
            max_rate=self.max_rate,
            handover_s=fades_ns / NS,
            quick_stop=self.quick_stop,
            stop_s=self.stop_time_ns / NS,
            is_mode_checked=self.mode_check,
        )


def tags_of_drives(link: str, drives: object) -> dict[str, dict[str, Any]]:
    """The tags of the drives of a link, as a file would have them; `drives` as TOML gives it, whatever is wrong with it."""
    found: dict[str, dict[str, Any]] = {}
    for name, table in drives.items() if isinstance(drives, dict) else ():
        found |= _tags_of(link, _made(name, table))
    return found


def _made(name: str, table: object) -> Drive:
    """What is wrong with the table is said elsewhere: its tags have their names nevertheless."""
    from fieldbus.ethercat.drives.drive import Drive

    try:
        return DriveTable.model_validate(table).made(name)
    except (ValidationError, FieldbusError):
        return Drive(name=name, slave="?")


def _tags_of(link: str, drive: Drive) -> dict[str, dict[str, Any]]:
    from fieldbus.ethercat.drives.drive import Drive

    found = {}
    for part in drive.shown:
        try:
            tag = drive.tag(part)
        except FieldbusError:
            tag = Drive(name=drive.name, slave="?").tag(part)
        found[tag.name] = {
            "link": link, "direction": tag.direction, "type": tag.type, "address": tag.name, "unit": tag.unit, "scale": tag.scale,
            "offset": tag.offset, "low": tag.low, "high": tag.high, "safe": tag.safe,
        }  # fmt: skip
    return found
