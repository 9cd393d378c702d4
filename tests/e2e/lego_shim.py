"""Stands in for the `lego` program of version 5 where only its library can be had: takes the options of `lego run` and lets certbot
with lego's own DNS provider (certbot-dns-multi) do the work under the environment it was given. Written for printed blocks."""
import argparse
import os
import pathlib
import subprocess
import sys

PROVIDER_PREFIXES = ("ACME_DNS_", "HTTPREQ_")


def main():
    if sys.argv[1:] == ["run", "--help"]:
        print("--server")
        return 0
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["run"])
    for option in ("--email", "--server", "--dns"):
        parser.add_argument(option, required=True)
    parser.add_argument("--accept-tos", action="store_true", required=True)
    parser.add_argument("--dns.resolvers", dest="resolvers", action="append", default=[])
    parser.add_argument("--domains", action="append", required=True)
    given = parser.parse_args()

    folder = pathlib.Path.cwd() / ".lego"
    folder.mkdir(exist_ok=True)
    credentials = folder / "credentials.ini"
    options = {key: value for key, value in os.environ.items() if key.startswith(PROVIDER_PREFIXES)}
    credentials.write_text("".join(f"{key} = {value}\n" for key, value in {"dns_multi_provider": given.dns, **options}.items()), encoding="ascii")
    credentials.chmod(0o600)
    command = [os.environ["BW_CERTBOT"], "certonly", "--non-interactive", "--agree-tos", "--email", given.email, "--server", given.server,
               "--authenticator", "dns-multi", "--dns-multi-credentials", credentials, "--dns-multi-propagation-seconds", "0"]
    if given.resolvers:
        command += ["--dns-multi-nameservers", ",".join(given.resolvers)]
    for kind in ("config", "work", "logs"):
        command += [f"--{kind}-dir", folder / kind]
    for name in given.domains:
        command += ["--domain", name]
    env = {**os.environ, "REQUESTS_CA_BUNDLE": os.environ["LEGO_CA_CERTIFICATES"]}
    done = subprocess.run([str(part) for part in command], env=env, check=False)
    if done.returncode == 0:
        live = next((folder / "config" / "live").glob("*/fullchain.pem"))
        (folder / "certificates").mkdir(exist_ok=True)
        (folder / "certificates" / f"{given.domains[0].replace('*', '_')}.crt").write_bytes(live.read_bytes())
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
