//! Which certificates the transport accepts, and what it says about the others.

use std::sync::Arc;
use std::time::Duration;

use crate::transport_support::{Action, Server, message, reply};
use esx_vi_client::{
    Endpoint, Scheme, Thumbprint, ThumbprintAlgorithm, TlsPolicy, Transport, TransportError,
    Waiting,
};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, PublicKeyData,
    SigningKey,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{ServerConfig, SupportedProtocolVersion, crypto::ring, version};

const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];

fn params(names: &[&str]) -> CertificateParams {
    let mut params =
        CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "localhost.localdomain");
    params
}

fn self_signed(params: CertificateParams) -> (CertificateDer<'static>, KeyPair) {
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().der().clone(), key)
}

/// A CA and a certificate it signed for `names`.
fn signed(ca_name: &str, names: &[&str]) -> (Certificate, CertificateDer<'static>, KeyPair) {
    let mut ca = params(&[]);
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(DnType::CommonName, ca_name);
    let ca_key = KeyPair::generate().unwrap();
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = params(names).signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
    (ca_certificate, certificate.der().clone(), key)
}

/// A self-signed certificate of X.509 version 1, which rcgen does not make: RFC 5280, 4.1, without the version
/// and the extensions.
fn version_1() -> (CertificateDer<'static>, KeyPair) {
    fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let mut out = vec![tag];
        match content.len() {
            length @ 0..0x80 => out.push(length as u8),
            length => out.extend([0x82, (length >> 8) as u8, length as u8]),
        }
        out.extend(content);
        out
    }
    let key = KeyPair::generate().unwrap();
    let ecdsa_with_sha256 = der(0x30, &[&[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]]);
    let common_name = der(0x30, &[&[6, 3, 0x55, 4, 3], &der(0x0c, &[b"localhost"])]);
    let name = der(0x30, &[&der(0x31, &[&common_name])]);
    let validity = der(0x30, &[&der(0x17, &[b"200101000000Z"]), &der(0x17, &[b"491231000000Z"])]);
    let tbs = der(
        0x30,
        &[&[2, 1, 1], &ecdsa_with_sha256, &name, &validity, &name, &key.subject_public_key_info()],
    );
    let signature = key.sign(&tbs).unwrap();
    let certificate = der(0x30, &[&tbs, &ecdsa_with_sha256, &der(3, &[&[0], &signature])]);
    (certificate.into(), key)
}

/// A server with this certificate, which may be one that rustls would not serve by itself.
async fn server(
    certificate: &CertificateDer<'static>,
    key: &KeyPair,
    versions: &[&'static SupportedProtocolVersion],
) -> Server {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let key = ring::sign::any_supported_type(&key).unwrap();
    let certified = CertifiedKey::new(vec![certificate.clone()], key);
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    Server::tls(config, |_| Action::Send(reply("200 OK", &[], "<ok/>"))).await
}

async fn post(server: &Server, tls: TlsPolicy) -> Result<(), TransportError> {
    let endpoint = Endpoint { tls, ..server.endpoint(Scheme::Https) };
    let answer = Transport::new(endpoint)?.post("/sdk", "urn:vim25/8.0", "<x/>").await?;
    assert_eq!(&answer.body[..], b"<ok/>");
    Ok(())
}

async fn refusal(server: &Server, tls: TlsPolicy, certificate: &[u8]) -> String {
    let error = post(server, tls).await.unwrap_err();
    assert!(matches!(error, TransportError::Tls { .. }), "{error:?}");
    assert!(error.is_before_send());
    let mut text = message(&error, server.port);
    for algorithm in [ThumbprintAlgorithm::Sha256, ThumbprintAlgorithm::Sha1] {
        let actual = Thumbprint::of_certificate(algorithm, certificate).to_string();
        text = text.replace(&actual, &format!("ACTUAL {}", algorithm.as_str()));
    }
    assert_eq!(server.requests().len(), 0, "nothing may be sent to a server that is not trusted");
    text
}

fn pin(algorithm: ThumbprintAlgorithm, certificate: &[u8]) -> TlsPolicy {
    TlsPolicy::Thumbprint(Thumbprint::of_certificate(algorithm, certificate))
}

#[tokio::test]
async fn thumbprints_accept_certificates_without_names() {
    let (certificate, key) = self_signed(params(&[]));
    for versions in [&[&version::TLS12][..], &[&version::TLS13]] {
        let server = server(&certificate, &key, versions).await;
        post(&server, pin(ThumbprintAlgorithm::Sha256, &certificate)).await.unwrap();
        post(&server, pin(ThumbprintAlgorithm::Sha1, &certificate)).await.unwrap();
        post(&server, TlsPolicy::NoVerify).await.unwrap();
    }
}

#[tokio::test]
async fn thumbprints_accept_version_1_certificates() {
    let (certificate, key) = version_1();
    for versions in [&[&version::TLS12][..], &[&version::TLS13]] {
        let server = server(&certificate, &key, versions).await;
        post(&server, pin(ThumbprintAlgorithm::Sha256, &certificate)).await.unwrap();
        post(&server, TlsPolicy::NoVerify).await.unwrap();
    }
}

#[tokio::test]
async fn a_pinned_certificate_without_its_key_is_refused() {
    let other = KeyPair::generate().unwrap();
    let mut table = String::new();
    for (name, certificate) in
        [("version 1", version_1().0), ("version 3", self_signed(params(&[])).0)]
    {
        for (tls, versions) in [("1.2", &[&version::TLS12][..]), ("1.3", &[&version::TLS13])] {
            let server = server(&certificate, &other, versions).await;
            let tls_policy = pin(ThumbprintAlgorithm::Sha256, &certificate);
            let text = refusal(&server, tls_policy, &certificate).await;
            table += &format!("{name}, TLS {tls}: {text}\n");
        }
    }
    insta::assert_snapshot!(table, @r"
    version 1, TLS 1.2: TLS with 127.0.0.1:PORT failed: the server's proof that the certificate is its own is not valid (or its key is shorter than 2048 bits)
    version 1, TLS 1.3: TLS with 127.0.0.1:PORT failed: the server's proof that the certificate is its own is not valid (or its key is shorter than 2048 bits)
    version 3, TLS 1.2: TLS with 127.0.0.1:PORT failed: the server's proof that the certificate is its own is not valid (or its key is shorter than 2048 bits)
    version 3, TLS 1.3: TLS with 127.0.0.1:PORT failed: the server's proof that the certificate is its own is not valid (or its key is shorter than 2048 bits)
    ");
}

#[tokio::test]
async fn another_thumbprint_is_refused_with_both_shown() {
    let (certificate, key) = self_signed(params(&["127.0.0.1"]));
    let server = server(&certificate, &key, BOTH).await;
    let mut table = String::new();
    for algorithm in [ThumbprintAlgorithm::Sha1, ThumbprintAlgorithm::Sha256] {
        table += &refusal(&server, pin(algorithm, b"another"), &certificate).await;
        table += "\n";
    }
    insta::assert_snapshot!(table, @r"
    TLS with 127.0.0.1:PORT failed: the certificate has thumbprint ACTUAL SHA-1, but SHA-1:B7:C8:FF:B8:FB:C6:7C:17:13:28:E0:E8:F6:43:69:4E:8E:61:B3:35 was expected
    TLS with 127.0.0.1:PORT failed: the certificate has thumbprint ACTUAL SHA-256, but SHA-256:AE:44:8A:C8:6C:4E:8E:4D:EC:64:57:29:70:8E:F4:18:73:AE:79:C6:DF:F8:4E:FF:73:36:09:89:48:7F:08:E5 was expected
    ");
}

#[tokio::test]
async fn untrusted_certificates_are_explained() {
    let mut table = String::new();
    for (name, (certificate, key)) in
        [("self-signed", self_signed(params(&["127.0.0.1"]))), ("version 1", version_1())]
    {
        let server = server(&certificate, &key, BOTH).await;
        let text = refusal(&server, TlsPolicy::Verify, &certificate).await;
        table += &format!("{name}: {text}\n");
    }
    insta::assert_snapshot!(table, @r"
    self-signed: TLS with 127.0.0.1:PORT failed: the certificate is self-signed or its issuer is not trusted (the certificate's thumbprint is ACTUAL SHA-256)
    version 1: TLS with 127.0.0.1:PORT failed: the certificate cannot be verified (it is of X.509 version 1, or malformed), only be trusted by its thumbprint (the certificate's thumbprint is ACTUAL SHA-256)
    ");
}

#[tokio::test]
async fn ca_files() {
    let (ca, certificate, key) = signed("VMCA", &["127.0.0.1"]);
    let own = |ca: &Certificate| TlsPolicy::CaPem(ca.pem().into_bytes());
    let trusted = server(&certificate, &key, BOTH).await;
    post(&trusted, own(&ca)).await.unwrap();
    // More than one certificate and text between them, as in bundles.
    let (other_ca, other_certificate, other_key) =
        signed("other", &["esx.example.org", "10.0.0.1"]);
    let bundle = format!("# a\n{}\nb\n{}", other_ca.pem(), ca.pem());
    post(&trusted, TlsPolicy::CaPem(bundle.into_bytes())).await.unwrap();

    let trusted = server(&certificate, &key, BOTH).await;
    let other = server(&other_certificate, &other_key, BOTH).await;
    let (nameless_ca, nameless, nameless_key) = signed("nameless", &[]);
    let no_name = server(&nameless, &nameless_key, BOTH).await;
    let table = [
        refusal(&trusted, own(&other_ca), &certificate).await,
        refusal(&trusted, own(&signed("VMCA", &[]).0), &certificate).await,
        refusal(&trusted, TlsPolicy::CaPem(Vec::new()), &certificate).await,
        refusal(&other, own(&other_ca), &other_certificate).await,
        refusal(&no_name, own(&nameless_ca), &nameless).await,
    ]
    .join("\n");
    insta::assert_snapshot!(table, @r"
    TLS with 127.0.0.1:PORT failed: the certificate is self-signed or its issuer is not trusted (the certificate's thumbprint is ACTUAL SHA-256)
    TLS with 127.0.0.1:PORT failed: the certificate was signed by another CA of the same name as the trusted one (the certificate's thumbprint is ACTUAL SHA-256)
    TLS with 127.0.0.1:PORT failed: there are no CA certificates to verify the certificate with (the certificate's thumbprint is ACTUAL SHA-256)
    TLS with 127.0.0.1:PORT failed: the certificate is for esx.example.org, 10.0.0.1, not for 127.0.0.1 (the certificate's thumbprint is ACTUAL SHA-256)
    TLS with 127.0.0.1:PORT failed: the certificate names no host (it has no subject alternative name), so it cannot be checked against 127.0.0.1 (the certificate's thumbprint is ACTUAL SHA-256)
    ");
}

/// As made by `openssl req -x509`, which marks them as CAs.
#[tokio::test]
async fn a_host_in_the_ca_file_itself() {
    let mut table = String::new();
    for (names, from, to) in [
        (&["127.0.0.1"][..], 2000, 4000),
        (&["other"], 2000, 4000),
        (&[], 2000, 4000),
        (&["127.0.0.1"], 2000, 2001),
        (&["127.0.0.1"], 4000, 4001),
    ] {
        let mut params = params(names);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(to, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let server = server(certificate.der(), &key, BOTH).await;
        let policy = TlsPolicy::CaPem(certificate.pem().into_bytes());
        let text = if table.is_empty() {
            post(&server, policy).await.unwrap();
            "accepted".to_owned()
        } else {
            let text = refusal(&server, policy, certificate.der()).await;
            text.chars().filter(|c| !c.is_ascii_digit()).collect()
        };
        table += &format!("{names:?} {from}-{to}: {text}\n");
    }
    insta::assert_snapshot!(table, @r#"
    ["127.0.0.1"] 2000-4000: accepted
    ["other"] 2000-4000: TLS with ...:PORT failed: the certificate is for other, not for ... (the certificate's thumbprint is ACTUAL SHA-)
    [] 2000-4000: TLS with ...:PORT failed: the certificate names no host (it has no subject alternative name), so it cannot be checked against ... (the certificate's thumbprint is ACTUAL SHA-)
    ["127.0.0.1"] 2000-2001: TLS with ...:PORT failed: the certificate expired  days ago (the certificate's thumbprint is ACTUAL SHA-)
    ["127.0.0.1"] 4000-4001: TLS with ...:PORT failed: the certificate becomes valid only in  days (is the clock right?) (the certificate's thumbprint is ACTUAL SHA-)
    "#);
}

#[tokio::test]
async fn expired_certificates_of_a_known_ca() {
    let mut ca = params(&[]);
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = Issuer::new(ca, ca_key);
    let mut table = String::new();
    for (from, to) in [(2000, 2001), (4000, 4001)] {
        let mut params = params(&["127.0.0.1"]);
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(to, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let server = server(certificate.der(), &key, BOTH).await;
        let policy = TlsPolicy::CaPem(ca_pem.clone().into_bytes());
        let text = refusal(&server, policy, certificate.der()).await;
        let text: String = text.chars().filter(|c| !c.is_ascii_digit()).collect();
        table += &format!("{text}\n");
    }
    insta::assert_snapshot!(table, @r"
    TLS with ...:PORT failed: the certificate expired  days ago (the certificate's thumbprint is ACTUAL SHA-)
    TLS with ...:PORT failed: the certificate becomes valid only in  days (is the clock right?) (the certificate's thumbprint is ACTUAL SHA-)
    ");
}

#[tokio::test]
async fn what_is_not_modern_tls() {
    let mut table = String::new();
    // A server hello of TLS 1.0, choosing TLS_RSA_WITH_AES_128_CBC_SHA; the alerts "protocol version" and "handshake
    // failure"; plain HTTP; nothing at all.
    let mut hello = vec![22, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1];
    hello.extend([7; 32]);
    hello.extend([0, 0, 0x2f, 0]);
    let http = b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec();
    for (name, bytes) in [
        ("TLS 1.0", hello),
        ("alert 70", vec![21, 3, 1, 0, 2, 2, 70]),
        ("alert 40", vec![21, 3, 1, 0, 2, 2, 40]),
        ("HTTP", http),
        ("nothing", vec![]),
    ] {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let (mut stream, _) = listener.accept().await.unwrap();
            // The whole hello, or closing would reset the connection.
            let mut head = [0; 5];
            stream.read_exact(&mut head).await.unwrap();
            let mut hello = vec![0; usize::from(head[3]) << 8 | usize::from(head[4])];
            stream.read_exact(&mut hello).await.unwrap();
            stream.write_all(&bytes).await.unwrap();
            stream.shutdown().await.unwrap();
            while stream.read(&mut hello).await.is_ok_and(|read| read > 0) {}
        });
        let mut endpoint = Endpoint::new(Scheme::Https, "127.0.0.1", port);
        endpoint.tls = TlsPolicy::NoVerify;
        let error = Transport::new(endpoint).unwrap().post("/sdk", "a", "").await.unwrap_err();
        table += &format!("{name}: {}\n", message(&error, port));
    }
    insta::assert_snapshot!(table, @r"
    TLS 1.0: TLS with 127.0.0.1:PORT failed: the server offers only outdated TLS (1.1 or older, or old ciphers); enable TLS 1.2 on it, or reach it through a TLS proxy
    alert 70: TLS with 127.0.0.1:PORT failed: the server offers only outdated TLS (1.1 or older, or old ciphers); enable TLS 1.2 on it, or reach it through a TLS proxy
    alert 40: TLS with 127.0.0.1:PORT failed: the server offers only outdated TLS (1.1 or older, or old ciphers); enable TLS 1.2 on it, or reach it through a TLS proxy
    HTTP: TLS with 127.0.0.1:PORT failed: the server does not speak TLS on this port (is it plain HTTP?)
    nothing: 127.0.0.1:PORT closed the connection while it was being set up
    ");
}

#[tokio::test]
async fn a_handshake_that_stalls_is_bounded() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut endpoint = Endpoint::new(Scheme::Https, "127.0.0.1", port);
    endpoint.tls = TlsPolicy::NoVerify;
    endpoint.timeouts.connect = Duration::from_millis(50);
    let error = Transport::new(endpoint).unwrap().post("/sdk", "a", "").await.unwrap_err();
    assert!(matches!(error, TransportError::Timeout { waiting: Waiting::Connection, .. }));
    assert!(error.is_before_send());
    insta::assert_snapshot!(message(&error, port), @"127.0.0.1:PORT did not accept a connection within 0.05 s");
}
