//! Limits of the ustar header and the form of PAX records (POSIX.1-2017, pax).

/// Everything is padded to blocks of this length.
pub(super) const BLOCK_BYTES: u64 = 512;

/// Two zero blocks end an archive.
pub(super) const END: [u8; 1024] = [0; 1024];

/// Length of the header's name and linkname fields.
pub(super) const NAME_FIELD_BYTES: usize = 100;

/// Largest value of the fields for owner, group and device numbers: seven octal digits.
pub(super) const ID_MAX: u64 = 0o7_777_777;

/// Largest value of the fields for size and time: eleven octal digits.
pub(super) const SIZE_MAX: u64 = 0o77_777_777_777;

/// Name of extended headers, for readers that don't know what they are.
pub(super) const PAX_NAME: &[u8] = b"././@PaxHeader";

/// Appends `"%d %s=%s\n"`, whose number is the length of all of it, its own digits too.
pub(super) fn push_pax_record(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut total = rest + 1;
    while total != rest + decimal_digits(total) {
        total = rest + decimal_digits(total);
    }
    out.extend_from_slice(format!("{total} {key}=").as_bytes());
    out.extend_from_slice(value);
    out.push(b'\n');
}

fn decimal_digits(number: usize) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}
