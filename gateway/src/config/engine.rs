//! The types of the keys of `[store]`.
//!
//! Owns what an engine and a prefix are called.

use kv::foundationdb::PREFIX_BYTES_MAX;

use super::value::{Given, Setting, quoted};

/// What keeps the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StoreEngine {
    /// This machine, in the data directory.
    #[default]
    Embedded,
    /// A cluster of FoundationDB, by its client library.
    FoundationDb,
}

impl Setting for StoreEngine {
    fn placeholder(&self) -> &'static str {
        "embedded|foundationdb"
    }
    fn expected(&self) -> &'static str {
        "embedded or foundationdb"
    }
    fn set(&mut self, given: &Given) -> Option<()> {
        *self = match given.text()? {
            "embedded" => Self::Embedded,
            "foundationdb" => Self::FoundationDb,
            _ => return None,
        };
        Some(())
    }
    fn show(&self) -> Option<String> {
        let word = match self {
            Self::Embedded => "embedded",
            Self::FoundationDb => "foundationdb",
        };
        Some(quoted(word))
    }
}

/// What the keys of one store begin with, among others in one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorePrefix(String);

impl Default for StorePrefix {
    fn default() -> Self {
        Self("rookery".to_owned())
    }
}

impl StorePrefix {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Setting for StorePrefix {
    fn placeholder(&self) -> &'static str {
        "TEXT"
    }
    fn expected(&self) -> &'static str {
        const { assert!(PREFIX_BYTES_MAX == 59, "the text says how many") };
        "a text of 1 to 59 bytes, none of them zero"
    }
    fn set(&mut self, given: &Given) -> Option<()> {
        let text = given.text().filter(|text| (1..=PREFIX_BYTES_MAX).contains(&text.len()) && !text.contains('\0'))?;
        self.0 = text.to_owned();
        Some(())
    }
    fn show(&self) -> Option<String> {
        Some(quoted(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Setting + Default>(text: &str, shown: Option<&str>) {
        let mut value = T::default();
        let fits = value.set(&Given::Text(text.to_owned())).is_some();
        assert_eq!(fits.then(|| value.show().expect("it was set")).as_deref(), shown, "{text:?}");
    }

    #[test]
    fn an_engine_has_a_name_and_a_prefix_has_bytes() {
        check::<StoreEngine>("foundationdb", Some("\"foundationdb\""));
        check::<StoreEngine>("embedded", Some("\"embedded\""));
        check::<StoreEngine>("FoundationDB", None);
        check::<StorePrefix>("chat", Some("\"chat\""));
        check::<StorePrefix>(&"é".repeat(29), Some(&format!("\"{}\"", "é".repeat(29))));
        check::<StorePrefix>(&"é".repeat(30), None);
        check::<StorePrefix>("a\0b", None);
        check::<StorePrefix>("", None);
    }
}
