//! The list of all rules, from which the tests of an engine, the report and the check of completeness are made.

/// Makes a test of each rule of delivery, for the engine that the expression opens: a future of a
/// [`Cluster`](crate::conformance::Cluster).
///
/// ```
/// use sagabus::conformance::embedded::EmbeddedCluster;
///
/// sagabus::transport_conformance!(async { EmbeddedCluster::in_memory() });
/// ```
#[macro_export]
macro_rules! transport_conformance {
    ($open:expr) => {
        $crate::conformance_rules!(conformance_tests; $open);
    };
}

/// Hands the list of all rules to another macro of this crate.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_rules {
    ($to:ident; $($given:tt)*) => {
        $crate::$to! {
            [$($given)*]
            basics {
                B01 MUST an_event_arrives_as_it_was_published,
                B02 MUST payloads_of_every_size_arrive_byte_by_byte,
                B03 MUST a_new_subscription_begins_where_it_says,
                B03 MUST a_subscription_must_say_where_it_begins,
                B04 MUST two_types_do_not_mix,
                B05 MUST twenty_types_at_a_time_each_reach_their_subscription,
                B06 MUST many_publishers_and_many_members_lose_and_double_nothing,
                B07 MUST a_batch_is_stored_as_a_whole_and_in_its_order,
                B07 MUST a_batch_with_one_bad_event_stores_nothing,
                B08 MUST a_payload_over_the_limit_is_refused,
                B09 MUST a_publish_after_the_shutdown_is_an_error,
                B10 MUST a_second_meaning_of_one_name_is_refused,
            }
            patterns {
                W01 MUST a_star_is_exactly_one_word,
                W02 MUST two_stars_are_all_further_words,
                W03 MUST a_star_alone_is_everything,
                W04 MUST a_pattern_without_a_star_is_one_type,
                W05 MUST what_is_no_pattern_is_refused,
                W06 MUST an_event_that_fits_several_patterns_comes_once,
                W07 MUST a_type_that_is_new_reaches_those_who_wait_for_its_kind,
            }
            filters {
                F02 SHOULD each_dialect_passes_what_it_describes,
                F03 SHOULD an_attribute_that_is_missing_means_what_was_asked_for,
                F04 SHOULD a_filter_looks_into_the_payload,
                F06 SHOULD another_filter_holds_from_where_the_subscription_stands,
                F07 MUST what_is_filtered_costs_no_attempt_and_is_counted,
            }
            groups {
                G01 MUST two_subscriptions_each_get_everything,
                G02 MUST members_share_the_events_of_their_subscription,
                G03 MUST a_member_that_joins_under_load_gets_its_share,
                G04 MUST a_member_that_leaves_loses_and_doubles_nothing,
                G05 MUST what_a_killed_member_had_goes_to_another_after_its_lease,
                G06 MUST the_late_answer_of_a_frozen_member_does_not_count,
                G07 MUST a_second_incarnation_of_a_member_fences_the_first,
                G08 SHOULD a_hundred_joins_and_leaves_lose_nothing,
                G09 MUST keys_stay_in_order_while_members_come_and_go,
                G10 MUST a_slow_handler_is_not_robbed,
            }
            settlement {
                S01 MUST what_was_settled_stays_settled_over_restarts,
                S02 MUST events_are_settled_in_any_order,
                S03 MUST an_event_that_nobody_settles_comes_back,
                S04 MUST a_lease_is_settled_once,
                S05 MUST an_event_that_is_handed_back_costs_no_attempt,
                S05 MUST a_call_that_is_given_up_takes_no_event_with_it,
            }
            retry {
                R01 MUST attempts_come_when_the_policy_says,
                R01 MUST calls_within_an_attempt_are_one_attempt,
                R02 MUST the_least_time_that_a_handler_asks_for_is_kept,
                R03 MUST a_permanent_error_is_a_dead_letter_at_once,
                R04 MUST a_dead_letter_has_the_fault_of_each_attempt,
                R05 MUST a_payload_that_does_not_fit_its_type_is_a_dead_letter,
                R06 MUST a_panic_is_a_failure_and_the_process_lives,
                R07 MUST an_event_that_ends_the_process_is_given_up_alone,
                R07 MUST a_suspect_is_handed_out_alone,
                R08 MUST a_retry_survives_a_restart_of_everything,
                R09 MUST retries_of_one_subscription_are_seen_by_no_other,
                R10 SHOULD a_failing_dependency_is_not_stormed,
                R11 SHOULD an_open_breaker_costs_no_attempts,
            }
            order {
                O01 MUST a_thousand_events_of_each_key_come_in_order,
                O02 MUST keys_stay_in_order_through_failures,
                O03 MUST a_failing_event_holds_up_its_own_key_only,
                O04 MUST events_behind_a_dead_letter_of_their_key_are_parked,
                O04 MUST too_many_parked_events_stop_the_subscription_and_drop_nothing,
                O05 MUST events_behind_a_dead_letter_go_on_where_that_is_asked_for,
                O06 MUST a_mended_event_goes_first_and_its_followers_after_it,
                O07 MUST keys_stay_in_order_through_failures_members_and_crashes,
                O08 MUST events_without_a_key_are_complete,
                O09 SHOULD a_key_with_most_events_does_not_stop_the_others,
            }
            dead_letters {
                D01 MUST dead_letters_are_listed_page_by_page,
                D02 SHOULD letters_are_found_by_type_error_time_and_key,
                D03 MUST a_redrive_reaches_only_the_subscription_that_failed,
                D04 SHOULD many_are_redriven_at_the_pace_that_was_asked_for,
                D05 MUST a_trial_run_changes_nothing,
                D06 MUST a_revised_payload_keeps_the_original_and_says_who_and_why,
                D07 MUST a_discarded_letter_is_gone_for_good,
                D08 MUST a_redrive_begins_anew_and_is_counted,
                D09 MUST redrives_of_one_letter_at_a_time_are_one,
                D10 MUST a_redrive_waits_for_the_end_of_a_pause,
                D11 SHOULD too_many_dead_letters_show_in_health,
                D12 SHOULD letters_that_are_written_out_come_back_with_their_history,
            }
            time {
                T01 SHOULD an_event_for_later_comes_at_its_time_and_not_before,
                T02 SHOULD ten_thousand_events_of_one_moment_all_come,
                T03 MUST an_event_for_a_time_that_is_over_comes_now,
                T04 SHOULD what_is_cancelled_before_its_time_never_comes,
                T05 MUST a_cancellation_at_the_very_time_has_one_outcome,
                T06 SHOULD an_event_that_gets_another_time_comes_at_that,
                T07 SHOULD an_event_for_later_outlasts_a_crash,
                T08 MUST a_jump_of_the_wall_clock_takes_no_lease_away,
                T08 MUST a_jump_of_the_wall_clock_leaves_retries_their_delay,
                T09 MUST an_event_past_its_time_is_not_delivered,
            }
            priority {
                P01 SHOULD strict_priority_hands_out_level_by_level,
                P02 SHOULD levels_share_by_their_weights,
                P03 MUST no_event_is_passed_over_more_often_than_the_bound,
                P04 MUST no_urgent_event_passes_another_of_its_key,
                P05 SHOULD one_with_few_events_does_not_wait_for_one_with_many,
                P06 MUST an_event_that_is_tried_again_keeps_its_priority,
            }
            dedup {
                X01 MUST a_second_publish_is_told_the_first_position,
                X01 MUST a_second_publish_under_one_key_is_told_the_first_position,
                X01 MUST publishes_of_one_event_at_a_time_are_one,
                X02 MUST another_payload_under_one_key_is_a_conflict,
                X03 MUST what_is_beyond_the_window_is_a_new_event,
                X04 MUST what_was_published_is_known_after_a_restart,
                X07 MUST a_failed_event_is_not_taken_for_handled,
            }
            flow {
                L01 MUST a_stopped_subscriber_costs_nothing_and_loses_nothing,
                L02 MUST publishers_are_refused_while_there_is_no_room,
                L03 MUST a_shutdown_finishes_what_runs_and_hands_back_the_rest,
                L04 MUST what_a_shutdown_cuts_is_reported_and_comes_again,
                L05 MUST a_pause_survives_a_crash_and_ends_when_told,
                L05 MUST a_pause_with_an_end_ends_by_itself,
                L06 SHOULD a_rate_holds_for_all_members_together,
                L07 MUST a_store_that_is_away_for_a_minute_is_waited_for,
                L08 MUST crashes_during_publishes_lose_and_double_nothing,
            }
            replay {
                Y01 SHOULD a_window_is_replayed_to_one_subscription,
                Y02 SHOULD a_replayed_event_says_so,
            }
            observation {
                M01 MUST what_came_is_where_it_went_at_every_moment,
                M02 SHOULD a_trace_goes_from_publish_through_attempts_to_what_follows,
                M07 SHOULD what_holds_a_subscription_up_shows_in_health,
            }
        }
    };
}

/// A test of each rule.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_tests {
    ([$open:expr] $($group:ident { $($id:ident $level:ident $rule:ident,)* })*) => {$($(
        #[tokio::test]
        async fn $rule() {
            let cluster = $open.await;
            $crate::conformance::rules::$group::$rule(&cluster).await;
        }
    )*)*};
}

/// The rules as data.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_list {
    ([] $($group:ident { $($id:ident $level:ident $rule:ident,)* })*) => {
        vec![$($($crate::conformance::Rule {
            group: stringify!($group),
            id: stringify!($id),
            level: $crate::conformance_level!($level),
            name: stringify!($rule),
            run: |cluster| Box::pin($crate::conformance::rules::$group::$rule(cluster)),
        },)*)*]
    };
}

/// The level by its word.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_level {
    (MUST) => {
        $crate::conformance::Level::Must
    };
    (SHOULD) => {
        $crate::conformance::Level::Should
    };
    (CAP) => {
        $crate::conformance::Level::Cap
    };
}
