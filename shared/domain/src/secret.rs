//! What can be a secret: a key or signing secret as people paste it and as Secrets Manager holds it.
//!
//! *Invariant:* an error names the reason and never quotes the text.

/// The longest secret, in bytes. Provider keys have at most a few hundred.
const MAX: usize = 1024;

/// Why a text can't be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotASecret {
    /// Nothing is left of it without the white space around it.
    #[error("is empty")]
    Empty,
    /// White space inside: a line break, or more than the secret was copied.
    #[error("has white space inside")]
    WhiteSpace,
    /// Control characters, or characters beyond ASCII: invisible ones get copied along from web pages.
    #[error("has a character that no secret has")]
    Character,
    /// Longer than any secret of a provider.
    #[error("is longer than {MAX} characters")]
    Long,
}

/// The signing secret that `text` holds, without the white space around it. Senders such as GitHub let a person choose it, so
/// it may have spaces inside: GitHub's own example is `It's a Secret to Everybody`
/// (<https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>, read 2026-11).
pub fn read_chosen(text: &str) -> Result<&str, NotASecret> {
    let secret = text.trim();
    let without_spaces = secret.replace(' ', "");
    read(&without_spaces).map(|_| secret)
}

/// The key or secret that a provider issued and `text` holds, without the white space around it.
pub fn read(text: &str) -> Result<&str, NotASecret> {
    let secret = text.trim();
    if secret.is_empty() {
        Err(NotASecret::Empty)
    } else if secret.len() > MAX {
        Err(NotASecret::Long)
    } else if secret.chars().any(char::is_whitespace) {
        Err(NotASecret::WhiteSpace)
    } else if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        Err(NotASecret::Character)
    } else {
        Ok(secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_around_a_secret_is_taken_away_and_what_cannot_be_one_is_refused_with_its_reason() {
        for (text, expected) in [
            ("whsec_abc", Ok("whsec_abc")),
            (" \twhsec_abc\r\n", Ok("whsec_abc")),
            ("\u{a0}whsec_abc\u{2003}", Ok("whsec_abc")),
            ("", Err(NotASecret::Empty)),
            (" \n", Err(NotASecret::Empty)),
            ("whsec_a\nbc", Err(NotASecret::WhiteSpace)),
            ("whsec_a bc", Err(NotASecret::WhiteSpace)),
            ("whsec_a\u{a0}bc", Err(NotASecret::WhiteSpace)),
            ("whsec_\u{200b}abc", Err(NotASecret::Character)),
            ("whsec_\u{0}abc", Err(NotASecret::Character)),
        ] {
            assert_eq!(read(text), expected, "{text:?}");
        }
        assert_eq!(read(&"x".repeat(MAX + 1)), Err(NotASecret::Long));
        assert_eq!(read_chosen(" It's a Secret to Everybody\n"), Ok("It's a Secret to Everybody"));
        for text in ["", " ", "a\nb", "a\u{a0}b"] {
            assert!(read_chosen(text).is_err(), "{text:?}");
        }
    }
}
