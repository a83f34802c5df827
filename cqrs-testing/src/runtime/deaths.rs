//! A process to which something happens at each of its commits, one after the other.

use std::time::Duration;

use cqrs_core::AppBuilder;

use crate::runtime::tap::Mishap;
use crate::runtime::world::World;

/// All that is tried.
const MISHAPS: &[Mishap] =
    &[Mishap::DiesBefore, Mishap::DiesAfter, Mishap::AnswerLost, Mishap::Refused];

const HOUR: Duration = Duration::from_secs(3600);

/// More commits than any case has.
const MOST: u32 = 60;

/// Rounds: in each, the same mishap comes one commit later than in the one before, until the process
/// comes through without it; then the next mishap begins.
#[derive(Debug)]
pub(crate) struct Deaths {
    mishaps: &'static [Mishap],
    round: u32,
    mishap: usize,
    commits: u32,
}

impl Default for Deaths {
    fn default() -> Self {
        Self::of(MISHAPS)
    }
}

impl Deaths {
    /// Only of these mishaps.
    pub(crate) fn of(mishaps: &'static [Mishap]) -> Self {
        Self { mishaps, round: 0, mishap: 0, commits: 0 }
    }

    /// The number of the next round: the case writes something that was not there before.
    pub(crate) fn round(&mut self) -> Option<u32> {
        self.round += 1;
        (self.mishap < self.mishaps.len()).then_some(self.round)
    }

    /// Runs the app for an hour of virtual time: it meets the mishap of this round, and is started anew if it
    /// died of it.
    pub(crate) async fn live(
        &mut self,
        world: &World,
        add: &(impl Fn(AppBuilder) -> AppBuilder + Sync),
    ) {
        let mishap = self.mishaps[self.mishap];
        assert!(self.commits < MOST, "there is no end of commits");
        let node = world.doomed(self.commits, mishap, add).await;
        let fate = node.fate.clone();
        if matches!(mishap, Mishap::AnswerLost | Mishap::Refused) {
            node.recovers().await;
        }
        let lives = node.lives_for(HOUR).await && node.stops().await;
        let has_come = fate.has_come();
        if !lives {
            let next = world.node(add).await;
            // What was in hand is not tried again at once.
            next.advance(HOUR).await;
            next.stop().await;
        }
        self.commits += 1;
        if !has_come {
            (self.mishap, self.commits) = (self.mishap + 1, 0);
        }
    }

    /// What happened in the round before, for messages.
    pub(crate) fn what(&self) -> String {
        format!(
            "in round {}: {:?}, commit {}",
            self.round,
            self.mishaps.get(self.mishap),
            self.commits
        )
    }
}
