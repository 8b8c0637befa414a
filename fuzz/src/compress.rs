//! Bodies, their segments, and segments that are none.

use formats::compress::{BodyInfo, Compression, SEGMENT_BYTES, Stitcher, decode_body, encode_body};

/// Encodes any bytes as a body and decodes it; then decodes the same bytes as if they were
/// segments. The first two bytes choose compression and length.
pub fn compress(data: &[u8]) {
    let [choice, length, rest @ ..] = data else {
        return;
    };
    let compression = match choice % 3 {
        0 => Compression::None,
        1 => Compression::Gzip {
            level: u32::from(choice / 3 % 9) + 1,
        },
        _ => Compression::Zstd {
            level: i32::from(choice / 3 % 6) + 1,
        },
    };
    come_back(compression, rest);
    // Now and then more than a segment.
    if length % 16 == 1 && !rest.is_empty() {
        let bytes = SEGMENT_BYTES + usize::from(*length);
        let long: Vec<u8> = rest.iter().copied().cycle().take(bytes).collect();
        come_back(compression, &long);
    }
    let claimed = BodyInfo {
        bytes: u64::from(*length) * 9000,
        crc32: 0,
    };
    let cut = rest.len().min(usize::from(*length));
    let _ = decode_body(compression, claimed, [&rest[..cut], &rest[cut..]]);
}

fn come_back(compression: Compression, body: &[u8]) {
    let encoded = encode_body(compression, body);
    assert!(encoded.is_ok(), "{compression} refused a body");
    let Ok((info, segments)) = encoded else {
        return;
    };
    let decoded = decode_body(compression, info, &segments);
    assert!(
        decoded.is_ok_and(|decoded| decoded == body),
        "{compression}"
    );
    let stitched = Stitcher::new(Vec::new(), compression).and_then(|mut stream| {
        stream.literal(&body[..body.len().min(7)])?;
        stream.body(info, segments.iter().map(std::io::Result::Ok))?;
        stream.finish()
    });
    assert!(stitched.is_ok(), "{compression} refused a stream");
}
