"""Marks a quiz without running anything that a learner wrote.

An answer cell is read as a plain value, not executed; then nbgrader's restored test cell, which is the
instructor's, runs in this process on that value. The marks are those of nbgrader's own way through a
kernel, and come sooner.
"""

import ast
import operator
from collections.abc import Callable
from typing import Any

from nbformat.v4 import new_output
from nbgrader import utils

from coursework import quiz

ARITHMETIC: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: lambda base, power: float(base) ** float(power),
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
"""A number may be written as a sum: 100 * (1 - 0.99**100)."""


class NotAnAnswer(Exception):
    """An answer cell holds no plain value; the message tells the learner what does."""


def read_answers(source: str) -> dict[str, Any]:
    """The values that an answer cell assigns, without running it."""
    try:
        body = ast.parse(source).body
    except SyntaxError as error:
        raise NotAnAnswer(f"line {error.lineno} of the answer cell is not Python: {error.msg}") from None
    answers: dict[str, Any] = {}
    for node in body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]):
                answers[name] = _value(node.value, answers)
            case ast.Expr(value=ast.Constant() | ast.Name()):
                pass  # a bare value does nothing
            case _:
                raise NotAnAnswer(f"line {node.lineno} of the answer cell: write only `answer_3 = ...`")
    return answers


def _value(node: ast.expr, known: dict[str, Any]) -> Any:
    match node:
        case ast.BinOp(left=left, right=right, op=op) if type(op) in ARITHMETIC:
            return _calculate(ARITHMETIC[type(op)], _value(left, known), _value(right, known))
        case ast.UnaryOp(operand=operand, op=op) if type(op) in ARITHMETIC:
            return _calculate(ARITHMETIC[type(op)], _value(operand, known))
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, MemoryError, RecursionError):
        raise NotAnAnswer(
            f'`{ast.unparse(node)[:60]}` is not a plain value, such as 0.25, "b" or ["a", "c"]'
        ) from None


def _calculate(operation: Callable[..., Any], *numbers: Any) -> Any:
    if not all(isinstance(n, int | float) and abs(n) < 1e300 for n in numbers):
        raise NotAnAnswer("a sum may be made of numbers only")
    try:
        return operation(*numbers)
    except (ArithmeticError, ValueError) as error:
        raise NotAnAnswer(f"this sum has no value: {error}") from None


def mark_quiz(notebook: Any) -> None:
    """Fill in the outputs of a quiz whose test cells have been restored, as a kernel would."""
    answers: dict[str, Any] = {}
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.outputs, cell.execution_count = [], None
        try:
            if utils.is_solution(cell):
                answers.update(read_answers(cell.source))
            elif utils.is_grade(cell):
                cell.outputs = _run(cell, dict(answers))
        except Exception as error:  # a learner's slip, or a name that is missing because of one
            cell.outputs = [_as_output(error)]


def _run(cell: Any, namespace: dict[str, Any]) -> list[Any]:
    """Run an instructor's test cell: what it shows, and the value of its last line."""
    shown: list[Any] = []
    body = ast.parse(cell.source).body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    with quiz.showing(lambda verdict: shown.append(new_output("display_data", data=verdict.data()))):
        exec(compile(ast.Module(body, []), "test cell", "exec"), namespace)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "test cell", "eval"), namespace)
            if value is not None:
                shown.append(new_output("execute_result", data={"text/plain": repr(value)}))
    return shown


def _as_output(error: Exception) -> Any:
    name, text = type(error).__name__, str(error)
    if isinstance(error, NameError):
        text = f"there is no answer: the answer cell above could not be read ({text})"
    return new_output("error", ename=name, evalue=text, traceback=[f"{name}: {text}"])
