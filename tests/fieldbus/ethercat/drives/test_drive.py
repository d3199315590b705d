"""What a user says of a drive, and the tags that follow from it."""

import pytest

from fieldbus.errors import AddressError, ConfigurationError
from fieldbus.ethercat.address import EthercatAddress
from fieldbus.ethercat.drives.drive import Drive
from fieldbus.tags import Tag


def tags(drive: Drive) -> dict[str, Tag]:
    """By their parts."""
    return {tag.name.removeprefix(f"{drive.name}."): tag for tag in drive.tags()}


def test_tags_of_a_drive_are_in_its_units() -> None:
    """The target has the unit of what the mode controls; what is on the wire is scaled."""
    drive = Drive(
        name="x",
        slave="servo",
        unit="mm",
        scale=0.1,
        offset=5.0,
        velocity_unit="mm/s",
        velocity_scale=0.2,
        low=1.0,
        high=9.0,
    )
    made = tags(drive)
    assert (made["position"].scale, made["position"].offset, made["position"].unit) == (0.1, 5.0, "mm")
    assert (made["sent"].scale, made["sent"].offset, made["sent"].type) == (0.1, 5.0, "int32")
    assert (made["velocity"].scale, made["velocity"].unit) == (0.2, "mm/s")
    assert (made["target"].low, made["target"].high, made["target"].safe, made["target"].unit) == (1.0, 9.0, 1.0, "mm")
    turning = tags(Drive(name="x", slave="servo", mode="cst", torque_unit="Nm", torque_scale=0.01))
    assert (turning["sent"].type, turning["sent"].scale, turning["target"].unit) == ("int16", 0.01, "Nm")


def test_objects_of_the_next_axis_lie_0x800_further() -> None:
    """All of them, on the wire and by mailbox."""
    drive = Drive(name="y", slave="servo", mode="csv", axis=2, quick_stop=6)
    assert tags(drive)["statusword"].address == EthercatAddress("servo", 0x7041, 0)
    assert tags(drive)["sent"].address == EthercatAddress("servo", 0x70FF, 0)
    assert drive.sdos(is_mode_mapped=False) == ((0x705A, 0, 6, "int16"), (0x7060, 0, 9, "int8"))
    assert Drive(name="y", slave="servo").sdos(is_mode_mapped=True) == ()


def test_inputs_that_are_not_wanted_have_no_tags() -> None:
    """But for the position in csp, without which nothing can be handed over."""
    assert set(tags(Drive(name="x", slave="s", inputs=()))) & {"position", "velocity", "torque"} == {"position"}
    assert not set(tags(Drive(name="x", slave="s", mode="cst", inputs=()))) & {"position", "velocity", "torque"}
    with pytest.raises(AddressError, match="a drive has no 'current'; it has position, velocity"):
        Drive(name="x", slave="s").address("current")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"mode": "pp"}, "mode 'pp' is none of csp, csv, cst"),
        ({"axis": 8}, "axis 8 is not within 0 to 7"),
        ({"max_rate": 0.0}, "max_rate must be above 0"),
        ({"max_rate": float("nan")}, "max_rate must be above 0"),
        ({"stop_s": -1.0}, "times must not be below"),
        ({"low": 5.0, "high": 4.0}, "low 5 is above high 4"),
        ({"quick_stop": 40000}, "no number of 16 bits"),
    ],
)
def test_a_drive_that_cannot_be_is_refused(wrong: dict[str, object], words: str) -> None:
    """With its name."""
    with pytest.raises(ConfigurationError, match=f"drive 'x': .*{words}"):
        Drive(name="x", slave="servo", **wrong)  # type: ignore[arg-type]
