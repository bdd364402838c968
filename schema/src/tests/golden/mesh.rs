//! The mesh frames' cases.

use std::collections::BTreeSet;

use proptest::strategy::Strategy as _;

use super::{Case, check, members};
use crate::generated::rookery::mesh as table;
use crate::mesh::MeshFrame;
use crate::testing::mesh_frames;

/// What a ruling says.
const RULINGS: [&str; 2] = ["Apply-changed", "Apply-refused"];

fn case(frame: &MeshFrame) -> Case {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    Case::printed(frame, bytes)
}

/// The members of its unions, those within its body too.
fn seen(case: &Case) -> BTreeSet<String> {
    let frame = flatbuffers::root::<table::MeshFrame<'_>>(&case.bytes).expect("verified");
    let mut seen: BTreeSet<_> = members(&[frame.body_type()]).collect();
    if let Some(apply) = frame.body_as_apply() {
        seen.extend(members(&[apply.op_type()]));
        let of_send = apply.op_as_send().and_then(|send| send.ruling());
        let ruling = of_send.or_else(|| apply.op_as_edit().and_then(|edit| edit.ruling()));
        seen.extend(ruling.map(|ruling| if ruling.changed().is_some() { RULINGS[0] } else { RULINGS[1] }.to_owned()));
    }
    if let Some(applied) = frame.body_as_applied() {
        seen.extend(members(&[applied.result_type()]));
    }
    for event in frame.body_as_hint().and_then(|hint| hint.events()).into_iter().flatten() {
        seen.extend(members(&[event.body_type()]));
    }
    for event in frame.body_as_live().and_then(|live| live.events()).into_iter().flatten() {
        seen.extend(members(&[event.body_type()]));
    }
    if let Some(tell) = frame.body_as_tell() {
        seen.extend(members(&[tell.what_type()]));
    }
    seen
}

#[test]
fn golden_mesh_frames() {
    let all = members(table::MeshBody::ENUM_VALUES)
        .chain(members(table::ChannelOp::ENUM_VALUES))
        .chain(members(table::OpResult::ENUM_VALUES))
        .chain(members(table::EventBody::ENUM_VALUES))
        .chain(members(table::LiveBody::ENUM_VALUES))
        .chain(members(table::Telling::ENUM_VALUES))
        .chain(RULINGS.map(str::to_owned));
    let again = |found: &Case| case(&MeshFrame::decode(&found.bytes).expect("legal"));
    check("mesh", all, seen, again, mesh_frames().prop_map(|frame| case(&frame)));
}
