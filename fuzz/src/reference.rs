//! Names of images.

use lkbuild::reference::Reference;

/// Parses any text as an image name; one that is accepted must be written in full so that it means
/// the same image again, and must be fit for a URL and a path.
pub fn reference(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(parsed) = Reference::parse(text) else {
        return;
    };
    let full = parsed.to_string();
    assert!(
        full.bytes().all(|byte| byte.is_ascii_graphic()) && !parsed.repository().contains(".."),
        "{full:?}"
    );
    let again = Reference::parse(&full);
    assert_eq!(again.as_ref(), Ok(&parsed), "{full:?}");
    assert_eq!(again.map(|again| again.to_string()), Ok(full));
}
