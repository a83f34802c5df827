//! Proves the runtime suite: over a store that is broken in one way, the case fails that is meant to
//! catch it, and over the same store without the fault it passes.

mod aside;
#[path = "../broken/base.rs"]
mod base;
mod checkpoints;
mod leases;
#[path = "../memory_sinks/mod.rs"]
mod memory_sinks;
mod moves;
mod reads;
mod sent;
mod sinks;
mod views;

use std::panic;
use std::sync::Once;
use std::thread;
use std::time::Duration;

use cqrs_core::memory::MemoryStore;
use cqrs_testing::{Outcome, Suite, runtime_suite};

use crate::base::{Broken, Fault};
use crate::memory_sinks::{Memory, Right, SinkFault};

/// Longer than any of the cases takes over a store that is right.
const BOUND: Duration = Duration::from_secs(10);

/// Runs one case with and without a fault of the store.
fn caught<F: Fault>(case: &str) {
    let right = runtime_suite("memory", || async { F::right() });
    let broken = runtime_suite("broken", || async { Broken::<F>::default() });
    tells_apart(&right, broken, case, std::any::type_name::<F>());
}

/// Runs one case with and without a fault of its sinks.
fn caught_in_a_sink<F: SinkFault>(case: &str) {
    let right = runtime_suite("memory", || async { Memory::<Right>::default() });
    let broken = runtime_suite("broken", || async { Memory::<F>::default() });
    tells_apart(&right, broken, case, std::any::type_name::<F>());
}

fn tells_apart(right: &Suite, broken: Suite, case: &str, name: &str) {
    quiet();
    assert_eq!(right.run(case), Outcome::Passed, "the store without a fault, in {case}");
    match broken.bound(BOUND).run(case) {
        Outcome::Failed(_) => {}
        outcome => panic!("{name} is not caught by {case}: {outcome:?}"),
    }
}

#[test]
fn a_store_without_sinks_is_told_why_their_cases_are_ignored() {
    let suite = runtime_suite("memory", || async { MemoryStore::default() });
    let cases = suite.cases().filter(|case| case.starts_with("sinks::")).collect::<Vec<_>>();
    assert!(!cases.is_empty());
    for case in cases {
        let ignored = Outcome::Ignored("the fixture makes no sinks".to_owned());
        assert_eq!(suite.run(case), ignored, "{case}");
    }
}

/// Keeps the panics of the cases, which are what is asked for, out of the output.
fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if thread::current().name() != Some("tokio-rt-worker") {
                loud(info);
            }
        }));
    });
}

/// A fault, and the case that must catch it.
macro_rules! faults {
    ($caught:ident: $($test:ident: $fault:path => $case:literal,)+) => {
        $(#[test]
        fn $test() {
            $caught::<$fault>($case);
        })+
    };
}

faults! { caught:
    a_checkpoint_that_moves_too_early_is_caught: checkpoints::MovesTooEarly
        => "checkpoints::one_never_passes_what_is_not_handled",
    a_checkpoint_from_anywhere_is_caught: checkpoints::MovesFromAnywhere
        => "checkpoints::one_that_lands_late_moves_nothing_back",
    a_forgotten_checkpoint_is_caught: checkpoints::ForgetsWhereItStands
        => "checkpoints::what_was_handled_is_not_handled_again",
    a_checkpoint_that_is_not_written_is_caught: checkpoints::DropsCheckpoints
        => "checkpoints::one_passes_what_the_filter_skips",
    mixed_up_partitions_are_caught: checkpoints::MixesUpPartitions
        => "checkpoints::partitions_have_their_own",
    half_a_commit_is_caught: checkpoints::KeepsHalfOfACommit
        => "once::work_is_done_once_whatever_happens_at_any_commit",
    dropped_documents_are_caught: checkpoints::DropsDocuments
        => "order::each_subscription_handles_all",
    a_forgotten_pause_is_caught: checkpoints::ForgetsWhatOperatorsSay
        => "partitions::a_pause_holds_on_every_node_and_after_a_restart",

    a_forgotten_fence_is_caught: leases::IgnoresFences
        => "once::a_lease_that_is_lost_in_the_middle_commits_nothing",
    a_token_that_stands_still_is_caught: leases::KeepsTheToken
        => "once::a_lease_that_is_lost_in_the_middle_commits_nothing",
    a_lease_that_two_have_is_caught: leases::GivesOneLeaseToTwo
        => "nodes::two_nodes_that_live_do_nothing_twice",
    a_lease_that_never_ends_is_caught: leases::NeverEnds
        => "nodes::a_node_takes_over_from_the_dead_and_nothing_is_done_twice",
    a_lease_that_is_not_given_back_is_caught: leases::TakesNothingBack
        => "nodes::a_stopped_node_leaves_nothing_to_wait_for",
    a_silent_takeover_is_caught: leases::TellsOfNoTakeover
        => "nodes::an_event_that_kills_the_process_parks_after_its_attempts",

    a_lease_that_two_have_with_sagas_is_caught: leases::GivesOneLeaseToTwo
        => "nodes::two_nodes_share_sagas_and_messages_and_do_each_step_once",
    a_lost_state_of_a_saga_on_two_nodes_is_caught: sent::ForgetsSagas
        => "nodes::two_nodes_share_sagas_and_messages_and_do_each_step_once",
    a_forgotten_inbox_of_a_dead_node_is_caught: sent::ForgetsTheInbox
        => "nodes::sagas_and_messages_of_a_node_that_dies_are_finished_by_the_other",
    a_lease_of_a_dead_node_that_never_ends_is_caught: leases::NeverEnds
        => "nodes::sagas_and_messages_of_a_node_that_dies_are_finished_by_the_other",

    partitions_that_begin_too_late_are_caught: moves::BeginsTooLate
        => "projections::another_number_of_partitions_loses_and_repeats_nothing",
    partitions_that_begin_again_are_caught: moves::BeginsAgain
        => "projections::another_number_of_partitions_loses_and_repeats_nothing",
    partitions_of_a_saga_that_begin_too_late_are_caught: moves::BeginsTooLate
        => "sagas::another_number_of_partitions_loses_and_repeats_nothing",
    partitions_of_a_saga_that_begin_too_late_after_a_death_are_caught: moves::BeginsTooLate
        => "sagas::another_number_is_reached_though_one_of_two_nodes_dies",
    partitions_that_begin_again_after_a_death_are_caught: moves::BeginsAgain
        => "partitions::another_number_is_reached_though_one_of_two_nodes_dies",
    partitions_that_begin_too_late_after_a_death_are_caught: moves::BeginsTooLate
        => "partitions::another_number_is_reached_though_one_of_two_nodes_dies",
    partitions_of_the_dead_that_are_not_taken_over_are_caught: leases::NeverEnds
        => "partitions::another_number_is_reached_though_one_of_two_nodes_dies",

    lost_entries_are_caught: aside::DropsEntries
        => "parking::poison_parks_its_key_only",
    lost_entries_behind_others_are_caught: aside::DropsWhatIsBehind
        => "parking::events_queue_behind_a_parked_one_and_follow_it_in_order",
    entries_that_stay_are_caught: aside::SettlesNothing
        => "parking::events_queue_behind_a_parked_one_and_follow_it_in_order",
    a_forgotten_request_is_caught: aside::FindsNothingDue
        => "operators::a_retry_asked_for_elsewhere_is_done_while_new_events_arrive",
    forgotten_attempts_are_caught: aside::CountsNoAttempts
        => "retries::a_failing_event_is_tried_as_often_as_the_policy_says_and_parks",
    a_forgotten_time_is_caught: aside::ForgetsWhen
        => "retries::one_that_passes_in_time_is_handled_once",
    a_forgotten_body_is_caught: aside::ForgetsTheBody
        => "operators::an_edited_body_is_handled",
    an_entry_under_another_key_is_caught: aside::MixesUpKeys
        => "parking::what_is_parked_is_parked_after_a_restart",

    a_reordered_page_is_caught: reads::ReordersAPage
        => "order::events_of_a_key_are_handled_in_order_and_one_at_a_time",
    a_page_that_runs_ahead_is_caught: reads::RunsAhead
        => "order::every_event_is_handled_however_small_the_pages",
    a_dropped_event_is_caught: reads::DropsAnEvent
        => "order::what_is_committed_while_it_runs_is_handled_in_order",
    a_head_that_stands_still_is_caught: reads::StandsStill
        => "waiting::yes_once_it_is_handled",
    an_ignored_time_is_caught: reads::IgnoresSince
        => "start::since_a_time_it_handles_what_was_recorded_then_or_later",
    lost_tags_are_caught: reads::FindsNoTags
        => "filters::only_with_a_tag",
    a_page_that_ends_at_the_last_match_is_caught: reads::EndsAtTheLastMatch
        => "filters::one_that_matches_nothing_keeps_up_on_every_node",

    a_lost_message_is_caught: sent::LosesMessages
        => "relay::messages_of_a_key_are_sent_in_order",
    messages_in_another_order_are_caught: sent::TakesKeysApart
        => "relay::messages_of_a_key_are_sent_in_order",
    messages_that_stay_are_caught: sent::SettlesNoMessages
        => "relay::messages_of_a_key_are_sent_in_order",
    a_message_sent_too_early_is_caught: sent::ForgetsNotBefore
        => "relay::one_is_not_sent_before_its_time",
    a_forgotten_inbox_is_caught: sent::ForgetsTheInbox
        => "relay::a_repeat_of_a_message_has_no_second_effect",
    a_lost_timer_is_caught: sent::LosesTimers
        => "sagas::a_timer_fires_when_it_is_due",
    a_timer_that_is_not_cancelled_is_caught: sent::CancelsNoTimers
        => "sagas::a_cancelled_timer_does_not_fire",
    a_timer_that_fires_again_is_caught: sent::SettlesNoTimers
        => "sagas::a_timer_fires_when_it_is_due",
    a_lost_state_of_a_saga_is_caught: sent::ForgetsSagas
        => "sagas::one_goes_its_way_and_completes",

    lost_views_are_caught: views::DropsViews
        => "projections::each_view_of_an_event_is_made_in_every_partition",
    views_without_their_checkpoint_are_caught: views::KeepsViewsOfALostCommit
        => "projections::views_are_made_once_whatever_happens_at_any_commit",
    a_purge_of_too_much_is_caught: views::PurgesTooMuch
        => "projections::they_are_built_anew_beside_those_that_are_read",
    a_purge_of_nothing_is_caught: views::PurgesNothing
        => "projections::they_are_built_anew_beside_those_that_are_read",
}

faults! { caught_in_a_sink:
    rows_of_a_commit_that_lands_late_are_caught: sinks::KeepsRowsOfARefusedCommit
        => "sinks::a_commit_that_lands_late_writes_no_rows",
    rows_without_a_lease_are_caught: sinks::KeepsRowsOfARefusedCommit
        => "sinks::a_lease_that_is_lost_in_the_middle_writes_no_rows",
    rows_without_their_checkpoint_are_caught: sinks::DropsCheckpoints
        => "sinks::rows_are_written_once_whatever_happens_at_any_commit",
    rows_of_half_a_commit_are_caught: sinks::KeepsHalfOfACommit
        => "sinks::another_number_of_partitions_loses_and_repeats_no_rows",
    rows_of_a_page_that_failed_are_caught: sinks::KeepsRowsBeforeAPoison
        => "sinks::poison_parks_its_key_only",
    rows_of_a_page_that_panicked_are_caught: sinks::KeepsRowsBeforeAPoison
        => "sinks::a_panic_parks_its_key_only",
    a_poison_that_is_passed_over_is_caught: sinks::PassesOverAPoison
        => "sinks::poison_parks_its_key_only",
    a_sink_that_gives_up_is_caught: sinks::GivesUpAtOnce
        => "sinks::one_that_fails_is_tried_as_often_as_the_policy_says_and_parks",
    a_retry_that_settles_nothing_is_caught: sinks::SettlesNothing
        => "sinks::a_retry_is_written_once_whatever_happens_at_any_commit",
    rows_of_an_entry_that_stays_are_caught: sinks::SettlesNothing
        => "sinks::what_is_parked_is_written_in_order_when_it_is_tried_again",
}
