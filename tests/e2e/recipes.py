"""docs/clients.md as the tests use it: its marked blocks as they stand, on a machine whose system directories are scratch.

The network is the one that the document speaks of. Only SECRET is replaced, by the clients' secret.
"""
import contextlib
import pathlib
import subprocess
import time

from appliance import ROOT, client, environment
from clients_topology import Machine, check_chain
from namespace import CA_ADDRESS, INGRESS, scratch_etc
from tools import fenced_block

DOCUMENT = ROOT / "docs" / "clients.md"
SECRET = "e2eSecretOfTheClientsInTheRecipes0123456789abcdefghijklmnopqrstu"
SCRATCH = ("/var", "/usr/local", "/root")
CONFIGURATION = {
    "listen": {"https": [f"{CA_ADDRESS}:443"], "http": [f"{CA_ADDRESS}:80", "127.0.0.1:80"], "dns": [f"{CA_ADDRESS}:53", "127.0.0.1:53"]},
    "zones": [{"name": "svc.test", "ingress": [INGRESS]}],
    "resolvers": [f"{CA_ADDRESS}:53"],
    "clients": [client("web", SECRET, "svc.test", "*.svc.test"), client("proxy", SECRET, "svc.test", "*.svc.test", preauthorized=True)],
    "acme": {},
}


def block(name):
    return fenced_block(DOCUMENT.read_text(encoding="utf-8"), f"test:{name}").replace("SECRET", SECRET)


def _mount(*command):
    subprocess.run(["mount", *(str(part) for part in command)], check=True)


@contextlib.contextmanager
def scratch(path, directory):
    """`path` can be written to without touching the machine's: an overlay in the scenario's mount namespace."""
    directory.mkdir()
    _mount("-t", "tmpfs", "tmpfs", directory)
    for name in ("upper", "work"):
        (directory / name).mkdir()
    _mount("-t", "overlay", "overlay", "-o", f"lowerdir={path},upperdir={directory}/upper,workdir={directory}/work", path)
    try:
        yield
    finally:
        for mounted in (path, directory):
            subprocess.run(["umount", "--lazy", mounted], check=True)


@contextlib.contextmanager
def scratch_system(directory, resolv_conf):
    """/etc and SCRATCH as on a machine that nobody has used."""
    with contextlib.ExitStack() as stack:
        (directory / "etc").mkdir()
        stack.enter_context(scratch_etc(str(directory / "etc"), resolv_conf))
        for path in SCRATCH:
            stack.enter_context(scratch(path, directory / path.strip("/").replace("/", "-")))
        yield


class Desk:
    """The client's machine, on which somebody follows a recipe."""

    def __init__(self, host, app, directory):
        self.machine, self.app, self.directory = Machine(host, directory), app, directory
        pathlib.Path("/var/www/html").mkdir(parents=True, exist_ok=True)

    def run(self, name):
        """Run a block as root's shell would; it must work the first time."""
        script = self.directory / f"{name}.sh"
        script.write_text(block(name), encoding="utf-8")
        return self.machine.run("sh", "-eu", script, env=environment(), cwd="/root")

    @staticmethod
    def write(name, path):
        """A block that is a file."""
        path = pathlib.Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block(name), encoding="utf-8")
        return path

    def web_server(self):
        return self.machine.webroot("/var/www/html")

    @staticmethod
    def wait_for(condition, log_path, deadline_s=90):
        deadline = time.monotonic() + deadline_s
        while not condition():
            assert time.monotonic() < deadline, log_path.read_text(encoding="utf-8", errors="replace")[-6000:]
            time.sleep(0.1)

    def leaf(self, path, *names):
        return check_chain(self.app, path, *names)
