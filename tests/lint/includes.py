"""Include directions: folders are layers (the house plan's table), includes run downwards only; third-party headers stand only where
the table allows them, a header that shows third-party types stays inside its folder, and no header includes itself through others."""
import pathlib
import re
import sys

from common import product_files, report

_ALL = ("core/util", "core/store", "core/http", "core/access", "ca", "dns", "acme-server", "web")
MAY_INCLUDE = {
    "core/util": (),
    "core/store": ("core/util",),
    "core/http": ("core/util",),
    "core/access": ("core/util", "core/store"),
    "ca": ("core/util", "core/store"),
    "dns": ("core/util", "core/store", "core/access"),
    "acme-server": ("core/util", "core/store", "core/http", "core/access", "ca", "dns"),
    "web": ("core/util", "core/store", "core/http", "core/access", "ca", "dns", "acme-server"),
    "bailiwick": _ALL,
}
# Third-party header prefix: {folder: files that may see it, () for all of the folder's .c files}.
THIRD_PARTY = {
    "openssl/": {"core/util": ("token.c", "sha256_plain.c", "mem.c", "err.c", "hmac.c"), "ca": (), "acme-server": ()},
    "yaml.h": {"core/util": ("config.c", "config_yaml.c")},
    "sqlite3.h": {"core/store": ()},
    "microhttpd.h": {"core/http": ()},
    "gnutls/": {"core/http": ()},
    "ldns/": {"dns": ()},
    "unbound.h": {"dns": ("forward_ub.c",)},
    "jansson.h": {"acme-server": (), "web": (), "bailiwick": ()},
    "curl/": {"acme-server": (), "bailiwick": ()},
    "seccomp.h": {"bailiwick": ()},
    "cap-ng.h": {"bailiwick": ()},
}
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)


def includes_of(path):
    text = path.read_text(encoding="utf-8")
    for match in _INCLUDE.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, match.group(1) == '"', match.group(2)


def judge_own(where, folder, target):
    other = target.rpartition("/")[0]
    if other not in MAY_INCLUDE:
        return f"{where}: \"{target}\" names no folder of the house plan"
    if other != folder and other not in MAY_INCLUDE[folder]:
        return f"{where}: {folder} may not include {other}"
    return None


def judge_system(where, folder, path, target):
    if target.partition("/")[0] + "/" in {name + "/" for name in ("core", "ca", "dns", "acme-server", "web", "bailiwick")}:
        return f"{where}: our own header <{target}> wants quotes"
    for prefix, allowed in THIRD_PARTY.items():
        if not target.startswith(prefix):
            continue
        if folder not in allowed:
            return f"{where}: <{target}> is not for {folder}"
        if allowed[folder] and path.name not in allowed[folder]:
            return f"{where}: <{target}> belongs in {', '.join(allowed[folder])}"
    return None


def is_third_party(target):
    return any(target.startswith(prefix) for prefix in THIRD_PARTY)


def shown_types(root, uses):
    """Headers that include third-party ones, seen from another folder."""
    for where, folder, target in uses:
        header = root / target
        if target.rpartition("/")[0] != folder and header.is_file():
            for _, is_own, inner in includes_of(header):
                if not is_own and is_third_party(inner):
                    yield f"{where}: \"{target}\" shows <{inner}> to another folder"


def cycles(graph):
    """Every header that reaches itself, once per cycle."""
    found = []
    done = set()

    def visit(node, trail):
        if node in trail:
            found.append("include cycle: " + " -> ".join(trail[trail.index(node):] + [node]))
            return
        if node in done:
            return
        for target in graph.get(node, ()):
            visit(target, trail + [node])
        done.add(node)

    for node in sorted(graph):
        visit(node, [])
    return found


def check(root):
    root = pathlib.Path(root)
    problems, graph, uses = [], {}, []
    for path, folder in product_files(root):
        name = path.relative_to(root).as_posix()
        for line, is_own, target in includes_of(path):
            where = f"{name}:{line}"
            problem = judge_own(where, folder, target) if is_own else judge_system(where, folder, path, target)
            if is_own and not (root / target).is_file():
                problem = problem or f"{where}: \"{target}\" does not exist"
            if problem:
                problems.append(problem)
            if is_own:
                uses.append((where, folder, target))
            if is_own and path.suffix == ".h":
                graph.setdefault(name, []).append(target)
    return problems + list(shown_types(root, uses)) + cycles(graph)


if __name__ == "__main__":
    sys.exit(report(check(sys.argv[1]), "includes"))
