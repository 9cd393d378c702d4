#!/usr/bin/env python3
"""Holds the conformance lists together: every row has a level of the list and tests that exist, no row stands twice, every section of the
specification that has requirements has all of its rows. Usage: check.py ROOT."""
import pathlib
import re
import sys

LEVELS = {"MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "REQUIRED", "RECOMMENDED"}
REASONS = ("does not apply: ", "not followed: ")
REASON_WORDS_MIN = 5
# How many requirements each section has; a row that gets lost is noticed.
SECTIONS = {
    "rfc8555.md": {
        "5": 1, "6.1": 5, "6.2": 21, "6.3": 5, "6.4": 4, "6.4.1": 2, "6.5": 7, "6.5.1": 2, "6.5.2": 3, "6.6": 2, "6.7": 2, "6.7.1": 2,
        "7.1": 1, "7.1.1": 3, "7.1.2.1": 3, "7.1.3": 6, "7.1.4": 7, "7.2": 4, "7.3": 10, "7.3.1": 3, "7.3.2": 2, "7.3.3": 3, "7.3.4": 12,
        "7.3.5": 10, "7.3.6": 5, "7.4": 9, "7.4.1": 3, "7.4.2": 2, "7.5.1": 5, "7.5.2": 2, "7.6": 6, "8": 3, "8.1": 1, "8.2": 6, "8.3": 7,
        "8.4": 2, "9.1": 4, "10.2": 1, "10.5": 1, "11.1": 5, "11.2": 3},
    "rfc8737.md": {"3": 11, "4": 3, "5": 1},
    "rfc8738.md": {"3": 2, "4": 2, "5": 2, "6": 2, "7": 1},
    "rfc9773.md": {"3": 1, "4.1": 1, "4.2": 1, "5": 4},
    "profiles.md": {"3": 1, "4": 4},
}
# MUSTs that are not followed: the list may not grow by itself.
BROKEN = {("rfc8555.md", "8.2", "while it tries, the challenge tells by error and Retry-After"),
          ("rfc8555.md", "8.2", "error gets an entry for each query that failed")}
REFERENCE = re.compile(r"`(test_\w+\.py|\w+_test\.c)::(\w+)`")
ROW = re.compile(r"\| ([0-9.]+) \| ([A-Z ]+) \| (.+?) \| (.+) \|")


def tests_of(root):
    """(file, function) of every test in the tree."""
    found = set()
    for path in sorted((root / "tests" / "e2e").glob("test_*.py")):
        found |= {(path.name, name) for name in re.findall(r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)}
    for path in sorted((root / "tests" / "unit").glob("*_test.c")):
        found |= {(path.name, name) for name in re.findall(r"\bcmocka_unit_test\w*\(\s*(\w+)", path.read_text(encoding="utf-8"))}
    return found


def check_evidence(evidence, tests):
    """What is wrong with a row's last column."""
    references = REFERENCE.findall(evidence)
    problems = [f"there is no test {file}::{name}" for file, name in references if (file, name) not in tests]
    rest = REFERENCE.sub("", evidence)
    if "`" in rest and not evidence.startswith(REASONS):
        problems.append(f"not a reference: {rest.strip()}")
    if evidence.startswith(REASONS):
        if len(rest.split(": ", 1)[1].split()) < REASON_WORDS_MIN:
            problems.append("the reason is too short to be one")
    elif not references or rest.strip():
        problems.append("the last column is neither a list of tests nor a reason")
    return problems


def check_document(name, text, tests):
    problems, seen, counts = [], set(), {}
    for number, line in enumerate(text.splitlines(), 1):
        where = f"{name}:{number}"
        row = ROW.fullmatch(line)
        if not row:
            if line.startswith("|") and not line.startswith(("| § |", "| --- |")):
                problems.append(f"{where}: not a row of four columns")
            continue
        section, level, what, evidence = row.groups()
        counts[section] = counts.get(section, 0) + 1
        if level not in LEVELS:
            problems.append(f"{where}: {level} is no level")
        if (section, level, what) in seen:
            problems.append(f"{where}: this row stands here twice")
        seen.add((section, level, what))
        problems += [f"{where}: {problem}" for problem in check_evidence(evidence, tests)]
        if evidence.startswith("not followed") and level in ("MUST", "MUST NOT", "REQUIRED") and (name, section, what) not in BROKEN:
            problems.append(f"{where}: a {level} that is not followed, and BROKEN in check.py does not know it")
    for section, wanted in SECTIONS[name].items():
        if counts.get(section, 0) != wanted:
            problems.append(f"{name}: section {section} has {counts.get(section, 0)} rows instead of {wanted}")
    problems += [f"{name}: section {section} has no requirements" for section in counts if section not in SECTIONS[name]]
    return problems


def main():
    root = pathlib.Path(sys.argv[1])
    tests = tests_of(root)
    problems = []
    for name in SECTIONS:
        problems += check_document(name, (root / "tests" / "conformance" / name).read_text(encoding="utf-8"), tests)
    for problem in problems:
        print(problem)
    print(f"conformance: {len(problems)} problem(s)")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
