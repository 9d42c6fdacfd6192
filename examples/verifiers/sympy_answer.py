#!/usr/bin/env python3
"""Compares mathematical answers with SymPy: a verifier command for Regrowth (`pip install sympy`).

    regrowth evaluate --problems math.jsonl --verifier-command 'python3 examples/verifiers/sympy_answer.py'

The answer is the last `\\boxed{}` of a solution, or the text after the last `####` or "answer is". An answer that
cannot be read gets no verdict. SymPy evaluates text as Python, so only text of a small alphabet reaches it. A
comparison that takes too long is ended by Regrowth's time limit (`--set search.verifier.timeout=10`).
"""

import json
import re
import sys

import sympy
from sympy.parsing import sympy_parser

LONGEST = 200
NAMES = {name: getattr(sympy, name) for name in ("sqrt", "pi", "sin", "cos", "tan", "log", "exp")}
NAMES["ln"] = sympy.log
TRANSFORMATIONS = (
    *sympy_parser.standard_transformations,
    sympy_parser.implicit_multiplication,
    sympy_parser.convert_xor,
    sympy_parser.rationalize,
)


def boxed(text):
    """Returns the content of the last balanced box."""
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    depth, begin = 0, start + len("\\boxed")
    for at in range(begin, len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return text[begin + 1 : at]
    return None


def answer(text):
    """Returns the answer that a solution states."""
    found = boxed(text)
    if found is None:
        stated = re.findall(r"(?:####|answer is:?)\s*(.+)", text)
        found = stated[-1] if stated else None
    return found and found.strip().rstrip(".").strip("$ ")


def plain(text):
    """Converts simple LaTeX to Python; returns None for anything else."""
    text = re.sub(r"\\left|\\right|\\,|\\!|\\;|[$\s]", " ", text)
    text = re.sub(r"\\(?:cdot|times)\b", "*", text)
    before = None
    while before != text:
        before = text
        text = re.sub(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}", r"((\1)/(\2))", text)
        text = re.sub(r"\\sqrt\{([^{}]*)\}", r"sqrt(\1)", text)
        text = re.sub(r"\^\{([^{}]*)\}", r"^(\1)", text)
    text = re.sub(r"\\(pi|sin|cos|tan|ln|log|exp)\b", r" \1 ", text).strip()
    # Only names of one letter, names in NAMES, numbers and operators reach the parser.
    words = re.findall(r"[A-Za-z]+", text)
    allowed = re.fullmatch(r"[0-9A-Za-z+\-*/^() ]*(?:(?<=\d)\.\d[0-9A-Za-z+\-*/^() ]*)*", text)
    if not text or len(text) > LONGEST or not allowed:
        return None
    return text if all(len(word) == 1 or word in NAMES for word in words) else None


def parse(text):
    text = plain(text)
    if text is None:
        return None
    letters = {letter: sympy.Symbol(letter) for letter in set(re.findall(r"\b[A-Za-z]\b", text))}
    try:
        return sympy_parser.parse_expr(text, local_dict={**letters, **NAMES}, transformations=TRANSFORMATIONS)
    except Exception:  # evaluating the text as Python can raise any exception
        return None


def check(request):
    reference = request.get("reference", {}).get("answer", "")
    if request["about"] != "solution" or not reference:
        return {"correct": None, "trace": "no reference"}
    stated = answer(request["solution"])
    if stated is None:
        return {"correct": False, "trace": "states no answer"}
    wanted, found = parse(reference), parse(stated)
    if wanted is None or found is None:
        return {"correct": None, "trace": f"cannot be read: {stated if found is None else reference}"}
    difference = sympy.simplify(wanted - found)
    return {"correct": bool(difference == 0), "trace": f"{found} - ({wanted}) = {difference}"}


for line in sys.stdin:
    request = json.loads(line)
    print(json.dumps({"id": request["id"], **check(request)}), flush=True)
