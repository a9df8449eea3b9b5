//! Certificates and a clock that may be wrong. A board without a battery wakes up in 1970, and must reach its
//! broker all the same; once the clock is known, dates count as they do elsewhere. Everything else about a
//! certificate (who signed it, for which name, for what use) always counts.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::VerifierBuilderError;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tidegate_core::time::{ClockQuality, WallTime};

/// Each certificate of a chain can be out of date in two ways; longer chains than this are not in use.
const DATES_MAX: usize = 12;

/// What time it is and how far to believe it, asked anew at each handshake.
pub struct Trust {
    wall: Box<dyn Fn() -> WallTime + Send + Sync>,
    /// A certificate was let pass though it is out of date by our clock.
    lenient: AtomicBool,
}

impl Trust {
    pub fn new(wall: impl Fn() -> WallTime + Send + Sync + 'static) -> Arc<Trust> {
        Arc::new(Trust { wall: Box::new(wall), lenient: AtomicBool::new(false) })
    }

    pub fn quality(&self) -> ClockQuality {
        (self.wall)().quality
    }

    /// Whether a certificate has been let pass though it is out of date by our clock, since this was last asked.
    pub fn take_lenient(&self) -> bool {
        self.lenient.swap(false, Ordering::Relaxed)
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trust({:?})", self.quality())
    }
}

/// A verifier of the usual rules, but for dates.
///
/// # Errors
/// When `roots` is empty.
pub(super) fn verifier(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
    trust: Arc<Trust>,
) -> Result<Arc<dyn ServerCertVerifier>, VerifierBuilderError> {
    let strict = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()?;
    Ok(Arc::new(Verifier { strict, trust }))
}

#[derive(Debug)]
struct Verifier {
    strict: Arc<WebPkiServerVerifier>,
    trust: Arc<Trust>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // Not rustls's own: the system clock may be behind what the store knows.
        let WallTime { unix_us, quality } = (self.trust.wall)();
        let now = UnixTime::since_unix_epoch(Duration::from_micros(unix_us.max(0).unsigned_abs()));
        let verify = |at| {
            let strict = &self.strict;
            strict.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, at)
        };
        let mut at = now;
        let mut found = verify(at);
        for _ in 0..DATES_MAX {
            // Again at the nearest time at which this certificate is good; another of the chain may then not be.
            at = match &found {
                Err(Error::InvalidCertificate(error)) => match better_time(error, quality) {
                    Some(time) => time,
                    None => break,
                },
                Ok(_) | Err(_) => break,
            };
            found = verify(at);
        }
        self.trust.lenient.fetch_or(found.is_ok() && at != now, Ordering::Relaxed);
        found
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.strict.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.strict.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.strict.supported_verify_schemes()
    }
}

/// A time at which a certificate is good that is only out of date, when our clock may be what is wrong: it may
/// say anything when nothing is known, and be late when it is not known exactly.
fn better_time(error: &CertificateError, quality: ClockQuality) -> Option<UnixTime> {
    match (error, quality) {
        (CertificateError::ExpiredContext { not_after, .. }, ClockQuality::None) => {
            Some(*not_after)
        }
        (
            CertificateError::NotValidYetContext { not_before, .. },
            ClockQuality::None | ClockQuality::Floor,
        ) => Some(*not_before),
        _ => None,
    }
}
