//! Templates of notifications as their authors write them: parameters, and words by language and medium.
//!
//! Owns the form, and its records. How the words are read and what limits them is `notify::template`; where they are
//! stored, `chat::notices::templates`.

use std::fmt;

use crate::notice::Medium;
use crate::record::{RecordError, TemplateRecord, VariantRecord};
use crate::time::UnixMs;

/// What a notification says, in several languages and for several media, with places for parameters.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// The language of who has none, or one that there is no variant in. It has a variant for all media.
    pub default_locale: String,
    /// What the variants take, and nothing else.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// The words: one for each language and medium at most.
    pub variants: Vec<Variant>,
}

impl Template {
    /// Its rows: what all variants share, and each of them, in an order that does not depend on how they were given.
    ///
    /// # Panics
    /// If there are more than 65,535 variants.
    #[must_use]
    pub fn to_records(&self, now: UnixMs) -> (TemplateRecord, Vec<VariantRecord>) {
        let record = TemplateRecord {
            default_locale: self.default_locale.clone(),
            parameters: serde_json::to_string(&self.parameters).expect("names and numbers are JSON"),
            variants: self.variants.len().try_into().expect("there are 64 at most"),
            created_ms: now,
        };
        let variant = |Variant { locale, medium, title, body, html }: &Variant| VariantRecord {
            locale: locale.clone(),
            medium: medium.map_or(0, |medium| medium as u16),
            title: title.clone(),
            body: body.clone(),
            html: html.clone(),
        };
        let mut variants: Vec<_> = self.variants.iter().map(variant).collect();
        variants.sort_by(|one, other| (&one.locale, one.medium).cmp(&(&other.locale, other.medium)));
        (record, variants)
    }

    /// The reverse of [`Self::to_records`].
    ///
    /// # Errors
    /// If the parameters are no list of such, or a medium is none.
    pub fn of_records(record: &TemplateRecord, variants: Vec<VariantRecord>) -> Result<Self, RecordError> {
        let damaged = |what, bytes, why: String| RecordError::Damaged { what, bytes, why };
        let TemplateRecord { default_locale, parameters, .. } = record;
        let bytes = parameters.len();
        let parameters = serde_json::from_str(parameters)
            .map_err(|error| damaged("template version", bytes, format!("parameters: {error}")))?;
        let variant = |VariantRecord { locale, medium, title, body, html }: VariantRecord| {
            let known = u8::try_from(medium).ok().and_then(Medium::of_number);
            let unknown = || damaged("template variant", title.len(), format!("medium {medium}"));
            let medium = if medium == 0 { None } else { Some(known.ok_or_else(unknown)?) };
            Ok(Variant { locale, medium, title, body, html })
        };
        let variants = variants.into_iter().map(variant).collect::<Result<_, RecordError>>()?;
        Ok(Self { default_locale: default_locale.clone(), parameters, variants })
    }
}

/// The words in one language.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// Its language, and its region if that matters: BCP 47.
    pub locale: String,
    /// The medium that it is written for; absent for all that have no variant of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub medium: Option<Medium>,
    /// Jinja. Its line breaks become blanks once it is rendered.
    pub title: String,
    /// The text, Jinja.
    pub body: String,
    /// The same for mail, Jinja that escapes what it puts into HTML.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
}

/// What a template takes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Letters, digits and `_`, no digit first.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Whether each notification has to have it. One that need not is undefined where it is missing or null, and to use it
    /// then is an error: `{{ name|default("") }}`, `{% if name is defined %}`.
    #[serde(default)]
    pub required: bool,
    /// Characters of a text; of a list or an object, those of its JSON. Without a limit of its own, that of all together
    /// holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_chars: Option<u32>,
}

/// What a parameter is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
#[schema(as = ParameterKind)]
pub enum Kind {
    /// A string.
    Text,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// An array.
    List,
    /// An object.
    Object,
}

impl Kind {
    /// Its word in errors and JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::List => "list",
            Self::Object => "object",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> Template {
        let variant = |locale: &str, medium| Variant {
            locale: locale.to_owned(),
            medium,
            title: "t".to_owned(),
            body: "b".to_owned(),
            html: None,
        };
        Template {
            default_locale: "en".to_owned(),
            parameters: vec![Parameter { name: "n".to_owned(), kind: Kind::List, required: true, max_chars: Some(3) }],
            variants: vec![variant("en", None), variant("en", Some(Medium::Mail)), variant("pt", None)],
        }
    }

    #[test]
    fn its_rows_are_read_back_whatever_the_order_of_its_variants_was() {
        let (record, variants) = template().to_records(UnixMs(7));
        assert_eq!((record.variants, record.created_ms), (3, UnixMs(7)));
        assert_eq!(Template::of_records(&record, variants.clone()), Ok(template()));
        let mut turned = template();
        turned.variants.reverse();
        assert_eq!(turned.to_records(UnixMs(7)), (record, variants));
    }

    #[test]
    fn rows_that_are_none_of_a_template_are_damage() {
        let check = |change: fn(&mut TemplateRecord, &mut VariantRecord), expected: &str| {
            let (mut record, mut variants) = template().to_records(UnixMs(7));
            change(&mut record, &mut variants[1]);
            let read = Template::of_records(&record, variants).map_err(|error| error.to_string());
            assert!(read.as_ref().is_err_and(|error| error.contains(expected)), "{read:?}, {expected}");
        };
        check(|record, _| "[".clone_into(&mut record.parameters), "template version record");
        check(
            |record, _| r#"[{"name":"n","kind":"date"}]"#.clone_into(&mut record.parameters),
            "unknown variant `date`",
        );
        check(|_, variant| variant.medium = 99, "medium 99");
        check(|_, variant| variant.medium = 999, "medium 999");
    }
}
