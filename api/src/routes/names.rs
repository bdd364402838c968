//! What people may be called, and what they may type: usernames, passwords, titles.
//!
//! Owns the rules of PROTOCOL and the words of their refusals. The limits are `schema::limits`.

use schema::ErrorCode;
use schema::limits::{PASSWORD_CHARS, TITLE_CHARS_MAX, USERNAME_CHARS};

use crate::password::Secret;
use crate::problem::Problem;

/// A username in lower case, as it is stored: unique so.
pub(crate) fn username(text: &str) -> Result<String, Problem> {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'.';
    let name = text.to_ascii_lowercase();
    if USERNAME_CHARS.contains(&name.chars().count()) && name.bytes().all(legal) {
        Ok(name)
    } else {
        let (from, to) = (USERNAME_CHARS.start(), USERNAME_CHARS.end());
        Err(Problem::bad_request(format!("a username has {from} to {to} of the characters a-z, 0-9, _ and .")))
    }
}

/// A new password.
pub(crate) fn password(secret: &Secret) -> Result<(), Problem> {
    let chars = secret.reveal().chars().count();
    if PASSWORD_CHARS.contains(&chars) {
        Ok(())
    } else {
        let (from, to) = (PASSWORD_CHARS.start(), PASSWORD_CHARS.end());
        Err(Problem::bad_request(format!("a password has {from} to {to} characters, this one has {chars}")))
    }
}

/// A display name or a channel's title, without the blanks around it.
pub(crate) fn title<'a>(what: &str, text: &'a str) -> Result<&'a str, Problem> {
    let title = text.trim();
    let chars = title.chars().count();
    if title.is_empty() || title.chars().any(char::is_control) {
        return Err(Problem::bad_request(format!("{what} is one line that is not empty")));
    }
    if chars > TITLE_CHARS_MAX as usize {
        let detail = format!("{what} is {chars} characters, the limit is {TITLE_CHARS_MAX}");
        return Err(Problem::new(ErrorCode::LimitExceeded, detail));
    }
    Ok(title)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_username_is_plain_and_has_no_case() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(username(text).ok().as_deref(), expected, "{text:?}");
        };
        check("bora", Some("bora"));
        check("Bora_2.x", Some("bora_2.x"));
        check("bo", None);
        check("b", None);
        check(&"a".repeat(32), Some(&"a".repeat(32)));
        check(&"a".repeat(33), None);
        check("보라보라", None);
        check("bo ra", None);
        check("bora\n", None);
        // The Kelvin sign's lower case is an ASCII letter, but not here.
        check("\u{212a}im", None);
    }

    #[test]
    fn a_password_is_counted_in_characters() {
        let check = |text: &str, legal| assert_eq!(password(&Secret::new(text)).is_ok(), legal, "{text:?}");
        check("1234567", false);
        check("12345678", true);
        check("비밀번호비밀번호", true);
        check(&"비".repeat(128), true);
        check(&"비".repeat(129), false);
    }

    #[test]
    fn a_title_is_one_line() {
        let check = |text: &str, expected: Option<&str>| assert_eq!(title("it", text).ok(), expected, "{text:?}");
        check("  Bora 보라 ", Some("Bora 보라"));
        check(" ", None);
        check("a\nb", None);
        check(&"보".repeat(128), Some(&"보".repeat(128)));
        check(&"보".repeat(129), None);
    }
}
