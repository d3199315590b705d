"""Slaves by name: their EEPROMs are sound, settings are taken, unknown names are refused with those that there are."""

import pytest

from fieldbus.ethercat.simulated.presets import PRESETS, make
from fieldbus.ethercat.slaves.sii import parse_sii


@pytest.mark.parametrize("name", PRESETS)
def test_an_eeprom_is_read_without_doubts(name):
    sii = parse_sii(make([name])[0].sii)
    assert sii.doubts == () and sii.vendor == (0x0B95 if name == "mirror" else 0x00FABE00) and sii.name


def test_products_differ():
    products = {parse_sii(device.sii).product for device in make(PRESETS)}
    assert len(products) == len(PRESETS)


def test_settings_come_behind_the_name():
    drive = make(["drive:alias=7:product=0x99:lrw=0:drift=20:mailbox=256:load=0.5"])[0]
    sii = parse_sii(drive.sii)
    assert (sii.alias, sii.product, sii.has_lrw, sii.sync_managers[0].length) == (7, 0x99, False, 256)
    assert drive.kind.drift_ppm == 20 and drive.axis.load_nm == 0.5
    assert len(make(["coupler", "di8*3"])) == 4 and parse_sii(make(["mirror:8"])[0].sii).product == 8


@pytest.mark.parametrize(
    ("name", "words"), [("di7", "no simulated slave"), ("di8:colour=1", "no setting"), ("mirror:201", "1 to 200")]
)
def test_unknown_words_are_refused_with_the_known_ones(name, words):
    with pytest.raises(ValueError, match=words):
        make([name])
