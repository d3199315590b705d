"""Units of tags as OPC UA names them: UN/CEFACT's common codes (Recommendation 20), the number made of the code's letters.

OPC 10000-8, 5.6.4.3: `UnitId` is the code's bytes as a big-endian number, `NamespaceUri` says whose codes they are.
"""

from __future__ import annotations

from typing import Final

from asyncua import ua

CEFACT: Final = "http://www.opcfoundation.org/UA/units/un/cefact"
CODES: Final = {
    "%": "P1", "°C": "CEL", "degC": "CEL", "K": "KEL", "m": "MTR", "mm": "MMT", "cm": "CMT", "um": "4H", "m/s": "MTS", "mm/s": "C16",
    "m/min": "2X", "m/s2": "MSK", "rad": "C81", "rad/s": "2A", "deg": "DD", "°": "DD", "rpm": "RPM", "1/min": "RPM", "Hz": "HTZ",
    "kHz": "KHZ", "s": "SEC", "ms": "C26", "us": "B98", "ns": "C47", "min": "MIN", "h": "HUR", "A": "AMP", "mA": "4K", "V": "VLT",
    "mV": "2Z",
    "W": "WTT", "kW": "KWT", "kWh": "KWH", "N": "NEW", "kN": "B47", "Nm": "NU", "N*m": "NU", "Pa": "PAL", "kPa": "KPA",
    "bar": "BAR", "mbar": "MBR", "kg": "KGM", "g": "GRM", "t": "TNE", "l": "LTR",
    "l/min": "L2", "m3": "MTQ", "m3/h": "MQH", "ohm": "OHM",
}  # fmt: skip
"""As tags have them -> the code."""
NO_CODE: Final = -1


def unit(text: str) -> ua.EUInformation:
    """A tag's unit; one that is in no list has a name and no number."""
    code = CODES.get(text)
    number = int.from_bytes(code.encode(), "big") if code else NO_CODE
    shown = ua.LocalizedText(text)
    return ua.EUInformation(CEFACT if code else "", number, shown, shown)
