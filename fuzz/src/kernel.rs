//! Kernel files, as their headers say.

use formats::boot::kernel::{Architecture, Kernel};

/// What is read of a kernel holds what its documentation promises.
pub fn kernel(data: &[u8]) {
    let Ok(kernel) = Kernel::read(&data.to_vec()) else {
        return;
    };
    let _ = kernel.for_uefi(Architecture::X86_64);
    let _ = kernel.check_cmdline("console=ttyS0");
    if let Some(version) = &kernel.version {
        assert!(!version.contains(char::is_control) && version.len() <= 256);
    }
    if let Ok(image) = kernel.for_bios() {
        assert!(image.load_bytes < data.len() as u64 + 16);
        assert!(image.setup_bytes < data.len() as u64 && image.setup_bytes <= 256 * 512);
        let floor = image.initrd_floor();
        assert!(floor < 1 << 32 && floor % 4096 == 0);
        if image.check_initrd(1 << 20).is_ok() {
            assert!(floor + (1 << 20) <= image.initrd_ceiling);
        }
    }
}
