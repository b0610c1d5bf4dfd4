//! The whole route table, grouped by who calls and for what.
//!
//! An endpoint is registered under every path that ruma knows for its request type, so clients find it under `r0` and
//! `unstable` paths too. Arguments of paths are read by position; their names are documentation only.
#![allow(deprecated, reason = "endpoints that the specification deprecates are still served")]

mod table;

use http::Method;
use ruma::api::{client as api, federation as federation_api};

use crate::api::client::{
    absent, account, account_data, admin_register, aliases, capabilities, context, create_room, devices, directory,
    event, filter, interactive_auth, key_backup, keys, login, media, members, membership, messages, presence, profile,
    push_rules, receipts, redact, register, relations, search, send, session, state, state_write, summary, sync,
    threads, timestamp, to_device, typing, upgrade, user_directory, versions, well_known,
};
use crate::api::federation as servers_api;
use crate::api::school::{self as school_api, activate, audit, classes, contacts, me, openapi, slips};

pub use table::Table;

/// Adds the routes of a group.
type Group = fn(Table) -> Table;

/// What clients call, besides the way to this server.
const CLIENT: [Group; 10] = [server, accounts, people, keys, rooms, events, media, tools, school, school_office];

/// What clients call.
pub fn client() -> Table {
    collect(CLIENT.into_iter().chain([addresses as Group]))
}

/// What other servers call.
pub fn federation() -> Table {
    collect([servers as Group, servers_reading, servers_devices, crossings, addresses])
}

/// Everything, for a listener that serves clients and other servers.
pub fn all() -> Table {
    collect(CLIENT.into_iter().chain([servers as Group, servers_reading, servers_devices, crossings, addresses]))
}

fn collect(groups: impl IntoIterator<Item = Group>) -> Table {
    groups.into_iter().fold(Table::default(), |table, add| add(table))
}

/// Where this server is found.
fn addresses(table: Table) -> Table {
    table
        .on::<api::discovery::discover_homeserver::Request, _>(well_known::discover_homeserver)
        .on::<federation_api::discovery::discover_homeserver::Request, _>(well_known::discover_server)
}

/// The server-server API.
fn servers(table: Table) -> Table {
    use federation_api as fed;
    use servers_api::{keys, openid, send, version};
    table
        .on::<fed::discovery::get_server_keys::v2::Request, _>(keys::get_server_keys)
        .at(&Method::GET, "/_matrix/key/v2/server/{key_id}", keys::get_server_keys_by_id)
        .on::<fed::discovery::get_remote_server_keys::v2::Request, _>(keys::get_remote_server_keys)
        .on::<fed::discovery::get_remote_server_keys_batch::v2::Request, _>(keys::get_remote_server_keys_batch)
        .on::<fed::discovery::get_server_version::v1::Request, _>(version::get_server_version)
        .on::<fed::openid::get_openid_userinfo::v1::Request, _>(openid::get_openid_userinfo)
        .on::<fed::transactions::send_transaction_message::v1::Request, _>(send::send_transaction_message)
}

/// The server-server API: what other servers read here.
fn servers_reading(table: Table) -> Table {
    use federation_api as fed;
    use servers_api::{directory, event, hierarchy, history, media, query, state};
    table
        .on::<fed::event::get_event::v1::Request, _>(event::get_event)
        .on::<fed::authorization::get_event_authorization::v1::Request, _>(event::get_event_authorization)
        .on::<fed::event::get_room_state::v1::Request, _>(state::get_room_state)
        .on::<fed::event::get_room_state_ids::v1::Request, _>(state::get_room_state_ids)
        .on::<fed::backfill::get_backfill::v1::Request, _>(history::get_backfill)
        .on::<fed::event::get_missing_events::v1::Request, _>(history::get_missing_events)
        .on::<fed::event::get_event_by_timestamp::v1::Request, _>(history::get_event_by_timestamp)
        .on::<fed::query::get_room_information::v1::Request, _>(query::get_room_information)
        .on::<fed::query::get_profile_information::v1::Request, _>(query::get_profile_information)
        .at(&Method::GET, "/_matrix/federation/v1/query/{query_type}", query::get_unknown)
        .on::<fed::directory::get_public_rooms::v1::Request, _>(directory::get_public_rooms)
        .on::<fed::directory::get_public_rooms_filtered::v1::Request, _>(directory::get_public_rooms_filtered)
        .on::<fed::space::get_hierarchy::v1::Request, _>(hierarchy::get_hierarchy)
        .on::<fed::authenticated_media::get_content::v1::Request, _>(media::get_content)
        .on::<fed::authenticated_media::get_content_thumbnail::v1::Request, _>(media::get_content_thumbnail)
}

/// The server-server API: devices and keys.
fn servers_devices(table: Table) -> Table {
    use federation_api as fed;
    use servers_api::{devices, keys_of_users};
    table
        .on::<fed::device::get_devices::v1::Request, _>(devices::get_devices)
        .on::<fed::keys::get_keys::v1::Request, _>(keys_of_users::get_keys)
        .on::<fed::keys::claim_keys::v1::Request, _>(keys_of_users::claim_keys)
}

/// Joining, leaving, knocking and inviting over the border between servers.
fn crossings(table: Table) -> Table {
    use federation_api::membership as fed;
    use federation_api::thirdparty;
    use servers_api::{invite, join, knock, leave, third_party};
    let put = &Method::PUT;
    table
        .on::<fed::prepare_join_event::v1::Request, _>(join::create_join_event_template)
        .on::<fed::create_join_event::v2::Request, _>(join::create_join_event)
        .at(put, "/_matrix/federation/v1/send_join/{room_id}/{event_id}", join::create_join_event_v1)
        .on::<fed::prepare_leave_event::v1::Request, _>(leave::prepare_leave_event)
        .on::<fed::create_leave_event::v2::Request, _>(leave::create_leave_event)
        .at(put, "/_matrix/federation/v1/send_leave/{room_id}/{event_id}", leave::create_leave_event_v1)
        .on::<fed::prepare_knock_event::v1::Request, _>(knock::create_knock_event_template)
        .on::<fed::create_knock_event::v1::Request, _>(knock::send_knock)
        .on::<fed::create_invite::v2::Request, _>(invite::create_invite)
        .at(put, "/_matrix/federation/v1/invite/{room_id}/{event_id}", invite::create_invite_v1)
        .on::<thirdparty::bind_callback::v1::Request, _>(third_party::bind_callback)
        .at(&Method::POST, "/_matrix/federation/v1/3pid/onbind", third_party::bind_callback)
        .on::<thirdparty::exchange_invite::v1::Request, _>(third_party::exchange_invite)
}

/// What this server is and can do.
fn server(table: Table) -> Table {
    table
        .on::<api::discovery::get_supported_versions::Request, _>(versions::get_supported_versions)
        .on::<api::discovery::get_capabilities::v3::Request, _>(capabilities::get_capabilities)
        .on::<api::thirdparty::get_protocols::v3::Request, _>(absent::get_protocols)
        .on::<api::thirdparty::get_protocol::v3::Request, _>(absent::get_protocol)
        .on::<api::voip::get_turn_server_info::v3::Request, _>(absent::get_turn_server_info)
        .on::<api::thirdparty::get_location_for_protocol::v3::Request, _>(absent::get_third_party_matches)
        .on::<api::thirdparty::get_location_for_room_alias::v3::Request, _>(absent::get_third_party_matches)
        .on::<api::thirdparty::get_user_for_protocol::v3::Request, _>(absent::get_third_party_matches)
        .on::<api::thirdparty::get_user_for_user_id::v3::Request, _>(absent::get_third_party_matches)
}

/// Accounts, sessions and devices.
fn accounts(table: Table) -> Table {
    table
        .on::<api::account::register::v3::Request, _>(register::register)
        .on::<api::account::get_username_availability::v3::Request, _>(register::get_username_availability)
        .on::<api::account::check_registration_token_validity::v1::Request, _>(
            register::check_registration_token_validity,
        )
        .on::<api::session::get_login_types::v3::Request, _>(login::get_login_types)
        .on::<api::session::login::v3::Request, _>(login::login)
        .on::<api::session::refresh_token::v3::Request, _>(login::refresh_token)
        .on::<api::session::logout::v3::Request, _>(session::logout)
        .on::<api::session::logout_all::v3::Request, _>(session::logout_all)
        .on::<api::account::whoami::v3::Request, _>(session::whoami)
        .on::<api::account::request_openid_token::v3::Request, _>(session::request_openid_token)
        .on::<api::account::change_password::v3::Request, _>(account::change_password)
        .on::<api::account::deactivate::v3::Request, _>(account::deactivate)
        .on::<api::account::get_3pids::v3::Request, _>(account::get_3pids)
        .on::<api::uiaa::get_uiaa_fallback_page::v3::Request, _>(interactive_auth::get_uiaa_fallback_page)
        .on::<api::device::get_devices::v3::Request, _>(devices::get_devices)
        .on::<api::device::get_device::v3::Request, _>(devices::get_device)
        .on::<api::device::update_device::v3::Request, _>(devices::update_device)
        .on::<api::device::delete_device::v3::Request, _>(devices::delete_device)
        .on::<api::device::delete_devices::v3::Request, _>(devices::delete_devices)
        .on::<api::account::add_3pid::v3::Request, _>(account::refuse_3pid)
        .on::<api::account::bind_3pid::v3::Request, _>(account::refuse_3pid)
        .on::<api::account::delete_3pid::v3::Request, _>(account::refuse_3pid)
        .on::<api::account::unbind_3pid::v3::Request, _>(account::refuse_3pid)
        .on::<api::account::request_3pid_management_token_via_email::v3::Request, _>(account::refuse_3pid_token)
        .on::<api::account::request_3pid_management_token_via_msisdn::v3::Request, _>(account::refuse_3pid_token)
        .on::<api::account::request_password_change_token_via_email::v3::Request, _>(account::refuse_3pid_token)
        .on::<api::account::request_password_change_token_via_msisdn::v3::Request, _>(account::refuse_3pid_token)
        .on::<api::account::request_registration_token_via_email::v3::Request, _>(account::refuse_3pid_token)
        .on::<api::account::request_registration_token_via_msisdn::v3::Request, _>(account::refuse_3pid_token)
        .v3(&Method::POST, "/account/3pid", account::refuse_3pid)
        .v3(&Method::POST, "/auth/{auth_type}/fallback/web", interactive_auth::post_uiaa_fallback_page)
}

/// What belongs to a person.
fn people(table: Table) -> Table {
    table
        .on::<api::profile::get_profile::v3::Request, _>(profile::get_profile)
        .on::<api::profile::get_profile_field::v3::Request, _>(profile::get_profile_field)
        .on::<api::profile::set_profile_field::v3::Request, _>(profile::set_profile_field)
        .on::<api::profile::delete_profile_field::v3::Request, _>(profile::delete_profile_field)
        .on::<api::config::get_global_account_data::v3::Request, _>(account_data::get_global_account_data)
        .on::<api::config::set_global_account_data::v3::Request, _>(account_data::set_global_account_data)
        .on::<api::config::get_room_account_data::v3::Request, _>(account_data::get_room_account_data)
        .on::<api::config::set_room_account_data::v3::Request, _>(account_data::set_room_account_data)
        .on::<api::tag::get_tags::v3::Request, _>(account_data::get_tags)
        .on::<api::tag::create_tag::v3::Request, _>(account_data::create_tag)
        .on::<api::tag::delete_tag::v3::Request, _>(account_data::delete_tag)
        .on::<api::filter::create_filter::v3::Request, _>(filter::create_filter)
        .on::<api::filter::get_filter::v3::Request, _>(filter::get_filter)
        .on::<api::push::get_pushrules_all::v3::Request, _>(push_rules::get_pushrules_all)
        .on::<api::push::get_pushrules_global_scope::v3::Request, _>(push_rules::get_pushrules_global_scope)
        .on::<api::push::get_pushrule::v3::Request, _>(push_rules::get_pushrule)
        .on::<api::push::set_pushrule::v3::Request, _>(push_rules::set_pushrule)
        .on::<api::push::delete_pushrule::v3::Request, _>(push_rules::delete_pushrule)
        .on::<api::push::get_pushrule_enabled::v3::Request, _>(push_rules::get_pushrule_enabled)
        .on::<api::push::set_pushrule_enabled::v3::Request, _>(push_rules::set_pushrule_enabled)
        .on::<api::push::get_pushrule_actions::v3::Request, _>(push_rules::get_pushrule_actions)
        .on::<api::push::set_pushrule_actions::v3::Request, _>(push_rules::set_pushrule_actions)
        .on::<api::push::get_pushers::v3::Request, _>(push_rules::get_pushers)
        .on::<api::push::set_pusher::v3::Request, _>(push_rules::set_pusher)
        .on::<api::push::get_notifications::v3::Request, _>(push_rules::get_notifications)
        .on::<api::user_directory::search_users::v3::Request, _>(user_directory::search_users)
        .on::<api::presence::get_presence::v3::Request, _>(presence::get_presence)
        .on::<api::presence::set_presence::v3::Request, _>(presence::set_presence)
        .v3(&Method::GET, "/pushrules", push_rules::get_pushrules_all)
        .v3(&Method::GET, "/pushrules/global", push_rules::get_pushrules_global_scope)
}

/// End-to-end encryption.
fn keys(table: Table) -> Table {
    table
        .on::<api::keys::upload_keys::v3::Request, _>(keys::upload_keys)
        .on::<api::keys::get_keys::v3::Request, _>(keys::get_keys)
        .on::<api::keys::get_key_changes::v3::Request, _>(keys::get_key_changes)
        .on::<api::keys::upload_signing_keys::v3::Request, _>(keys::upload_signing_keys)
        .on::<api::keys::upload_signatures::v3::Request, _>(keys::upload_signatures)
        .on::<api::to_device::send_event_to_device::v3::Request, _>(to_device::send_event_to_device)
        .on::<api::backup::create_backup_version::v3::Request, _>(key_backup::create_backup_version)
        .on::<api::backup::get_latest_backup_info::v3::Request, _>(key_backup::get_latest_backup_info)
        .on::<api::backup::get_backup_info::v3::Request, _>(key_backup::get_backup_info)
        .on::<api::backup::update_backup_version::v3::Request, _>(key_backup::update_backup_version)
        .on::<api::backup::delete_backup_version::v3::Request, _>(key_backup::delete_backup_version)
        .on::<api::backup::add_backup_keys::v3::Request, _>(key_backup::add_backup_keys)
        .on::<api::backup::add_backup_keys_for_room::v3::Request, _>(key_backup::add_backup_keys_for_room)
        .on::<api::backup::add_backup_keys_for_session::v3::Request, _>(key_backup::add_backup_keys_for_session)
        .on::<api::backup::get_backup_keys::v3::Request, _>(key_backup::get_backup_keys)
        .on::<api::backup::get_backup_keys_for_room::v3::Request, _>(key_backup::get_backup_keys_for_room)
        .on::<api::backup::get_backup_keys_for_session::v3::Request, _>(key_backup::get_backup_keys_for_session)
        .on::<api::backup::delete_backup_keys::v3::Request, _>(key_backup::delete_backup_keys)
        .on::<api::backup::delete_backup_keys_for_room::v3::Request, _>(key_backup::delete_backup_keys_for_room)
        .on::<api::backup::delete_backup_keys_for_session::v3::Request, _>(key_backup::delete_backup_keys_for_session)
        .on::<api::keys::claim_keys::v3::Request, _>(keys::claim_keys)
}

/// Making rooms, entering and leaving them, finding them.
fn rooms(table: Table) -> Table {
    table
        .on::<api::alias::create_alias::v3::Request, _>(aliases::create_alias)
        .on::<api::alias::get_alias::v3::Request, _>(aliases::get_alias)
        .on::<api::alias::delete_alias::v3::Request, _>(aliases::delete_alias)
        .on::<api::room::aliases::v3::Request, _>(aliases::aliases)
        .on::<api::room::create_room::v3::Request, _>(create_room::create_room)
        .on::<api::directory::get_public_rooms::v3::Request, _>(directory::get_public_rooms)
        .on::<api::directory::get_public_rooms_filtered::v3::Request, _>(directory::get_public_rooms_filtered)
        .on::<api::directory::get_room_visibility::v3::Request, _>(directory::get_room_visibility)
        .on::<api::directory::set_room_visibility::v3::Request, _>(directory::set_room_visibility)
        .on::<api::membership::join_room_by_id::v3::Request, _>(membership::join_room_by_id)
        .on::<api::membership::join_room_by_id_or_alias::v3::Request, _>(membership::join_room_by_id_or_alias)
        .on::<api::knock::knock_room::v3::Request, _>(membership::knock_room)
        .on::<api::membership::invite_user::v3::Request, _>(membership::invite_user)
        .on::<api::membership::leave_room::v3::Request, _>(membership::leave_room)
        .on::<api::membership::kick_user::v3::Request, _>(membership::kick_user)
        .on::<api::membership::ban_user::v3::Request, _>(membership::ban_user)
        .on::<api::membership::unban_user::v3::Request, _>(membership::unban_user)
        .on::<api::membership::forget_room::v3::Request, _>(membership::forget_room)
        .on::<api::room::get_summary::v1::Request, _>(summary::get_summary)
        .on::<api::space::get_hierarchy::v1::Request, _>(summary::get_hierarchy)
        .on::<api::room::upgrade_room::v3::Request, _>(upgrade::upgrade_room)
}

/// Sending to rooms, reading them, hearing of them.
fn events(table: Table) -> Table {
    table
        .on::<api::message::send_message_event::v3::Request, _>(send::send_message_event)
        .on::<api::redact::redact_event::v3::Request, _>(redact::redact_event)
        .on::<api::state::send_state_event::v3::Request, _>(state_write::send_state_event)
        .on::<api::state::get_state_events::v3::Request, _>(state::get_state_events)
        .on::<api::state::get_state_event_for_key::v3::Request, _>(state::get_state_event_for_key)
        .on::<api::room::get_room_event::v3::Request, _>(event::get_room_event)
        .on::<api::context::get_context::v3::Request, _>(context::get_context)
        .on::<api::message::get_message_events::v3::Request, _>(messages::get_message_events)
        .on::<api::relations::get_relating_events::v1::Request, _>(relations::get_relating_events)
        .on::<api::relations::get_relating_events_with_rel_type::v1::Request, _>(
            relations::get_relating_events_with_rel_type,
        )
        .on::<api::relations::get_relating_events_with_rel_type_and_event_type::v1::Request, _>(
            relations::get_relating_events_with_rel_type_and_event_type,
        )
        .on::<api::threads::get_threads::v1::Request, _>(threads::get_threads)
        .on::<api::room::get_event_by_timestamp::v1::Request, _>(timestamp::get_event_by_timestamp)
        .on::<api::search::search_events::v3::Request, _>(search::search_events)
        .on::<api::receipt::create_receipt::v3::Request, _>(receipts::create_receipt)
        .on::<api::read_marker::set_read_marker::v3::Request, _>(receipts::set_read_marker)
        .on::<api::typing::create_typing_event::v3::Request, _>(typing::create_typing_event)
        .on::<api::membership::get_member_events::v3::Request, _>(members::get_member_events)
        .on::<api::membership::joined_members::v3::Request, _>(members::joined_members)
        .on::<api::membership::joined_rooms::v3::Request, _>(members::joined_rooms)
        .v3(&Method::PUT, "/rooms/{room_id}/state/{event_type}", state_write::send_state_event)
        .v3(&Method::PUT, "/rooms/{room_id}/state/{event_type}/", state_write::send_state_event)
        .v3(&Method::GET, "/rooms/{room_id}/state/{event_type}", state::get_state_event_for_key)
        .v3(&Method::GET, "/rooms/{room_id}/state/{event_type}/", state::get_state_event_for_key)
        .on::<api::sync::sync_events::v3::Request, _>(sync::sync)
}

/// Uploads and downloads.
fn media(table: Table) -> Table {
    table
        .on::<api::media::create_content::v3::Request, _>(media::create_content)
        .on::<api::media::create_content_async::v3::Request, _>(media::create_content_async)
        .on::<api::media::create_mxc_uri::v1::Request, _>(media::create_mxc_uri)
        .on::<api::authenticated_media::get_media_config::v1::Request, _>(media::get_media_config)
        .on::<api::media::get_media_config::v3::Request, _>(media::get_media_config_legacy)
        .on::<api::authenticated_media::get_content::v1::Request, _>(media::get_content)
        .on::<api::authenticated_media::get_content_as_filename::v1::Request, _>(media::get_content_as_filename)
        .on::<api::authenticated_media::get_content_thumbnail::v1::Request, _>(media::get_content_thumbnail)
        .on::<api::media::get_content::v3::Request, _>(media::get_content_legacy)
        .on::<api::media::get_content_as_filename::v3::Request, _>(media::get_content_as_filename_legacy)
        .on::<api::media::get_content_thumbnail::v3::Request, _>(media::get_content_thumbnail_legacy)
}

/// What an administrator's tools call.
fn tools(table: Table) -> Table {
    let path = "/_synapse/admin/v1/register";
    let table = table.at(&Method::GET, path, admin_register::get_nonce);
    table.at(&Method::POST, path, admin_register::register)
}

/// The school's own interface; described by `api/school/openapi.rs`.
fn school(table: Table) -> Table {
    let (get, post, put) = (&Method::GET, &Method::POST, &Method::PUT);
    table
        .at(get, "/_homeroom/activate", activate::get_page)
        .school(get, "/openapi.json", openapi::get_openapi)
        .school(post, "/activate", activate::activate)
        .school(get, "/me", me::get_me)
        .school(get, "/contacts", contacts::get_contacts)
        .school(get, "/contacts/{user_id}", contacts::get_contact)
        .school(get, "/contacts/{user_id}/why", contacts::get_why)
        .school(get, "/classes", classes::get_classes)
        .school(get, "/classes/{class_id}", classes::get_class)
        .school(get, "/children", classes::get_children)
        .school(post, "/chats", school_api::chats::start_chat)
        .school(post, "/knocks", school_api::chats::ask_knock)
        .school(get, "/knocks", school_api::chats::get_knocks)
        .school(post, "/knocks/{id}", school_api::chats::answer_knock)
        .school(post, "/families", school_api::room_orders::open_family)
        .school(put, "/rooms/{room_id}/mode", school_api::room_orders::set_mode)
        .school(post, "/rooms/{room_id}/announce", school_api::room_orders::announce)
        .school(post, "/rooms/{room_id}/consent_to_leave", school_api::room_orders::consent_to_leave)
        .school(post, "/rooms/{room_id}/replace_supervisor", school_api::room_orders::replace_supervisor)
        .school(get, "/tasks", school_api::rooms::get_tasks)
        .school(post, "/tasks/{id}/done", school_api::rooms::finish_task)
}

/// The school's own interface for administrators.
fn school_office(table: Table) -> Table {
    use school_api::{decisions, exports, import_reply, imports, overrides, people, policy, rollover, rooms};
    let (get, post, put, delete) = (&Method::GET, &Method::POST, &Method::PUT, &Method::DELETE);
    table
        .school(post, "/imports", imports::upload)
        .school(get, "/imports", imports::get_imports)
        .school(get, "/imports/{id}", imports::get_import)
        .school(get, "/imports/{id}/errors", import_reply::get_errors)
        .school(get, "/imports/{id}/changes", import_reply::get_changes)
        .school(post, "/imports/{id}/apply", imports::apply_import)
        .school(post, "/imports/{id}/rollback", imports::roll_back_import)
        .school(post, "/imports/{id}/discard", imports::discard_import)
        .school(get, "/export", exports::get_export)
        .school(get, "/people", people::get_people)
        .school(post, "/people/merge", people::merge_people)
        .school(get, "/roles", decisions::get_roles)
        .school(put, "/roles/{user_id}/{role}", decisions::put_role)
        .school(delete, "/roles/{user_id}/{role}", decisions::delete_role)
        .school(get, "/links", decisions::get_links)
        .school(put, "/links/{student}/{adult}", decisions::put_link)
        .school(delete, "/links/{student}/{adult}", decisions::delete_link)
        .school(get, "/overrides", overrides::get_overrides)
        .school(post, "/overrides", overrides::add_override)
        .school(delete, "/overrides/{id}", overrides::delete_override)
        .school(get, "/policy", policy::get_policy)
        .school(put, "/policy", policy::put_policy)
        .school(get, "/policy/versions", policy::get_versions)
        .school(post, "/policy/simulate", policy::simulate)
        .school(post, "/policy/preview", policy::preview)
        .school(get, "/why", policy::get_why)
        .school(get, "/rollover", rollover::preview)
        .school(post, "/rollover", rollover::roll_over)
        .school(get, "/rooms", rooms::get_rooms)
        .school(get, "/rooms/progress", school_api::room_orders::get_progress)
        .school(post, "/rooms/reconcile", school_api::room_orders::reconcile)
        .school(post, "/rooms/{room_id}/freeze", rooms::freeze_room)
        .school(post, "/rooms/{room_id}/unfreeze", rooms::unfreeze_room)
        .school(post, "/slips", slips::make_slips)
        .school(post, "/slips/print", slips::print_slips)
        .school(get, "/slips", slips::get_slips)
        .school(delete, "/slips/{user_id}", slips::delete_slip)
        .school(get, "/audit", audit::get_audit)
}
