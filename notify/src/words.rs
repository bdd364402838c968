//! Words of notices by their templates, with what it takes to make them kept for the next target.
//!
//! Owns two caches. A version of a template never changes, and a notice says the same to each of its targets that is told
//! the same variant: a thousand users of one language cost one rendering. What cannot be rendered is remembered as well.

use std::collections::HashSet;
use std::sync::Arc;

use chat::notices::cache::{Asked, Cache, Weigh};
use chat::notices::templates::Stored;
use schema::{Medium, NoticeId, UnixMs};
use serde_json::{Map, Value as Json};

use crate::template::{self, Compiled, PreviewError, Rendered, compile, pick};

/// What a compiled variant takes in memory, as measured: an engine's own 18.6 KB, and ten times its source where that is
/// nothing but places for parameters.
const ENGINE_BYTES: u64 = 19 << 10;
const OF_SOURCE: u64 = 10;

/// What names a variant for good: application, template, version and place.
type VariantKey = (u64, String, u32, usize);
/// What names a rendering: a notice, the version of its template, the variant's place, and whether it is for mail.
type RenderedKey = (NoticeId, u32, usize, bool);

/// The words of notices that have templates.
#[derive(Debug, Default)]
pub(crate) struct Words {
    compiled: Cache<VariantKey, Ready>,
    rendered: Cache<RenderedKey, Made>,
}

/// A variant that can be rendered, or why it cannot, and the bytes of its source.
#[derive(Debug)]
struct Ready(Result<Compiled, String>, usize);

impl Weigh for Ready {
    fn bytes(&self) -> u64 {
        ENGINE_BYTES + OF_SOURCE * self.1 as u64
    }
}

/// What a target is told, or why it cannot be told: its sender's mistake, or its template's author's.
#[derive(Debug)]
pub(crate) struct Made(pub(crate) Result<Rendered, String>);

impl Weigh for Made {
    fn bytes(&self) -> u64 {
        self.0.as_ref().map_or_else(String::len, Rendered::bytes) as u64
    }
}

/// What is to be put in words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Telling<'a> {
    /// Of which notice.
    pub(crate) notice: NoticeId,
    /// By which template.
    pub(crate) stored: &'a Arc<Stored>,
    /// With these parameters: a JSON object.
    pub(crate) params: &'a str,
    /// In the language of the target.
    pub(crate) locale: &'a str,
    /// By what.
    pub(crate) medium: Medium,
}

impl Telling<'_> {
    /// The variant, and what names its rendering.
    fn key(&self) -> Option<RenderedKey> {
        let Self { notice, stored, locale, medium, .. } = *self;
        let at = pick(&stored.template, locale, Some(medium))?;
        Some((notice, stored.version, at, medium == Medium::Mail))
    }
}

impl Words {
    /// Of several things those whose words are still to be made, each once.
    pub(crate) fn missing<'a>(&self, tellings: impl Iterator<Item = Telling<'a>>) -> Vec<Telling<'a>> {
        let mut found = HashSet::new();
        let is_new =
            |telling: &Telling<'_>| telling.key().is_some_and(|key| !self.rendered.has(&key) && found.insert(key));
        tellings.filter(is_new).collect()
    }

    /// What a target is told.
    pub(crate) fn of(&self, telling: &Telling<'_>, now: UnixMs) -> Arc<Made> {
        let Some(key) = telling.key() else {
            return Arc::new(Made(Err(PreviewError::NoVariant.to_string())));
        };
        if let Some(made) = self.rendered.ever(&key) {
            return made;
        }
        let (_, _, at, is_mail) = key;
        let Stored { app, name, version, template, .. } = &**telling.stored;
        let named = (*app, name.clone(), *version, at);
        let ready = self.compiled.ever(&named).unwrap_or_else(|| {
            let variant = &template.variants[at];
            let compiled = compile(&template.parameters, variant).map_err(|error| error.to_string());
            self.compiled.keep(named, Ready(compiled, template::bytes(variant)), now)
        });
        let made = match &ready.0 {
            Ok(compiled) => rendered(compiled, telling.params, is_mail),
            Err(error) => Err(error.clone()),
        };
        self.rendered.keep(key, Made(made), now)
    }

    /// Hits and misses of the caches, by name.
    pub(crate) fn caches(&self) -> [(&'static str, Asked); 2] {
        [("compiled", self.compiled.asked()), ("rendered", self.rendered.asked())]
    }
}

fn rendered(compiled: &Compiled, params: &str, is_mail: bool) -> Result<Rendered, String> {
    let params: Map<String, Json> = serde_json::from_str(params).map_err(|error| error.to_string())?;
    let rendered = compiled.render(&params, is_mail).map_err(|error| error.to_string())?;
    if rendered.title.is_empty() && rendered.body.is_empty() {
        return Err("it says nothing with these parameters".to_owned());
    }
    Ok(rendered)
}

#[cfg(test)]
mod tests {
    use schema::UnixMs;
    use schema::template::{Kind, Parameter, Template, Variant};

    use super::*;

    /// Says a name, in English and in Portuguese, and to Portuguese by mail in HTML.
    fn stored(version: u32, body: &str) -> Stored {
        let variant = |locale: &str, medium, title: &str| Variant {
            locale: locale.to_owned(),
            medium,
            title: title.to_owned(),
            body: body.to_owned(),
            html: Some("<b>{{ name }}</b>".to_owned()),
        };
        let template = Template {
            default_locale: "en".to_owned(),
            parameters: vec![Parameter { name: "name".to_owned(), kind: Kind::Text, required: true, max_chars: None }],
            variants: vec![
                variant("en", None, "Hello {{ name }}"),
                variant("pt", None, "Olá {{ name }}"),
                variant("pt", Some(Medium::Mail), "Caro {{ name }}"),
            ],
        };
        Stored { app: 7, name: "a".to_owned(), version, created_ms: UnixMs(0), template }
    }

    /// What is told of notices in order, each by its number, its template's version, a language and a medium, and how often
    /// a variant was compiled and words were made for it.
    fn check(body: &str, told: &[(u8, u32, &str, Medium, &str)], compiled: u64, rendered: u64) {
        let words = Words::default();
        for &(notice, version, locale, medium, expected) in told {
            let (notice, stored) = (NoticeId([notice; 16]), Arc::new(stored(version, body)));
            let telling = Telling { notice, stored: &stored, params: r#"{"name": "<Zoë>"}"#, locale, medium };
            let is_missing = words.missing([telling, telling].into_iter()).len();
            let misses = |words: &Words| words.caches()[1].1.misses;
            let before = misses(&words);
            let said = words.of(&telling, UnixMs(0));
            assert_eq!(misses(&words) - before, is_missing as u64, "what is missing is made");
            let said = match &said.0 {
                Ok(Rendered { title, html: None, .. }) => title.clone(),
                Ok(Rendered { title, html: Some(html), .. }) => format!("{title} {html}"),
                Err(why) => why.clone(),
            };
            assert_eq!(said, expected, "{notice} {version} {locale} {medium}");
        }
        let [(_, ready), (_, made)] = words.caches();
        assert_eq!([ready.misses, made.misses], [compiled, rendered], "{told:?}");
        assert_eq!(made.hits, told.len() as u64 - rendered, "{told:?}");
    }

    #[test]
    fn a_notice_is_told_in_the_targets_language_and_made_once_for_each() {
        use Medium::{Apns, Fcm, Mail};
        check("", &[(1, 1, "", Apns, "Hello <Zoë>"), (1, 1, "de", Fcm, "Hello <Zoë>")], 1, 1);
        check("", &[(1, 1, "en", Apns, "Hello <Zoë>"), (1, 1, "pt_BR", Apns, "Olá <Zoë>")], 2, 2);
        check("", &[(1, 1, "en", Apns, "Hello <Zoë>"), (2, 1, "en", Apns, "Hello <Zoë>")], 1, 2);
        check("", &[(1, 1, "en", Apns, "Hello <Zoë>"), (1, 2, "en", Apns, "Hello <Zoë>")], 2, 2);
        // HTML is for mail alone.
        let english = (1, 1, "en", Mail, "Hello <Zoë> <b>&lt;Zoë&gt;</b>");
        check("", &[(1, 1, "en", Apns, "Hello <Zoë>"), english, english], 1, 2);
        check("", &[(1, 1, "pt", Mail, "Caro <Zoë> <b>&lt;Zoë&gt;</b>"), (1, 1, "pt", Fcm, "Olá <Zoë>")], 2, 2);
    }

    #[test]
    fn what_cannot_be_told_says_why_and_is_not_tried_for_each_target() {
        let told = (1, 1, "en", Medium::Apns, "body, line 1: it uses nam, no parameter of the template");
        let other = (2, told.1, told.2, told.3, told.4);
        check("{{ nam }}", &[told, told, other], 1, 2);
        let told = (1, 1, "en", Medium::Apns, "body, line 1: undefined value");
        check("{{ name.first }}", &[told, told], 1, 1);
    }
}
