//! Applications that are asked before a message is stored, as simulated nodes have them.
//!
//! Owns how long they take and what they say: all is allowed in the end, some of it later than what was asked after it, and some
//! at the second try. What they refuse for good is for tests of the router and the appender.

use std::sync::Arc;
use std::time::Duration;

use host::{Asking, Before};
use schema::hook::{BeforeKind, Concerns};
use schema::{ChannelId, ChannelOp, ErrorCode, Refusal, UnixMs};
use tokio::time::sleep;
use xxhash_rust::xxh3::xxh3_64;

use crate::rng::Rng;

/// The longest that an answer takes.
const ANSWER_MS_MAX: u64 = 300;
/// One question of so many is not answered now.
const BUSY_OF: u64 = 40;

/// See the module.
pub(super) struct Applications;

/// Whether a life of a node asks applications.
pub(super) fn are_asked(rng: &Rng, asked_permille: u32) -> bool {
    rng.part("applications").chance(asked_permille)
}

/// All that there is to ask about.
pub(super) fn everything() -> Arc<Concerns> {
    let mut concerns = Concerns::default();
    concerns.add(BeforeKind::ALL.into_iter().fold(0, |bits, kind| bits | kind.bit()), &[]);
    Arc::new(concerns)
}

impl Before for Applications {
    fn ask(self: Arc<Self>, channel: ChannelId, op: ChannelOp, wall: UnixMs) -> Asking {
        // Follows from what is asked and when, so from the seed.
        let dice = xxh3_64(format!("{channel} {op:?} {}", wall.0).as_bytes());
        Box::pin(async move {
            sleep(Duration::from_millis(dice % ANSWER_MS_MAX)).await;
            let is_busy = (dice >> 32).is_multiple_of(BUSY_OF);
            let busy = || Refusal::new(ErrorCode::Overloaded, "the application has no time now").after_ms(100);
            Ok(if is_busy { Err(busy()) } else { Ok(None) })
        })
    }
}
