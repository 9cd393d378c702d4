"""The source checks find what they are for: each is given a bad tree and must complain, and a good one and must not."""
import pathlib
import sys
import tempfile

import banned
import includes
import leaks

BAD_TEXTS = ("x = malloc(3);", "strcpy(a, b);", "sprintf(a, b);", "goto out;", "return (struct err){0};", "t = time(NULL);", "free (x);",
             "typedef struct x y;", "atoi(s);", "if (memcmp(a, secret, 3) == 0) {", "/* TO" + "DO: later */", "popen(x, y);")
GOOD_TEXTS = ("mem_free(x);", "/* malloc( is banned */", 'log("free(x)");', "x->free(y);", "free(x); /* allow: made by a library */",
              "clock_time(NULL);", "ldns_pkt_free(x);", "return err_ok();", "snprintf(a, b, c);", "typedef struct err (*fn)(int);")


def expect(condition, text):
    if not condition:
        raise AssertionError(text)


def tree(folder, files):
    for name, text in files.items():
        path = pathlib.Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def include_problems(files):
    with tempfile.TemporaryDirectory() as folder:
        tree(folder, files)
        return includes.check(folder)


def main():
    for text in BAD_TEXTS:
        expect(banned.check_text("dns/x.c", text), f"not found: {text}")
    for text in GOOD_TEXTS:
        expect(not banned.check_text("dns/x.c", text), f"found: {text}")
    expect(banned.check_text("dns/x.c", "\n" * 601), "a long file")
    upwards = {"ca/a.c": '#include "dns/b.h"\n', "dns/b.h": ""}
    expect(include_problems(upwards), "ca must not include dns")
    expect(include_problems({"core/util/a.c": "#include <sqlite3.h>\n"}), "sqlite3.h outside core/store")
    shown = {"ca/a.h": "#include <openssl/x509.h>\n", "acme-server/b.c": '#include "ca/a.h"\n'}
    expect(include_problems(shown), "third-party types in another folder's header")
    expect(not include_problems({"ca/a.h": "#include <openssl/x509.h>\n", "ca/b.c": '#include "ca/a.h"\n'}), "a private header")
    expect(include_problems({"ca/a.h": '#include "ca/b.h"\n', "ca/b.h": '#include "ca/a.h"\n'}), "a cycle")
    expect(include_problems({"ca/a.h": '#include "ca/none.h"\n'}), "a header that is not there")
    fine = {"dns/a.c": '#include "core/util/b.h"\n#include <ldns/ldns.h>\n#include <stdio.h>\n', "core/util/b.h": ""}
    expect(not include_problems(fine), "a fine tree")
    with tempfile.TemporaryDirectory() as folder:
        tree(folder, {"docs/a.md": "see /" + "work/main/x"})
        expect(leaks.check(folder), "a workplace path")
    print("the source checks work")
    return 0


if __name__ == "__main__":
    sys.exit(main())
