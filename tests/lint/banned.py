"""Functions and words that product code does not use. An exception carries its reason on the line: /* allow: reason */"""
import pathlib
import re
import sys

from common import product_files, report, strip

_CALL = r"(?<![\w.>])(?:{})\s*\("
BANNED = (
    # pattern, files that may, what to do instead
    (_CALL.format("malloc|calloc|realloc|reallocarray|free|strdup|strndup|asprintf|vasprintf"), ("core/util/mem.c",),
     "memory comes from core/util/mem.h"),
    (_CALL.format("strcpy|strcat|stpcpy|strncpy|strncat|sprintf|vsprintf|gets"), (), "use struct buf or snprintf"),
    (_CALL.format("strtok|strtok_r"), (), "parse with lengths"),
    (_CALL.format("atoi|atol|atoll|atof"), (), "parse numbers with a check"),
    (_CALL.format("rand|srand|random|srandom|rand_r|drand48"), (), "random bytes come from core/util/token.h"),
    (_CALL.format("time|gettimeofday|ftime"), ("core/util/clock.c",), "time comes from core/util/clock.h"),
    (_CALL.format("localtime|localtime_r|gmtime|ctime|ctime_r|asctime"), ("core/util/clock.c",), "use clock.h; gmtime_r is the only one"),
    (_CALL.format("system|popen"), (), "no shell"),
    (_CALL.format("alloca"), (), "no unbounded stack"),
    (_CALL.format("printf|puts|putchar|perror"), ("bailiwick/*",), "use core/util/log.h"),
    (r"\bgoto\b", (), "AUTO() and early returns"),
    (r"\breturn\s*\(\s*struct\s+err\s*\)", ("core/util/err.c", "core/util/err.h"), "FAIL() records where"),
    (r"\btypedef\s+(?:struct|union|enum)\s*\w*\s*(?:\{|\w+\s*;)", (), "no struct typedefs"),
    (r"\b(?:memcmp|strcmp|strncmp|strcasecmp)\s*\([^;]*\b(?:secret|password|passwd|hmac|mac|token_hash|api_key)\b", (),
     "secrets are compared in constant time"),
)
_ALLOW = re.compile(r"/\* allow: [^*]{3,}\*/")
WORDS = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")
FILE_LINES_MAX = 600


def may(name, files):
    return any(name == one or (one.endswith("/*") and name.startswith(one[:-1])) for one in files)


def check_text(name, text):
    problems = []
    lines = text.splitlines()
    stripped = strip(text)
    for pattern, files, instead in BANNED:
        if may(name, files):
            continue
        for match in re.finditer(pattern, stripped):
            number = stripped.count("\n", 0, match.start()) + 1
            if not _ALLOW.search(lines[number - 1]):
                word = " ".join(match.group(0).split()).rstrip("( ")
                problems.append(f"{name}:{number}: {word}: {instead}")
    for number, line in enumerate(lines, 1):
        if WORDS.search(line):
            problems.append(f"{name}:{number}: unfinished work has no place in the tree")
    if len(lines) > FILE_LINES_MAX:
        problems.append(f"{name}: {len(lines)} lines, at most {FILE_LINES_MAX}")
    return problems


def check(root):
    root = pathlib.Path(root)
    problems = []
    for path, _ in product_files(root):
        problems += check_text(path.relative_to(root).as_posix(), path.read_text(encoding="utf-8"))
    return problems


if __name__ == "__main__":
    sys.exit(report(check(sys.argv[1]), "banned"))
