//! Answers challenges on this machine's port 80 or 443.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::Failure;

const ALPN: &[u8] = b"acme-tls/1";
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, Default)]
pub struct Responder {
    texts: Arc<Mutex<HashMap<String, String>>>,
    certificates: Arc<Mutex<HashMap<String, Arc<CertifiedKey>>>>,
}

impl Responder {
    pub fn listen(challenge: &str) -> Result<Self, Failure> {
        let responder = Self::default();
        let port = match challenge {
            "http-01" => 80,
            "tls-alpn-01" => 443,
            _ => return Ok(responder),
        };
        let listener = TcpListener::bind(("0.0.0.0", port))?;
        let mut tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(responder.clone()));
        tls.alpn_protocols = vec![ALPN.to_vec()];
        let (tls, own) = (Arc::new(tls), responder.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A peer that goes away in the middle is the test's business, not the responder's.
                let _ = if port == 80 {
                    own.serve_text(stream)
                } else {
                    serve_tls(stream, tls.clone())
                };
            }
        });
        Ok(responder)
    }

    pub fn answer(&self, name: &str, token: &str, text: &str, digest: &[u8]) -> Result<(), Failure> {
        self.texts
            .lock()
            .unwrap()
            .insert(format!("/.well-known/acme-challenge/{token}"), text.to_string());
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![name.to_string()])?;
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let certificate = params.self_signed(&key)?;
        let private = PrivatePkcs8KeyDer::from(key.serialize_der());
        let signer = ring::sign::any_ecdsa_type(&private.into())?;
        let server_name = match name.parse() {
            Ok(address) => reverse_name(address),
            Err(_) => name.to_string(),
        };
        let certified = CertifiedKey::new(vec![certificate.der().clone()], signer);
        self.certificates
            .lock()
            .unwrap()
            .insert(server_name, Arc::new(certified));
        Ok(())
    }

    fn serve_text(&self, mut stream: TcpStream) -> Result<(), Failure> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let request = lines.next().ok_or("no request")??;
        for line in lines {
            if line?.is_empty() {
                break;
            }
        }
        let path = request.split(' ').nth(1).unwrap_or("");
        let text = self.texts.lock().unwrap().get(path).cloned();
        let (status, body) = match text {
            Some(text) => ("200 OK", text),
            None => ("404 Not Found", String::new()),
        };
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )?;
        Ok(())
    }
}

impl ResolvesServerCert for Responder {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let offered = hello.alpn()?.any(|protocol| protocol == ALPN);
        let found = self.certificates.lock().unwrap().get(hello.server_name()?).cloned();
        if offered { found } else { None }
    }
}

fn serve_tls(stream: TcpStream, tls: Arc<ServerConfig>) -> Result<(), Failure> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut connection = StreamOwned::new(ServerConnection::new(tls)?, stream);
    connection.read_exact(&mut [0])?; // the handshake, then the end
    Ok(())
}

/// The server name for an address (RFC 8738 §6).
fn reverse_name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => {
            let labels: String = v4.octets().iter().rev().map(|octet| format!("{octet}.")).collect();
            format!("{labels}in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let octets = v6.octets();
            let labels: String = octets
                .iter()
                .rev()
                .map(|octet| format!("{:x}.{:x}.", octet & 15, octet >> 4))
                .collect();
            format!("{labels}ip6.arpa")
        }
    }
}
