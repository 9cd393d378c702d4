"""Nothing of a developer's machine stands in the tree: no workplace paths, no package registry hosts, no private keys outside test data."""
import os
import pathlib
import re
import sys

from common import report

SKIPPED = {".git", "build", "__pycache__", ".pytest_cache", ".venv"}
# Written in pieces, so that this file does not find itself.
PATTERNS = (
    (re.compile("/" + r"work/(?:main|shared|\.library)"), "a workplace path"),
    (re.compile(r"/(?:home|Users)/[a-z][a-z0-9_-]*/"), "somebody's home folder"),
    (re.compile(r"/" + r"tmp/(?:brief|b-)"), "a workplace path"),
    (re.compile(r"\b(?:proxy\.golang|sum\.golang|files\.pythonhosted|registry\.npmjs|static\.crates)\." + r"(?:org|io)\b"), "a registry host"),
    (re.compile(r"\b(?:pypi|crates|deb\.debian|security\.debian|repo\.maven\.apache|repo1\.maven)\." + r"(?:org|io)\b"), "a registry host"),
    (re.compile("-----BEGIN (?:RSA |EC )?PRIVATE" + " KEY-----"), "a private key"),
)
KEYS_ALLOWED = ("tests/data/", "tests/fuzz/corpus/", "tests/unit/")


def check(root):
    root = pathlib.Path(root)
    problems = []
    for folder, folders, files in os.walk(root):
        folders[:] = [one for one in folders if one not in SKIPPED]
        for file in files:
            path = pathlib.Path(folder) / file
            name = path.relative_to(root).as_posix()
            text = path.read_bytes().decode("utf-8", "replace")
            for pattern, what in PATTERNS:
                if what == "a private key" and name.startswith(KEYS_ALLOWED):
                    continue
                for match in pattern.finditer(text):
                    problems.append(f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match.group(0)} is {what}")
    return problems


if __name__ == "__main__":
    sys.exit(report(check(sys.argv[1]), "leaks"))
