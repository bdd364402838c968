//! Slack's export: a ZIP file, or the directory that it was unpacked into.
//!
//! Owns its form: who is in `users.json`, what is in the lists of channels, and the files of days in a folder for each. What was
//! typed there as marks (`<@U1>`, `<http://…|…>`) is written as people read it. Messages that say only that somebody came or
//! went, or what a channel is called, are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use schema::UnixMs;
use schema::limits::{GROUP_MEMBERS_MAX, TITLE_CHARS_MAX};
use schema::op::ChannelKind;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use zip::ZipArchive;

use crate::store::NodeStore;

use super::history::{Channel, Message, User};
use super::writer::Writer;

/// Bytes of one file of an export: a day of a channel is far below.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// What a message may be that says something: written, by a program, with a file, of oneself, told in the channel too.
const SUBTYPES: [&str; 5] = ["", "bot_message", "file_share", "me_message", "thread_broadcast"];

/// An export, open.
pub(super) enum Export {
    Directory(PathBuf),
    Archive(Box<ZipArchive<File>>),
}

#[derive(Debug, Deserialize)]
struct SlackUser {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    profile: Profile,
}

#[derive(Debug, Default, Deserialize)]
struct Profile {
    #[serde(default)]
    display_name: String,
    #[serde(default)]
    real_name: String,
    #[serde(default)]
    image_192: Option<String>,
}

#[derive(Debug, Deserialize)]
struct SlackChannel {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    created: u64,
    #[serde(default)]
    creator: Option<String>,
    #[serde(default)]
    members: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct SlackMessage {
    #[serde(default)]
    subtype: String,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    bot_id: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    text: String,
    ts: String,
    #[serde(default)]
    thread_ts: Option<String>,
    #[serde(default)]
    files: Vec<SlackFile>,
}

#[derive(Debug, Deserialize)]
struct SlackFile {
    #[serde(default)]
    name: Option<String>,
}

/// A list of channels, what they are here, and whether their folders have their names rather than their ids.
const LISTS: [(&str, bool); 4] =
    [("channels.json", true), ("groups.json", true), ("mpims.json", true), ("dms.json", false)];

impl Export {
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        if path.is_dir() {
            return Ok(Self::Directory(path.to_owned()));
        }
        let archive = ZipArchive::new(File::open(path)?).context("it is no ZIP file, nor a directory")?;
        Ok(Self::Archive(Box::new(archive)))
    }

    /// Reads all of it: users, channels, then each channel's messages by their times.
    pub(super) async fn read<S: NodeStore>(mut self, writer: &mut Writer<'_, S>) -> anyhow::Result<()> {
        let users: Vec<SlackUser> =
            self.json("users.json")?.context("there is no users.json: is it Slack's export?")?;
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        for user in users {
            let shown = [&user.profile.display_name, &user.profile.real_name, &user.name];
            let shown = shown.into_iter().find(|name| !name.trim().is_empty()).unwrap_or(&user.id).clone();
            names.insert(user.id.clone(), shown.clone());
            writer.user(User { id: user.id, display_name: Some(shown), picture: user.profile.image_192 }).await?;
        }
        for (list, by_name) in LISTS {
            for channel in self.json::<Vec<SlackChannel>>(list)?.unwrap_or_default() {
                let folder = if by_name { channel.name.clone() } else { channel.id.clone() };
                let id = channel.id.clone();
                let Some(channel) = taken(channel, list, &names) else {
                    writer.note(format!("{id:?} of {list}: nobody is in it, or one alone"));
                    continue;
                };
                for member in &channel.members {
                    someone(writer, &mut names, member, None).await?;
                }
                writer.channel(channel).await?;
                self.messages(writer, &mut names, &id, &folder).await.with_context(|| format!("{folder}/"))?;
            }
        }
        Ok(())
    }

    async fn messages<S: NodeStore>(
        &mut self,
        writer: &mut Writer<'_, S>,
        names: &mut BTreeMap<String, String>,
        channel: &str,
        folder: &str,
    ) -> anyhow::Result<()> {
        for day in self.days(folder)? {
            let said: Vec<SlackMessage> = self.json(&day)?.unwrap_or_default();
            let mut said = said.into_iter().map(|one| Ok((time(&one.ts)?, one))).collect::<anyhow::Result<Vec<_>>>();
            let said = said.as_mut().map_err(|error| anyhow::anyhow!("{day}: {error:#}"))?;
            said.sort_by_key(|&(time, _)| time);
            for ((seconds, micros), one) in said.drain(..) {
                let from = one.user.clone().or_else(|| one.bot_id.as_ref().map(|bot| format!("bot:{bot}")));
                let body = read_as(&one, names);
                let (Some(from), true, false) = (from, SUBTYPES.contains(&one.subtype.as_str()), body.is_empty())
                else {
                    writer.skipped();
                    continue;
                };
                someone(writer, names, &from, one.username.clone()).await?;
                let reply_to = one.thread_ts.filter(|thread| *thread != one.ts);
                let sent_ms = UnixMs(seconds * 1_000 + u64::from(micros) / 1_000);
                let message = Message { channel: channel.to_owned(), id: one.ts, from, sent_ms, body, reply_to };
                writer.message(message).await.with_context(|| day.clone())?;
            }
        }
        Ok(())
    }

    /// The files of a folder, by their days.
    fn days(&self, folder: &str) -> anyhow::Result<Vec<String>> {
        let prefix = format!("{folder}/");
        let is_day = |name: &str| name.starts_with(&prefix) && name.ends_with(".json");
        let mut days: Vec<String> = match self {
            Self::Archive(archive) => archive.file_names().filter(|name| is_day(name)).map(str::to_owned).collect(),
            Self::Directory(path) => {
                let folder = path.join(folder);
                if !folder.is_dir() {
                    return Ok(Vec::new());
                }
                let files = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
                let names = files.iter().map(|file| format!("{prefix}{}", file.file_name().to_string_lossy()));
                names.filter(|name| is_day(name)).collect()
            }
        };
        days.sort();
        Ok(days)
    }

    /// A file, if it is there.
    fn json<T: DeserializeOwned>(&mut self, name: &str) -> anyhow::Result<Option<T>> {
        let mut text = Vec::new();
        match self {
            Self::Directory(path) => match File::open(path.join(name)) {
                Ok(file) => file.take(FILE_BYTES_MAX).read_to_end(&mut text)?,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error).with_context(|| name.to_owned()),
            },
            Self::Archive(archive) => match archive.by_name(name) {
                Ok(file) => file.take(FILE_BYTES_MAX).read_to_end(&mut text)?,
                Err(zip::result::ZipError::FileNotFound) => return Ok(None),
                Err(error) => return Err(error).with_context(|| name.to_owned()),
            },
        };
        ensure!((text.len() as u64) < FILE_BYTES_MAX, "{name} is longer than {FILE_BYTES_MAX} bytes");
        serde_json::from_slice(&text).map(Some).with_context(|| name.to_owned())
    }
}

/// What a channel is here. One of more members than a group may have is a large one.
fn taken(channel: SlackChannel, list: &str, names: &BTreeMap<String, String>) -> Option<Channel> {
    let mut seen = BTreeSet::new();
    let mut members: Vec<String> = channel.members.into_iter().filter(|user| seen.insert(user.clone())).collect();
    if members.is_empty() {
        members.extend(channel.creator.clone().filter(|creator| names.contains_key(creator)));
    }
    let kind = match list {
        "dms.json" if members.len() == 2 => ChannelKind::Direct,
        "dms.json" => return None,
        _ if members.len() > GROUP_MEMBERS_MAX as usize => ChannelKind::Large,
        _ => ChannelKind::Group,
    };
    if members.is_empty() {
        return None;
    }
    let title = match list {
        "dms.json" => String::new(),
        "mpims.json" => {
            members.iter().map(|user| names.get(user).unwrap_or(user).as_str()).collect::<Vec<_>>().join(", ")
        }
        _ => channel.name,
    };
    let title: String = title.chars().take(TITLE_CHARS_MAX as usize).collect();
    let title = if list != "dms.json" && !schema::text::is_name(&title) { channel.id.clone() } else { title };
    let created_ms = Some(UnixMs(channel.created * 1_000));
    Some(Channel { id: channel.id, kind, title, members, creator: channel.creator, created_ms })
}

/// Somebody of whom `users.json` need not know: a program, or a guest of another workspace.
async fn someone<S: NodeStore>(
    writer: &mut Writer<'_, S>,
    names: &mut BTreeMap<String, String>,
    id: &str,
    name: Option<String>,
) -> anyhow::Result<()> {
    if !names.contains_key(id) {
        let shown = name.filter(|name| !name.trim().is_empty()).unwrap_or_else(|| id.to_owned());
        names.insert(id.to_owned(), shown.clone());
        writer.user(User { id: id.to_owned(), display_name: Some(shown), picture: None }).await?;
    }
    Ok(())
}

/// Seconds and microseconds of a `ts`.
fn time(ts: &str) -> anyhow::Result<(u64, u32)> {
    let parts = ts.split_once('.').and_then(|(seconds, micros)| Some((seconds.parse().ok()?, micros.parse().ok()?)));
    match parts {
        Some((seconds, micros)) if seconds < 100_000_000_000 => Ok((seconds, micros)),
        _ => bail!("{ts:?} is no time"),
    }
}

/// A message's text as people read it, with the names of its files behind.
fn read_as(message: &SlackMessage, names: &BTreeMap<String, String>) -> String {
    let mut text = plain(&message.text, names);
    for file in message.files.iter().filter_map(|file| file.name.as_ref()) {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!("[{file}]"));
    }
    text
}

fn plain(text: &str, names: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(begin) = rest.find('<') {
        let (before, mark) = rest.split_at(begin);
        out.push_str(before);
        let Some(end) = mark.find('>') else {
            rest = mark;
            break;
        };
        out.push_str(&meant(&mark[1..end], names));
        rest = &mark[end + 1..];
    }
    out.push_str(rest);
    out.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// What stands between `<` and `>`.
fn meant(mark: &str, names: &BTreeMap<String, String>) -> String {
    let (what, label) = mark.split_once('|').map_or((mark, None), |(what, label)| (what, Some(label)));
    match what.chars().next() {
        Some('@') => format!("@{}", label.or_else(|| names.get(&what[1..]).map(String::as_str)).unwrap_or(&what[1..])),
        Some('#') => format!("#{}", label.unwrap_or(&what[1..])),
        // `!here`, `!channel`, `!date^…|in words`.
        Some('!') => label.map_or_else(|| format!("@{}", &what[1..]), str::to_owned),
        _ => match label {
            Some(label) if label != what && what.strip_prefix("mailto:") != Some(label) => format!("{label} ({what})"),
            _ => label.unwrap_or(what).to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_written_as_people_read_them() {
        let names = BTreeMap::from([("U1".to_owned(), "Ann".to_owned())]);
        let check = |text: &str, expected: &str| assert_eq!(plain(text, &names), expected, "{text}");
        check("a &lt;b&gt; &amp;amp;", "a <b> &amp;");
        check("hi <@U1>, <@U2>, <@U3|Carl>", "hi @Ann, @U2, @Carl");
        check("<#C1|general> <#C2>", "#general #C2");
        check("<!here> <!date^1^x|yesterday>", "@here yesterday");
        check("<https://a.example> <https://a.example|there>", "https://a.example there (https://a.example)");
        check("<mailto:a@b.example|a@b.example>", "a@b.example");
        check("1 < 2", "1 < 2");
        check("<>", "");
    }

    #[test]
    fn times_have_seconds_and_a_fraction() {
        assert_eq!(time("1618000000.000200").expect("a time"), (1_618_000_000, 200));
        for wrong in ["", "1618000000", "x.1", "1.x", "-1.0", "999999999999.0"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
