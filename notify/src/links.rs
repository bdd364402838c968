//! Links that a message bears: where a reader follows it to, and what comes back by that.
//!
//! Owns where a link stands in what goes by each medium. What a link does is `chat::notices`', how it is written and signed
//! its maker's. Nothing tells that it was followed or opened unless its application asked for that.

use chat::notices::{Job, Link, is_web_url};
use schema::{ChannelId, Medium, NoticeId};

use crate::letter;
use crate::message::Message;

/// A maker of URLs for links.
pub trait Links: Send + Sync {
    /// The URL of a link, below this server's public one: letters, digits and signs that are legal anywhere in HTML.
    fn url(&self, link: &Link) -> String;

    /// The URL of a channel on this server's page.
    fn channel(&self, channel: ChannelId) -> String;
}

/// What a message is, as far as its links go.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// What its user may unsubscribe from; none where that is nothing to be had.
    pub category: Option<&'a str>,
    /// Whether it tells that it was followed or opened.
    pub is_tracked: bool,
}

/// The name under which an application on a device is told the link that tells of a click.
pub(crate) const CLICK_URL: &str = "click_url";

/// How what stands below a mail looks.
const SMALL: &str = "style=\"margin:16px 0;text-align:center;font:13px sans-serif\"";

/// Bytes of a URL that a device is told a link to: services take 4 KB in all, and the link is longer than its URL.
const DEVICE_URL_BYTES_MAX: usize = 400;

/// Puts the links of a job into its message; without a maker, of a server that has no public URL, only what needs none.
pub fn add(links: Option<&dyn Links>, job: &Job, about: About<'_>, message: &mut Message) {
    let url = message.data.get("url").filter(|url| is_web_url(url)).cloned();
    let is_message = job.record.origin == NoticeId::default();
    let channel = links.filter(|_| is_message && job.medium == Medium::Mail);
    let url = url.or_else(|| Some(channel?.channel(job.record.channel)));
    let tracked = links.filter(|_| about.is_tracked);
    let click = url.clone().and_then(|url| Some(tracked?.url(&Link::Click { target: job.target(), url })));
    match job.medium {
        Medium::Apns | Medium::Fcm | Medium::WebPush | Medium::Webhook => {
            let click = click.filter(|_| url.is_some_and(|url| url.len() <= DEVICE_URL_BYTES_MAX));
            message.data.extend(click.map(|click| (CLICK_URL.to_owned(), click)));
        }
        Medium::Sms => message.callback = links.map(|links| links.url(&Link::Callback(job.target()))),
        Medium::Mail => {
            let unsubscribe = links.zip(about.category).map(|(links, category)| {
                links.url(&Link::Unsubscribe { user: job.user, medium: job.medium, category: category.to_owned() })
            });
            let open = tracked.map(|links| links.url(&Link::Open(job.target())));
            mail(message, url.as_deref(), click.as_deref(), open.as_deref(), unsubscribe);
        }
    }
}

fn mail(
    message: &mut Message,
    url: Option<&str>,
    click: Option<&str>,
    open: Option<&str>,
    unsubscribe: Option<String>,
) {
    message.html.get_or_insert_with(|| letter::html(&message.title, &message.body, url));
    if let Some(url) = url {
        let there = click.unwrap_or(url);
        match replace_url(&message.body, url, there) {
            Some(body) => message.body = body,
            None => message.body.push_str(&format!("\n\nOpen: {there}")),
        }
    }
    if let Some(unsubscribe) = &unsubscribe {
        message.body.push_str(&format!("\n\nUnsubscribe: {unsubscribe}"));
    }
    if let Some(html) = &mut message.html {
        if let (Some(url), Some(click)) = (url, click) {
            // As the value of an attribute: with `&` as it is, as many write it, as HTML wants it, as templates escape it.
            for quote in ['"', '\''] {
                for url in [url, &url.replace('&', "&amp;"), &minijinja::HtmlEscape(url).to_string()] {
                    *html = html.replace(&format!("href={quote}{url}{quote}"), &format!("href={quote}{click}{quote}"));
                }
            }
        }
        let footer = unsubscribe.iter().map(|url| format!("<p {SMALL}><a href=\"{url}\">Unsubscribe</a></p>"));
        let pixel = open.iter().map(|url| format!("<img src=\"{url}\" width=\"1\" height=\"1\" alt=\"\">"));
        let end = html.to_ascii_lowercase().rfind("</body>").unwrap_or(html.len());
        html.insert_str(end, &footer.chain(pixel).collect::<String>());
    }
    message.unsubscribe = unsubscribe;
}

/// A text with another URL in the place of one, where it stands whole. `None` if it does nowhere.
fn replace_url(text: &str, url: &str, there: &str) -> Option<String> {
    let (mut replaced, mut rest, mut found) = (String::with_capacity(text.len()), text, false);
    while let Some(at) = rest.find(url) {
        let (before, behind) = (&rest[..at], &rest[at + url.len()..]);
        let next = behind.trim_start_matches(['.', ',', ';', ':', '!', '?']).chars().next();
        let is_whole = next.is_none_or(|next| next.is_whitespace() || "<>\"')]}".contains(next));
        replaced.push_str(before);
        replaced.push_str(if is_whole { there } else { url });
        found |= is_whole;
        rest = behind;
    }
    replaced.push_str(rest);
    found.then_some(replaced)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use schema::record::JobRecord;
    use schema::{ChannelId, NoticeId, Seq, UnixMs, UserId};

    use super::*;
    use crate::message::Target;

    struct Named;

    impl Links for Named {
        fn channel(&self, channel: ChannelId) -> String {
            format!("https://chat.example/n/channel-{channel}")
        }

        fn url(&self, link: &Link) -> String {
            match link {
                Link::Click { url, .. } => format!("https://chat.example/n/click-{}", url.len()),
                Link::Open(_) => "https://chat.example/n/open".to_owned(),
                Link::Unsubscribe { user, medium, category } => {
                    format!("https://chat.example/n/unsubscribe-{user}-{medium}-{category}")
                }
                Link::Callback(target) => format!("https://chat.example/n/callback-{}", target.user),
            }
        }
    }

    const URL: &str = "https://shop.example/?a=1&b=2";

    fn linked(medium: Medium, is_tracked: bool, has_public_url: bool, url: &str, html: Option<&str>) -> Message {
        let data = BTreeMap::from([("url".to_owned(), url.to_owned())]);
        let message = linked_of(NoticeId([1; 16]), medium, is_tracked, has_public_url, data, html);
        assert_eq!(message.data["url"], url, "what a device is told stays");
        message
    }

    fn linked_of(
        origin: NoticeId,
        medium: Medium,
        is_tracked: bool,
        has_public_url: bool,
        data: BTreeMap<String, String>,
        html: Option<&str>,
    ) -> Message {
        let record = JobRecord {
            channel: ChannelId(7),
            seq: Seq(0),
            origin,
            planned_ms: UnixMs(1),
            expires_ms: UnixMs(9),
            attempts: 1,
            leased: true,
        };
        let (notice, device) = (NoticeId::default(), String::new());
        let job = Job { medium, due: UnixMs(5), notice, user: UserId(2), device, record };
        let target =
            Target { address: String::new(), app: String::new(), is_development: false, locale: String::new() };
        let mut message = Message {
            notice,
            id: uuid::Uuid::nil(),
            target,
            title: String::new(),
            body: "Text".to_owned(),
            html: html.map(str::to_owned),
            collapse: String::new(),
            badge: None,
            data,
            media: None,
            is_urgent: false,
            expires_ms: UnixMs(9),
            unsubscribe: None,
            callback: None,
        };
        let about = About { category: Some("shipping"), is_tracked };
        add(has_public_url.then_some(&Named as &dyn Links), &job, about, &mut message);
        message
    }

    #[test]
    fn a_mail_of_a_message_leads_to_its_channel() {
        let of = |medium, has_public_url| {
            linked_of(NoticeId::default(), medium, false, has_public_url, BTreeMap::new(), None)
        };
        let mail = of(Medium::Mail, true);
        assert!(mail.body.contains("Open: https://chat.example/n/channel-7\n"), "{}", mail.body);
        let html = mail.html.expect("a letter");
        assert!(
            html.contains("<a href=\"https://chat.example/n/channel-7\"") && html.contains("Unsubscribe"),
            "{html}"
        );
        let mail = of(Medium::Mail, false);
        assert_eq!((mail.body.as_str(), mail.html.is_some_and(|html| html.contains("href"))), ("Text", false));
        let push = of(Medium::Apns, true);
        assert_eq!((push.html, push.data.len()), (None, 0));
    }

    #[test]
    fn a_mail_leads_on_and_can_be_ended() {
        let check = |is_tracked, has_public_url, url: &str, expected: &str| {
            let message = linked(Medium::Mail, is_tracked, has_public_url, url, None);
            assert_eq!(message.body.replace("https://chat.example/n/", "@").replace("\n\n", " | "), expected, "{url}");
            assert_eq!(message.unsubscribe.is_some(), has_public_url);
        };
        let ends = " | Unsubscribe: @unsubscribe-2-mail-shipping";
        check(false, true, URL, &format!("Text | Open: {URL}{ends}"));
        check(true, true, URL, &format!("Text | Open: @click-29{ends}"));
        check(true, false, URL, &format!("Text | Open: {URL}"));
        check(true, true, "shop://order/1", &format!("Text{ends}"));
        check(true, true, "javascript:alert(1)", &format!("Text{ends}"));
    }

    #[test]
    fn a_url_is_replaced_where_it_stands_whole() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(replace_url(text, "https://a.example", "@").as_deref(), expected, "{text}");
        };
        check("See https://a.example", Some("See @"));
        check("See https://a.example.", Some("See @."));
        check("(https://a.example), now", Some("(@), now"));
        check("https://a.example\nhttps://a.example!", Some("@\n@!"));
        check("https://a.example/orders/7", None);
        check("https://a.example.org and https://a.example", Some("https://a.example.org and @"));
        check("https://a.example?x=1", None);
        check("nothing", None);
    }

    #[test]
    fn html_is_tracked_only_where_its_application_asked() {
        let check = |is_tracked, html: &str, expected: &str| {
            let message = linked(Medium::Mail, is_tracked, true, URL, Some(html));
            let found = message.html.expect("it stays").replace("https://chat.example/n/", "@");
            assert_eq!(found, expected, "{html}");
        };
        let ends = format!("<p {SMALL}><a href=\"@unsubscribe-2-mail-shipping\">Unsubscribe</a></p>");
        let pixel = "<img src=\"@open\" width=\"1\" height=\"1\" alt=\"\">";
        check(false, "<b>Hi</b>", &format!("<b>Hi</b>{ends}"));
        check(true, "<b>Hi</b>", &format!("<b>Hi</b>{ends}{pixel}"));
        check(true, "<BODY>Hi</BODY></html>", &format!("<BODY>Hi{ends}{pixel}</BODY></html>"));
        let link = format!("<a href=\"{URL}\">x</a>");
        check(false, &link, &format!("{link}{ends}"));
        check(true, &link, &format!("<a href=\"@click-29\">x</a>{ends}{pixel}"));
        check(true, &link.replace('&', "&amp;"), &format!("<a href=\"@click-29\">x</a>{ends}{pixel}"));
        let escaped = link.replace(URL, &minijinja::HtmlEscape(URL).to_string());
        assert!(escaped.contains("&#x2f;"), "{escaped}");
        check(true, &escaped, &format!("<a href=\"@click-29\">x</a>{ends}{pixel}"));
        check(true, &link.replace('"', "'"), &format!("<a href='@click-29'>x</a>{ends}{pixel}"));
        let other = "<a href=\"https://shop.example/\">x</a>";
        check(true, other, &format!("{other}{ends}{pixel}"));
    }

    #[test]
    fn a_device_is_told_a_link_of_what_is_tracked_and_a_gateway_where_to_call() {
        let click = |medium, is_tracked, has_public_url, url: &str| {
            linked(medium, is_tracked, has_public_url, url, None).data.get(CLICK_URL).cloned()
        };
        assert_eq!(click(Medium::Apns, true, true, URL).as_deref(), Some("https://chat.example/n/click-29"));
        assert_eq!(click(Medium::Apns, false, true, URL), None);
        assert_eq!(click(Medium::Apns, true, false, URL), None);
        assert_eq!(click(Medium::WebPush, true, true, "shop://x"), None);
        let long = |bytes: usize| format!("https://shop.example/{}", "x".repeat(bytes - 21));
        assert!(click(Medium::Apns, true, true, &long(DEVICE_URL_BYTES_MAX)).is_some());
        assert_eq!(click(Medium::Apns, true, true, &long(DEVICE_URL_BYTES_MAX + 1)), None);
        let callback = |has_public_url| linked(Medium::Sms, false, has_public_url, URL, None).callback;
        assert_eq!(callback(true).as_deref(), Some("https://chat.example/n/callback-2"));
        assert_eq!(callback(false), None);
    }
}
