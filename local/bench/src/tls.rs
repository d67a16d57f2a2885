//! AWS over TLS, as functions meet it in production: every service has an address, and so a connection, of its own.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use local_aws::{Gateway, Service};
use local_base::{background, terminal::Failed};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tokio::net::TcpListener;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

use super::files::unwritable;

/// A certificate for this machine, made for one run.
pub(super) struct Tls {
    acceptor: TlsAcceptor,
    bundle: String,
}

impl Tls {
    /// Makes an authority and a certificate of it, and writes the authority's into `folder`.
    pub(super) fn issue(folder: &Path) -> Result<Self, Failed> {
        let unusable = |error: rcgen::Error| Failed(format!("can't make a certificate: {error}"));
        let key = || KeyPair::generate().map_err(unusable);
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority_key = key()?;
        let pem = authority.self_signed(&authority_key).map_err(unusable)?.pem();
        let bundle = folder.join("authority.pem");
        std::fs::write(&bundle, pem).map_err(|error| unwritable(&bundle, &error))?;

        let leaf_key = key()?;
        let leaf = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).map_err(unusable)?;
        let leaf = leaf.signed_by(&leaf_key, &Issuer::new(authority, authority_key)).map_err(unusable)?;
        let leaf_key = PrivateKeyDer::try_from(leaf_key.serialize_der()).map_err(|error| Failed(error.to_owned()))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(vec![leaf.der().clone()], leaf_key))
            .map_err(Failed::from)?;
        let bundle = bundle.to_string_lossy().into_owned();
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), bundle })
    }

    /// Opens a port for each service, behind which is `gateway`. What a bootstrap needs to find them.
    pub(super) async fn serve(&self, gateway: &Arc<Gateway>) -> Result<BTreeMap<String, String>, Failed> {
        let mut variables = BTreeMap::from([("AWS_CA_BUNDLE".to_owned(), self.bundle.clone())]);
        for service in Service::ALL {
            let no_port = |error: std::io::Error| Failed(format!("no loopback port for {}: {error}", service.name()));
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(no_port)?;
            let port = listener.local_addr().map_err(no_port)?.port();
            background(accept(listener, self.acceptor.clone(), Arc::clone(gateway)));
            variables.insert(service.endpoint_variable().to_owned(), format!("https://localhost:{port}"));
        }
        Ok(variables)
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, gateway: Arc<Gateway>) {
    while let Ok((stream, _)) = listener.accept().await {
        // Small messages both ways: waiting to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
        let (acceptor, gateway) = (acceptor.clone(), Arc::clone(&gateway));
        background(async move {
            // A failed handshake is the client's to report.
            if let Ok(stream) = acceptor.accept(stream).await {
                gateway.connection(stream).await;
            }
        });
    }
}
