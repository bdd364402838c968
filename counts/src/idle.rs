//! Sessions that are logged in and do nothing: what is on the heap when the process ends.

use crate::group::Group;

pub(crate) fn run(sessions: u32) {
    let mut group = Group::new();
    for _ in 0..sessions {
        group.connect();
        group.drain();
    }
    // Through the pings of a minute: what a login leaves behind for a while is gone.
    for _ in 0..480 {
        group.later(128);
    }
    std::mem::forget(group.into_shard());
}
