//! UEFI firmware, where distributions have it.

use std::path::{Path, PathBuf};

use super::command::Guest;
use crate::cli::CliError;

/// Code, and the variables that a new machine starts with.
const AMD64: [(&str, &str); 6] = [
    // Debian, Ubuntu
    (
        "/usr/share/OVMF/OVMF_CODE_4M.fd",
        "/usr/share/OVMF/OVMF_VARS_4M.fd",
    ),
    (
        "/usr/share/OVMF/OVMF_CODE.fd",
        "/usr/share/OVMF/OVMF_VARS.fd",
    ),
    // Fedora, Arch
    (
        "/usr/share/edk2/ovmf/OVMF_CODE.fd",
        "/usr/share/edk2/ovmf/OVMF_VARS.fd",
    ),
    (
        "/usr/share/edk2/x64/OVMF_CODE.4m.fd",
        "/usr/share/edk2/x64/OVMF_VARS.4m.fd",
    ),
    // openSUSE
    (
        "/usr/share/qemu/ovmf-x86_64-code.bin",
        "/usr/share/qemu/ovmf-x86_64-vars.bin",
    ),
    // Homebrew: QEMU's own
    (
        "/opt/homebrew/share/qemu/edk2-x86_64-code.fd",
        "/opt/homebrew/share/qemu/edk2-i386-vars.fd",
    ),
];

const ARM64: [(&str, &str); 4] = [
    (
        "/usr/share/AAVMF/AAVMF_CODE.fd",
        "/usr/share/AAVMF/AAVMF_VARS.fd",
    ),
    (
        "/usr/share/edk2/aarch64/QEMU_EFI-pflash.raw",
        "/usr/share/edk2/aarch64/vars-template-pflash.raw",
    ),
    (
        "/usr/share/qemu/aavmf-aarch64-code.bin",
        "/usr/share/qemu/aavmf-aarch64-vars.bin",
    ),
    (
        "/opt/homebrew/share/qemu/edk2-aarch64-code.fd",
        "/opt/homebrew/share/qemu/edk2-arm-vars.fd",
    ),
];

/// Firmware that was found.
#[derive(Debug)]
pub(super) struct Firmware {
    pub(super) code: PathBuf,
    /// A template; none where only the code is known.
    pub(super) vars: Option<PathBuf>,
}

/// The firmware that was named, with its variables if they lie where they use to, or the first
/// that is installed.
pub(super) fn find(guest: Guest, named: Option<&Path>) -> Result<Firmware, CliError> {
    let (known, package): (&[(&str, &str)], _) = match guest {
        Guest::Amd64 => (&AMD64, "ovmf"),
        Guest::Arm64 => (&ARM64, "qemu-efi-aarch64"),
    };
    if let Some(code) = named {
        let vars = known.iter().find(|(known, _)| Path::new(known) == code);
        let vars = vars.map(|(_, vars)| PathBuf::from(vars));
        return match code.is_file() {
            true => Ok(Firmware {
                code: code.into(),
                vars: vars.filter(|vars| vars.is_file()),
            }),
            false => Err(CliError::Usage(format!(
                "--fw: there is no file {}",
                code.display()
            ))),
        };
    }
    let found = known
        .iter()
        .find(|(code, vars)| Path::new(code).is_file() && Path::new(vars).is_file());
    match found {
        Some((code, vars)) => Ok(Firmware {
            code: code.into(),
            vars: Some(vars.into()),
        }),
        None => {
            let places: Vec<_> = known.iter().map(|(code, _)| *code).collect();
            Err(CliError::Setup(format!(
                "no UEFI firmware for QEMU is installed: install it (Debian: apt-get install \
                 {package}), or name its code with --fw; looked for {}",
                places.join(", ")
            )))
        }
    }
}
