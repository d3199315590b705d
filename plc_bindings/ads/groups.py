"""Index groups of the server's own. Part of the interface: they never change their meaning."""

from typing import Final

# --- predict: ReadWrite -----------------------------------------------------------------------------------------------
PREDICT: Final = 0x5254_0001
"""Offset: the model's number (from 1). Write: the inputs, packed, once or several times in a row (a batch). Read:
UDINT status, UDINT version, then as many times the outputs; a status other than 0 comes alone."""
PREDICT_REF: Final = 0x5254_0002
"""The same by name: the write begins with the model's name, NUL-padded to `NAME_BYTES`. Offset: 0."""
LOOKUP: Final = 0x5254_0003
"""Write: a model's name. Read: UDINT status, number, signature hash, version, input bytes, output bytes."""
ATTRIBUTE: Final = 0x5254_0004
"""Offset: the model's number. Write: the name of an entry of the ONNX file's metadata_props. Read: UDINT status, STRING."""

# --- model update -----------------------------------------------------------------------------------------------------
UPLOAD_BEGIN: Final = 0x5254_0010
"""Write. Offset: the model's number. Data: UDINT bytes of the file, then the content of its .sig (72 bytes) or .sigstore.json file."""
UPLOAD_DATA: Final = 0x5254_0011
"""Write. Offset: where in the file. Data: the next part of it, or the newest part once more."""
UPLOAD_ACTIVATE: Final = 0x5254_0012
"""ReadWrite. Offset: the model's number. Read: UDINT status, UDINT version, STRING message."""
UPLOAD_ABORT: Final = 0x5254_0013
"""Write. Forgets what was uploaded."""

# --- values -----------------------------------------------------------------------------------------------------------
AREA: Final = 0x5254_1000
"""First of the areas: area i of the database is group AREA + i, offsets count bytes."""

NAME_BYTES: Final = 64
