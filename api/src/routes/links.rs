//! Links in notifications: followed, loaded, unsubscribed by, called by a provider.
//!
//! Owns what each kind answers. What a link does is in it, signed ([`crate::links`]), and nobody signs in: who has a link
//! may do what it does. Nothing changes by fetching one but what is known of a notification, since scanners of mails fetch
//! whatever they find.

use std::time::Duration;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use chat::notices::{self, Link, Target, settings};
use kv::Engine;
use schema::record::DeliveryState;
use schema::{ErrorCode, Medium, UserId};
use tokio::time::timeout;

use crate::counts::Bound;
use crate::extract::{SmallBody, UrlPath};
use crate::links::PATH;
use crate::problem::Problem;
use crate::shards::Shards;
use crate::state::Api;

/// How long a click waits until it is noted: then it leads on all the same.
const NOTE_MAX: Duration = Duration::from_secs(2);
/// A picture of one transparent pixel.
const PIXEL: &[u8] =
    b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\0\0\0!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";

/// Follows a link.
pub(crate) async fn follow<E: Engine, S: Shards>(
    State(api): State<Api<E, S>>,
    UrlPath(token): UrlPath<String>,
    method: Method,
) -> Response {
    match api.links.read(&token) {
        Some(Link::Click { target, url }) => {
            // Who asks for the head alone looks where it leads.
            if method == Method::GET {
                note_shortly(&api, &target, DeliveryState::Clicked).await;
            }
            let there = HeaderValue::try_from(url).expect("a link leads to a URL of visible ASCII");
            (StatusCode::SEE_OTHER, [(LOCATION, there)]).into_response()
        }
        Some(Link::Open(target)) => {
            if method == Method::GET {
                note_shortly(&api, &target, DeliveryState::Opened).await;
            }
            let headers = [
                (CONTENT_TYPE, HeaderValue::from_static("image/gif")),
                (CACHE_CONTROL, HeaderValue::from_static("no-store")),
                // It is shown in pages of other origins: mails in a browser.
                (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("cross-origin")),
            ];
            (headers, PIXEL).into_response()
        }
        Some(Link::Unsubscribe { medium, category, .. }) => {
            let what = what(medium, &category);
            let form = "<form method=\"post\"><button name=\"List-Unsubscribe\" value=\"One-Click\">Unsubscribe</button></form>";
            page(StatusCode::OK, "Unsubscribe", &format!("<p>Do you want no more {what} from this server?</p>{form}"))
        }
        Some(Link::Callback(_)) | None => {
            let text = "<p>This link is none of this server's, or a part of it is missing. Nothing was changed.</p>";
            page(StatusCode::NOT_FOUND, "No such link", text)
        }
    }
}

/// Does what a link does beyond telling that it was followed.
pub(crate) async fn carry_out<E: Engine, S: Shards>(
    State(api): State<Api<E, S>>,
    UrlPath(token): UrlPath<String>,
    headers: HeaderMap,
    SmallBody(body): SmallBody,
) -> Result<Response, Problem> {
    match api.links.read(&token) {
        Some(Link::Unsubscribe { user, medium, category }) => {
            if !is_one_click(&headers, &body) {
                return Err(Problem::bad_request("the body is List-Unsubscribe=One-Click (RFC 8058)"));
            }
            prepare(&api, user)?;
            settings::turn_off(&api.engine, user, &category, medium, api.wall()).await?;
            let text = format!("<p>You will get no more {} from this server.</p>", what(medium, &category));
            Ok(page(StatusCode::OK, "Unsubscribed", &text))
        }
        Some(Link::Callback(target)) => {
            let form: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
            let signature = headers.get("x-twilio-signature").and_then(|value| value.to_str().ok()).unwrap_or_default();
            if !api.config.media.is_sms_callback(&format!("{PATH}{token}"), &form, signature) {
                return Err(Problem::new(ErrorCode::PermissionDenied, "this is not signed by the service"));
            }
            if let Some((state, why)) = heard(&form) {
                prepare(&api, target.user)?;
                notices::note(&api.engine, &target, state, &why, api.wall()).await?;
            }
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        Some(Link::Click { .. } | Link::Open(_)) | None => {
            let detail = "this link is none of this server's, or none that is posted to; nothing was changed";
            Err(Problem::new(ErrorCode::UnknownCommand, detail).with_status(StatusCode::NOT_FOUND))
        }
    }
}

/// Refuses what needs the store while it is away, and more of one user's than a user may ask for.
fn prepare<E: Engine, S: Shards>(api: &Api<E, S>, user: UserId) -> Result<(), Problem> {
    if !api.node.store_answers() {
        let away = Problem::new(ErrorCode::StorageUnavailable, "the store does not answer, try again later");
        return Err(away.after_ms(1_000).because(Bound::Store));
    }
    take(api, user)
}

/// Takes from what the links of a user may cost, which is as much as requests of the user and beside them: who has a link
/// keeps nobody from the API.
fn take<E: Engine, S: Shards>(api: &Api<E, S>, user: UserId) -> Result<(), Problem> {
    let refused = |wait_ms| {
        let problem = Problem::new(ErrorCode::RateLimited, "too many requests by links of this user");
        problem.after_ms(wait_ms).because(Bound::User)
    };
    api.users.take(("links", user)).map(drop).map_err(refused)
}

/// Notes a state, if that can be done at once.
async fn note_shortly<E: Engine, S: Shards>(api: &Api<E, S>, target: &Target, state: DeliveryState) {
    if prepare(api, target.user).is_err() || api.takes_writes().is_err() {
        return;
    }
    match timeout(NOTE_MAX, notices::note(&api.engine, target, state, "", api.wall())).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::debug!(error = &error as &dyn std::error::Error, ?state, "a link was not noted"),
        Err(_) => tracing::debug!(?state, "a link was not noted in time"),
    }
}

/// What a service of Twilio's shape says became of a message; nothing while it is on its way.
fn heard(form: &[(String, String)]) -> Option<(DeliveryState, String)> {
    let field = |wanted: &str| form.iter().find(|(name, _)| name == wanted).map_or("", |(_, value)| value.as_str());
    let status = field("MessageStatus");
    match status {
        "delivered" => Some((DeliveryState::Delivered, String::new())),
        "read" => Some((DeliveryState::Opened, String::new())),
        "undelivered" | "failed" | "canceled" => {
            let code: String = field("ErrorCode").chars().filter(char::is_ascii_digit).take(10).collect();
            Some((DeliveryState::Dead, format!("{status} {code}").trim_end().to_owned()))
        }
        _ => None,
    }
}

/// Whether a body says what RFC 8058 has it say, in either of its forms.
fn is_one_click(headers: &HeaderMap, body: &[u8]) -> bool {
    const NAME: &str = "List-Unsubscribe";
    const VALUE: &str = "One-Click";
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.to_ascii_lowercase().starts_with("multipart/form-data") {
        let text = String::from_utf8_lossy(body);
        let mut lines = text.lines().skip_while(|line| !line.contains(&format!("name=\"{NAME}\"")));
        return lines.any(|line| line.trim() == VALUE);
    }
    form_urlencoded::parse(body).any(|(name, value)| name == NAME && value == VALUE)
}

/// What somebody is told by a medium, in words. A category is of `[A-Za-z0-9._-]`.
fn what(medium: Medium, category: &str) -> String {
    let category: String = category.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).collect();
    let messages = match medium {
        Medium::Mail => "mails",
        Medium::Sms => "text messages",
        Medium::Apns | Medium::Fcm | Medium::WebPush | Medium::Webhook => "notifications on your devices",
    };
    format!("{messages} of the kind <b>{category}</b>")
}

/// A page of a few words, which needs nothing but itself and posts to where it is.
fn page(status: StatusCode, title: &str, body: &str) -> Response {
    const POLICY: &str = "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"robots\" content=\"noindex\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title><h1>{title}</h1>{body}</html>"
    );
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    ];
    (status, headers, html).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_service_says_has_a_state() {
        let check = |status: &str, code: &str, expected: Option<(DeliveryState, &str)>| {
            let form = [("MessageStatus", status), ("ErrorCode", code)];
            let form = form.map(|(name, value)| (name.to_owned(), value.to_owned()));
            assert_eq!(heard(&form), expected.map(|(state, why)| (state, why.to_owned())), "{status}");
        };
        check("queued", "", None);
        check("sent", "", None);
        check("delivered", "", Some((DeliveryState::Delivered, "")));
        check("read", "", Some((DeliveryState::Opened, "")));
        check("undelivered", "30003", Some((DeliveryState::Dead, "undelivered 30003")));
        check("failed", "call +15551234567", Some((DeliveryState::Dead, "failed 1555123456")));
        check("failed", "", Some((DeliveryState::Dead, "failed")));
        check("", "", None);
    }

    #[test]
    fn one_click_comes_in_two_forms() {
        let check = |kind: &'static str, body: &str, expected| {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
            assert_eq!(is_one_click(&headers, body.as_bytes()), expected, "{kind} {body}");
        };
        const FORM: &str = "application/x-www-form-urlencoded";
        check(FORM, "List-Unsubscribe=One-Click", true);
        check(FORM, "a=b&List-Unsubscribe=One%2DClick", true);
        check(FORM, "List-Unsubscribe=Two-Clicks", false);
        check(FORM, "", false);
        const PARTS: &str = "multipart/form-data; boundary=b";
        let part = |name: &str, value: &str| {
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n--b--\r\n")
        };
        check(PARTS, &part("List-Unsubscribe", "One-Click"), true);
        check(PARTS, &part("List-Unsubscribe", "No"), false);
        check(PARTS, &part("Other", "One-Click"), false);
        check(PARTS, "List-Unsubscribe=One-Click", false);
    }
}
