//! Proves the suite: a store that is broken in one way fails the case that is meant to catch it,
//! and the same store without the fault passes that case.

mod base;
mod documents;
mod leases;
mod names;
mod offers;
mod outgoing;
mod parked;
mod purges;
mod reads;
mod snapshots;
mod timers;
mod writes;

use std::panic;
use std::sync::{Arc, Once};
use std::thread;

use cqrs_core::Store;
use cqrs_testing::{Outcome, store_suite};

use crate::base::{Broken, Fault};

/// Runs one case with and without a fault.
fn caught<F: Fault>(case: &str) {
    quiet();
    let right = store_suite("memory", || async { F::right() }).run(case);
    assert_eq!(right, Outcome::Passed, "the store without a fault, in {case}");
    let suite = store_suite("broken", || async { Broken::<F>::default() });
    let name = std::any::type_name::<F>();
    match suite.run(case) {
        Outcome::Failed(_) => {}
        outcome => panic!("{name} is not caught by {case}: {outcome:?}"),
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
    ($($test:ident: $fault:path => $case:literal,)+) => {
        $(#[test]
        fn $test() {
            caught::<$fault>($case);
        })+
    };
}

faults! {
    a_dropped_event_is_caught: writes::DropsTheLastEvent
        => "commit::a_thousand_events_in_one_commit_are_all_written_in_order",
    ignored_expectations_are_caught: writes::IgnoresExpectations
        => "expectations::an_append_to_a_present_stream_is_held_to_its_expectation",
    ignored_expectations_of_documents_are_caught: writes::IgnoresExpectationsOfDocuments
        => "expectations::a_document_that_is_present_is_held_to_its_expectation",
    a_lost_update_is_caught: writes::IgnoresExpectationsOfDocuments
        => "concurrency::writers_of_one_document_lose_no_update",
    a_wrong_version_in_a_conflict_is_caught: writes::ReportsAWrongVersion
        => "expectations::an_append_to_a_missing_stream_is_held_to_its_expectation",
    appends_written_one_by_one_are_caught: writes::WritesAppendsOneByOne
        => "atomic::a_conflict_in_the_second_append_leaves_nothing_of_the_first",
    documents_of_a_failed_commit_are_caught: writes::KeepsDocumentsOfAFailedCommit
        => "atomic::a_failing_append_leaves_no_document",
    a_repeat_that_is_applied_again_is_caught: writes::AppliesARepeatAgain
        => "repeats::the_same_commit_twice_is_applied_once",
    a_repeat_in_flight_that_is_applied_again_is_caught: writes::AppliesARepeatAgain
        => "repeats::a_repeat_while_the_first_is_in_flight_waits_for_it",
    an_id_with_other_content_is_caught: writes::TakesAnIdWithOtherContent
        => "repeats::the_same_id_with_other_content_is_refused",
    a_used_event_id_is_caught: writes::TakesAUsedEventId
        => "event_ids::an_event_id_of_another_commit_is_refused",
    a_repeat_answered_with_the_head_is_caught: writes::AnswersARepeatWithTheHead
        => "repeats::a_repeat_reports_the_position_of_then",
    a_forgotten_inbox_is_caught: writes::ForgetsTheInbox
        => "inbox::the_first_mark_is_kept_with_its_reply",
    a_forgotten_reply_is_caught: writes::ForgetsTheReply
        => "inbox::a_repeat_is_answered_with_the_stored_reply",
    an_inbox_asked_last_is_caught: writes::AsksTheInboxLast
        => "inbox::the_inbox_is_asked_before_the_commit_id",
    a_checkpoint_from_anywhere_is_caught: writes::MovesACheckpointFromAnywhere
        => "checkpoints::a_first_checkpoint_that_lands_twice_is_refused",
    mixed_up_partitions_are_caught: writes::MixesUpPartitions
        => "checkpoints::partitions_are_apart",
    swallowed_guards_are_caught: writes::SwallowsNoneMatching
        => "none_matching::a_matching_event_with_all_tags_fails_the_commit",
    guards_looked_at_too_early_are_caught: writes::LooksAtGuardsTooEarly
        => "none_matching::of_tasks_that_race_to_be_the_only_one_with_a_tag_one_wins",
    swallowed_guards_on_documents_are_caught: writes::SwallowsGuardsOnDocuments
        => "expectations::a_guard_on_a_present_document_is_held_to_its_expectation",
    lost_extensions_are_caught: writes::LosesExtensions
        => "round_trip::metadata_comes_back_with_all_fields",
    lost_content_types_are_caught: writes::LosesContentTypes
        => "round_trip::binary_bodies_come_back",
    a_wrong_position_is_caught: writes::AnswersWithTheFirstPosition
        => "commit::a_committed_position_is_that_of_the_last_event",
    a_lost_commit_is_caught: writes::LosesACommit
        => "concurrency::every_success_of_tasks_on_their_own_streams_is_in_the_log",
    a_lost_commit_is_caught_by_the_model: writes::LosesACommit
        => "model::random_commits_keep_the_laws_of_versions_positions_and_repeats",
    folded_case_is_caught: names::FoldsCase
        => "hostile::ids_of_streams_come_back_exactly_and_stay_apart",
    cut_ids_are_caught: names::CutsIds
        => "limits::the_id_of_a_stream_has_a_limit",
    what_is_too_large_is_caught: names::TakesWhatIsTooLarge
        => "limits::the_payload_of_an_event_has_a_limit",
    ignored_unique_fields_are_caught: documents::IgnoresUnique
        => "unique::a_value_that_another_document_has_is_refused",
    unique_fields_checked_one_by_one_are_caught: documents::ChecksUniqueOneByOne
        => "unique::values_may_be_swapped_in_one_commit",
    restarted_versions_are_caught: documents::RestartsVersions
        => "documents::a_document_that_is_made_anew_goes_on_counting",
    documents_in_any_order_are_caught: documents::FindsInAnyOrder
        => "documents::documents_are_paged_in_the_order_of_their_ids",
    documents_that_are_not_passed_over_are_caught: documents::SkipsNothing
        => "documents::the_first_documents_are_passed_over",
    a_count_of_one_page_is_caught: documents::CountsOnePage
        => "documents::documents_are_counted_on_all_pages",
    an_undeclared_field_is_caught: documents::FindsByAnything
        => "documents::an_undeclared_field_is_refused",

    a_reordered_page_is_caught: reads::ReordersAPage
        => "read_log::the_log_is_read_from_the_start",
    an_event_skipped_between_pages_is_caught: reads::SkipsAnEventBetweenPages
        => "read_log::pages_smaller_than_the_log_hold_all_of_it",
    an_event_repeated_between_pages_is_caught: reads::RepeatsAnEventBetweenPages
        => "read_log::pages_smaller_than_the_log_hold_all_of_it",
    an_event_that_shows_late_is_caught: reads::ShowsAnEventLate
        => "race::nothing_appears_at_or_below_a_position_that_a_reader_was_given",
    an_event_that_shows_late_is_caught_by_polling: reads::ShowsAnEventLate
        => "polling::a_reader_that_polls_sees_every_event_once_and_in_order",
    a_reading_that_stops_at_the_last_match_is_caught: reads::StopsAtTheLastMatch
        => "read_log::a_filter_that_matches_early_reaches_the_head",
    a_reading_that_ends_before_the_head_is_caught: reads::EndsBeforeTheHead
        => "read_log::pages_smaller_than_the_log_hold_all_of_it",
    a_missing_empty_page_is_caught: reads::HasNoEmptyPage
        => "read_log::an_empty_log_has_one_empty_page",
    a_position_beyond_the_head_is_caught: reads::TakesAPositionBeyondTheHead
        => "read_log::a_position_beyond_the_head_is_refused",
    a_position_of_another_log_is_caught: reads::TakesAPositionOfAnotherLog
        => "read_log::a_position_of_another_log_is_refused",
    ignored_types_are_caught: reads::IgnoresTypes
        => "filters::the_log_is_filtered_by_type",
    a_second_tag_that_is_ignored_is_caught: reads::LooksAtOneTag
        => "filters::the_log_is_filtered_by_tags_all_of_them",
    ignored_tenants_are_caught: reads::IgnoresTenants
        => "filters::the_log_is_filtered_by_tenant",
    an_ignored_time_is_caught: reads::IgnoresSince
        => "filters::the_log_is_filtered_since_a_time",
    mistaken_streams_are_caught: reads::MistakesStreams
        => "filters::the_log_is_filtered_by_stream",
    times_that_go_back_are_caught: reads::GoesBackInTime
        => "commit::recorded_at_never_goes_back",
    ignored_bytes_of_a_page_are_caught: reads::IgnoresTheBytesOfAPage
        => "read_log::pages_end_at_their_limit_of_bytes",
    a_forgotten_erasure_is_caught: reads::ForgetsThatItIsErased
        => "round_trip::an_erased_body_comes_back_erased",
    a_mistaken_empty_tenant_is_caught: reads::MistakesTheEmptyTenant
        => "hostile::names_that_cannot_exist_match_nothing",
    pages_that_go_forwards_are_caught: reads::ReadsPagesForwards
        => "read_stream::backward_pages_smaller_than_the_stream_hold_all_of_it",
    a_reading_that_goes_too_far_is_caught: reads::ReadsTooFar
        => "read_stream::a_stream_is_read_to_a_version",
    a_reading_of_the_future_is_caught: reads::ReadsTheFuture
        => "read_stream::a_stream_is_read_as_it_was_recorded_by_then",
    an_invented_page_is_caught: reads::InventsAPage
        => "read_stream::a_missing_stream_has_no_pages",

    dropped_snapshots_are_caught: snapshots::DropsSnapshots
        => "snapshots::a_reading_begins_with_the_snapshot_and_goes_on_after_it",
    snapshots_of_any_schema_are_caught: snapshots::GivesAnySchema
        => "snapshots::a_snapshot_of_another_schema_is_not_given",
    a_snapshot_that_stays_is_caught: snapshots::KeepsTheFirstSnapshot
        => "snapshots::a_newer_snapshot_replaces_the_older",
    repeated_events_of_a_snapshot_are_caught: snapshots::RepeatsWhatIsInTheSnapshot
        => "snapshots::a_snapshot_of_the_last_version_comes_alone",
    a_snapshot_of_the_future_is_caught: snapshots::GivesSnapshotsOfTheFuture
        => "snapshots::a_snapshot_outside_the_wanted_versions_is_not_given",
    snapshots_that_make_another_commit_are_caught: snapshots::ComparesSnapshots
        => "snapshots::a_repeat_with_another_snapshot_is_the_repeat",
    a_snapshot_of_a_refused_commit_is_caught: snapshots::KeepsSnapshotsBesideTheCommit
        => "snapshots::a_refused_commit_leaves_no_snapshot",
    mixed_up_tenants_of_snapshots_are_caught: snapshots::KeepsSnapshotsBesideTheCommit
        => "snapshots::snapshots_of_tenants_and_categories_are_apart",
    a_snapshot_that_is_not_forgotten_is_caught: snapshots::ForgetsNoSnapshot
        => "snapshots::forgotten_snapshots_are_gone_for_every_schema",

    ignored_fences_are_caught: leases::IgnoresFences
        => "fences::a_commit_under_a_lease_of_another_is_refused",
    an_ignored_fence_of_a_checkpoint_is_caught: leases::IgnoresTheFenceOfACheckpoint
        => "fences::a_checkpoint_under_a_lease_of_another_is_refused",
    a_second_fence_that_is_ignored_is_caught: leases::LooksAtOneFence
        => "fences::a_stale_fence_among_good_ones_is_refused",
    a_token_of_the_future_is_caught: leases::TakesTokensOfTheFuture
        => "fences::a_token_that_was_not_given_out_yet_is_refused",
    a_fence_of_nobody_is_caught: leases::TakesFencesOfNobody
        => "fences::a_fence_of_a_lease_that_nobody_had_is_refused",
    a_lease_that_ends_with_its_term_is_caught: leases::EndsALeaseWithItsTerm
        => "fences::a_commit_under_a_lease_that_is_over_and_untaken_is_applied",
    a_fenced_repeat_is_caught: leases::FencesRepeats
        => "fences::a_repeat_under_a_lease_of_another_is_the_repeat",
    a_lease_that_is_gone_after_a_commit_is_caught: leases::ReleasesAfterACommit
        => "fences::a_commit_moves_no_lease",
    a_token_that_stays_is_caught: leases::KeepsTheToken
        => "leases::a_lease_that_goes_to_another_gets_a_higher_token",
    a_lease_for_anybody_is_caught: leases::GivesALeaseToAnybody
        => "leases::another_is_told_who_has_it",
    a_lease_that_is_given_out_too_early_is_caught: leases::GivesALeaseToAnybody
        => "leases::a_lease_is_given_out_once_its_term_is_over",
    leases_looked_at_too_early_are_caught: leases::LooksAtLeasesTooEarly
        => "leases::of_tasks_that_race_for_a_lease_one_gets_it",
    a_race_for_what_is_over_is_caught: leases::LooksAtLeasesTooEarly
        => "leases::of_tasks_that_race_for_a_lease_that_is_over_one_takes_it_over",
    a_takeover_that_is_not_said_is_caught: leases::NeverSaysTakenOver
        => "leases::a_lease_that_was_not_released_is_taken_over",
    a_takeover_of_what_was_released_is_caught: leases::AlwaysSaysTakenOver
        => "leases::a_released_lease_is_given_out_at_once",
    a_takeover_that_is_said_twice_is_caught: leases::AlwaysSaysTakenOver
        => "leases::a_takeover_is_said_once",
    a_token_that_is_raised_on_renewal_is_caught: leases::RaisesTheTokenOnRenewal
        => "leases::a_renewal_keeps_the_token",
    a_renewal_of_nothing_is_caught: leases::RenewsNothing
        => "leases::a_renewal_gives_more_time",
    a_forgotten_late_holder_is_caught: leases::ForgetsALateHolder
        => "leases::a_holder_that_asks_late_keeps_its_token",
    leases_answered_in_any_order_are_caught: leases::AnswersLeasesInAnyOrder
        => "leases::several_leases_are_answered_in_the_order_of_the_names",
    a_double_request_is_caught: leases::TakesADoubleRequest
        => "leases::a_lease_asked_for_twice_in_one_request_is_refused",
    an_ignored_term_is_caught: leases::IgnoresTheTerm
        => "leases::the_end_of_a_lease_is_its_term_by_the_clock_of_the_store",
    an_ignored_release_is_caught: leases::IgnoresRelease
        => "leases::a_released_lease_is_given_out_at_once",
    a_release_by_anybody_is_caught: leases::ReleasesForAnybody
        => "leases::a_lease_that_is_not_the_holders_is_not_released",
    a_lease_that_is_never_given_out_again_is_caught: leases::NeverForgetsAHolder
        => "leases::a_lease_is_given_out_once_its_term_is_over",
    leases_that_are_over_and_listed_are_caught: leases::NeverForgetsAHolder
        => "leases::only_held_leases_are_listed",
    leases_listed_backwards_are_caught: leases::ListsLeasesBackwards
        => "leases::leases_are_listed_by_the_beginning_of_their_names",
    leases_listed_by_pattern_are_caught: leases::ListsLeasesByPattern
        => "hostile::names_of_leases_are_no_patterns",
    folded_names_of_leases_are_caught: leases::FoldsNamesOfLeases
        => "hostile::names_of_leases_stay_apart",

    a_timer_found_early_is_caught: timers::FindsTimersEarly
        => "timers::a_timer_is_found_when_it_is_due_and_not_before",
    timers_in_any_order_are_caught: timers::FindsTimersInAnyOrder
        => "timers::timers_are_found_the_earliest_first",
    an_ignored_limit_of_timers_is_caught: timers::FindsAllTimers
        => "timers::timers_are_found_up_to_a_limit",
    a_limit_of_nothing_is_caught: timers::TakesNothingForEverything
        => "timers::timers_are_found_up_to_a_limit",
    lost_generations_are_caught: timers::LosesGenerations
        => "timers::a_timer_comes_back_with_all_fields",
    rounded_times_are_caught: timers::RoundsTimes
        => "timers::a_timer_is_found_when_it_is_due_and_not_before",
    mixed_up_owners_are_caught: timers::MixesUpOwners
        => "timers::timers_of_one_owner_are_found",
    mixed_up_tenants_of_timers_are_caught: timers::MixesUpTenants
        => "timers::timers_of_tenants_are_apart",
    joined_keys_of_timers_are_caught: timers::JoinsKeysAndNames
        => "timers::timers_of_keys_and_names_are_apart",
    an_ignored_cancellation_is_caught: timers::CancelsNothing
        => "timers::a_timer_that_is_cancelled_is_gone",
    a_refused_cancellation_is_caught: timers::RefusesToCancelTheSame
        => "timers::a_timer_that_is_cancelled_is_gone",
    a_refused_cancellation_of_nothing_is_caught: timers::RefusesToCancelNothing
        => "timers::a_cancellation_of_what_is_not_set_changes_nothing",
    a_stale_generation_is_caught: timers::SetsAnyGeneration
        => "timers::a_timer_of_an_older_generation_is_refused",
    a_stale_generation_is_caught_in_a_race: timers::SetsAnyGeneration
        => "timers::of_tasks_that_set_a_generation_one_wins",
    a_stale_cancellation_is_caught: timers::CancelsAnyGeneration
        => "timers::a_cancellation_of_an_older_generation_is_refused",
    a_time_that_stays_is_caught: timers::KeepsTheEarlierTime
        => "timers::a_timer_that_is_set_anew_has_the_new_time_only",
    a_timer_set_twice_at_once_is_caught: timers::SetsTheLastOfTwo
        => "timers::a_timer_that_is_set_twice_in_one_commit_is_refused",
    timers_that_are_set_again_are_caught: timers::SetsTimersAgain
        => "timers::a_repeated_commit_does_not_set_its_timers_again",
    timers_of_a_refused_commit_are_caught: timers::SetsTimersBesideTheCommit
        => "timers::a_refused_commit_sets_and_cancels_nothing",
    a_timer_that_stays_after_it_fired_is_caught: timers::FiresNothing
        => "timers::a_timer_that_fires_is_gone",
    a_timer_that_fires_twice_is_caught: timers::FiresTwice
        => "timers::a_timer_fires_once",
    a_timer_that_fires_twice_is_caught_in_a_race: timers::FiresTwice
        => "timers::of_tasks_that_fire_a_timer_one_wins",
    a_timer_that_fires_twice_at_once_is_caught: timers::FiresTwiceAtOnce
        => "timers::a_timer_that_fires_twice_in_one_commit_is_refused",
    an_older_timer_that_fires_is_caught: timers::FiresAnyGeneration
        => "timers::a_timer_that_was_set_anew_does_not_fire_as_the_older",
    a_timer_set_before_it_is_settled_is_caught: timers::SetsBeforeItSettles
        => "timers::a_timer_that_fires_can_be_set_again_in_its_commit",
    a_timer_fired_by_a_refused_commit_is_caught: timers::SettlesBesideTheCommit
        => "timers::a_refused_commit_fires_nothing",
    a_message_settled_by_a_refused_commit_is_caught: timers::SettlesBesideTheCommit
        => "outgoing::a_refused_commit_settles_no_message",
    an_entry_settled_by_a_refused_commit_is_caught: timers::SettlesBesideTheCommit
        => "parked::a_refused_commit_leaves_entries_where_they_are",
    what_is_settled_beside_a_whole_commit_is_caught: timers::SettlesBesideTheCommit
        => "whole::a_commit_of_all_parts_that_fails_in_one_leaves_nothing",
    timers_set_beside_a_whole_commit_are_caught: timers::SetsTimersBesideTheCommit
        => "whole::a_commit_of_all_parts_that_fails_in_one_leaves_nothing",

    a_lost_message_is_caught: outgoing::LosesTheLastMessage
        => "outgoing::messages_of_a_commit_are_in_its_order",
    a_lost_message_of_a_whole_commit_is_caught: outgoing::LosesTheLastMessage
        => "whole::a_commit_of_all_parts_is_applied_as_a_whole",
    reordered_messages_are_caught: outgoing::ReordersMessages
        => "outgoing::messages_of_a_commit_are_in_its_order",
    messages_in_any_order_are_caught: outgoing::FindsMessagesInAnyOrder
        => "outgoing::messages_of_commits_are_in_the_order_of_their_commits",
    a_lost_answer_is_caught: outgoing::LosesAnswerTo
        => "outgoing::a_message_comes_back_with_who_is_told",
    a_lost_step_is_caught: outgoing::LosesTheStep
        => "outgoing::a_message_comes_back_with_who_is_told",
    lost_tries_are_caught: outgoing::LosesTries
        => "outgoing::a_message_comes_back_with_its_tries",
    a_lost_time_of_a_message_is_caught: outgoing::LosesNotBefore
        => "outgoing::a_message_comes_back_with_its_time",
    hidden_messages_are_caught: outgoing::HidesWhatIsNotDue
        => "outgoing::a_message_comes_back_with_its_time",
    folded_keys_are_caught: outgoing::FoldsKeys
        => "outgoing::a_message_comes_back_with_its_kind_name_and_key",
    lost_kinds_are_caught: outgoing::LosesKinds
        => "outgoing::a_message_comes_back_with_its_kind_name_and_key",
    lost_tenants_of_messages_are_caught: outgoing::LosesTenants
        => "outgoing::a_message_comes_back_with_its_metadata",
    lost_content_types_of_messages_are_caught: outgoing::LosesContentTypes
        => "outgoing::a_message_comes_back_with_its_body",
    the_time_of_the_reading_is_caught: outgoing::TellsTheTimeOfTheReading
        => "outgoing::a_message_says_when_it_was_recorded",
    an_ignored_number_of_messages_is_caught: outgoing::IgnoresTheNumberOfMessages
        => "outgoing::a_page_ends_at_its_number_of_messages",
    ignored_bytes_of_messages_are_caught: outgoing::IgnoresTheBytesOfMessages
        => "outgoing::a_page_ends_at_its_bytes_of_bodies",
    a_large_message_that_is_hidden_is_caught: outgoing::HidesLargeMessages
        => "outgoing::a_page_ends_at_its_bytes_of_bodies",
    a_message_given_again_is_caught: outgoing::GivesTheLastOneAgain
        => "outgoing::messages_after_a_position_are_found",
    a_message_that_shows_late_is_caught: outgoing::ShowsAMessageLate
        => "sending::no_message_appears_at_or_below_a_position_that_a_reader_was_given",
    positions_below_events_are_caught: outgoing::NumbersMessagesFirst
        => "message_positions::messages_come_after_the_events_of_their_commit",
    an_answer_with_the_last_event_is_caught: outgoing::AnswersWithTheLastEvent
        => "message_positions::a_committed_position_is_that_of_the_last_message",
    a_checkpoint_refused_on_a_message_is_caught: outgoing::RefusesCheckpointsOnMessages
        => "message_positions::a_checkpoint_stands_on_the_position_of_a_message",
    a_reading_to_the_last_event_is_caught: outgoing::ReadsToTheLastEvent
        => "message_positions::a_reading_of_the_log_reaches_past_messages",
    a_filtered_reading_to_the_last_event_is_caught: outgoing::ReadsToTheLastEvent
        => "message_positions::a_filtered_reading_reaches_past_messages",
    a_refused_position_of_a_message_is_caught: outgoing::RefusesPositionsOfMessages
        => "message_positions::a_reading_starts_at_the_position_of_a_message",
    a_message_that_is_not_settled_is_caught: outgoing::SettlesNothing
        => "outgoing::a_message_waits_until_it_is_settled",
    a_relay_that_sends_twice_is_caught: outgoing::SettlesNothing
        => "sending::a_relay_that_settles_what_it_finds_sends_everything_once",
    a_message_settled_twice_is_caught: outgoing::SettlesTwice
        => "outgoing::a_message_is_settled_once",
    a_message_settled_unsent_is_caught: outgoing::SettlesTwice
        => "outgoing::a_message_that_was_never_sent_is_not_settled",
    a_message_settled_twice_is_caught_in_a_race: outgoing::SettlesTwice
        => "outgoing::of_tasks_that_settle_a_message_one_wins",
    a_used_id_of_a_message_is_caught: outgoing::TakesUsedIds
        => "outgoing::the_id_of_a_pending_message_is_refused",
    an_id_used_twice_at_once_is_caught: outgoing::TakesUsedIds
        => "outgoing::an_id_twice_in_one_commit_is_refused",
    messages_sent_again_are_caught: outgoing::SendsAgain
        => "outgoing::a_repeated_commit_sends_nothing_again",
    messages_sent_again_are_caught_as_a_whole: outgoing::SendsAgain
        => "whole::a_repeat_of_all_parts_changes_nothing",
    messages_of_a_refused_commit_are_caught: outgoing::SendsBesideTheCommit
        => "outgoing::a_refused_commit_sends_nothing",

    a_lost_entry_is_caught: parked::LosesTheLastEntry
        => "parked::an_entry_comes_back_with_all_fields",
    a_lost_since_is_caught: parked::LosesSince
        => "parked::a_changed_entry_counts_its_versions_and_keeps_since",
    a_since_of_the_last_change_is_caught: parked::SaysSinceTheLastChange
        => "parked::a_changed_entry_counts_its_versions_and_keeps_since",
    a_since_of_the_reading_is_caught: parked::LosesSince
        => "parked::a_changed_entry_counts_its_versions_and_keeps_since",
    lost_edits_are_caught: parked::LosesWhatWasEdited
        => "parked::an_entry_comes_back_with_what_was_edited",
    lost_content_types_of_edits_are_caught: parked::LosesTheContentType
        => "parked::an_entry_comes_back_with_what_was_edited",
    edits_that_stay_are_caught: parked::KeepsWhatWasEdited
        => "parked::a_changed_entry_has_the_new_values_only",
    cut_causes_are_caught: parked::CutsCauses
        => "parked::an_entry_comes_back_with_its_cause",
    lost_partitions_are_caught: parked::LosesPartitions
        => "parked::an_entry_comes_back_with_all_fields",
    a_lost_state_is_caught: parked::LosesAState
        => "parked::an_entry_comes_back_with_all_fields",
    uncounted_versions_are_caught: parked::CountsNoVersions
        => "parked::a_changed_entry_counts_its_versions_and_keeps_since",
    ignored_expectations_of_entries_are_caught: parked::IgnoresExpectationsOfEntries
        => "parked::an_entry_that_is_there_is_held_to_its_expectation",
    ignored_expectations_of_missing_entries_are_caught: parked::IgnoresExpectationsOfEntries
        => "parked::an_entry_that_is_missing_is_held_to_its_expectation",
    ignored_expectations_of_entries_are_caught_in_a_race: parked::IgnoresExpectationsOfEntries
        => "parked::of_tasks_that_change_an_entry_one_wins",
    mixed_up_subscriptions_are_caught: parked::MixesUpSubscriptions
        => "parked::entries_of_subscriptions_and_positions_are_apart",
    an_entry_written_twice_at_once_is_caught: parked::SetsAsideTheFirstOfTwo
        => "parked::an_entry_that_is_written_twice_in_one_commit_is_refused",
    an_entry_that_stays_is_caught: parked::KeepsWhatIsDone
        => "parked::an_entry_that_is_done_is_gone",
    an_entry_done_twice_is_caught: parked::IsDoneTwice
        => "parked::an_entry_is_done_once",
    entries_of_a_refused_commit_are_caught: parked::SetsAsideBesideTheCommit
        => "parked::a_refused_commit_sets_nothing_aside",
    entries_set_beside_a_whole_commit_are_caught: parked::SetsAsideBesideTheCommit
        => "whole::a_commit_of_all_parts_that_fails_in_one_leaves_nothing",
    entries_set_aside_again_are_caught: parked::SetsAsideAgain
        => "parked::a_repeated_commit_sets_nothing_aside_again",
    an_ignored_subscription_is_caught: parked::IgnoresSubscriptions
        => "find_parked::entries_are_found_by_subscription",
    an_ignored_key_is_caught: parked::IgnoresKeys
        => "find_parked::entries_are_found_by_key",
    an_ignored_state_is_caught: parked::IgnoresStates
        => "find_parked::entries_are_found_by_state",
    ignored_times_of_entries_are_caught: parked::IgnoresWhatIsDue
        => "find_parked::entries_are_found_that_are_due",
    entries_that_are_never_due_are_caught: parked::TakesNeverForDue
        => "find_parked::entries_are_found_that_are_due",
    a_page_that_begins_anew_is_caught: parked::IgnoresAfter
        => "find_parked::entries_are_found_after_another",
    a_page_after_a_position_is_caught: parked::GoesOnAfterAPosition
        => "find_parked::entries_are_found_after_another",
    an_ignored_limit_of_entries_is_caught: parked::FindsAllEntries
        => "find_parked::entries_are_found_up_to_a_limit",
    a_limit_before_the_filter_is_caught: parked::LimitsBeforeItFilters
        => "find_parked::entries_that_match_are_paged",
    entries_in_any_order_are_caught: parked::FindsEntriesInAnyOrder
        => "find_parked::entries_are_found_in_the_order_of_subscriptions_and_positions",
    a_filter_ignored_among_others_is_caught: parked::IgnoresKeys
        => "find_parked::entries_are_found_by_everything_at_once",

    a_purge_without_a_limit_is_caught: purges::PurgesWithoutALimit
        => "purge::a_purge_removes_at_most_so_many",
    a_purge_of_one_more_is_caught: purges::PurgesOneMore
        => "purge::a_purge_removes_at_most_so_many",
    an_uncounted_purge_is_caught: purges::CountsNothing
        => "purge::purged_documents_are_gone",
    a_deletion_for_a_purge_is_caught: purges::DeletesInsteadOfPurging
        => "purge::purged_documents_begin_with_version_1_again",
    kept_versions_of_the_deleted_are_caught: purges::DeletesInsteadOfPurging
        => "purge::a_purge_takes_deleted_documents_too",
    a_purge_of_one_tenant_is_caught: purges::LeavesTenants
        => "purge::a_purge_takes_documents_of_all_tenants",
    a_purge_by_prefix_is_caught: purges::PurgesByThePrefix
        => "purge::a_purge_leaves_other_collections_alone",
    a_forgotten_declaration_is_caught: purges::ForgetsTheDeclaration
        => "purge::a_purge_leaves_the_declaration",
    an_index_that_stays_is_caught: purges::LeavesTheIndex
        => "purge::unique_values_of_purged_documents_are_free",

    hints_that_never_come_are_caught: offers::NeverHints
        => "hints::a_commit_of_events_wakes_who_waits",
    hints_that_miss_messages_are_caught: offers::HintsAtEventsOnly
        => "hints::a_commit_of_messages_wakes_who_waits",
    hints_that_come_once_are_caught: offers::HintsOnce
        => "hints::each_commit_wakes_who_waits_again",
    hints_at_one_are_caught: offers::HintsAtOne
        => "hints::each_who_waits_is_woken",
    an_inbox_that_forgets_early_is_caught: offers::ForgetsMessagesEarly
        => "inbox::a_message_is_known_for_as_long_as_the_store_says",
}

/// The store in memory is not durable: this looks at the cases that it never runs.
#[test]
fn a_store_that_forgets_when_it_is_opened_anew_is_caught() {
    type Durable = Broken<names::SaysThatItIsDurable>;
    quiet();
    let keeps = store_suite("keeps", || async { Durable::default() });
    let forgets = store_suite("forgets", || async {
        || async { Arc::new(Durable::default()) as Arc<dyn Store> }
    });
    for case in [
        "durable::a_store_that_is_opened_anew_has_everything",
        "durable::a_store_that_is_opened_anew_goes_on",
        "durable::a_store_that_is_opened_anew_has_its_timers",
        "durable::a_store_that_is_opened_anew_has_its_messages",
        "durable::a_store_that_is_opened_anew_has_what_is_set_aside",
        "durable::a_store_that_is_opened_anew_gives_no_token_twice",
    ] {
        assert_eq!(keeps.run(case), Outcome::Passed, "{case}");
        assert!(matches!(forgets.run(case), Outcome::Failed(_)), "{case}");
    }
}

/// The store in memory offers everything: this looks at the cases of what a store lacks.
#[test]
fn parts_that_are_dropped_and_not_offered_are_caught() {
    quiet();
    let refuses = store_suite("refuses", || async { Broken::<offers::OffersLittle>::default() });
    let drops =
        store_suite("drops", || async { Broken::<offers::DropsWhatItDoesNotOffer>::default() });
    let cases = refuses.cases().filter(|case| case.starts_with("unsupported::"));
    let cases = cases.collect::<Vec<_>>();
    assert!(cases.len() >= 11, "all of them: {cases:?}");
    for case in cases {
        assert_eq!(refuses.run(case), Outcome::Passed, "{case}");
        assert!(matches!(drops.run(case), Outcome::Failed(_)), "{case}");
    }
}
