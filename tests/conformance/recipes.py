#!/usr/bin/env python3
"""docs/clients.md: every recipe says in its first line which test runs it, or that none does; what is marked is run, what is said to be run
is marked. Usage: recipes.py ROOT."""
import pathlib
import re
import sys

NOT_RUN = "Not run by our tests."
RUN_BY = re.compile(r"Run by ((?:`tests/e2e/\w+\.py`(?:, | and )?)+)\.")
MARK = re.compile(r"^<!-- test:([\w-]+) -->$", re.MULTILINE)
MARKED_BLOCK = re.compile(r"^<!-- test:([\w-]+) -->\n```[a-z]*\n.*?^```$", re.MULTILINE | re.DOTALL)


def recipes_of(text):
    """(title, text) of every recipe: the sections of the third level below the heading "Recipes"."""
    found = re.search(r"^## Recipes$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    parts = re.split(r"^### ", found.group(1) if found else "", flags=re.MULTILINE)[1:]
    return [part.partition("\n")[::2] for part in parts]


def check_recipe(title, text, sources):
    problems = []
    first = next((line for line in text.splitlines() if line.strip()), "")
    marks = MARK.findall(text)
    run_by = RUN_BY.match(first)
    if first.startswith(NOT_RUN):
        return [f"{title}: says that it is not run, and has marked blocks"] if marks else []
    if not run_by:
        return [f"{title}: the first line says neither which test runs it nor that none does"]
    files = re.findall(r"`tests/e2e/(\w+\.py)`", run_by.group(1))
    problems += [f"{title}: there is no tests/e2e/{file}" for file in files if file not in sources]
    if not marks:
        problems.append(f"{title}: says that it is run, but nothing is marked")
    for mark in marks:
        if not any(f'"{mark}"' in sources.get(file, "") for file in files):
            problems.append(f"{title}: nobody runs the block {mark}")
    return problems


def check_text(text, sources):
    """sources: the text of every file of tests/e2e, by name."""
    problems = []
    marks = MARK.findall(text)
    problems += [f"the mark {mark} stands there twice" for mark in set(marks) if marks.count(mark) > 1]
    problems += [f"no block follows the mark {mark}" for mark in marks if mark not in MARKED_BLOCK.findall(text)]
    problems += [f"nobody runs the block {mark}" for mark in marks if not any(f'"{mark}"' in source for source in sources.values())]
    for title, recipe in recipes_of(text):
        problems += check_recipe(title, recipe, sources)
    return problems


def main():
    root = pathlib.Path(sys.argv[1])
    sources = {path.name: path.read_text(encoding="utf-8") for path in (root / "tests" / "e2e").glob("*.py")}
    text = (root / "docs" / "clients.md").read_text(encoding="utf-8")
    problems = check_text(text, sources)
    if len(recipes_of(text)) < 2:
        problems.append("there are no recipes")
    for problem in problems:
        print(problem)
    print(f"recipes: {len(problems)} problem(s)")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
