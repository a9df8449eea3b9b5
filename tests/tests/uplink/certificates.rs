//! Certificates for one test, made with `openssl`.

use std::path::PathBuf;
use std::process::Command;

use tidegate_tests::scratch::Scratch;

/// An authority, and who has a certificate of it.
pub struct Authority {
    scratch: Scratch,
}

impl Authority {
    pub fn new() -> Authority {
        let scratch = Scratch::new("authority");
        let authority = Authority { scratch };
        authority.openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 3650 \
             -subj /CN=authority -addext basicConstraints=critical,CA:TRUE",
        );
        authority
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// A certificate `NAME.pem` and its key `NAME.key` for 127.0.0.1 or another address, between two dates such
    /// as `20200101000000Z`.
    pub fn certify(&self, name: &str, address: &str, from: &str, until: &str) {
        self.openssl(&format!(
            "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.csr \
             -subj /CN={name}"
        ));
        // `openssl ca` is what can write any dates.
        self.scratch.write(
            "ca.conf",
            format!(
                "[ca]\ndefault_ca=us\n[us]\ndatabase=index\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\n\
                 policy=any\nx509_extensions=leaf\nunique_subject=no\n[any]\ncommonName=supplied\n\
                 [leaf]\nsubjectAltName=IP:{address}\nbasicConstraints=CA:FALSE\n"
            ),
        );
        self.scratch.write("index", "");
        self.openssl(&format!(
            "ca -batch -config ca.conf -create_serial -notext -cert ca.pem -keyfile ca.key -in {name}.csr \
             -out {name}.pem -startdate {from} -enddate {until}"
        ));
    }

    fn openssl(&self, line: &str) {
        let output = Command::new("openssl")
            .args(line.split_whitespace())
            .current_dir(self.scratch.path())
            .output()
            .expect("openssl is installed");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {line}: {said}");
    }
}
