//! The stored records' cases.

use proptest::strategy::{Strategy as _, Union};

use super::{Case, check};
use crate::testing::any_value;
use crate::tests::with_all_records;

/// The type of a printed record.
fn name(case: &Case) -> &str {
    case.text.split(' ').next().expect("a first word")
}

macro_rules! golden {
    ($($record:ident)*) => {{
        let again = |case: &Case| match name(case) {
            $(stringify!($record) => {
                let record = crate::record::$record::decode(&case.bytes).expect("legal");
                Case::printed(&record, record.encode())
            })*
            other => panic!("{other} is no record"),
        };
        let any = Union::new([$(
            any_value::<crate::record::$record>().prop_map(|record| Case::printed(&record, record.encode())).boxed()
        ),*]);
        let all = [$(stringify!($record).to_owned()),*];
        check("records", all, |case| [name(case).to_owned()].into(), again, any);
    }};
}

#[test]
fn golden_records() {
    with_all_records!(golden);
}

/// Cases of records: beside one of each type, one of each kind and state that a store may hold.
const CASES: &str = "\
    app arrival arrival-empty arrival-later block channel-direct channel-group channel-large code contact dead dedup \
    dedup-delete dedup-edit dedup-react delivery device device-silent event-deleted event-edited event-membership \
    event-message event-reaction event-read event-role event-title fence first-notice friend friend-asked friend-requested \
    head hook hook-before hook-call hooked hooked-gap hooked-message hooked-presence idempotency job media member member-left member-returned message message-deleted message-edited message-media message-parts \
    message-plain node node-nameless notice notice-event presence presence-unknown push read-mark refresh \
    refresh-external refresh-used settings tallies tallies-none template-variant template-version told upload user \
    user-external";

#[test]
fn no_case_of_a_record_is_gone() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/records");
    let files = std::fs::read_dir(directory).expect("the directory is there");
    let path = |file: std::io::Result<std::fs::DirEntry>| file.expect("it can be listed").path();
    let mut found: Vec<_> =
        files.map(|file| path(file).with_extension("").file_name().map(ToOwned::to_owned)).collect();
    found.sort();
    let expected: Vec<_> = CASES.split_whitespace().map(|name| Some(name.into())).collect();
    assert_eq!(found, expected);
}
