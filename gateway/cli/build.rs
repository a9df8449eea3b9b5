//! Tells the binary which commit and target it was built from, for `--version`.

use std::process::Command;

fn main() {
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output();
    let hash = match output {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        // A source archive has no history; that is no reason not to build.
        _ => "unknown".to_owned(),
    };
    println!("cargo:rustc-env=TIDEGATE_GIT_HASH={hash}");
    let target = std::env::var("TARGET").expect("cargo sets TARGET");
    println!("cargo:rustc-env=TIDEGATE_TARGET={target}");
    println!("cargo:rerun-if-changed=../../.git/HEAD");
}
