//! Usernames, passwords, display names and titles: what is legal.
//!
//! Owns the rules of PROTOCOL and the words of their refusals. The limits are `schema::limits`, what a name shows
//! `schema::text`.

use schema::limits::{PASSWORD_CHARS, TITLE_CHARS_MAX, USERNAME_CHARS};
use schema::{ErrorCode, text};

use crate::password::Secret;
use crate::problem::Problem;

/// A username in lower case, as it is stored: unique so.
pub(crate) fn username(text: &str) -> Result<String, Problem> {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'.';
    let name = text.to_ascii_lowercase();
    let dotted = name.starts_with('.') || name.ends_with('.') || name.contains("..");
    if USERNAME_CHARS.contains(&name.chars().count()) && name.bytes().all(legal) && !dotted {
        Ok(name)
    } else {
        let (from, to) = (USERNAME_CHARS.start(), USERNAME_CHARS.end());
        let detail =
            format!("a username has {from} to {to} of the characters a-z, 0-9, _ and single dots between them");
        Err(Problem::bad_request(detail))
    }
}

/// A new password: its length is that of its normalised form.
pub(crate) fn password(secret: &Secret) -> Result<(), Problem> {
    let chars = secret.normalised().reveal().chars().count();
    if PASSWORD_CHARS.contains(&chars) {
        Ok(())
    } else {
        let (from, to) = (PASSWORD_CHARS.start(), PASSWORD_CHARS.end());
        Err(Problem::bad_request(format!("a password has {from} to {to} characters, this one has {chars}")))
    }
}

/// A display name or a channel's title, without the blanks around it.
pub(crate) fn title<'a>(what: &str, typed: &'a str) -> Result<&'a str, Problem> {
    let title = typed.trim();
    let chars = title.chars().count();
    if !text::is_name(title) {
        let detail = format!("{what} is one line with a visible character, without controls or overrides of direction");
        return Err(Problem::bad_request(detail));
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
        check("b.o_.ra", Some("b.o_.ra"));
        check("bora.", None);
        check(".bora", None);
        check("bo..ra", None);
        check("...", None);
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
        // Decomposed, a syllable is two characters or three.
        check(&"\u{1107}\u{1175}".repeat(128), true);
        check(&"\u{1107}\u{1175}".repeat(7), false);
    }

    #[test]
    fn a_title_is_one_line() {
        let check = |text: &str, expected: Option<&str>| assert_eq!(title("it", text).ok(), expected, "{text:?}");
        check("  Bora 보라 ", Some("Bora 보라"));
        check(" ", None);
        check("a\nb", None);
        check("\u{3164}", None);
        check("a\u{2028}b", None);
        check("a\u{202E}b", None);
        check(&"보".repeat(128), Some(&"보".repeat(128)));
        check(&"보".repeat(129), None);
    }
}
