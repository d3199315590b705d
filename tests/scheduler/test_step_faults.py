"""What is said of a step that cannot run: its line and what to do, never the compiler's pages."""

from pathlib import Path

import pytest

from scheduler import Step
from scheduler.errors import StepError
from scheduler.step_faults import calls_python, in_words

FILE = Path("/plant/soften.py")

TYPING = """f: TypingError: Failed in nopython mode pipeline (step: nopython frontend)
Failed in nopython mode pipeline (step: nopython frontend)
{why}

During: typing of intrinsic-call at /plant/soften.py (7)

File "plant/soften.py", line 7:
def f(inputs, outputs, state):
    <source elided>

During: Pass nopython_type_inference
During: typing of call at /lib/scheduler/step_lang.py (177)

File "lib/scheduler/step_lang.py", line 177:
"""

TRACEBACK = """Traceback (most recent call last):
  File "/lib/rt_native/isolated.py", line 40, in <module>
    main()
  File "/plant/soften.py", line 4, in <module>
    @step
     ^^^^
  File "/lib/scheduler/step_lang.py", line 169, in step
    raise TypeError(
TypeError: f(2 arguments): a step takes inputs, outputs, state, and perhaps cycle"""


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("No implementation of function Function(<built-in function getitem>) found for signature:\n \n"
         " >>> getitem(numbers that can only be read, float64)", "an index is a whole number"),
        (" >>> setitem(numbers that can only be read, Literal[int](0), float64)", "inputs can only be read"),
        ("No implementation of function Function(<built-in function sum>) found for signature:\n",
         r"sum\(\) cannot be used"),
        ("Untyped global name 'input': Cannot determine Numba type of <class 'builtin'>", '"input" is nothing'),
        ("Unknown attribute 'fmod' of type Module(<module 'math' from '/lib/math.so'>)", "math.fmod cannot be used"),
        ("The use of a reflected list(float64)<iv=None> type, assigned to variable 'TAB'", "a list, a set or a table"),
        ("Something that nobody has met yet", "f: TypingError: .*"),
    ],
)  # fmt: skip
def test_the_line_and_what_it_means(why: str, words: str) -> None:
    """Of the user's file, not of ours."""
    import re

    assert re.match(f"line 7: {words}", in_words(TYPING.format(why=why), FILE))


def test_a_file_that_cannot_be_run_is_told_without_a_traceback() -> None:
    """The line in the user's file, and the last line."""
    assert in_words(TRACEBACK, FILE) == (
        "line 4: TypeError: f(2 arguments): a step takes inputs, outputs, state, and perhaps cycle"
    )


@pytest.mark.parametrize(
    ("line", "function"),
    [("print(inputs[0])", "numba_gil_ensure"), ("outputs[0] = math.gamma(inputs[0])", "numba_gamma")],
)
def test_a_step_that_calls_python_is_refused(tmp_path: Path, line: str, function: str) -> None:
    """It compiles, and its first call would end the process without safe outputs."""
    text = (
        f"import math\n\nfrom scheduler.step_lang import step\n\n\n@step\ndef f(inputs, outputs, state):\n    {line}\n"
    )
    (tmp_path / "python_step.py").write_text(text)
    with pytest.raises(StepError, match=rf"only in Python \({function}\).*must not print"):
        Step.compile(f"{tmp_path / 'python_step.py'}:f")


def test_functions_of_libm_are_not_python() -> None:
    """Steps of the tests use none, or those that the process has."""
    from rt_native.library import Library

    library = Library("step-array_steps_native", ("array_steps_native",), path=(str(Path(__file__).parent),))
    assert calls_python(data for _, data in library.content().values()) == []
