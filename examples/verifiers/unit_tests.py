#!/usr/bin/env python3
"""Checks programs by unit tests: a verifier command for Regrowth that needs Python's standard library only.

    mcts search --problems tasks.jsonl --verifier-command 'python3 examples/verifiers/unit_tests.py' --out out

A problem's reference answer holds the tests, one `assert` per line. The program is the last code block of a
solution, or the whole solution if it has none. Each test runs in its own process, with limits on time, memory, files and
processes, in an empty folder and with an empty environment.

THIS IS NOT A SANDBOX. The program runs with your rights: it can read your files and use the network, and a policy
that is trained against tests may learn to cheat them. Run it in a container that contains nothing valuable.
"""

import json
import re
import secrets
import subprocess
import sys
import tempfile

try:
    import resource
except ImportError:  # Windows has no such module: only the time limit applies
    resource = None

SECONDS = 5  # CPU seconds of one test
MEMORY = 512 << 20  # memory of one test, in bytes
FILE = 1 << 20  # largest file that a test may write, in bytes
BLOCK = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)```", re.DOTALL)


def program_of(solution):
    """Returns the last code block, or the whole text if there is none."""
    blocks = BLOCK.findall(solution)
    return blocks[-1] if blocks else solution


def limit():
    """Sets the limits; runs in the new process before the program."""
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE, FILE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run(program, test):
    """Returns None if the test passes, else the reason why it fails."""
    # The token is printed after the test, so a program that exits early does not pass.
    token = secrets.token_hex(16)
    source = f"{program}\n{test}\nprint('\\n{token}')\n"
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            done = subprocess.run(
                # -I: ignore this user's Python settings and folders.
                [sys.executable, "-I", "-c", source],
                cwd=folder, env={}, stdin=subprocess.DEVNULL, stdout=out, stderr=err, timeout=2 * SECONDS,
                preexec_fn=limit if resource else None, start_new_session=True, check=False,
            )
        except subprocess.TimeoutExpired:
            return "time limit"
        out.seek(0)
        if done.returncode == 0 and out.read().decode(errors="replace").rstrip().endswith(token):
            return None
        err.seek(0)
        lines = err.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else f"ended with code {done.returncode}"


def check(request):
    """Returns the verdict, the share of tests that pass, and the first failure."""
    tests = request.get("reference", {}).get("answer", "").splitlines()
    tests = [test for test in tests if test.strip().startswith("assert")]
    if request["about"] != "solution" or not tests:
        return {"correct": None, "trace": "no tests"}
    program = program_of(request["solution"])
    failures = [(test, why) for test in tests if (why := run(program, test)) is not None]
    passed = len(tests) - len(failures)
    trace = f"{passed} of {len(tests)} tests pass"
    if failures:
        trace += "; {}: {}".format(*failures[0])
    return {"correct": not failures, "score": passed / len(tests), "trace": trace}


for line in sys.stdin:
    request = json.loads(line)
    # Regrowth reads replies line by line, so flush each reply.
    print(json.dumps({"id": request["id"], **check(request)}), flush=True)
