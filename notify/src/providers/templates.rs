//! Templates of a request, over what a message holds.
//!
//! Owns what a template may use and how a value is escaped: a title can end no text of JSON and begin no other path. A
//! value that is not there is an error, and work is bounded by fuel.

use std::collections::BTreeMap;

use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value, escape_formatter};
use schema::{NoticeId, UnixMs};

use super::setup::KeyError;
use crate::message::{Message, Target};

/// Steps of one rendering: a template of a page takes some hundred.
const FUEL: u64 = 20_000;
/// Of [`AutoEscape::Custom`].
const URL: &str = "url";

/// How a value is escaped where it is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escape {
    /// As a value of JSON.
    Json,
    /// Percent-encoded, everything but letters, digits, `_`, `-`, `.` and `~`.
    Url,
    /// Not at all.
    Nothing,
}

/// Templates by name.
pub(super) struct Templates {
    environment: Environment<'static>,
}

impl Templates {
    pub(super) fn new() -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.set_auto_escape_callback(|name| match name.rsplit_once('#') {
            Some((_, "json")) => AutoEscape::Json,
            Some((_, "url")) => AutoEscape::Custom(URL.into()),
            _ => AutoEscape::None,
        });
        environment.set_formatter(format);
        Self { environment }
    }

    /// Adds one, whose name is the key that holds it.
    ///
    /// # Errors
    /// It cannot be parsed.
    pub(super) fn add(&mut self, key: &str, template: &str, escape: Escape) -> Result<(), KeyError> {
        let suffix = match escape {
            Escape::Json => "json",
            Escape::Url => "url",
            Escape::Nothing => "",
        };
        self.environment
            .add_template_owned(format!("{key}#{suffix}"), template.to_owned())
            .map_err(|error| KeyError::new(key, format!("is no template: {}", shown(&error))))
    }

    /// Renders each with a message that has everything and with one that has little.
    ///
    /// # Errors
    /// One of them uses what is not there, or makes JSON that is none.
    pub(super) fn check(&self, secret: Option<&str>) -> Result<(), KeyError> {
        for message in [example(true), example(false)] {
            let values = values(&message, secret);
            for (name, template) in self.environment.templates() {
                let (key, suffix) = name.rsplit_once('#').unwrap_or((name, ""));
                let wrong = |why: String| KeyError::new(key, why);
                let text = template.render(&values).map_err(|error| wrong(format!("fails: {}", shown(&error))))?;
                let is_json = || serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
                if suffix == "json" && !text.is_empty() && !is_json() {
                    let why = "makes no JSON: a value has its quotes already, {\"title\": {{ title }}}";
                    return Err(wrong(why.to_owned()));
                }
            }
        }
        Ok(())
    }

    /// # Errors
    /// It uses what this message does not have, or is not done within its fuel.
    pub(super) fn render(&self, key: &str, values: &Value) -> Result<String, String> {
        let found =
            self.environment.templates().find(|(name, _)| name.rsplit_once('#').is_some_and(|(name, _)| name == key));
        let (_, template) = found.ok_or_else(|| format!("there is no template of {key}"))?;
        template.render(values).map_err(|error| format!("the template of {key} fails: {}", error.kind()))
    }
}

/// Writes a value as its template wants it.
fn format(output: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    if !matches!(state.auto_escape(), AutoEscape::Custom(_)) || value.is_safe() || value.is_undefined() {
        return escape_formatter(output, state, value);
    }
    let text = value.to_string();
    let encoded = form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    // A form has a plus sign for a space, which a path has not.
    output.write_str(&encoded.replace('+', "%20")).map_err(|_| Error::from(ErrorKind::WriteFailure))
}

/// What is wrong, in one line.
fn shown(error: &Error) -> String {
    let line = error.line().map(|line| format!(" in line {line}")).unwrap_or_default();
    format!("{}{line}{}", error.kind(), error.detail().map(|detail| format!(": {detail}")).unwrap_or_default())
}

/// What a template may use.
pub(super) fn values(message: &Message, secret: Option<&str>) -> Value {
    let Message { notice, id, target, title, body, html, collapse, badge, data, media, .. } = message;
    let Message { is_urgent, expires_ms, unsubscribe, callback, .. } = message;
    minijinja::context! {
        notice => notice.to_string(),
        id => id.to_string(),
        address => &target.address,
        app => &target.app,
        development => target.is_development,
        locale => &target.locale,
        title, body, html, collapse, badge, data, media,
        urgent => is_urgent,
        expires_ms => expires_ms.0,
        unsubscribe, callback, secret,
    }
}

fn example(is_full: bool) -> Message {
    let text = |text: &str| is_full.then(|| text.to_owned());
    Message {
        notice: NoticeId([0; 16]),
        id: uuid::Uuid::nil(),
        target: Target {
            address: "address".to_owned(),
            app: "app".to_owned(),
            is_development: false,
            locale: "en".to_owned(),
        },
        title: "a \"title\"".to_owned(),
        body: "a text".to_owned(),
        html: text("<p>a text</p>"),
        collapse: "collapse".to_owned(),
        badge: is_full.then_some(1),
        data: BTreeMap::new(),
        media: text("https://media.example/picture"),
        is_urgent: is_full,
        expires_ms: UnixMs(4_102_444_800_000),
        unsubscribe: text("https://chat.example/unsubscribe"),
        callback: text("https://chat.example/callback"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(template: &str, escape: Escape, title: &str) -> Result<String, String> {
        let mut templates = Templates::new();
        let failed = |error: KeyError| format!("{} {}", error.key, error.why);
        templates.add("body", template, escape).map_err(failed)?;
        templates.check(Some("s")).map_err(failed)?;
        let message = Message { title: title.to_owned(), ..example(true) };
        templates.render("body", &values(&message, Some("s")))
    }

    #[test]
    fn a_title_stays_what_it_is_wherever_it_is_put() {
        let check = |template: &str, escape, title: &str, expected: &str| {
            assert_eq!(rendered(template, escape, title).as_deref(), Ok(expected), "{template} {title}");
        };
        check(
            r#"{"t": {{ title }}}"#,
            Escape::Json,
            r#"", "admin": true, "x": ""#,
            r#"{"t": "\", \"admin\": true, \"x\": \""}"#,
        );
        check(r#"{"t": {{ title }}}"#, Escape::Json, "a\nb\\", r#"{"t": "a\nb\\"}"#);
        check(r#"{"b": {{ badge }}, "u": {{ urgent }}}"#, Escape::Json, "", r#"{"b": 1, "u": true}"#);
        check("https://a.example/{{ title }}", Escape::Url, "../x?y=1#z", "https://a.example/..%2Fx%3Fy%3D1%23z");
        check("https://a.example/{{ title }}", Escape::Url, "a b+ü", "https://a.example/a%20b%2B%C3%BC");
        check("{{ title|safe }}", Escape::Url, "https://b.example/x", "https://b.example/x");
        check("t={{ title }}&b={{ badge }}", Escape::Url, "a&b=c", "t=a%26b%3Dc&b=1");
        check("{{ title }}", Escape::Nothing, "<a> & \"b\"", "<a> & \"b\"");
        check("Bearer {{ secret }}", Escape::Nothing, "", "Bearer s");
    }

    #[test]
    fn a_template_that_does_not_do_is_refused_where_it_is_configured() {
        let check = |template: &str, escape, expected: &str| {
            let error = rendered(template, escape, "a").expect_err(template);
            assert!(error.starts_with("body ") && error.contains(expected), "{template}: {error}");
        };
        check("{{ tile }}", Escape::Json, "undefined");
        check("{{ title", Escape::Json, "is no template");
        check(r#"{"t": "{{ title }}"}"#, Escape::Json, "makes no JSON");
        check("{% for i in range(100000) %}x{% endfor %}", Escape::Nothing, "fails");
        check("{% if badge %}1{% else %}{{ nothing }}{% endif %}", Escape::Nothing, "undefined");
    }
}
