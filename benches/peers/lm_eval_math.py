"""Compares verdicts of lm-eval's minerva_math and hendrycks_math on recorded outputs with this project's.

    pip install -r benches/peers/lm_eval_requirements.txt
    python benches/peers/lm_eval_math.py --data DATA --rows rows.jsonl [--no-test]

DATA contains math/test/*.jsonl, math/train/*.jsonl, model_outputs/math_cot_8samples.jsonl,
model_outputs/math_aps_*.jsonl and verifier_cases/*.jsonl. The harness's own `process_results` judges each
output as it was recorded, and again with its answer in the form that each task looks for: minerva_math looks for
a closing sentence that most recorded outputs lack, hendrycks_math for text between dollar signs. References of
MATH are judged against other spellings of themselves and against the references of neighbouring problems.
There is one row per output: {task, from, solution, output, verdict, unfollowed}. `unfollowed` is set if SymPy's
verdict depends on more than the formulas: SymPy ran into the harness's time limit, or it did not find that a
difference is zero although it is zero at every positive point. Then the test `lm_eval_verdicts` checks that
`regrowth_verifiers::lm_eval` gives the same verdicts (not with --no-test).
"""

import argparse
import json
import logging
import os
import pathlib
import re
import signal
import subprocess
from collections import Counter

CLOSING = "\nFinal Answer: The final answer is ${}$. I hope it is correct."
# Other spellings of the same answer, as models write them: pattern and replacement.
SPELLINGS = (
    (r"\\frac", r"\\dfrac"),
    (r"\\d?frac\{(\w+)\}\{(\w+)\}", r"\1/\2"),
    (r"\\sqrt\{(\w+)\}", r"\\sqrt \1"),
    (r"\\sqrt\{(\w+)\}", r"\1^{1/2}"),
    (r"^(.*\S)\s*\+\s*(\S.*)$", r"\2 + \1"),
    (r"^([^,]*),(.*)$", r"\2,\1"),
    (r"^(-?\d+)$", r"\1.0"),
    (r"^(-?\d+)$", r"\1\\text{ units}"),
    (r"^(.*)$", r"\\boxed{\1}"),
    (r"^(.*)$", r"x = \1"),
    (r"^(.*)$", r"\\left(\1\\right)"),
)


def records(path):
    return [json.loads(line) for line in path.read_text().splitlines() if line]


def last_box(text):
    """The content of the last box; None if there is none."""
    start = text.rfind("\\boxed{")
    depth = 0
    for at in range(start, len(text)) if start >= 0 else ():
        depth += (text[at] == "{") - (text[at] == "}")
        if text[at] == "}" and depth == 0:
            return text[start + len("\\boxed{") : at]
    return None


def bare(text):
    """An answer without the dollar signs or the box around it."""
    box = last_box(text)
    return (text if box is None else box).strip().strip("$").strip()


def with_answer(task, output, answer):
    """The output followed by the answer, in the form that the task looks for."""
    return output + CLOSING.format(answer) if task == "minerva_math" else f"The answer is ${answer}$."


def recorded(data):
    """Yields solution and recorded output."""
    folder = data / "model_outputs"
    for row in records(folder / "math_cot_8samples.jsonl"):
        for output in row["code"]:
            yield "math_cot_8samples", row["gt_cot"], output
    for row in records(folder / "math_aps_steps.jsonl"):
        for step in row["reasoning_steps"]:
            yield "math_aps_steps", f"\\boxed{{{row['final_answer']}}}", step["solution_prefix"]
    for row in records(folder / "math_aps_tree.jsonl"):
        for output in leaves(row["reasoning_steps"], ""):
            yield "math_aps_tree", f"\\boxed{{{row['final_answer']}}}", output


def leaves(node, before):
    text = before + node["text"]
    if not node["children"]:
        yield text
    for child in node["children"]:
        yield from leaves(child, text)


def golds(data):
    """Yields a solution with another spelling of its answer, or with the answer of the next problem."""
    for path in sorted(data.glob("math/*/*.jsonl")):
        solutions = [row["solution"] for row in records(path)]
        answers = [last_box(solution) for solution in solutions]
        for at, (solution, answer) in enumerate(zip(solutions, answers)):
            # Both tasks read a box without braces, but no other spelling can be made from it.
            if answer is None:
                continue
            name = f"{path.parent.name}/{path.stem}"
            yield name, solution, answer
            if answers[at - 1] is not None:
                yield f"{name} neighbour", solution, answers[at - 1]
            for pattern, new in SPELLINGS:
                spelled = re.sub(pattern, new, answer)
                if spelled != answer:
                    yield f"{name} spelling", solution, spelled


def cases(data):
    for path in sorted(data.glob("verifier_cases/*.jsonl")):
        for row in records(path):
            yield path.stem, f"\\boxed{{{bare(row['gold'])}}}", row["pred"]


def material(data, every):
    """Yields task, source, solution and output."""
    for source, solution, output in recorded(data):
        answer = last_box(output)
        for task in ("minerva_math", "hendrycks_math"):
            yield task, source, solution, output
            if answer is not None:
                yield task, f"{source} closed", solution, with_answer(task, output, answer)
    for source, solution, answer in list(golds(data))[::every]:
        for task in ("minerva_math", "hendrycks_math"):
            yield task, source, solution, with_answer(task, "", answer)
    for source, solution, answer in cases(data):
        for task in ("minerva_math", "hendrycks_math"):
            yield task, source, solution, answer
            yield task, f"{source} closed", solution, with_answer(task, "", bare(answer))


class TimeLimits(logging.Handler):
    """Records that the harness gave up on a comparison."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.hit = False

    def emit(self, record):
        self.hit |= record.msg.startswith("Timed out")


class ProcessorTime:
    """The harness's time limit in CPU time, so that a busy machine does not change verdicts."""

    def __init__(self, seconds):
        self.seconds = seconds

    def __enter__(self):
        def stop(*_):
            raise TimeoutError

        signal.signal(signal.SIGPROF, stop)
        signal.setitimer(signal.ITIMER_PROF, self.seconds)

    def __exit__(self, *_):
        signal.setitimer(signal.ITIMER_PROF, 0)


class Harness:
    def __init__(self):
        from lm_eval.tasks.hendrycks_math import utils as hendrycks
        from lm_eval.tasks.minerva_math import utils as minerva

        self.minerva, self.hendrycks, self.limits = minerva, hendrycks, TimeLimits()
        minerva.eval_logger.setLevel(logging.DEBUG)
        minerva.eval_logger.handlers, minerva.eval_logger.propagate = [self.limits], False
        minerva.timeout = ProcessorTime
        # Another metric of the task, which is not compared and would take most of the time.
        minerva.parse, minerva.verify = lambda text: text, lambda gold, target: False

    def judge(self, task, solution, output):
        """The verdict, None if the harness itself fails on the solution; and why the verdict is not compared."""
        self.limits.hit = False
        try:
            if task == "hendrycks_math":
                return bool(self.hendrycks.process_results({"solution": solution}, [output])["exact_match"]), None
            gold = self.minerva.remove_boxed(self.minerva.last_boxed_only_string(solution))
            doc = {"solution": solution, "answer": self.minerva.normalize_final_answer(gold)}
        except (AssertionError, TypeError):
            return None, None
        verdict = bool(self.minerva.process_results(doc, [output])["exact_match"])
        if self.limits.hit:
            return verdict, "time limit"
        missed = not verdict and self.vanishes(doc["answer"], output)
        return verdict, "identity missed" if missed else None

    def vanishes(self, gold, output):
        """Whether the difference of both formulas is zero at positive points, with decimals taken as written."""
        import sympy

        answer = self.minerva.normalize_final_answer(self.minerva.get_unnormalized_answer(output))
        try:
            with ProcessorTime(5):
                difference = self.minerva.parse_latex(gold) - self.minerva.parse_latex(answer)
                difference = sympy.nsimplify(difference, rational=True)
                names = sorted(difference.free_symbols, key=str)
                for prime in (101, 211, 307):
                    point = {name: sympy.Rational(7 * at + 3, prime) for at, name in enumerate(names)}
                    if not abs(sympy.N(difference.subs(point), 50)) < 1e-30:
                        return False
                return True
        except Exception:  # SymPy fails in many ways on formulas that it does not understand.
            return False


def write_rows(data, path, every):
    harness, seen, counts = Harness(), set(), Counter()
    with path.open("w") as out:
        for task, source, solution, output in material(data, every):
            if (task, solution, output) in seen:
                continue
            seen.add((task, solution, output))
            verdict, unfollowed = harness.judge(task, solution, output)
            if verdict is None:
                counts[task, "no box that the harness reads"] += 1
                continue
            counts[task, unfollowed or ("right" if verdict else "wrong")] += 1
            row = {"task": task, "from": source, "solution": solution, "output": output}
            out.write(json.dumps(row | {"verdict": verdict, "unfollowed": unfollowed}) + "\n")
    for (task, what), count in sorted(counts.items()):
        print(f"{task}: {count} {what}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--rows", type=pathlib.Path, required=True, help="output file")
    parser.add_argument("--every", type=int, default=1, help="use only every Nth spelling of MATH's answers")
    parser.add_argument("--no-test", action="store_true", help="only write the rows")
    args = parser.parse_args()
    write_rows(args.data, args.rows, args.every)
    if not args.no_test:
        command = ["cargo", "test", "-p", "regrowth-verifiers", "--test", "it", "--"]
        command += ["--ignored", "--nocapture", "lm_eval_verdicts::"]
        subprocess.run(command, check=True, env=os.environ | {"REGROWTH_LM_EVAL_ROWS": str(args.rows.resolve())})


if __name__ == "__main__":
    main()
