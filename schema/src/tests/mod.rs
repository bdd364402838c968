//! Tests over all forms of all values: what they are on the wire and in the store for ever, and that no bytes surprise.

mod generated;
mod golden;
mod properties;

/// Hands all records to a macro, since no type lists them.
macro_rules! with_all_records {
    ($rows:ident) => {
        $rows! {
            AppRecord ArrivalRecord BlockRecord ChannelRecord CodeRecord ContactRecord DeadRecord DedupRecord
            DeliveryRecord DeviceRecord EventRecord FenceRecord FirstNoticeRecord FriendRecord HeadRecord
            HookCallRecord HookRecord HookedRecord
            IdempotencyRecord JobRecord MediaRecord MemberRecord MessageRecord NodeRecord NoticeEventRecord NoticeRecord
            PresenceRecord PushRecord ReadMarkRecord RefreshRecord SettingsRecord TalliesRecord TemplateRecord
            ToldRecord UploadRecord UserRecord VariantRecord
        }
    };
}

use with_all_records;

/// The list is that of what `record` exports and calls a record.
#[test]
fn all_records_are_in_the_list() {
    macro_rules! names {
        ($($record:ident)*) => { [$(stringify!($record)),*] };
    }
    let source = include_str!("../record/mod.rs");
    let exports = source[source.find("pub use").expect("it exports")..].split("\n\n").next().expect("one paragraph");
    let names = exports.split(|c: char| !c.is_alphanumeric()).filter(|word| word.ends_with("Record"));
    // A part of a message, not a record of its own.
    let mut all: Vec<_> = names.filter(|&name| name != "BodyRecord").collect();
    all.sort_unstable();
    assert_eq!(with_all_records!(names).as_slice(), all);
}
