//! Any other service: an HTTP request made of an operator's templates.
//!
//! Owns the request and what each status comes to; the templates are [`super::templates`]'s. Goes through the guard
//! unless the operator says that the service is one inside.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use schema::Medium;
use serde::Deserialize;

use super::guard::Guard;
use super::http::{HttpClient, Versions};
use super::secret::Secret;
use super::setup::{KeyError, Setup};
use super::templates::{Escape, Templates};
use super::{Attempt, Provider, bounded};
use crate::message::Message;
use crate::outcome::{Fault, Outcome};

/// Its keys in the configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    url: String,
    #[serde(default = "method")]
    method: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    #[serde(default)]
    format: Format,
    secret_file: Option<PathBuf>,
    #[serde(default)]
    inside: bool,
}

fn method() -> String {
    "POST".to_owned()
}

/// What the body is, which says how what is put into it is escaped, and its `Content-Type`.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    /// A value is a value of JSON, a text with its quotes.
    #[default]
    Json,
    /// A value is percent-encoded.
    Form,
    /// A value is as it is.
    Text,
}

impl Format {
    fn escape(self) -> Escape {
        match self {
            Self::Json => Escape::Json,
            Self::Form => Escape::Url,
            Self::Text => Escape::Nothing,
        }
    }

    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json => "application/json",
            Self::Form => "application/x-www-form-urlencoded",
            Self::Text => "text/plain; charset=utf-8",
        })
    }
}

/// One such service.
pub(super) struct Webhook {
    name: String,
    method: Method,
    /// The header of a template's number.
    headers: Vec<HeaderName>,
    content_type: HeaderValue,
    templates: Templates,
    secret: Option<Secret>,
    /// Whether its host is written out, and none that a message has a part in.
    is_one_host: bool,
    /// `None` for a service inside.
    guard: Option<Guard>,
    client: HttpClient,
    attempt_ms_max: u64,
}

impl Webhook {
    /// # Errors
    /// A key of the configuration that does not do.
    pub(super) fn new(name: String, settings: Settings, setup: &Setup) -> Result<Self, KeyError> {
        let Settings { url, method, headers, body, format, secret_file, inside } = settings;
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| KeyError::new("method", "is none: POST"))?;
        let secret = secret_file.map(|path| setup.secret("secret_file", &path)).transpose()?;
        let mut templates = Templates::new();
        templates.add("url", &url, Escape::Url)?;
        templates.add("body", &body, format.escape())?;
        let mut names = Vec::new();
        for (header, template) in &headers {
            let name: HeaderName =
                header.parse().map_err(|_| KeyError::new("headers", format!("has {header:?}, which is no header")))?;
            templates.add(&format!("headers.{name}"), template, Escape::Nothing)?;
            names.push(name);
        }
        let is_one_host = names_host(&url);
        if inside && !is_one_host {
            return Err(KeyError::new("inside", "is set for a url whose host a template makes: write the host there"));
        }
        let guard = (!inside).then_some(setup.guard);
        let webhook = Self {
            name,
            method,
            headers: names,
            content_type: format.content_type(),
            templates,
            secret,
            is_one_host,
            guard,
            client: HttpClient::new(&setup.tls, guard, Versions::Any),
            attempt_ms_max: setup.attempt_ms_max,
        };
        webhook.templates.check(webhook.secret.as_ref().map(Secret::expose))?;
        Ok(webhook)
    }

    async fn attempt(&self, message: &Message) -> Outcome {
        let request = match self.request(message) {
            Ok(request) => request,
            Err(why) => return Outcome::failed(Fault::Payload, why),
        };
        match self.client.send(request).await {
            Ok(answer) if answer.status.is_success() => Outcome::Sent { provider_id: None },
            Ok(answer) => answer.failed(fault(answer.status.as_u16()), ""),
            Err(outcome) => outcome,
        }
    }

    fn request(&self, message: &Message) -> Result<Request<Full<Bytes>>, String> {
        let values = super::templates::values(message, self.secret.as_ref().map(Secret::expose));
        let url = self.templates.render("url", &values)?;
        let uri = match self.guard {
            Some(guard) => guard.check_endpoint(&url).map_err(|error| error.to_string())?,
            None => url.parse::<Uri>().map_err(|_| "the url is none".to_owned())?,
        };
        let body = self.templates.render("body", &values)?;
        let mut request = Request::builder().method(&self.method).uri(uri).header("content-type", &self.content_type);
        for name in &self.headers {
            let value = self.templates.render(&format!("headers.{name}"), &values)?;
            let value = HeaderValue::from_str(&value).map_err(|_| format!("the header {name} would be none"))?;
            request.headers_mut().ok_or("the request is none")?.insert(name, value);
        }
        request.body(Full::from(body)).map_err(|_| "the request is none".to_owned())
    }
}

impl Provider for Webhook {
    fn name(&self) -> &str {
        &self.name
    }

    fn medium(&self) -> Medium {
        Medium::Webhook
    }

    fn service(&self, message: &Message) -> Option<String> {
        if self.is_one_host {
            return None;
        }
        let values = super::templates::values(message, self.secret.as_ref().map(Secret::expose));
        let uri: Option<Uri> = self.templates.render("url", &values).ok().and_then(|url| url.parse().ok());
        // Of a URL that is none the attempt says so.
        Some(uri.and_then(|uri| uri.host().map(str::to_ascii_lowercase)).unwrap_or_default())
    }

    fn send<'a>(&'a self, message: &'a Message) -> Attempt<'a> {
        bounded(self.attempt_ms_max, self.attempt(message))
    }
}

/// Whether the template of a URL has its host written out.
fn names_host(url: &str) -> bool {
    let host = url.split_once("://").map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
    host.is_some_and(|host| !host.is_empty() && !host.contains(['{', '}', '@', '%']))
}

/// What a status that is none of success comes to.
fn fault(status: u16) -> Fault {
    match status {
        404 | 410 => Fault::Gone,
        401 | 403 => Fault::Credential,
        429 => Fault::Quota,
        500.. => Fault::Transient,
        // Redirects are not followed.
        _ => Fault::Payload,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_inside_has_its_host_written_out() {
        let check = |url: &str, expected| assert_eq!(names_host(url), expected, "{url}");
        check("http://10.0.0.1:8080/hook/{{ address }}", true);
        check("https://push.internal?to={{ address }}", true);
        check("http://{{ address }}/hook", false);
        check("http://push.{{ app }}/hook", false);
        check("{{ address|safe }}", false);
        check("http://a@{{ address }}/", false);
        check("http://{% if app %}a{% endif %}/", false);
        check("http:///x", false);
    }

    #[test]
    fn every_status_has_a_class() {
        let check = |status, expected| assert_eq!(fault(status), expected, "{status}");
        check(404, Fault::Gone);
        check(410, Fault::Gone);
        check(401, Fault::Credential);
        check(403, Fault::Credential);
        check(429, Fault::Quota);
        check(400, Fault::Payload);
        check(422, Fault::Payload);
        check(307, Fault::Payload);
        check(500, Fault::Transient);
        check(504, Fault::Transient);
    }
}
