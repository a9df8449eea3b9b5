//! TLS from the command line: trusts the named authority and no other.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::args::Args;
use crate::failure::Failure;

/// The client side of TLS, if the URL asks for it. `key_option` names the certificate's key: where `--key` signs, it
/// cannot be that.
pub fn config(
    wanted: bool,
    args: &Args,
    key_option: &str,
) -> Result<Option<Arc<ClientConfig>>, Failure> {
    let [ca, cert, key] = ["ca", "cert", key_option].map(|option| args.option(option));
    if !wanted {
        return match ca.or(cert).or(key) {
            None => Ok(None),
            Some(_) => {
                Err(Failure::usage(format!("--ca, --cert and --{key_option} go with mqtts://")))
            }
        };
    }
    let ca = ca.ok_or_else(|| {
        Failure::usage(
            "--ca is missing; mqtts needs to know whom to trust, for example \
                        --ca /etc/ssl/certs/ca-certificates.crt",
        )
    })?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca)? {
        roots.add(certificate).map_err(|error| {
            Failure::config(format!("{ca} holds a certificate that cannot be used: {error}"))
        })?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has every cipher that the default versions need")
        .with_root_certificates(roots);
    let config = match (cert, key) {
        (None, None) => builder.with_no_client_auth(),
        (Some(cert), Some(key)) => {
            let private = PrivateKeyDer::from_pem_file(key).map_err(|error| {
                Failure::config(format!("{key} holds no private key in PEM: {error}"))
            })?;
            builder
                .with_client_auth_cert(certificates(cert)?, private)
                .map_err(|error| Failure::config(format!("{cert} does not fit its key: {error}")))?
        }
        (Some(_), None) | (None, Some(_)) => {
            return Err(Failure::usage(format!("--cert and --{key_option} go together")));
        }
    };
    Ok(Some(Arc::new(config)))
}

fn certificates(file: &str) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let problem = |error| Failure::config(format!("{file} holds no certificates in PEM: {error}"));
    let found = CertificateDer::pem_file_iter(Path::new(file)).map_err(problem)?;
    found.collect::<Result<_, _>>().map_err(problem)
}
