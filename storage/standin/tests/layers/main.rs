//! The layers on the foundationdb engine over the stand-in: what its faults come to, and what was counted.

mod away;
mod budget;
mod faults;
mod groups;
mod served;
#[expect(dead_code, reason = "the words of the layers' own tests, of which these need some")]
#[path = "../../../chat/tests/rows/world.rs"]
mod world;
