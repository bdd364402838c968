//! Links in notifications: what is done when somebody follows one, or a provider calls it.
//!
//! Owns what a link means. How it is written and signed is `api`'s, where it is put `notify`'s.

use schema::{Medium, NoticeId, UserId};

/// Bytes of a URL that a link leads to.
pub const URL_BYTES_MAX: usize = 2_048;

/// A notification at one of its targets: what a `delivery` row is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// The notice, of one that recurs that of its time.
    pub notice: NoticeId,
    /// Whom it tells.
    pub user: UserId,
    /// By what.
    pub medium: Medium,
    /// On which device; empty where the contact is the user's own.
    pub device: String,
}

/// What a link does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// Notes that it was followed, and leads on.
    Click {
        /// From where.
        target: Target,
        /// Where to: what the application said when it asked for the notification.
        url: String,
    },
    /// Notes that a mail was opened.
    Open(Target),
    /// Has the user told no more by a medium of what is of a category.
    Unsubscribe {
        /// Who.
        user: UserId,
        /// By what.
        medium: Medium,
        /// Of what.
        category: String,
    },
    /// Takes what a provider says became of a message.
    Callback(Target),
}

/// Whether a text is a URL that a link may lead to: of the web, and nothing in it that ends a header or an attribute.
#[must_use]
pub fn is_web_url(url: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"'<>\\^`{|}".contains(&byte);
    let host = ["https://", "http://"].into_iter().find_map(|scheme| url.strip_prefix(scheme));
    url.len() <= URL_BYTES_MAX
        && url.bytes().all(is_plain)
        && host.is_some_and(|rest| rest.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'['))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_the_web_and_nowhere_else() {
        let check = |url: &str, expected| assert_eq!(is_web_url(url), expected, "{url}");
        check("https://shop.example/orders/4711?a=b&c=%C3%A4#there", true);
        check("http://127.0.0.1:8000/", true);
        check("https://[::1]/", true);
        check("shop://orders/4711", false);
        check("javascript:alert(1)", false);
        check("//shop.example/", false);
        check("https:///x", false);
        check("https://", false);
        check("https://shop.example/a b", false);
        check("https://shop.example/\r\nSet-Cookie: a=b", false);
        check("https://shop.example/\"><script>", false);
        check("https://shop.example/ä", false);
        check(&format!("https://{}", "x".repeat(URL_BYTES_MAX)), false);
    }
}
