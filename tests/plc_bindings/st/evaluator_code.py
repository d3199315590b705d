"""Statements of Structured Text -> closures over a `Frame`. See `evaluator`.

evaluator_places  <-  evaluator_expressions  <-  evaluator_code
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.plc_bindings.st.evaluator_expressions import Expressions
from tests.plc_bindings.st.evaluator_places import Frame, Node, Value
from tests.plc_bindings.st.evaluator_types import BOOL, Elementary, StructuredTextError, fits

MOST_TURNS = 10_000_000


class Compiler(Expressions):
    """Statements of one unit -> closures, which give None, or "exit", "continue", "return"."""

    def block(self, nodes: list[Node]) -> Callable[[Frame], Any]:
        steps = [
            self.statement(n) for n in nodes if n.is_named and n.type not in ("comment", "empty_statement", "pragma")
        ]

        def run(frame: Frame) -> Any:
            for step in steps:
                signal = step(frame)
                if signal is not None:
                    return signal
            return None

        return run

    def statement(self, node: Node) -> Callable[[Frame], Any]:
        simple = {"exit_statement": "exit", "continue_statement": "continue", "return_statement": "return"}
        if node.type in simple:
            return lambda frame: simple[node.type]
        method = getattr(self, f"_{node.type}", None)
        if method is None:
            raise self.fail(node, f"{node.type} is not evaluated")
        found: Callable[[Frame], Any] = method(node)
        return found

    def _assignment_statement(self, node: Node) -> Callable[[Frame], Any]:
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        assert left is not None and right is not None
        type_, store = self.store(left)
        source, value = self.expression(right)
        if not fits(source, type_, self.program.rules):
            raise self.fail(node, f"{source.name} to {type_.name}; write the conversion")
        if source is type_ or not isinstance(type_, Elementary):
            return lambda f: store(f, value(f))
        return lambda f: store(f, type_.check(value(f)))

    def _invocation_statement(self, node: Node) -> Callable[[Frame], Any]:
        call = next(c for c in node.children if c.is_named)
        type_, run = self._call_expression(call)
        if type_ is not None and not self.program.rules.codesys:
            raise self.fail(node, "a function is no statement")

        def act(frame: Frame) -> None:
            run(frame)

        return act

    def condition(self, node: Node | None) -> Value:
        assert node is not None
        type_, value = self.expression(node)
        if type_ is not BOOL:
            raise self.fail(node, f"a condition is BOOL, not {type_.name}")
        return value

    def _if_statement(self, node: Node) -> Callable[[Frame], Any]:
        cases = [
            (
                self.condition(node.child_by_field_name("condition")),
                self.block(node.children_by_field_name("consequence")),
            )
        ]
        other: Callable[[Frame], Any] = lambda f: None  # noqa: E731
        for child in node.children:
            if child.type == "elsif_clause":
                body = self.block(child.children_by_field_name("body"))
                cases.append((self.condition(child.child_by_field_name("condition")), body))
            elif child.type == "else_clause":
                other = self.block(child.children_by_field_name("body"))

        def run(frame: Frame) -> Any:
            for condition, body in cases:
                if condition(frame):
                    return body(frame)
            return other(frame)

        return run

    def _case_statement(self, node: Node) -> Callable[[Frame], Any]:
        subject = node.child_by_field_name("subject")
        assert subject is not None
        type_, value = self.expression(subject)
        if type_.kind != "int":
            raise self.fail(subject, f"CASE of {type_.name}")
        cases: dict[int, Callable[[Frame], Any]] = {}
        ranges: list[tuple[int, int, Callable[[Frame], Any]]] = []
        other: Callable[[Frame], Any] = lambda f: None  # noqa: E731
        for child in node.children:
            body = self.block(child.children_by_field_name("body"))
            if child.type == "else_clause":
                other = body
            elif child.type == "case_clause":
                for entry in (c.children[0] for c in child.children if c.type == "case_value"):
                    if entry.type == "subrange":
                        low, high = (self.program.constant(entry.child_by_field_name(e)) for e in ("lower", "upper"))
                        ranges.append((low, high, body))
                    else:
                        cases[self.program.constant(entry)] = body

        def run(frame: Frame) -> Any:
            chosen = value(frame)
            if chosen in cases:
                return cases[chosen](frame)
            return next((body for low, high, body in ranges if low <= chosen <= high), other)(frame)

        return run

    def _for_statement(self, node: Node) -> Callable[[Frame], Any]:
        control, start, end = (node.child_by_field_name(n) for n in ("control", "start", "end"))
        assert control is not None and start is not None and end is not None
        type_, store = self.store(control)
        read = self.expression(control)[1]
        for bound in (start, end):
            if not fits(self.expression(bound)[0], type_, self.program.rules):
                raise self.fail(bound, f"bounds of FOR are of the control variable's type, {type_.name}")
        first, last = self.expression(start)[1], self.expression(end)[1]
        step_node = node.child_by_field_name("step")
        step = self.expression(step_node)[1] if step_node is not None else lambda f: 1
        body = self.block(node.children_by_field_name("body"))

        def run(frame: Frame) -> Any:
            stop, by = last(frame), step(frame)
            store(frame, type_.check(first(frame)))
            while read(frame) <= stop if by > 0 else read(frame) >= stop:
                signal = body(frame)
                if signal == "exit":
                    break
                if signal == "return":
                    return signal
                _turn(frame)
                store(frame, type_.check(read(frame) + by))
            return None

        return run

    def _while_statement(self, node: Node) -> Callable[[Frame], Any]:
        condition = self.condition(node.child_by_field_name("condition"))
        body = self.block(node.children_by_field_name("body"))

        def run(frame: Frame) -> Any:
            while condition(frame):
                signal = body(frame)
                if signal == "exit":
                    break
                if signal == "return":
                    return signal
                _turn(frame)
            return None

        return run

    def _repeat_statement(self, node: Node) -> Callable[[Frame], Any]:
        condition = self.condition(node.child_by_field_name("condition"))
        body = self.block(node.children_by_field_name("body"))

        def run(frame: Frame) -> Any:
            while True:
                signal = body(frame)
                if signal == "return":
                    return signal
                if signal == "exit" or condition(frame):
                    return None
                _turn(frame)

        return run


def _turn(frame: Frame) -> None:
    frame.turns += 1
    if frame.turns > MOST_TURNS:
        raise StructuredTextError(f"more than {MOST_TURNS} turns of loops in one call")
