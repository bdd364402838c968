//! Disruptions of what a home and those who ask it know of each other.
//!
//! Owns which partitions one is about, and whether their homes have forgotten what they were told: then sessions register
//! again and feeds begin anew, otherwise what may be lost on the way is only asked again.

use schema::{ChannelId, Epoch, Incarnation, Partition, UserId};

use crate::placement::Placement;

/// One disruption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disruption {
    /// There is a newer view than that of this epoch, and some partitions have another owner, or had one meanwhile.
    Moved(Epoch),
    /// This node and another know nothing of each other any more.
    Lost(Incarnation),
    /// Some frames between this node and another were lost.
    Gap(Incarnation),
}

impl Disruption {
    /// Whether a partition is concerned.
    pub(crate) fn concerns(self, placement: &Placement, partition: Partition) -> bool {
        match self {
            Self::Moved(before) => placement.view().since(partition) > before,
            Self::Lost(peer) | Self::Gap(peer) => placement.view().owner(partition).incarnation == peer,
        }
    }

    pub(crate) fn concerns_user(self, placement: &Placement, user: UserId) -> bool {
        self.concerns(placement, Partition::of_user(user))
    }

    pub(crate) fn concerns_channel(self, placement: &Placement, channel: ChannelId) -> bool {
        self.concerns(placement, Partition::of_channel(channel))
    }

    /// Whether the homes of these partitions know nothing of what they were told before.
    pub(crate) fn forgets(self) -> bool {
        match self {
            Self::Moved(_) | Self::Lost(_) => true,
            Self::Gap(_) => false,
        }
    }
}
