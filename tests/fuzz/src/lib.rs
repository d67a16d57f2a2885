//! What the targets share. Inputs are texts such as a person would write: header lines, an empty line, a body.

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;

/// When everything happens.
pub const NOW: Timestamp = Timestamp::constant(1_700_000_000, 0);

/// Header lines and the body after the first empty line.
pub fn split(input: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let (head, body) = parts(input, b"\n\n");
    (head.split(|byte| *byte == b'\n').collect(), body)
}

/// What stands before the first `mark`, and after it.
pub fn parts<'a>(text: &'a [u8], mark: &[u8]) -> (&'a [u8], &'a [u8]) {
    match text.windows(mark.len()).position(|window| window == mark) {
        Some(at) => (&text[..at], &text[at + mark.len()..]),
        None => (text, &[]),
    }
}

/// The lines that an HTTP server would let through as headers.
pub fn headers<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = parts(line, b":");
        let pair = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value.trim_ascii()));
        if let (Ok(name), Ok(value)) = pair {
            headers.append(name, value);
        }
    }
    headers
}
