"""A scenario's own network and mount namespace, entered by the test process itself.

Everything the test does afterwards (sockets, subprocesses, threads) happens inside, so ports 53, 80 and 443 and
/etc/resolv.conf belong to the scenario alone. Leaving restores the namespaces the process came from. Needs root.
"""
import contextlib
import ctypes
import os
import subprocess

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
            _check(_libc.setns(handle, kind))
            os.close(handle)
        os.chdir(working_directory)
