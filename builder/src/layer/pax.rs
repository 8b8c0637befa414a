//! PAX extended header records (POSIX.1-2017, pax, "pax Extended Header").

use super::error::LayerErrorKind;

/// Iterates over `LEN KEY=VALUE\n` records. `LEN` alone says where a record ends: values may hold
/// newlines.
#[derive(Clone, Debug)]
pub struct PaxRecords<'a> {
    rest: &'a [u8],
}

impl<'a> PaxRecords<'a> {
    /// Records of one extended header's body.
    pub fn new(body: &'a [u8]) -> Self {
        PaxRecords { rest: body }
    }

    fn record(&mut self) -> Result<(&'a [u8], &'a [u8]), LayerErrorKind> {
        const BAD_LENGTH: LayerErrorKind = LayerErrorKind::Pax("a record's length is wrong");
        let space = self
            .rest
            .iter()
            .take(20)
            .position(|&b| b == b' ')
            .ok_or(BAD_LENGTH)?;
        let length = decimal(&self.rest[..space]).ok_or(BAD_LENGTH)?;
        let length = usize::try_from(length).map_err(|_| BAD_LENGTH)?;
        if length <= space + 1 || length > self.rest.len() {
            return Err(BAD_LENGTH);
        }
        let (record, rest) = self.rest.split_at(length);
        let Some((b'\n', record)) = record[space + 1..].split_last() else {
            return Err(LayerErrorKind::Pax("a record does not end in a newline"));
        };
        let equals = record
            .iter()
            .position(|&b| b == b'=')
            .filter(|&at| at > 0)
            .ok_or(LayerErrorKind::Pax("a record has no key"))?;
        self.rest = rest;
        Ok((&record[..equals], &record[equals + 1..]))
    }
}

impl<'a> Iterator for PaxRecords<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), LayerErrorKind>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let record = self.record();
        if record.is_err() {
            self.rest = &[];
        }
        Some(record)
    }
}

/// A plain decimal number: digits only, no sign, no space.
pub fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Whole seconds of a PAX time (`-1.5` is in second -2), fractions cut towards the past.
pub fn seconds(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, text),
    };
    let (whole, fraction) = match digits.iter().position(|&b| b == b'.') {
        Some(dot) => (&digits[..dot], &digits[dot + 1..]),
        None => (digits, &[][..]),
    };
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let whole = i64::try_from(decimal(whole)?).ok()?;
    let rounds_down = negative && fraction.iter().any(|&b| b != b'0');
    Some(if negative {
        -whole - i64::from(rounds_down)
    } else {
        whole
    })
}
