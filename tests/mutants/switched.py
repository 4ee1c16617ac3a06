#!/usr/bin/env python3
"""Builds many mutants into one program: each is an arm of its function, and a number in the environment says which runs.

    switched.py TREE OUT PACKAGE TESTS FILTER... <names of mutants, as `cargo mutants --list` says them

To build a mutant takes longer than to try it. Here a build with all of them is made in TREE, and then tests run, one
mutant after another: the unit tests of PACKAGE (TESTS is `unit`), first those of the mutant's own area, or those across
the rooms (`across`), until one fails. The build is made again without those that do not compile. What came of each is
written behind OUT/caught, missed, timeout, unviable, and OUT/switched.log says which test noticed. Mutants of what the
compiler computes itself cannot be switched and are left out.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

SWITCH = "SEALPOST_MUTANT"
# For so many seconds the tests may do nothing, or use a processor.
TIMEOUT = float(os.environ.get("SEALPOST_MUTANTS_TIMEOUT", "120"))
# As `cargo test` would: no mutant has this number.
NONE = 0
SOURCE = """
/// Which mutant runs.
#[doc(hidden)]
pub fn mutant() -> u32 {
    static NUMBER: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    *NUMBER.get_or_init(|| std::env::var("%s").ok().and_then(|n| n.parse().ok()).unwrap_or(%d))
}
""" % (SWITCH, NONE)


def offset(text, place):
    """Where a line and a column are, both counted from one."""
    lines = text.split("\n")
    return sum(len(line) + 1 for line in lines[: place["line"] - 1]) + place["column"] - 1


def mutated(text, diff):
    """The text with a change of one hunk."""
    lines, (head, *hunk) = text.split("\n"), diff.rstrip("\n").split("\n")[2:]
    first = int(re.match(r"@@ -(\d+)", head).group(1)) - 1
    before = [line[1:] for line in hunk if line[:1] in " -"]
    after = [line[1:] for line in hunk if line[:1] in " +"]
    assert lines[first : first + len(before)] == before, diff
    return "\n".join(lines[:first] + after + lines[first + len(before) :])


def body(text, function):
    """Where a function's body begins and ends, without its braces; nothing if the compiler has to know which runs."""
    if "impl " in function["return_type"]:
        return None
    start, end = offset(text, function["span"]["start"]), offset(text, function["span"]["end"])
    line = text[text.rfind("\n", 0, start) + 1 : text.find("{", start)]
    if re.search(r"\bconst\s+(unsafe\s+)?fn\b", line):
        return None
    depth = 0
    for at in range(text.index("fn ", start), end):
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(text[at], 0)
        if text[at] == "{" and depth == 0:
            return at + 1, end - 1
    return None


class Tree:
    """Sources with switches."""

    def __init__(self, root, package, mutants):
        self.root, self.package, self.mutants = root, package, mutants
        self.whole = {}

    def write(self):
        """Writes the sources. Says which lines of which file belong to which mutant, and which cannot be switched."""
        lines, left = {}, []
        by_file = {}
        for number, mutant in self.mutants.items():
            by_file.setdefault(mutant["file"], []).append((number, mutant))
        for file in self.whole.keys() - by_file.keys():
            (self.root / file).write_text(self.whole[file])
        for file, mutants in by_file.items():
            text = self.whole.setdefault(file, (self.root / file).read_text())
            bodies = {}
            for number, mutant in mutants:
                found = mutant["function"] and body(text, mutant["function"])
                if found and found[0] <= offset(text, mutant["span"]["start"]):
                    changed = mutated(text, mutant["diff"])
                    bodies.setdefault(found, []).append((number, changed[found[0] : len(changed) - len(text) + found[1]]))
                else:
                    left.append(number)
            # From the last on, so that places stay what they are. A function within one with mutants of its own waits.
            spans, written = sorted(bodies), text
            for start, end in reversed(spans):
                if any(s < start and end < e for s, e in spans):
                    left += [number for number, _ in bodies[start, end]]
                    continue
                arms = "".join(
                    f"\nif crate::mutant() == {number} {{ //<{number}\n{changed}\n}} else //>{number}"
                    for number, changed in bodies[start, end]
                )
                written = f"{written[:start]}{arms}\n{{ {written[start:end]} }}\n{written[end:]}"
            inside = None
            for at, line in enumerate(written.split("\n"), 1):
                if found := re.search(r"//<(\d+)$", line):
                    inside = int(found.group(1))
                if inside is not None:
                    lines[file, at] = inside
                if re.search(r"//>\d+$", line):
                    inside = None
            (self.root / file).write_text(written)
        return lines, left

    def entry(self):
        """Makes the switch known to the crate."""
        lib = self.root / {"sealpost-node": "node", "sealpost-ledger": "ledger"}[self.package] / "src/lib.rs"
        if SWITCH not in lib.read_text():
            lib.write_text(lib.read_text() + SOURCE)

    def build(self, tests):
        """Builds the tests. Returns their program, or the errors with their places."""
        command, target = ["cargo", "test", "--locked", "--no-run", "-p", "sealpost-tests"], "main"
        if tests == "unit":
            # What the node is built from has the same features together with all tests as in the whole workspace.
            both = ["-p", "sealpost-tests"] if self.package == "sealpost-node" else []
            command, target = [*command[:4], "--lib", "-p", self.package, *both], self.package.replace("-", "_")
        done = subprocess.run(
            [*command, "--message-format=json"], cwd=self.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        program, errors = None, []
        for line in done.stdout.splitlines():
            said = json.loads(line) if line.startswith("{") else {}
            if said.get("reason") == "compiler-artifact" and said["profile"]["test"] and said.get("executable"):
                program = said["executable"] if said["target"]["name"] == target else program
            if said.get("reason") == "compiler-message" and said["message"]["level"] == "error":
                spans = [(s["file_name"], line) for s in said["message"]["spans"] if s["is_primary"]
                         for line in range(s["line_start"], s["line_end"] + 1)]
                errors.append((spans, said["message"]["rendered"]))
        if done.returncode and not errors:
            sys.exit(done.stderr)
        return program, errors


def seconds(child):
    """Processor time that a child has used, and whether it waits for something else than a processor."""
    try:
        fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(") ")[2].split()
        states = [task.read_text().rpartition(") ")[2][0] for task in Path(f"/proc/{child.pid}/task").glob("*/stat")]
    except OSError:
        return 0.0, False
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), set(states) <= {"S"}


def attempt(program, folder, number, filters):
    """Runs tests under a mutant until one fails: which one did, `time` if they do not end, nothing if all succeed."""
    environment = {**os.environ, SWITCH: str(number), "RUST_BACKTRACE": "0"}
    child = subprocess.Popen([program, *filters], cwd=folder, env=environment, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True, start_new_session=True)
    late, done = threading.Event(), threading.Event()

    def kill():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)

    def watch():
        # A machine that is busy with others is no reason to give up.
        idle = 0
        while not done.wait(1):
            used, waits = seconds(child)
            idle += waits
            if max(used, idle) > TIMEOUT:
                late.set()
                return kill()

    watcher = threading.Thread(target=watch)
    watcher.start()
    failed, ended = None, False
    for line in child.stdout:
        ended = ended or line.startswith("test result: ")
        if found := re.match(r"test (\S+).* \.\.\. FAILED", line):
            failed = found.group(1)
            kill()
            break
    done.set()
    watcher.join()
    status = child.wait()
    if failed or (status == 0 and ended):
        return failed
    return "time" if late.is_set() else f"ended with {status}"


def main():
    root, out, package, tests, *filters = sys.argv[1:]
    root, out = Path(root), Path(out)
    names = set(sys.stdin.read().splitlines())
    listed = subprocess.run(["cargo", "mutants", "--dir", root, "--list", "--json", "--diff"], check=True,
                            stdout=subprocess.PIPE, text=True)
    chosen = [mutant for mutant in json.loads(listed.stdout) if mutant["name"] in names]
    tree = Tree(root, package, dict(enumerate(chosen, NONE + 1)))
    tree.entry()

    def note(kind, mutant, why=""):
        with open(out / kind, "a") as file:
            print(mutant["name"], file=file)
        with open(out / "switched.log", "a") as file:
            print(f"{kind}: {mutant['name']}: {why}", file=file, flush=True)

    while True:
        lines, left = tree.write()
        for number in left:
            print("cannot be switched:", tree.mutants.pop(number)["name"], flush=True)
        if left:
            continue
        if not tree.mutants:
            return
        program, errors = tree.build(tests)
        if not errors:
            break
        bad = {lines[place] for spans, _ in errors for place in spans if place in lines}
        if not bad:
            sys.exit("\n".join(text for _, text in errors))
        for number in bad:
            why = next(text for spans, text in errors if any(lines.get(place) == number for place in spans))
            note("unviable", tree.mutants.pop(number), why.split("\n")[0])
        print(f"{len(bad)} do not compile", flush=True)
    folder = root / ("tests" if tests == "across" else package.removeprefix("sealpost-"))
    failed = attempt(program, folder, NONE, filters)
    if failed:
        sys.exit(f"a test fails without a mutant: {failed}")
    print(f"{len(tree.mutants)} to be tried", flush=True)
    for number, mutant in tree.mutants.items():
        own = re.match(r"(?:\w+/)*?src/(\w+)", mutant["file"]).group(1) + "::"
        near = [[own]] if own in filters else []
        skips = ["--skip", own] if near else []
        started, why = time.monotonic(), None
        for those in [*near, [*filters, *skips]]:
            while not why and (why := attempt(program, folder, number, those)):
                # A test that fails for another reason, once, has noticed nothing.
                if "::" in why and not attempt(program, folder, number, ["--exact", why]):
                    print(f"{why} failed once and not again", flush=True)
                    those, why = [*those, "--skip", why], None
        kind = "missed" if not why else "timeout" if why == "time" else "caught"
        note(kind, mutant, why)
        print(f"{kind} in {time.monotonic() - started:.0f} s: {mutant['name']}: {why}", flush=True)


if __name__ == "__main__":
    main()
