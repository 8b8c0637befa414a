//! CRC-32 (IEEE 802.3), eight bytes a step.

/// The polynomial, its bits in reverse.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// `table[n][byte]` is the checksum of `byte` and `n` zeros after it. Made at run time: it would
/// double the length of the loader.
pub struct Tables(pub [[u32; 256]; 8]);

impl Tables {
    /// Length of the tables in memory.
    pub const BYTES: usize = size_of::<Self>();

    /// Fills the tables.
    pub fn fill(&mut self) {
        let [first, others @ ..] = &mut self.0;
        for (byte, entry) in (0u32..).zip(first.iter_mut()) {
            let mut crc = byte;
            for _ in 0..8 {
                let carry = crc & 1;
                crc = (crc >> 1) ^ (POLYNOMIAL * carry);
            }
            *entry = crc;
        }
        let mut previous: &[u32; 256] = first;
        for table in others {
            for (entry, before) in table.iter_mut().zip(previous) {
                *entry = before >> 8 ^ first[(before & 0xff) as usize];
            }
            previous = table;
        }
    }

    /// The checksum of what `crc` is the checksum of and `bytes` after it; start with 0.
    pub fn update(&self, crc: u32, bytes: &[u8]) -> u32 {
        let at = |table: usize, byte: u64| self.0[table][(byte & 0xff) as usize];
        let mut crc = !crc;
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            let word = u64::from_le_bytes(*word) ^ u64::from(crc);
            crc = at(7, word)
                ^ at(6, word >> 8)
                ^ at(5, word >> 16)
                ^ at(4, word >> 24)
                ^ at(3, word >> 32)
                ^ at(2, word >> 40)
                ^ at(1, word >> 48)
                ^ at(0, word >> 56);
        }
        for byte in rest {
            crc = crc >> 8 ^ at(0, u64::from(crc ^ u32::from(*byte)));
        }
        !crc
    }
}
