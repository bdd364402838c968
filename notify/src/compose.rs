//! A message for one target, in words, from what its job has to say.
//!
//! Owns the words and the names that a repetition is known by. Knows no provider and no store.

use std::collections::BTreeMap;

use chat::notices::{Job, Notice, Saying};
use schema::media::{Attachment, MediaKind};
use schema::record::ContactRecord;
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use crate::message::{Message, Target};
use crate::template::Rendered;

/// Characters of a text that are told: phones show some 200.
const TEXT_CHARS_MAX: usize = 300;
/// Characters of a title that a template makes: as many as an application may write itself.
const TITLE_CHARS_MAX: usize = 200;
/// Characters of a title or a name in a title.
const NAME_CHARS_MAX: usize = 60;
/// The namespace of the ids of messages, drawn once.
const NAMESPACE: Uuid = Uuid::from_u128(0x6d1f_3b0a_94c7_4f0e_8a55_2f6d_0c5e_71b3);

/// The message of a job about a channel.
#[must_use]
pub fn of_channel(job: &Job, saying: &Saying) -> Message {
    let Saying { contact, channel, seq, is_direct, title, from, text, media, unread, unread_total, .. } = saying;
    let from = short(from, NAME_CHARS_MAX);
    let place = if *is_direct { from.clone() } else { short(title, NAME_CHARS_MAX) };
    let title = match (*unread, *is_direct) {
        (0 | 1, _) => place,
        (several, true) => format!("{several} new from {place}"),
        (several, false) => format!("{several} new in {place}"),
    };
    let text = short(text, TEXT_CHARS_MAX);
    let body = match (text.is_empty(), carried(media), *is_direct) {
        (false, Some(carried), true) => format!("{text} ({carried})"),
        (false, Some(carried), false) => format!("{from}: {text} ({carried})"),
        (true, Some(carried), true) => format!("sent {carried}"),
        (true, Some(carried), false) => format!("{from} sent {carried}"),
        (_, None, true) => text,
        (_, None, false) => format!("{from}: {text}"),
    };
    let data = [("channel_id", channel.to_string()), ("seq", seq.0.to_string()), ("user_id", job.user.to_string())];
    Message {
        notice: job.notice,
        id: id(job),
        target: target(contact),
        title,
        body,
        html: None,
        collapse: channel.to_string(),
        badge: *unread_total,
        data: data.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<BTreeMap<_, _>>(),
        media: None,
        is_urgent: true,
        expires_ms: job.record.expires_ms,
        unsubscribe: None,
        callback: None,
    }
}

/// What a message carries, in words: `a picture`, `3 pictures`, the name of a file.
fn carried(media: &[Attachment]) -> Option<String> {
    let first = media.first()?;
    let (one, several) = match first.kind {
        MediaKind::Image => ("a picture", "pictures"),
        MediaKind::Video => ("a video", "videos"),
        MediaKind::Audio => ("a recording", "recordings"),
        MediaKind::File => ("a file", "files"),
    };
    Some(match media {
        [only] if only.kind == MediaKind::File && !only.name.is_empty() => short(&only.name, NAME_CHARS_MAX),
        [_] => one.to_owned(),
        all if all.iter().all(|other| other.kind == first.kind) => format!("{} {several}", all.len()),
        all => format!("{} files", all.len()),
    })
}

/// The message of a job of an application's notice, in its own words or in those that its template gave.
#[must_use]
pub fn of_notice(job: &Job, Notice { contact, record, .. }: &Notice, rendered: Option<&Rendered>) -> Message {
    // What is stored was an object when it was accepted: of texts, or a template's parameters, whose texts go along.
    let given: Map<String, Json> = serde_json::from_str(&record.data).unwrap_or_default();
    let texts = given.into_iter().filter_map(|(name, value)| match value {
        Json::String(text) => Some((name, text)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => None,
    });
    let mut data: BTreeMap<String, String> = texts.collect();
    data.insert("notice_id".to_owned(), job.notice.to_string());
    data.insert("category".to_owned(), record.category.clone());
    let (title, body, html) = match rendered {
        Some(Rendered { title, body, html }) => (short(title, TITLE_CHARS_MAX), body, html),
        None => (record.title.clone(), &record.body, &record.html),
    };
    Message {
        notice: job.notice,
        id: id(job),
        target: target(contact),
        title,
        body: body.clone(),
        html: html.clone(),
        collapse: if record.collapse.is_empty() { job.notice.to_string() } else { record.collapse.clone() },
        badge: None,
        data,
        media: None,
        is_urgent: record.urgent,
        expires_ms: job.record.expires_ms,
        unsubscribe: None,
        callback: None,
    }
}

fn target(contact: &ContactRecord) -> Target {
    Target {
        address: contact.address.clone(),
        app: contact.app.clone(),
        is_development: contact.development,
        locale: contact.locale.clone(),
    }
}

/// The name of what a job tells its target: the same at each attempt, by whichever worker.
#[must_use]
pub fn id(job: &Job) -> Uuid {
    let mut name = Vec::with_capacity(64);
    name.extend_from_slice(&job.notice.0);
    name.extend_from_slice(&job.user.0.to_be_bytes());
    name.push(job.medium as u8);
    name.extend_from_slice(job.device.as_bytes());
    Uuid::new_v5(&NAMESPACE, &name)
}

/// A text on one line, cut behind so many characters.
fn short(text: &str, chars_max: usize) -> String {
    let mut chars = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = chars.by_ref().take(chars_max).collect();
    if chars.next().is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use schema::record::{ContactRecord, JobRecord, NoticeRecord};
    use schema::{ChannelId, MediaId, Medium, NoticeId, Seq, UnixMs, UserId};

    use super::*;

    fn job() -> Job {
        let record = JobRecord {
            channel: ChannelId(7),
            seq: Seq(3),
            origin: NoticeId::default(),
            planned_ms: UnixMs(1),
            expires_ms: UnixMs(9),
            attempts: 1,
            leased: true,
        };
        let notice = NoticeId::of_message(UserId(2), ChannelId(7), Seq(3), UnixMs(0));
        Job { medium: Medium::Apns, due: UnixMs(5), notice, user: UserId(2), device: "phone".into(), record }
    }

    fn saying(title: &str, from: &str, text: &str, unread: u64) -> Saying {
        Saying {
            settings: Arc::default(),
            contact: ContactRecord {
                address: "token".into(),
                app: String::new(),
                development: false,
                locale: String::new(),
                family: 1,
                registered_ms: UnixMs(0),
                verified_ms: None,
            },
            channel: ChannelId(7),
            seq: Seq(3),
            is_direct: title.is_empty(),
            title: title.into(),
            from: from.into(),
            text: text.into(),
            media: Vec::new(),
            unread,
            unread_total: Some(12),
        }
    }

    #[test]
    fn one_message_is_told_as_it_is_and_several_by_their_number() {
        let check = |title, from, text, unread, expected: (&str, &str)| {
            let message = of_channel(&job(), &saying(title, from, text, unread));
            assert_eq!((message.title.as_str(), message.body.as_str()), expected);
            assert_eq!((message.badge, message.collapse.as_str()), (Some(12), "7"));
        };
        check("", "Ada", "hello", 1, ("Ada", "hello"));
        check("", "Ada", "hello", 3, ("3 new from Ada", "hello"));
        check("Team", "Ada", "hello", 1, ("Team", "Ada: hello"));
        check("Team", "Ada", "hello", 3, ("3 new in Team", "Ada: hello"));
        check("", "Ada", "two\nlines", 1, ("Ada", "two lines"));
        let (long, cut) = ("ㅎ".repeat(301), "ㅎ".repeat(300) + "…");
        check("", "Ada", &long, 1, ("Ada", &cut));
        check("", "Ada", &long[..900], 1, ("Ada", &long[..900]));
    }

    #[test]
    fn what_a_message_carries_is_told_in_words() {
        let attachment = |&(kind, name): &(MediaKind, &str)| Attachment {
            media_id: MediaId(1),
            kind,
            content_type: "".into(),
            name: name.into(),
            bytes: 1,
            width: 0,
            height: 0,
            blurhash: "".into(),
            poster: None,
        };
        let check = |title: &str, text: &str, media: &[(MediaKind, &str)], expected: &str| {
            let media = media.iter().map(attachment).collect();
            let saying = Saying { media, ..saying(title, "Ada", text, 1) };
            assert_eq!(of_channel(&job(), &saying).body, expected);
        };
        use MediaKind::{Audio, File, Image, Video};
        check("", "", &[(Image, "cat.jpg")], "sent a picture");
        check("Team", "", &[(Image, "cat.jpg")], "Ada sent a picture");
        check("", "", &[(Image, ""), (Image, ""), (Image, "")], "sent 3 pictures");
        check("", "", &[(Video, "a.mp4")], "sent a video");
        check("", "", &[(Audio, "a.ogg"), (Audio, "b.ogg")], "sent 2 recordings");
        check("", "", &[(File, "report.pdf")], "sent report.pdf");
        check("", "", &[(File, "")], "sent a file");
        check("", "", &[(File, "two\nlines.pdf")], "sent two lines.pdf");
        check("", "", &[(File, "report.pdf"), (Image, "cat.jpg")], "sent 2 files");
        check("", "look", &[(Image, "cat.jpg")], "look (a picture)");
        check("Team", "look", &[(File, "report.pdf")], "Ada: look (report.pdf)");
        check("Team", "look", &[], "Ada: look");
    }

    #[test]
    fn a_notice_is_told_in_its_own_words_or_in_those_of_its_template_with_the_texts_of_its_data() {
        let record = NoticeRecord {
            app: 7,
            category: "shipping".into(),
            title: "own title".into(),
            body: "own body".into(),
            html: Some("<p>own</p>".into()),
            data: r#"{"url": "https://shop.example/7", "count": 3, "parcels": ["a"], "none": null}"#.into(),
            created_ms: UnixMs(0),
            send_ms: UnixMs(0),
            expires_ms: 9,
            recipients: 1,
            ..NoticeRecord::default()
        };
        let Saying { contact, settings, .. } = saying("", "", "", 1);
        let notice = Notice { contact, settings, is_critical: false, record: Arc::new(record), template: None };
        let check = |rendered: Option<(&str, &str)>, expected: (&str, &str, Option<&str>)| {
            let rendered =
                rendered.map(|(title, body)| Rendered { title: title.to_owned(), body: body.to_owned(), html: None });
            let message = of_notice(&job(), &notice, rendered.as_ref());
            assert_eq!((message.title.as_str(), message.body.as_str(), message.html.as_deref()), expected);
            let data: Vec<_> = message.data.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let id = format!("notice_id={}", job().notice);
            assert_eq!(data, ["category=shipping", &id, "url=https://shop.example/7"]);
        };
        check(None, ("own title", "own body", Some("<p>own</p>")));
        check(Some(("title", "two\nlines")), ("title", "two\nlines", None));
        let (long, cut) = ("x".repeat(201), "x".repeat(200) + "…");
        check(Some((&long, "")), (&cut, "", None));
    }

    #[test]
    fn a_repetition_has_the_same_id_and_nothing_else_has() {
        let same = Job { due: UnixMs(99), record: JobRecord { attempts: 7, ..job().record }, ..job() };
        assert_eq!(id(&same), id(&job()));
        let others = [
            Job { device: "tablet".into(), ..job() },
            Job { medium: Medium::Fcm, ..job() },
            Job { user: UserId(3), ..job() },
            Job { notice: job().notice.at(UnixMs(1)), ..job() },
        ];
        assert!(others.iter().all(|other| id(other) != id(&job())));
    }
}
