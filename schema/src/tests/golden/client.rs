//! The client protocol's cases, in both encodings. A new one may be written as a line of JSON.

use std::collections::BTreeSet;
use std::fmt::Debug;

use proptest::strategy::Strategy as _;

use super::{Case, check, members};
use crate::codec::{Unparsed, fb, json};
use crate::generated::rookery as table;
use crate::testing::{Any, any_value};

/// The directions in which a value of `json` and `fb` goes.
struct Codec<T> {
    put_json: fn(&T, &mut Vec<u8>),
    take_json: fn(&[u8]) -> T,
    put_fb: fn(&T, &mut Vec<u8>),
    take_fb: fn(&[u8]) -> T,
}

impl<T: Any + PartialEq> Codec<T> {
    fn case(&self, value: &T) -> Case {
        let (mut line, mut bytes) = (Vec::new(), Vec::new());
        (self.put_json)(value, &mut line);
        (self.put_fb)(value, &mut bytes);
        assert_eq!((self.take_fb)(&bytes), *value);
        Case { text: String::from_utf8(line).expect("JSON is UTF-8"), bytes }
    }

    fn check(&self, directory: &str, all: impl IntoIterator<Item = String>, seen: fn(&[u8]) -> BTreeSet<String>) {
        let again = |case: &Case| self.case(&(self.take_json)(case.text.as_bytes()));
        let any = any_value().prop_map(|value| self.case(&value));
        check(directory, all, |case| seen(&case.bytes), again, any);
    }
}

/// The value of a frame that has one envelope, which is legal.
fn only<T: Debug>(values: Result<Vec<T>, Unparsed>) -> T {
    let [value] = values.expect("legal").try_into().expect("one envelope");
    value
}

#[test]
fn golden_requests() {
    let codec = Codec {
        put_json: json::put_request,
        take_json: |line| only(json::requests(line).collect()),
        put_fb: fb::put_request,
        take_fb: |bytes| only(fb::requests(bytes).collect()),
    };
    codec.check("requests", members(table::Command::ENUM_VALUES), |bytes| {
        let request = flatbuffers::size_prefixed_root::<table::Request<'_>>(bytes).expect("verified");
        members(&[request.command_type()]).collect()
    });
}

#[test]
fn golden_server_frames() {
    let codec = Codec {
        put_json: json::put_server_frame,
        take_json: |line| only(json::server_frames(line)),
        put_fb: fb::put_server_frame,
        take_fb: |bytes| only(fb::server_frames(bytes)),
    };
    let all = members(table::Reply::ENUM_VALUES).chain(members(table::Push::ENUM_VALUES)).chain(["error".to_owned()]);
    codec.check("server-frames", all, |bytes| {
        let frame = flatbuffers::size_prefixed_root::<table::ServerFrame<'_>>(bytes).expect("verified");
        let error = frame.error().map(|_| "error".to_owned());
        members(&[frame.reply_type()]).chain(members(&[frame.push_type()])).chain(error).collect()
    });
}
