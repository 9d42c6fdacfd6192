"""Splits SVAMP, MultiArith and ASDiv into training, validation and test problems without overlap.

    python3 word_problems.py --svamp SVAMP.json --multiarith MultiArith.json --asdiv ASDiv.xml --out DIR

SVAMP was written by varying problems of ASDiv, and all three sets repeat stories with other numbers. So
problems are grouped first: two belong to one group if their word trigrams, with numbers masked, overlap by at
least `SIMILAR` (Jaccard). A whole group goes into one split, chosen by a hash of its first problem. The result
depends only on the input files.

Writes to DIR rows `{id, question, answer, solution}` that every `--problems` flag reads:
    sft.jsonl         worked solutions for supervised fine-tuning
    train.jsonl       problems to search
    validation.jsonl  problems to choose settings by
    test.jsonl        problems to evaluate once
`solution` is written from the equation that the set publishes: one line per operation, the answer in a box.
Problems whose answer is not a number, or whose equation does not give the answer, are left out and counted.
"""

import argparse
import collections
import fractions
import hashlib
import json
import os
import re
import xml.etree.ElementTree as ElementTree

SIMILAR = 0.5
# Splits and their share of the groups, in percent.
PARTS = [("test", 22), ("validation", 10), ("sft", 18), ("train", 50)]
OPERATORS = {"+": 1, "-": 1, "*": 2, "/": 2}
NUMBER_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand dozen"
).split()


class Unreadable(Exception):
    """An answer or an equation that this script cannot read."""


def read_svamp(path):
    for row in json.load(open(path, encoding="utf-8")):
        body = row["Body"].strip()
        question = f"{body}{'' if body.endswith(('.', '?', '!')) else '.'} {row['Question'].strip()}"
        yield f"svamp-{row['ID']}", question, str(row["Answer"]), row["Equation"]


def read_multiarith(path):
    for row in json.load(open(path, encoding="utf-8")):
        equation = row["lEquations"][0].split("=", 1)[1]
        yield f"multiarith-{row['iIndex']}", row["sQuestion"].strip(), str(row["lSolutions"][0]), equation


def read_asdiv(path):
    for problem in ElementTree.parse(path).getroot().iter("Problem"):
        text = {child.tag: (child.text or "").strip() for child in problem}
        answer = re.fullmatch(r"(-?[\d.,/]+)(?: \(.*\))?", text["Answer"])
        answer = answer[1] if answer else ""
        equation = text["Formula"].split("=")[0]
        yield f"asdiv-{problem.get('ID')}", f"{text['Body']} {text['Question']}", answer, equation


def number(text):
    try:
        return fractions.Fraction(text.replace(",", ""))
    except (ValueError, ZeroDivisionError):
        raise Unreadable(f"number {text!r}") from None


def show(value):
    """Returns a number as its shortest decimal, or as a fraction if no decimal of at most four places is exact."""
    if value.denominator == 1:
        return str(value.numerator)
    for places in range(1, 5):
        if (value * 10**places).denominator == 1:
            return f"{float(value):.{places}f}"
    return f"{value.numerator}/{value.denominator}"


def parse(equation):
    """Parses an equation to nested tuples (operator, left, right) with numbers as leaves."""
    tokens = re.findall(r"\d[\d.,]*|[-+*/()]", equation)
    if "".join(tokens) != re.sub(r"\s", "", equation) or not tokens:
        raise Unreadable(f"equation {equation!r}")
    position = 0

    def peek():
        return tokens[position] if position < len(tokens) else None

    def primary():
        nonlocal position
        token, position = peek(), position + 1
        if token == "(":
            inside = expression(1)
            if peek() != ")":
                raise Unreadable(f"equation {equation!r}")
            position += 1
            return inside
        if token is None or not token[0].isdigit():
            raise Unreadable(f"equation {equation!r}")
        return number(token)

    def expression(least):
        nonlocal position
        left = primary()
        while OPERATORS.get(peek(), 0) >= least:
            operator = peek()
            position += 1
            left = (operator, left, expression(OPERATORS[operator] + 1))
        return left

    tree = expression(1)
    if position != len(tokens):
        raise Unreadable(f"equation {equation!r}")
    return tree


def work(tree, lines):
    """Returns the value of an equation and appends one line per operation to `lines`."""
    if not isinstance(tree, tuple):
        return tree
    operator, left, right = tree
    left, right = work(left, lines), work(right, lines)
    if operator == "/" and right == 0:
        raise Unreadable("division by zero")
    value = {"+": left + right, "-": left - right, "*": left * right, "/": right and left / right}[operator]
    lines.append(f"{show(left)} {operator} {show(right)} = {show(value)}")
    return value


def solve(answer, equation):
    lines = []
    value = work(parse(equation), lines)
    if not lines or value != number(answer):
        raise Unreadable("the equation does not give the answer")
    return "\n".join([*lines, f"The answer is \\boxed{{{show(value)}}}."]), show(value)


def masked_trigrams(question):
    words = re.findall(r"[a-z]+|\d[\d.,]*", question.lower())
    words = ["#" if w[0].isdigit() or w in NUMBER_WORDS else w for w in words]
    return {tuple(words[i : i + 3]) for i in range(max(1, len(words) - 2))}


def groups(questions):
    """The group of each question: the smallest index among all questions connected by similarity."""
    parent = list(range(len(questions)))

    def root(i):
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    seen = collections.defaultdict(list)
    grams = [masked_trigrams(q) for q in questions]
    for i, mine in enumerate(grams):
        shared = collections.Counter(j for gram in sorted(mine) for j in seen[gram])
        for j, common in shared.items():
            if common >= SIMILAR * (len(mine) + len(grams[j]) - common):
                low, high = sorted((root(i), root(j)))
                parent[high] = low
        for gram in mine:
            seen[gram].append(i)
    return [root(i) for i in range(len(questions))]


def part_of(key):
    point = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % 100
    for name, share in PARTS:
        if point < share:
            return name
        point -= share
    raise AssertionError("the shares of PARTS sum to 100")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ["svamp", "multiarith", "asdiv", "out"]:
        options.add_argument(f"--{name}", required=True)
    options = options.parse_args()
    rows, left_out = [], collections.Counter()
    for name, read in [("asdiv", read_asdiv), ("multiarith", read_multiarith), ("svamp", read_svamp)]:
        for key, question, answer, equation in read(getattr(options, name)):
            try:
                solution, value = solve(answer, equation)
            except Unreadable:
                left_out[name] += 1
                continue
            question = " ".join(question.split())
            rows.append({"id": key, "question": question, "answer": value, "solution": solution})
    group = groups([row["question"] for row in rows])
    parts, known = collections.defaultdict(list), set()
    for row, first in zip(rows, group):
        if row["question"].lower() in known:
            left_out["repeated"] += 1
            continue
        known.add(row["question"].lower())
        parts[part_of(rows[first]["id"])].append(row)
    os.makedirs(options.out, exist_ok=True)
    for name, _ in PARTS:
        with open(os.path.join(options.out, f"{name}.jsonl"), "w", encoding="utf-8") as file:
            # Ordered by a hash, so that the first rows of a split are a random sample of it.
            for row in sorted(parts[name], key=lambda r: hashlib.sha256(r["id"].encode()).digest()):
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        kinds = collections.Counter(row["id"].split("-")[0] for row in parts[name])
        print(name, len(parts[name]), dict(sorted(kinds.items())))
    print("groups", len(set(group)), "largest", max(collections.Counter(group).values()), "left out", dict(left_out))


if __name__ == "__main__":
    main()
