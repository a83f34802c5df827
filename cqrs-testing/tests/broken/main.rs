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
mod race;
mod reads;
mod snapshots;
mod timers;
mod waiting;
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
pub(crate) use faults;

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
    forgotten_views_are_caught: writes::ForgetsViews
        => "views::views_are_written_with_their_commit",
    views_that_make_another_commit_are_caught: writes::CountsViews
        => "views::a_repeat_with_other_views_is_the_same_commit_and_writes_none",
    views_of_a_failed_commit_are_caught: writes::KeepsViewsOfAFailedCommit
        => "views::a_commit_that_fails_leaves_no_view",
    ignored_expectations_of_views_are_caught: writes::IgnoresExpectationsOfViews
        => "views::a_view_is_held_to_its_expectation",
    a_repeat_that_is_applied_again_is_caught: writes::AppliesARepeatAgain
        => "repeats::the_same_commit_twice_is_applied_once",
    a_repeat_in_flight_that_is_applied_again_is_caught: writes::AppliesARepeatAgain
        => "repeats::a_repeat_while_the_first_is_in_flight_waits_for_it",
    an_id_with_other_content_is_caught: writes::TakesAnIdWithOtherContent
        => "repeats::the_same_id_with_other_content_is_refused",
    an_event_taken_for_its_commit_is_caught: writes::TakesAnEventForItsCommit
        => "repeats::an_event_named_after_another_commit_says_nothing_of_that",
    a_commit_known_by_events_only_is_caught: writes::KnowsCommitsByEventsOnly
        => "repeats::an_id_is_known_whatever_its_commit_wrote",
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
    a_body_without_its_version_is_caught: reads::LeavesOutWhatAFoldNeeds
        => "read_stream::a_reading_to_fold_has_all_that_a_fold_needs",
    lost_tags_are_caught: reads::ReadsEverythingToFold
        => "read_stream::a_reading_beside_one_to_fold_has_everything",
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
