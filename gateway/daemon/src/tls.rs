//! TLS for connections that we open: rustls with ring, trusting the configured authority and no other.

mod dates;

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tidegate_config::Tls;

pub use dates::Trust;

/// The client side of TLS as configured. What the files hold now counts, so that a renewed certificate is used
/// by whoever asks again. `trust` says how far a certificate's dates can be held against the clock.
///
/// # Errors
/// When a file cannot be read any more or does not hold what it should.
pub fn client_config(tls: &Tls, trust: &Arc<Trust>) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for cert in certificates(&tls.ca)? {
        roots.add(cert).with_context(|| {
            format!("{} holds a certificate that cannot be used", tls.ca.display())
        })?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = dates::verifier(roots, &provider, Arc::clone(trust))
        .with_context(|| format!("{} cannot be used", tls.ca.display()))?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has every cipher that the default versions need")
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match &tls.client {
        None => builder.with_no_client_auth(),
        Some(client) => {
            let key = PrivateKeyDer::from_pem_file(&client.key)
                .with_context(|| format!("{} holds no private key in PEM", client.key.display()))?;
            builder
                .with_client_auth_cert(certificates(&client.cert)?, key)
                .with_context(|| format!("{} does not fit its key", client.cert.display()))?
        }
    };
    // A resumed session is not verified again: what was let pass while the clock was unknown would stay.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

fn certificates(file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let problem = || format!("{} holds no certificates in PEM", file.display());
    CertificateDer::pem_file_iter(file)
        .with_context(problem)?
        .collect::<Result<_, _>>()
        .with_context(problem)
}
