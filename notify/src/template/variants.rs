//! A template as a whole, and which of its variants a target is told.

use std::collections::BTreeSet;

use schema::Medium;
use schema::limits::{TEMPLATE_BYTES_MAX, TEMPLATE_VARIANTS_MAX};
use schema::template::{Template, Variant};

use serde_json::{Map, Value as Json};

use super::error::{PreviewError, TemplateError};
use super::parameters::check_declared;
use super::{LOCALE_BYTES_MAX, Rendered, compile, shown};

/// Whether a template can be stored: its form, and that each of its variants compiles.
///
/// # Errors
/// [`TemplateError`], of what is wrong first.
pub fn check(template: &Template) -> Result<(), TemplateError> {
    let Template { default_locale, parameters, variants } = template;
    check_declared(parameters)?;
    let len = variants.len();
    if len > TEMPLATE_VARIANTS_MAX {
        return Err(TemplateError::TooMany { len });
    }
    let len_bytes = variants.iter().map(bytes).sum();
    if len_bytes > TEMPLATE_BYTES_MAX as usize {
        return Err(TemplateError::TooLong { len_bytes });
    }
    let locales = [default_locale].into_iter().chain(variants.iter().map(|variant| &variant.locale));
    if let Some(locale) = locales.into_iter().find(|locale| !is_locale(locale)) {
        return Err(TemplateError::Locale(shown(locale)));
    }
    let mut there = BTreeSet::new();
    for Variant { locale, medium, .. } in variants {
        if !there.insert((locale.to_ascii_lowercase(), medium)) {
            return Err(TemplateError::Twice { locale: locale.clone(), medium: *medium });
        }
    }
    if !there.contains(&(default_locale.to_ascii_lowercase(), &None)) {
        return Err(TemplateError::NoDefault(default_locale.clone()));
    }
    for variant in variants {
        let of = |error| TemplateError::Variant { locale: variant.locale.clone(), medium: variant.medium, error };
        compile(parameters, variant).map_err(of)?;
    }
    Ok(())
}

/// Bytes of a variant's parts as they are written.
#[must_use]
pub fn bytes(Variant { title, body, html, .. }: &Variant) -> usize {
    title.len() + body.len() + html.as_ref().map_or(0, String::len)
}

fn is_locale(locale: &str) -> bool {
    let is_ok = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=LOCALE_BYTES_MAX).contains(&locale.len()) && locale.bytes().all(is_ok)
}

/// The place of the variant for one: `pt-BR` is told in it, else in `pt`, else in the default. A language that is
/// understood comes before a medium that fits. Without a medium it is a variant for all.
#[must_use]
pub fn pick(template: &Template, locale: &str, medium: Option<Medium>) -> Option<usize> {
    locales(locale, &template.default_locale).find_map(|locale| {
        let of = |wanted: Option<Medium>| {
            let is_it = |variant: &Variant| variant.medium == wanted && variant.locale.eq_ignore_ascii_case(&locale);
            template.variants.iter().position(is_it)
        };
        medium.and_then(|medium| of(Some(medium))).or_else(|| of(None))
    })
}

/// The variant that a target of this language is told by this medium, and what it says, with HTML for mail and where no
/// medium is named.
///
/// # Errors
/// [`PreviewError`].
pub fn preview<'a>(
    template: &'a Template,
    params: &Map<String, Json>,
    locale: &str,
    medium: Option<Medium>,
) -> Result<(&'a Variant, Rendered), PreviewError> {
    let variant = &template.variants[pick(template, locale, medium).ok_or(PreviewError::NoVariant)?];
    let with_html = medium.is_none_or(|medium| medium == Medium::Mail);
    let rendered = compile(&template.parameters, variant)?.render(params, with_html)?;
    Ok((variant, rendered))
}

/// `zh-Hant-TW`, `zh-Hant`, `zh`, `default`.
fn locales(locale: &str, default: &str) -> impl Iterator<Item = String> {
    // As POSIX writes it, pt_BR.UTF-8, too.
    let locale = locale.split(['.', '@']).next().unwrap_or_default().replace('_', "-");
    let locale = if locale.len() > LOCALE_BYTES_MAX { String::new() } else { locale };
    let shorter = |locale: &String| locale.rsplit_once('-').map(|(shorter, _)| shorter.to_owned());
    std::iter::successors(Some(locale), shorter).chain([default.to_owned()]).filter(|locale| !locale.is_empty())
}
