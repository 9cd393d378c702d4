#!/usr/bin/env python3
"""check.py and recipes.py find what they are for: rows and recipes that are wrong, each in its own way."""
import sys

import check
import recipes

TESTS = {("test_a.py", "test_one"), ("b_test.c", "two")}
HEAD = "| § | level | what | shown by |\n| --- | --- | --- | --- |\n"
GOOD = {"3": "| 3 | MUST | lists profiles | `test_a.py::test_one` |\n",
        "4": "| 4 | MUST | refuses | `test_a.py::test_one` `b_test.c::two` |\n| 4 | RECOMMENDED | chooses | `b_test.c::two` |\n"
             "| 4 | MUST | ends | does not apply: there is nothing here that could end |\n"
             "| 4 | SHOULD | avoids | not followed: nobody would want that to be so (`b_test.c::two`) |\n"}
BAD_ROWS = {
    "a test that is not there": "| 3 | MUST | lists profiles | `test_a.py::test_gone` |\n",
    "a file that is not there": "| 3 | MUST | lists profiles | `c_test.c::two` |\n",
    "no test at all": "| 3 | MUST | lists profiles | yes |\n",
    "words beside a test": "| 3 | MUST | lists profiles | `test_a.py::test_one` mostly |\n",
    "a level of our own": "| 3 | MAY | lists profiles | `test_a.py::test_one` |\n",
    "three columns": "| 3 | MUST | `test_a.py::test_one` |\n",
    "a row twice": GOOD["3"] + GOOD["3"],
    "no row": "",
    "another section": GOOD["3"] + "| 17 | MUST | lists profiles | `test_a.py::test_one` |\n",
    "a short reason": "| 3 | MUST | lists profiles | does not apply: no |\n",
    "a reason that names no test": "| 3 | MUST | lists profiles | does not apply: there is nothing here (`test_a.py::test_gone`) |\n",
    "a MUST that is not followed": "| 3 | MUST | lists profiles | not followed: nobody would want that to be so |\n",
}
RECIPE = "## Recipes\n\n### Client\n\nRun by `tests/e2e/test_recipes.py`.\n\n<!-- test:client -->\n```sh\nclient --server URL\n```\n"
BAD_RECIPES = {
    "nobody says whether it is run": RECIPE.replace("Run by `tests/e2e/test_recipes.py`.", "It works."),
    "a test file that is not there": RECIPE.replace("test_recipes.py", "test_gone.py"),
    "run, but nothing is marked": RECIPE.replace("<!-- test:client -->\n", ""),
    "marked, but run by nobody": RECIPE.replace("test:client", "test:other"),
    "not run, but marked": RECIPE.replace("Run by `tests/e2e/test_recipes.py`.", "Not run by our tests."),
    "one mark twice": RECIPE + RECIPE.replace("## Recipes\n\n### Client", "### Client two"),
    "a mark without a block": RECIPE.replace("```sh\nclient --server URL\n```\n", "words\n"),
}


def main():
    assert not check.check_document("profiles.md", HEAD + GOOD["3"] + GOOD["4"], TESTS)
    for name, rows in BAD_ROWS.items():
        assert check.check_document("profiles.md", HEAD + rows + GOOD["4"], TESTS), f"not found: {name}"
    sources = {"test_recipes.py": 'block("client")'}
    assert not recipes.check_text(RECIPE, sources), recipes.check_text(RECIPE, sources)
    for name, text in BAD_RECIPES.items():
        assert recipes.check_text(text, sources), f"not found: {name}"
    return 0


if __name__ == "__main__":
    sys.exit(main())
