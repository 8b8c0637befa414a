//! Which compression and level, as the user writes it.

use std::fmt;
use std::str::FromStr;

use super::format::{SEGMENT_BYTES, ZSTD_WINDOW_LOG_MAX, ZSTD_WINDOW_LOG_MIN};

/// How bodies and streams are compressed. Its text form (`gzip:4`, `zstd:3`, `none`) always
/// names the level, so it can be part of a cache key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Compression {
    /// Not at all.
    None,
    /// Deflate in one gzip member; level 1 to 9.
    Gzip {
        /// zlib's level.
        level: u32,
    },
    /// zstd frames; level 1 to 19.
    Zstd {
        /// zstd's level.
        level: i32,
    },
}

/// The text names no compression or a level out of its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown compression {given:?}: write none, gzip, gzip:LEVEL (1 to 9), zstd or zstd:LEVEL (1 to 19)"
)]
pub struct ParseCompressionError {
    given: String,
}

impl Compression {
    /// Layers bring most of their deflate blocks with them ([`reuse`](super::reuse)), so the level
    /// matters for the rest only: the start and the end of large files, and small files.
    ///
    /// Measured on a Docker host of 527 MB (layers by `gzip -9`), against `gzip -6` of its cpio: level
    /// 6 is 1.037 times as large, level 4 1.039, level 3 1.040, level 2 1.043, level 1 1.069, for 3.4,
    /// 3.2, 3.0, 2.9 and 2.7 CPU seconds in all. Layers that bring no deflate blocks (zstd, plain) pay
    /// more for a low level: there level 6 is 1.058 and level 4 1.077.
    pub const GZIP_DEFAULT: Self = Self::Gzip { level: 2 };

    /// zstd at its customary level.
    pub const ZSTD_DEFAULT: Self = Self::Zstd { level: 3 };

    /// Whether the segments of a body of this length can be made in any order, in parallel, by
    /// [`compress_segment`](super::compress_segment). Not so for zstd bodies of several
    /// segments: their blocks carry repeated offsets on, and need a
    /// [`BodyEncoder`](super::BodyEncoder).
    pub fn segments_are_independent(self, body_bytes: u64) -> bool {
        !matches!(self, Self::Zstd { .. }) || body_bytes <= SEGMENT_BYTES as u64
    }

    /// The window (log2) of a zstd frame for a body of this length: what the level would take,
    /// not more than the body, within what the kernel reads.
    pub(super) fn zstd_window_log(level: i32, body_bytes: u64) -> u32 {
        let for_level = match level {
            ..=1 => 19,
            2 => 20,
            3..=8 => 21,
            9..=16 => 22,
            _ => ZSTD_WINDOW_LOG_MAX,
        };
        let for_body = u64::BITS - body_bytes.saturating_sub(1).leading_zeros();
        for_body.clamp(ZSTD_WINDOW_LOG_MIN, for_level)
    }
}

impl Default for Compression {
    fn default() -> Self {
        Self::GZIP_DEFAULT
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Gzip { level } => write!(f, "gzip:{level}"),
            Self::Zstd { level } => write!(f, "zstd:{level}"),
        }
    }
}

impl FromStr for Compression {
    type Err = ParseCompressionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let level = |digits: &str, range: std::ops::RangeInclusive<u8>| {
            digits
                .parse::<u8>()
                .ok()
                .filter(|level| range.contains(level))
        };
        let parsed = match text.split_once(':') {
            None => match text {
                "none" => Some(Self::None),
                "gzip" => Some(Self::GZIP_DEFAULT),
                "zstd" => Some(Self::ZSTD_DEFAULT),
                _ => None,
            },
            Some(("gzip", digits)) => level(digits, 1..=9).map(|level| Self::Gzip {
                level: u32::from(level),
            }),
            Some(("zstd", digits)) => level(digits, 1..=19).map(|level| Self::Zstd {
                level: i32::from(level),
            }),
            Some(_) => None,
        };
        parsed.ok_or_else(|| ParseCompressionError {
            given: text.to_owned(),
        })
    }
}
