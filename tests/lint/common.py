"""Shared by the source checks: which files are product code, and C text without comments and strings."""
import pathlib
import re

PRODUCT = ("core/util", "core/store", "core/http", "core/access", "ca", "dns", "acme-server", "web", "bailiwick")
_TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def product_files(root):
    """Every .c and .h of the product as (path below root, folder of the house plan)."""
    for folder in PRODUCT:
        for path in sorted((pathlib.Path(root) / folder).glob("*.[ch]")):
            yield path, folder


def strip(text):
    """The text with comments and the insides of literals blanked, line numbers kept."""
    def blank(match):
        token = match.group(0)
        kept = "".join("\n" if letter == "\n" else " " for letter in token[1:-1])
        return token[0] + kept + token[-1] if token[0] in "\"'" else " " + kept + " "
    return _TOKEN.sub(blank, text)


def report(problems, what):
    """Print the problems; the process's exit code."""
    for problem in problems:
        print(problem)
    print(f"{what}: {len(problems)} problem(s)")
    return 1 if problems else 0
