//! The cases. Some prove the lab itself: there addresses are put into the status, and neighbour entries on the client and the router, by
//! hand. In the others Portolan does all of that.

use crate::runner::Case;

mod announced;
mod contested;
mod death;
mod failures;
mod forwarding;
mod instruments;
mod kubelets;
mod migration;
mod moves;
mod privilege;
mod reachable;
mod traffic;

macro_rules! cases {
    ($($module:ident::$name:ident),* $(,)?) => {
        &[$(Case { name: concat!(stringify!($module), "::", stringify!($name)), run: $module::$name }),*]
    };
}

/// In the order in which they run; those in another mode of kube-proxy are together.
pub(crate) const ALL: &[Case] = cases![
    instruments::a_program_on_a_node_reaches_the_api_server_and_a_client_does_not,
    instruments::a_capture_shows_who_asks_answers_and_announces,
    instruments::a_node_can_lose_the_lan_or_the_api_server_alone,
    instruments::a_load_counts_what_was_not_answered,
    instruments::a_move_under_load_fails_no_new_connection_and_no_datagram_under_cluster,
    traffic::an_address_for_which_nobody_answers_is_not_reached,
    traffic::local_is_served_only_by_a_node_with_a_pod,
    kubelets::a_pod_told_to_be_unready_gets_no_requests,
    kubelets::a_drained_nodes_pods_come_back_elsewhere_and_no_request_is_lost,
    kubelets::a_node_without_heartbeats_is_not_ready_and_loses_its_pods,
    announced::clients_reach_pods_at_addresses_that_portolan_gives_and_announces_beside_nftables,
    announced::an_address_that_is_given_back_is_answered_for_by_nobody,
    announced::an_address_that_a_stranger_has_is_left_to_him_and_the_service_names_him,
    contested::an_address_that_a_stranger_had_first_is_left_to_him_and_the_service_gets_another_one,
    contested::an_address_that_a_stranger_insists_on_is_his_until_he_has_been_silent_for_a_minute,
    moves::an_advertisement_that_names_another_node_moves_addresses_and_fails_nothing,
    moves::addresses_go_to_the_node_that_is_preferred_once_it_is_steady_and_fail_nothing,
    moves::a_node_that_is_annotated_loses_its_addresses_and_no_other_does_and_nothing_fails,
    moves::pods_drained_from_a_node_take_addresses_under_local_with_them_and_nothing_fails,
    moves::speakers_that_are_updated_one_after_the_other_fail_nothing,
    moves::a_controller_that_is_killed_and_comes_back_moves_nothing_and_fails_nothing,
    failures::a_speaker_that_is_killed_and_comes_back_at_once_has_its_addresses_again,
    failures::a_node_that_loses_the_api_server_answers_on_until_another_does,
    failures::addresses_of_a_speaker_that_is_killed_are_answered_for_again_once_its_lease_has_run_out,
    failures::addresses_of_a_node_that_dies_are_answered_for_again_once_it_is_not_ready,
    forwarding::addresses_of_a_node_whose_kube_proxy_is_gone_go_to_another_and_if_all_are_gone_somebody_has_them,
    forwarding::a_node_without_an_endpoint_says_so_by_its_health_check_port_and_is_silent_although_no_controller_runs,
    migration::addresses_of_metallb_go_over_node_by_node_and_clients_go_on_asking,
    reachable::what_is_announced_is_proven_by_the_first_heir_with_frames_alone_and_by_nobody_where_there_is_none,
    reachable::an_owner_that_forwards_nothing_and_a_stranger_beside_it_are_found_out,
    privilege::speakers_are_root_with_net_raw_alone_and_a_root_that_they_cannot_write,
    privilege::speakers_have_no_right_that_they_do_not_use,
    traffic::nftables_forwards_both_protocols_and_families_from_both_subnets,
    traffic::iptables_forwards_both_protocols_and_families_from_both_subnets,
    announced::clients_reach_pods_at_addresses_that_portolan_gives_and_announces_beside_iptables,
    death::a_lab_that_is_interrupted_leaves_nothing,
    death::a_lab_that_is_killed_leaves_nothing,
];
