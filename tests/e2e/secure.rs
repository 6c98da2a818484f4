//! TLS towards the clients, with HTTP/2 by ALPN.

use crate::client_h2::H2Client;
use crate::harness::{Model, Router, Setup, ask, ask_sized, within};
use crate::provider::Provider;
use crate::script::Script;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A router that serves TLS, and what a client trusts.
async fn secure(provider: &Provider) -> (Router, RootCertStore) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).expect("a certificate");
    let config = "[server]\ntls_certificate = \"@DIR@/cert.pem\"\ntls_key = \"@DIR@/key.pem\"";
    let sees = Model::new("alpha", "chat").can(&["image"]);
    let setup = Setup::new().config(config).file("cert.pem", &certificate.pem());
    let router = setup.file("key.pem", &key.serialize_pem()).models(provider, &[sees]).start().await;
    (router, roots)
}

async fn connect(router: &Router, roots: RootCertStore, protocol: &[u8]) -> TlsStream<TcpStream> {
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("versions");
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let tcp = TcpStream::connect(router.addr).await.expect("it listens");
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = within("a TLS session", TlsConnector::from(Arc::new(config)).connect(name, tcp)).await;
    let stream = stream.expect("it speaks TLS");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol));
    stream
}

#[tokio::test]
async fn http_2_over_tls_is_served_with_large_bodies_too() {
    let provider = Provider::start("alpha", [Script::answer("Yes.")]).await;
    let (router, roots) = secure(&provider).await;
    let client = H2Client::over(connect(&router, roots, b"h2").await).await;
    for body in [ask("hi"), ask_sized(2_000_000)] {
        let answer = client.post("/v1/chat/completions", body.to_string()).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "Yes."));
    }
}

#[tokio::test]
async fn http_1_1_over_tls_is_served() {
    let provider = Provider::start("alpha", [Script::answer("Yes.")]).await;
    let (router, roots) = secure(&provider).await;
    let mut stream = connect(&router, roots, b"http/1.1").await;
    let body = ask("hi").to_string();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = Vec::new();
    // The peer may close without a TLS goodbye; what came before is what counts.
    let _ = within("an answer", stream.read_to_end(&mut answer)).await;
    let answer = String::from_utf8(answer).expect("UTF-8");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("Yes."), "{answer}");
}
