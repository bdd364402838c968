//! Categories of notifications, as an operator declares them: which nobody can turn off, and how many a user gets.
//!
//! Owns `[[category]]` of notify.toml and what is so of a category that is not in it. Applications name categories, users
//! choose by them, and the limits keep an application that sends too much from being all that a user sees.

use std::collections::{BTreeMap, BTreeSet};

use chat::notices::codes::VERIFICATION;
use chat::notices::settings::MESSAGES;
use pace::Rate;
use schema::Medium;
use serde::Deserialize;

/// Categories that may be declared.
const CATEGORIES_MAX: usize = 100;
/// Characters of a category's name.
const NAME_CHARS_MAX: usize = 64;
/// Characters of what users are shown in its place.
const TITLE_CHARS_MAX: usize = 100;
/// Notifications at once.
const BURST_MAX: u32 = 10_000;
/// Seconds for one more: a month.
const EVERY_S_MAX: u64 = 31 * 24 * 3600;

/// What becomes of a notification beyond its user's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Beyond {
    /// It is told once there is room, unless it is of no use by then.
    #[default]
    PutOff,
    /// It is not told.
    Drop,
}

/// How many notifications one user gets by a medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    /// At once.
    burst: u32,
    /// After how many seconds one more.
    every_s: u64,
}

/// A category, as it is declared.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Declared {
    name: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    critical: bool,
    #[serde(default)]
    beyond: Beyond,
    #[serde(default)]
    limits: BTreeMap<Medium, Limit>,
}

/// A category.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Category {
    /// A title for users; empty if there is none.
    pub title: String,
    /// Whether it is told whatever a user has chosen, at any hour and beyond any limit.
    pub is_critical: bool,
    /// The fate of those beyond a limit.
    pub beyond: Beyond,
    limits: BTreeMap<Medium, Rate>,
}

/// All that were declared, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Categories {
    declared: BTreeMap<String, Category>,
    other: Category,
}

impl Categories {
    /// Those of a text that declares nothing else: `[[category]]` as in notify.toml.
    ///
    /// # Errors
    /// Which of it does not do, and why.
    pub fn parse(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Text {
            category: Vec<Declared>,
        }
        let Text { category } = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        Self::new(category)
    }

    /// Checks what was declared.
    ///
    /// # Errors
    /// Which of it does not do, and why.
    pub(crate) fn new(list: Vec<Declared>) -> Result<Self, String> {
        if list.len() > CATEGORIES_MAX {
            return Err(format!("is listed {} times, the limit is {CATEGORIES_MAX}", list.len()));
        }
        let mut declared = BTreeMap::new();
        for Declared { name, title, critical, beyond, limits } in list {
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            if !(1..=NAME_CHARS_MAX).contains(&name.len()) || !name.bytes().all(is_name) {
                return Err(format!("has a name that is none of 1 to {NAME_CHARS_MAX} characters of [A-Za-z0-9._-]"));
            }
            if title.chars().count() > TITLE_CHARS_MAX || title.chars().any(char::is_control) {
                return Err(format!("{name} has a title that is no line of {TITLE_CHARS_MAX} characters at most"));
            }
            if name == VERIFICATION || critical && name == MESSAGES {
                return Err(format!("{name} is this server's own: codes are always sent, and messages never critical"));
            }
            if critical && !limits.is_empty() {
                return Err(format!("{name} is critical and has limits: what is critical has none"));
            }
            let mut rates = BTreeMap::new();
            for (medium, Limit { burst, every_s }) in limits {
                if !(1..=BURST_MAX).contains(&burst) || !(1..=EVERY_S_MAX).contains(&every_s) {
                    let why = format!("burst is 1 to {BURST_MAX} and every_s 1 to {EVERY_S_MAX}");
                    return Err(format!("{name} has a limit of {medium} that does not do: {why}"));
                }
                rates.insert(medium, Rate { burst, refill: every_s * 1_000 });
            }
            let category = Category { title, is_critical: critical, beyond, limits: rates };
            if declared.insert(name.clone(), category).is_some() {
                return Err(format!("{name} is declared twice"));
            }
        }
        Ok(Self { declared, other: Category::default() })
    }

    /// A category, declared or not.
    #[must_use]
    pub fn find(&self, name: &str) -> &Category {
        self.declared.get(name).unwrap_or(&self.other)
    }

    /// Those that were declared, by name.
    pub fn declared(&self) -> impl Iterator<Item = (&str, &Category)> {
        self.declared.iter().map(|(name, category)| (name.as_str(), category))
    }

    /// The names of those that nobody can turn off.
    #[must_use]
    pub fn critical(&self) -> BTreeSet<String> {
        let critical = self.declared.iter().filter(|(_, category)| category.is_critical);
        critical.map(|(name, _)| name.clone()).collect()
    }
}

impl Category {
    /// The limit of one user by a medium, in milliseconds for one more.
    #[must_use]
    pub fn rate(&self, medium: Medium) -> Rate {
        self.limits.get(&medium).copied().unwrap_or_else(|| by_default(medium))
    }
}

/// As much as nobody would want more of: a device buzzes once in five seconds, a mail comes each ten minutes, a text
/// message, which costs the operator some cents, once an hour.
fn by_default(medium: Medium) -> Rate {
    let (burst, every_s) = match medium {
        Medium::Apns | Medium::Fcm | Medium::WebPush | Medium::Webhook => (60, 5),
        Medium::Mail => (10, 600),
        Medium::Sms => (5, 3_600),
    };
    Rate { burst, refill: every_s * 1_000 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_declared_is_so_and_what_is_not_is_as_by_default() {
        let text = r#"
            [[category]]
            name = "shipping"
            title = "Parcels"
            beyond = "drop"
            limits.sms = { burst = 3, every_s = 60 }
            [[category]]
            name = "alarm"
            critical = true
        "#;
        let categories = Categories::parse(text).expect("legal");
        let shipping = categories.find("shipping");
        assert_eq!((shipping.title.as_str(), shipping.beyond, shipping.is_critical), ("Parcels", Beyond::Drop, false));
        assert_eq!(shipping.rate(Medium::Sms), Rate { burst: 3, refill: 60_000 });
        assert_eq!(shipping.rate(Medium::Mail), by_default(Medium::Mail));
        assert_eq!(categories.find("nobody's"), &Category::default());
        assert_eq!(categories.critical(), BTreeSet::from(["alarm".to_owned()]));
        assert_eq!(categories.declared().map(|(name, _)| name).collect::<Vec<_>>(), ["alarm", "shipping"]);
    }

    #[test]
    fn what_does_not_do_is_told() {
        let check = |text: &str, expected: &str| {
            let error = Categories::parse(&format!("[[category]]\n{text}")).expect_err("illegal");
            assert!(error.contains(expected), "{text}: {error}");
        };
        check("name = \"\"", "has a name that is none of");
        check("name = \"a b\"", "has a name that is none of");
        check("title = \"x\"", "missing field `name`");
        check("name = \"a\"\ntitle = \"x\\ny\"", "no line of 100");
        check("name = \"a\"\nlimits.pigeon = { burst = 1, every_s = 1 }", "pigeon");
        check("name = \"a\"\nlimits.sms = { burst = 0, every_s = 1 }", "a has a limit of sms");
        check("name = \"a\"\nlimits.sms = { burst = 1, every_s = 0 }", "a has a limit of sms");
        check("name = \"a\"\nlimits.sms = { burst = 1 }", "missing field `every_s`");
        check("name = \"a\"\nbeyond = \"wait\"", "unknown variant `wait`");
        check("name = \"a\"\ncritical = true\nlimits.sms = { burst = 1, every_s = 1 }", "a is critical and has limits");
        check("name = \"verification\"", "verification is this server's own");
        check("name = \"messages\"\ncritical = true", "messages is this server's own");
        check("name = \"a\"\n[[category]]\nname = \"a\"", "a is declared twice");
        check("name = \"a\"\ncolour = 1", "unknown field `colour`");
        let many =
            (0..=CATEGORIES_MAX).map(|at| format!("name = \"c{at}\"\n")).collect::<Vec<_>>().join("[[category]]\n");
        check(&many, "is listed 101 times");
    }
}
