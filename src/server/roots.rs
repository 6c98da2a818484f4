//! Whose signatures are believed: the system's authorities, those that come with Freeway, and private ones.

use super::StartError;
use crate::config::Config;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use pingora::protocols::tls::CaType;
use pingora::tls::CertificateDer;
use pingora::utils::tls::{WrappedX509, parse_x509};
use rustls_pki_types::pem::PemObject;
use std::path::Path;
use std::sync::Arc;

/// Trusted roots for upstreams: the system's, or where it has none those that come with Freeway,
/// written to the data folder since Pingora reads them from a file.
pub(super) fn roots(config: &Config) -> Result<Option<String>, StartError> {
    if !pingora::tls::load_native_certs().unwrap_or_default().is_empty() {
        return Ok(None);
    }
    let folder = config.data_dir.clone().unwrap_or_else(std::env::temp_dir);
    let path = folder.join("freeway-roots.pem");
    let failed = |source| StartError::Data { path: path.display().to_string(), source };
    std::fs::create_dir_all(&folder).map_err(failed)?;
    std::fs::write(&path, bundled_roots_pem()).map_err(failed)?;
    Ok(Some(path.display().to_string()))
}

fn bundled_roots_pem() -> String {
    let mut pem = String::new();
    for root in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        let encoded = BASE64.encode(root);
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in encoded.as_bytes().chunks(64) {
            pem.push_str(&String::from_utf8_lossy(line));
            pem.push('\n');
        }
        pem.push_str("-----END CERTIFICATE-----\n");
    }
    pem
}

pub(super) fn authority(path: &Path) -> Result<Arc<CaType>, StartError> {
    let unusable = || StartError::Certificate(path.display().to_string());
    let pem = std::fs::read(path).map_err(|_| unusable())?;
    let certificates: Vec<WrappedX509> = CertificateDer::pem_slice_iter(&pem)
        .map(|der| der.map(|der| WrappedX509::new(der.to_vec(), parse_x509)))
        .collect::<Result<_, _>>()
        .map_err(|_| unusable())?;
    if certificates.is_empty() { Err(unusable()) } else { Ok(certificates.into()) }
}
