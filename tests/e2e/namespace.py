"""A scenario's own network and mount namespace, entered by the test process itself.

Everything the test does afterwards (sockets, subprocesses, threads) happens inside, so ports 53, 80 and 443 and
/etc/resolv.conf belong to the scenario alone. Leaving restores the namespaces the process came from. Needs root.
"""
import contextlib
import ctypes
import errno
import os
import subprocess
import time

CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL("libc.so.6", use_errno=True)

# The appliance, its ingress, and hosts that are somebody else: all of them addresses of this namespace's loopback.
CA_ADDRESS = "10.8.10.253"
INGRESS = "10.8.10.252"
INSIDE = "10.8.10.20"
OUTSIDE = "203.0.113.9"
ADDRESSES = (CA_ADDRESS, INGRESS, INSIDE, OUTSIDE, "10.99.0.7", "fd00:8::53", "2001:db8::9")


def _check(result):
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def _return_to(handle, kind):
    """setns() into the mount namespace wants no other thread; one that was joined may still be on its way out of the kernel."""
    deadline = time.monotonic() + 10
    while _libc.setns(handle, kind) != 0:
        if ctypes.get_errno() != errno.EINVAL or time.monotonic() > deadline:
            _check(-1)
        time.sleep(0.01)
    os.close(handle)


def _run(*command):
    subprocess.run(command, check=True)


def write_resolv_conf(path, *servers):
    """Replace the text of the scenario's resolv.conf in place (it is bind-mounted, so the inode must stay)."""
    with open(path, "w", encoding="ascii") as out:
        out.writelines(f"nameserver {server}\n" for server in servers)


@contextlib.contextmanager
def own_namespace(directory, resolvers=("127.0.0.1",)):
    """Enter new namespaces; yields the path of the file that is /etc/resolv.conf inside."""
    saved = [(os.open("/proc/thread-self/ns/net", os.O_RDONLY), CLONE_NEWNET),
             (os.open("/proc/thread-self/ns/mnt", os.O_RDONLY), CLONE_NEWNS)]
    working_directory = os.getcwd()
    _check(_libc.unshare(CLONE_NEWNET | CLONE_NEWNS))
    try:
        _run("mount", "--make-rprivate", "/")
        _run("ip", "link", "set", "lo", "up")
        for address in ADDRESSES:
            _run("ip", "address", "add", address, "dev", "lo", *(["nodad"] if ":" in address else []))
        resolv_conf = os.path.join(directory, "resolv.conf")
        write_resolv_conf(resolv_conf, *resolvers)
        _run("mount", "--bind", resolv_conf, os.path.realpath("/etc/resolv.conf"))
        hosts = os.path.join(directory, "hosts")
        with open(hosts, "w", encoding="ascii") as out:
            out.write("127.0.0.1 localhost\n::1 localhost\n")
        _run("mount", "--bind", hosts, "/etc/hosts")
        yield resolv_conf
    finally:
        for handle, kind in saved:
            _return_to(handle, kind)
        os.chdir(working_directory)


class Host:
    """A second machine on the scenario's network: a network namespace of its own at `address`, joined by a veth pair."""

    def __init__(self, address=INGRESS, network="10.8.10.0/24", router="10.8.10.254"):
        self.address, self.network, self.router = address, network, router
        self.holder = None

    def __enter__(self):
        # pylint: disable=consider-using-with
        self.holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo ready; exec sleep infinity"], stdout=subprocess.PIPE)
        try:
            assert self.holder.stdout.readline() == b"ready\n"
            length = self.network.partition("/")[2]
            subprocess.run(["ip", "address", "del", f"{self.address}/32", "dev", "lo"], check=True)
            _run("ip", "link", "add", "inside", "type", "veth", "peer", "name", "eth0", "netns", str(self.holder.pid))
            _run("ip", "address", "add", f"{self.router}/{length}", "dev", "inside")
            _run("ip", "link", "set", "inside", "up")
            for command in (("link", "set", "lo", "up"), ("address", "add", f"{self.address}/{length}", "dev", "eth0"),
                            ("link", "set", "eth0", "up"), ("route", "add", "default", "via", self.router)):
                _run(*self.command("ip", *command))
        except BaseException:
            self.__exit__()
            raise
        return self

    def command(self, *command):
        """The command line that runs `command` on that machine."""
        return ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", "--", *(str(part) for part in command)]

    def __exit__(self, *unused):
        self.holder.kill()
        self.holder.wait()
        subprocess.run(["ip", "link", "del", "inside"], check=False, stderr=subprocess.DEVNULL)
        subprocess.run(["ip", "address", "replace", f"{self.address}/32", "dev", "lo"], check=True)


@contextlib.contextmanager
def scratch_etc(directory, resolv_conf):
    """An /etc that can be written to without touching the machine's: an overlay in the scenario's mount namespace."""
    _run("mount", "-t", "tmpfs", "tmpfs", directory)
    for name in ("upper", "work"):
        os.mkdir(os.path.join(directory, name))
    _run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir=/etc,upperdir={directory}/upper,workdir={directory}/work", "/etc")
    try:
        _run("mount", "--bind", resolv_conf, "/etc/resolv.conf")
        yield
    finally:
        _run("umount", "--lazy", "/etc")
        _run("umount", "--lazy", directory)
