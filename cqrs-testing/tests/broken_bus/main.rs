//! Proves the bus suite: a bus that is broken in one way fails the case that is meant to catch it,
//! and the same bus without the fault passes that case.

mod base;
mod deliveries;
mod letters;
mod publishing;
mod requests;

use std::panic;
use std::sync::Once;
use std::thread;
use std::time::Duration;

use cqrs_core::memory::MemoryBus;
use cqrs_testing::{Outcome, bus_suite};

use crate::base::{Broken, Fault};

/// Runs one case with and without a fault.
fn caught<F: Fault>(case: &str) {
    quiet();
    let right = bus_suite("memory", || async { MemoryBus::default() }).run(case);
    assert_eq!(right, Outcome::Passed, "the bus without a fault, in {case}");
    // A case that waits for what never comes need not wait for long.
    let suite = bus_suite("broken", || async { Broken::<F>::default() });
    let name = std::any::type_name::<F>();
    match suite.bound(Duration::from_secs(5)).run(case) {
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
    a_dropped_message_is_caught: publishing::DropsOneOfSeven
        => "publish::what_is_stored_comes_to_whoever_listens",
    a_dropped_message_under_load_is_caught: publishing::DropsOneOfSeven
        => "load::five_thousand_messages_of_fifty_publishers_all_come",
    a_failure_that_is_not_told_is_caught: publishing::TellsOfNoFailure
        => "publish::of_several_messages_those_that_fail_are_named",
    a_command_for_nobody_is_caught: publishing::TellsOfNoFailure
        => "commands::a_command_that_nobody_takes_is_an_error",
    a_wrong_failure_is_caught: publishing::NamesTheNextOne
        => "publish::of_several_messages_those_that_fail_are_named",
    a_key_that_goes_on_after_a_failure_is_caught: publishing::SendsEachByItself
        => "publish::after_a_failure_the_later_ones_of_its_key_fail",
    unheard_messages_that_are_not_counted_are_caught: publishing::CountsNothing
        => "publish::a_message_that_nobody_listens_to_is_counted",
    ids_that_are_not_looked_at_are_caught: publishing::LooksAtNoIds
        => "publish::an_id_that_is_sent_again_comes_once",
    lost_extensions_are_caught: publishing::LosesExtensions
        => "round_trip::a_message_comes_with_its_body_and_all_its_metadata",
    lost_versions_are_caught: publishing::LosesVersions
        => "round_trip::a_message_comes_with_its_body_and_all_its_metadata",
    lost_content_types_are_caught: publishing::LosesContentTypes
        => "round_trip::bodies_of_any_bytes_come_back_with_their_content_type",
    escaped_texts_are_caught: publishing::EscapesTexts
        => "round_trip::hostile_texts_come_back_exactly",
    cut_bodies_are_caught: publishing::CutsBodies
        => "round_trip::a_message_at_the_limit_comes_back",
    what_is_too_large_is_caught: publishing::TakesWhatIsTooLarge
        => "refused::a_message_over_the_limit_is_refused_by_name",
    reversed_messages_are_caught: publishing::SendsBackwards
        => "order::a_thousand_messages_of_sixteen_keys_keep_their_order",
    ignored_keys_are_caught: publishing::IgnoresKeys
        => "order::one_of_a_key_is_handed_over_at_a_time",
    ignored_keys_with_retries_are_caught: publishing::IgnoresKeys
        => "order::retries_in_the_middle_keep_the_order",
    mixed_up_tenants_are_caught: publishing::MixesUpTenants
        => "order::keys_of_two_tenants_are_two",
    one_key_for_all_is_caught: publishing::KnowsOneKey
        => "order::a_key_that_waits_holds_up_no_other",
    commands_sent_as_messages_are_caught: publishing::MixesUpKinds
        => "commands::commands_and_messages_are_two_kinds",

    a_group_for_each_member_is_caught: deliveries::MakesGroupsOfMembers
        => "groups::members_of_a_group_share",
    a_group_that_ends_with_its_members_is_caught: deliveries::MakesGroupsOfMembers
        => "groups::a_group_gets_what_comes_while_it_has_no_members",
    one_group_for_all_is_caught: deliveries::KnowsOneGroup
        => "groups::each_group_gets_every_message",
    a_star_for_everything_is_caught: deliveries::TakesAStarForEverything
        => "names::a_star_stands_for_one_part",
    other_names_are_caught: deliveries::TakesAStarForEverything
        => "names::other_names_do_not_come",
    a_member_that_holds_too_much_is_caught: deliveries::HandsOverWithoutEnd
        => "groups::a_member_holds_so_many_at_once",
    an_acknowledgement_that_is_lost_is_caught: deliveries::LosesAcknowledgements
        => "redelivery::what_is_acknowledged_does_not_come_again",
    a_silence_that_is_not_noticed_is_caught: deliveries::WaitsForever
        => "redelivery::what_nobody_speaks_of_comes_again",
    an_impatient_bus_is_caught: deliveries::GivesNoMoreTime
        => "redelivery::what_is_still_worked_on_does_not_come_again",
    a_dropped_delivery_that_is_lost_is_caught: deliveries::TakesADropForDone
        => "redelivery::what_is_dropped_comes_again",
    a_dropped_delivery_that_is_lost_with_its_connection_is_caught: deliveries::TakesADropForDone
        => "closing::what_a_closed_connection_held_goes_to_others",
    a_retry_at_once_is_caught: deliveries::RetriesAtOnce
        => "redelivery::a_retry_comes_after_its_time",
    a_retry_that_is_the_end_is_caught: deliveries::TakesARetryForDone
        => "redelivery::a_retry_outlives_the_member_that_asked_for_it",
    attempts_that_are_not_counted_are_caught: deliveries::CountsNoAttempts
        => "redelivery::attempts_are_counted",
    deliveries_without_end_are_caught: deliveries::HandsOverWithoutEnd
        => "redelivery::what_is_never_settled_becomes_a_dead_letter",
    a_close_that_does_nothing_is_caught: deliveries::DoesNotClose
        => "closing::a_closed_connection_refuses_to_publish_and_to_subscribe",
    deliveries_that_do_not_end_are_caught: deliveries::DoesNotClose
        => "closing::the_deliveries_of_a_closed_connection_end",
    what_a_close_keeps_is_caught: deliveries::DoesNotClose
        => "closing::what_a_closed_connection_held_goes_to_others",

    forgotten_dead_letters_are_caught: letters::ForgetsThem
        => "dead_letters::a_dead_letter_has_its_message_cause_attempts_and_origin",
    forgotten_causes_are_caught: letters::ForgetsCauses
        => "dead_letters::a_dead_letter_has_its_message_cause_attempts_and_origin",
    wrong_attempts_are_caught: letters::CountsOneAttempt
        => "dead_letters::a_dead_letter_has_its_message_cause_attempts_and_origin",
    ignored_origins_are_caught: letters::IgnoresOrigins
        => "dead_letters::dead_letters_are_listed_by_origin_and_by_the_page",
    pages_that_begin_anew_are_caught: letters::BeginsEachPageAnew
        => "dead_letters::dead_letters_are_listed_by_origin_and_by_the_page",
    another_id_is_caught: letters::SendsUnderAnotherId
        => "dead_letters::a_dead_letter_is_sent_again_under_its_id",
    another_id_that_is_applied_again_is_caught: letters::SendsUnderAnotherId
        => "dead_letters::a_dead_letter_that_was_applied_before_has_no_second_effect",
    a_letter_that_stays_is_caught: letters::KeepsWhatItSends
        => "dead_letters::a_dead_letter_is_sent_again_under_its_id",
    a_letter_for_everybody_is_caught: letters::SendsToEverybody
        => "dead_letters::a_dead_letter_is_sent_again_to_its_group_only",
    a_letter_that_is_not_there_is_caught: letters::TakesAnyId
        => "dead_letters::a_letter_that_is_not_there_is_refused",
    a_letter_that_is_not_discarded_is_caught: letters::DiscardsNothing
        => "dead_letters::a_discarded_letter_is_gone",

    a_silence_when_nobody_answers_is_caught: requests::WaitsForNobody
        => "requests::a_request_that_nobody_answers_is_unroutable",
    a_wait_without_end_is_caught: requests::WaitsWithoutEnd
        => "requests::a_request_is_answered_in_time_or_not_at_all",
    lost_positions_are_caught: requests::LosesPositions
        => "requests::an_answer_comes_with_its_body_and_position",
    a_no_for_a_yes_is_caught: requests::TakesANoForAYes
        => "requests::a_failure_comes_with_its_kind_field_and_text",
    a_no_for_an_output_is_caught: requests::TakesANoForAYes
        => "services::rejections_come_typed",
    lost_fields_are_caught: requests::LosesFields
        => "requests::a_rejection_comes_with_its_code_field_text_and_body",
    lost_fields_of_bad_input_are_caught: requests::LosesFields
        => "services::a_body_that_is_no_request_names_its_field",
    other_ids_of_requests_are_caught: requests::ForgetsIds
        => "services::an_id_that_is_sent_twice_is_applied_once",
    other_ids_after_a_death_are_caught: requests::ForgetsIds
        => "services::what_a_dead_instance_held_is_applied_once_by_another",
    lost_metadata_of_requests_is_caught: requests::LosesMetadata
        => "requests::a_request_comes_with_its_body_and_all_its_metadata",
    lost_tenants_of_requests_are_caught: requests::LosesMetadata
        => "services::tenant_and_actor_go_along",
    lost_versions_of_requests_are_caught: requests::LosesMetadata
        => "services::another_version_is_refused",
    lost_deadlines_are_caught: requests::LosesMetadata
        => "services::a_call_whose_deadline_has_passed_is_not_begun",
    mixed_up_answers_are_caught: requests::MixesUpAnswers
        => "requests::many_at_once_get_their_own_answers",
    one_responder_for_all_is_caught: requests::KnowsOneResponder
        => "requests::responders_share_requests",
    what_is_lost_by_closing_is_caught: requests::LosesWhatHasCome
        => "requests::a_closed_responder_answers_what_has_come",
    a_responder_that_is_not_told_is_caught: requests::TellsNobody
        => "requests::a_request_that_is_given_up_is_known_to_the_responder",
    a_service_that_is_not_told_is_caught: requests::TellsNobody
        => "services::a_call_that_is_given_up_is_dropped_over_there",
    a_close_that_leaves_askers_waiting_is_caught: deliveries::DoesNotClose
        => "requests::closing_ends_what_waits_for_an_answer",
    a_close_that_goes_on_asking_is_caught: deliveries::DoesNotClose
        => "requests::a_closed_bus_neither_asks_nor_answers",
}
