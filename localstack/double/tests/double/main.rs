//! The double in front of two emulators, each case on both. Needs what localstack/tools builds; without it every such case says SKIPPED. `compose.rs` needs
//! nothing.
//!
//! The requests are made by hand here, so that the double is not held against our own client.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this whole crate is tests: they fail by panicking"
)]

mod cases;
mod client;
mod compose;
mod emulator;

/// Each case twice: in front of moto and in front of LocalStack.
macro_rules! on_both {
    ($($module:ident :: $case:ident),* $(,)?) => {
        mod moto {
            $(#[tokio::test] async fn $case() { crate::emulator::run(portolan_aws_double::emulator::Which::Moto, stringify!($case), crate::cases::$module::$case).await; })*
        }
        mod localstack {
            $(#[tokio::test] async fn $case() { crate::emulator::run(portolan_aws_double::emulator::Which::LocalStack, stringify!($case), crate::cases::$module::$case).await; })*
        }
    };
}

on_both! {
    line::a_balancer_comes_through_with_aws_s_own_arn_and_name,
    line::every_call_is_counted_by_action_and_caller_and_logged_in_order,
    line::what_is_there_is_seen_without_a_call_and_changed_by_another_hand,
    line::a_double_that_is_started_again_takes_over_what_is_there,
    line::the_seed_is_planted_once,
    line::a_request_without_a_signature_is_refused,
    line::credentials_are_got_without_credentials,
    line::a_key_that_the_double_does_not_know_is_turned_away,
    line::a_clock_that_is_off_is_told_by_the_date_of_the_answer,
    line::other_services_pass_through,
    line::what_is_not_played_is_refused_by_name,
    names::the_same_balancer_again_is_the_first_one,
    names::another_balancer_of_the_same_name_is_refused,
    names::tags_are_no_part_of_what_is_the_same,
    names::the_same_group_again_is_the_first_one_and_another_is_refused,
    names::the_same_listener_again_is_the_first_one_and_another_is_refused,
    names::illegal_names_are_refused_before_the_emulator_sees_them,
    names::a_name_is_free_again_after_deletion_and_its_arn_is_another,
    names::a_describe_of_which_one_is_missing_is_not_found_as_a_whole,
    limits::balancers_groups_listeners_and_certificates_have_quotas,
    limits::targets_have_quotas_per_group_balancer_and_zone,
    limits::the_interfaces_of_all_balancers_of_a_vpc_have_a_quota,
    limits::twenty_may_be_named_in_one_call,
    limits::pages_together_are_all,
    belong::a_group_belongs_to_one_balancer,
    belong::a_group_on_a_listener_is_in_use,
    belong::protocols_must_fit,
    belong::security_groups_only_where_there_were_some_at_birth,
    belong::a_protected_balancer_is_not_deleted,
    belong::deleting_a_balancer_deletes_its_listeners_and_doing_it_again_succeeds,
    belong::subnets_are_one_per_zone_and_with_ipv6_for_dual_stack,
    belong::every_legal_pair_of_listener_and_group_is_taken,
    belong::ipv6_groups_need_dual_stack_and_take_ipv6_targets,
    belong::an_address_serves_one_balancer,
    belong::subnets_may_be_one_and_are_shown_as_set,
    belong::attributes_are_those_of_a_network_load_balancer,
    belong::health_checks_have_aws_s_defaults_and_ranges,
    belong::tags_are_kept_and_limited,
    belong::certificates_come_and_go_but_for_the_default_one,
    targets::only_addresses_of_the_vpc_or_private_ones,
    targets::one_bad_target_refuses_the_whole_batch,
    targets::one_id_may_have_several_ports,
    targets::deregistering_what_is_not_there_succeeds,
    time::a_balancer_is_provisioning_then_active,
    time::a_target_is_initial_then_as_scripted_then_draining_then_gone,
    time::a_group_is_in_use_for_a_while_after_its_listener_is_gone,
    time::a_security_group_is_in_use_for_a_while_after_its_balancer_is_gone,
    time::health_checks_begin_when_the_balancer_is_active_and_forwards,
    time::describe_lags_behind_create,
    time::a_target_without_a_listener_or_in_a_zone_without_a_subnet_is_unused,
    faults::a_lost_response_took_effect,
    faults::a_call_that_is_cut_off_did_not,
    faults::a_500_comes_before_or_after_the_effect,
    faults::an_expired_token_refuses_both_apis,
    faults::ec2_pages_too,
    faults::cut_pages_have_markers_to_the_rest,
    faults::a_delay_holds_one_call_and_no_other,
    faults::buckets_throttle_by_class_and_refill_with_the_clock,
    groups::rules_are_unique_and_limited,
    groups::a_prefix_list_counts_for_what_it_may_hold_and_has_to_exist,
    permissions::what_no_policy_allows_is_refused_in_the_words_of_each_api,
    permissions::a_balancer_needs_what_aws_looks_at_in_its_caller_s_name,
    permissions::tags_at_birth_need_a_permission_of_their_own,
    permissions::what_was_allowed_and_never_needed_is_told,
    groups::a_group_that_another_names_or_a_balancer_uses_is_not_deleted,
}
