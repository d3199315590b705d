"""Names that every Structured Text compiler takes: no keyword, no name of a standard type, function or block."""

from __future__ import annotations

from collections.abc import Iterable

from plc_bindings.data.types import identifier
from plc_bindings.errors import UnpackableError
from plc_bindings.st.taken import taken

LONGEST = 48
"""Characters of a name; compilers begin to refuse at 64, and blocks prefix and suffix it."""

KEYWORDS = frozenset(
    """
    abstract action and and_then array at by case class configuration constant continue do else elsif en end_action
    end_case end_class end_configuration end_for end_function end_function_block end_if end_interface end_method
    end_namespace end_program end_property end_repeat end_resource end_step end_struct end_transition end_type end_union
    end_var end_while eno exit extends f_edge false final for from function function_block goto if implements initial_step
    interface internal interval jmp method mod namespace non_retain not null of on or or_else overlap override persistent
    pointer priority private program property protected public r_edge read_only read_write ref ref_to reference repeat
    resource retain return single step struct super task then this to transition true type union until using var
    var_access var_config var_external var_global var_in_out var_inst var_input var_output var_stat var_temp while with xor
    any any_bit any_date any_derived any_elementary any_int any_magnitude any_num any_real bit bool byte char date
    date_and_time dint dt dword int ldate ldt lint lreal ltime ltod lword pvoid real sint string time time_of_day tod
    udint uint ulint usint uxint wchar word wstring xint
    abs acos add adr adrinst asin atan atan2 bitadr ceil concat cos delete div eq exp expt find floor ge gt indexof insert
    ini le left len limit ln log lower_bound lt max memcpy memset mid min move mul mux ne new replace right rol ror round
    sel shl shr sin sizeof sqrt sub tan trunc upper_bound xsizeof
    ctd ctu ctud f_trig r_trig rs rtc sema sr tof ton tp
    cal calc calcn jmpc jmpcn ld ldn ret retc retcn st stn
    d l n p q r s sd sl ds p0 p1
    """.split()  # noqa: SIM905 (a page of words reads better than a page of quotes)
)
"""In lower case: keywords of the standard's editions and of TwinCAT, and names of their types, functions and blocks."""


def usable(name: str, what: str) -> str:
    """A name as an identifier: characters that none may have become `_`, a name that is taken gets `_1` behind it.

    Raises:
        UnpackableError: nothing is left of it, or it is too long.
    """
    plain = identifier(name)
    if not plain.strip("_"):
        raise UnpackableError(f"{what}: of its name '{name}' no letter or digit of ASCII is left; rename it")
    if len(plain) > LONGEST:
        raise UnpackableError(f"{what}: '{plain}' is longer than {LONGEST} characters; give it a shorter name")
    return f"{plain}_1" if plain.lower() in KEYWORDS or taken(plain.lower()) else plain


def check_distinct(names: Iterable[tuple[str, str]], where: str) -> None:
    """No two names are the same but for case; `names` are (identifier, what it stands for).

    Raises:
        UnpackableError: two are.
    """
    seen: dict[str, str] = {}
    for name, what in names:
        other = seen.setdefault(name.lower(), what)
        if other is not what:
            raise UnpackableError(
                f"{where}: {other} and {what} are both '{name}' in Structured Text, which knows no case; rename one"
            )
