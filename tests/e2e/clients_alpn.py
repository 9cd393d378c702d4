"""A tls-alpn-01 responder for clients that make the certificate and leave its delivery to somebody else (dehydrated).

    python3 clients_alpn.py DIRECTORY

serves DIRECTORY/<SNI name>.crt.pem with <SNI name>.key.pem on port 443, ALPN acme-tls/1 (RFC 8737 §3).
"""
import pathlib
import socket
import ssl
import sys
import threading

ALPN = "acme-tls/1"


def choose(directory):
    def callback(connection, name, _context):
        certificate, key = (directory / f"{name}.{kind}.pem" for kind in ("crt", "key"))
        if not name or "/" in name or not certificate.is_file():
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols([ALPN])
        context.load_cert_chain(certificate, key)
        connection.context = context
        return None
    return callback


def answer(context, plain):
    try:
        with plain, context.wrap_socket(plain, server_side=True) as tls:
            tls.settimeout(10)
            tls.recv(1)
    except OSError as error:
        print(error, flush=True)


def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols([ALPN])
    context.sni_callback = choose(pathlib.Path(sys.argv[1]))
    listener = socket.create_server(("", 443))
    while True:
        plain, _ = listener.accept()
        plain.settimeout(10)
        threading.Thread(target=answer, args=(context, plain), daemon=True).start()


if __name__ == "__main__":
    main()
