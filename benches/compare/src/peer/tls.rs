//! TLS 1.3 over TCP. Sessions are resumed.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{spawn, tcp};

/// Whom the certificate names.
pub(super) const NAME: &str = "localhost";

/// The directory with key and certificate, made by whoever starts servers and clients.
pub const DIRECTORY: &str = "COMPARE_TLS_DIRECTORY";

/// Makes a key and a certificate for servers and clients that are told of `directory`.
///
/// # Errors
/// Those of the system.
pub fn make(directory: &Path) -> Result<()> {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
    fs::write(directory.join("certificate.pem"), made.cert.pem())?;
    fs::write(directory.join("key.pem"), made.signing_key.serialize_pem())?;
    Ok(())
}

/// Certificate and key.
pub(super) fn pem() -> Result<(String, String)> {
    let directory = std::env::var_os(DIRECTORY).context("nobody has made a certificate")?;
    let read = |name| fs::read_to_string(Path::new(&directory).join(name));
    Ok((read("certificate.pem")?, read("key.pem")?))
}

fn certificate() -> Result<CertificateDer<'static>> {
    Ok(CertificateDer::from_pem_slice(pem()?.0.as_bytes())?)
}

pub(super) fn server_config() -> Result<ServerConfig> {
    let key = PrivateKeyDer::from_pem_slice(pem()?.1.as_bytes())?;
    let mut config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(vec![certificate()?], key)?;
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
    Ok(config)
}

pub(super) fn client_config() -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate()?)?;
    Ok(ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

pub(super) async fn serve(announce: impl FnOnce(SocketAddr)) -> Result<()> {
    let acceptor = TlsAcceptor::from(Arc::new(server_config()?));
    let listener = tcp::listen().await?;
    announce(listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            match acceptor.accept(stream).await {
                Ok(stream) => spawn(stream),
                Err(error) => eprintln!("server: {error}"),
            }
        });
    }
}

pub(super) fn connector() -> Result<TlsConnector> {
    Ok(TlsConnector::from(Arc::new(client_config()?)))
}

pub(super) async fn connect(
    connector: &TlsConnector,
    server: SocketAddr,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let stream = tcp::connect(server).await?;
    Ok(connector.connect(ServerName::try_from(NAME)?, stream).await?)
}
