//! Inviting by an address.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use ruma::{RoomId, UserId, events::StateEventType};
use serde_json::{Value, json};

use super::{
    super::remote::Person,
    address::{Address, Medium},
};
use crate::{
    event::{Content, content},
    remote::{IdentityRefusal, IdentityServer, NewInvite, StoredInvite},
    rooms::{Actor, CreateRoom, NewEvent, Room, Rooms, RoomsError, Writer},
    secret::Secret,
    store::StoreError,
};

/// People who are invited into a new room by their addresses: somebody waits for three answers about each.
const ADDRESSES_MAX: usize = 10;
/// Of these, how many are asked about at the same time.
const AT_ONCE: usize = 4;
/// A state key that no identity server gives: for asking whether an invitation would be allowed.
const REHEARSAL: &str = "$";

/// Somebody to be invited, as a client says it. Spec v1.19, Client-Server API, `Invite3pid`.
#[derive(Debug, Clone)]
pub struct ByAddress {
    /// The identity server, with its port if it needs one.
    pub id_server: String,
    /// What the user shows there.
    pub id_access_token: Secret,
    /// The kind of address: `email` or `msisdn`.
    pub medium: String,
    /// The address.
    pub address: String,
}

/// An address, and the identity server that is asked about it.
#[derive(Debug, Clone)]
pub struct Unbound {
    server: IdentityServer,
    address: Address,
}

impl Rooms {
    /// Invites somebody by an address: the person whose it is, or else whoever proves it later.
    ///
    /// # Errors
    /// As for [`Self::invite`]; [`RoomsError::AddressDenied`] and [`RoomsError::IdentityServer`] where nobody is invited
    /// this way; [`RoomsError::Refused`] and [`RoomsError::Unreachable`] when the identity server does not help.
    pub async fn invite_by_address(
        &self,
        actor: &Actor<'_>,
        room_id: &RoomId,
        wanted: &ByAddress,
    ) -> Result<(), RoomsError> {
        let room = self.joined_room(room_id, actor.user).await?;
        let asked = self.addressee(actor.user_id, wanted)?;
        let invite = {
            let writer = self.writer(&room).await;
            // An identity server is told nothing of what the room would not allow.
            writer.rehearse(actor.user_id).await?;
            writer.new_invite(actor.user_id, &asked.address).await?
        };
        let (rooms, person) = (self.clone(), Person::of(actor));
        // A letter may have been sent: what belongs to it is done, whoever hangs up.
        let task = tokio::spawn(async move {
            match asked.look_up().await? {
                Some(user) => rooms.invite(&person.actor(), &room.id, &user, None).await,
                None => rooms.invite_whoever_proves(&person, &room, &asked, &invite).await,
            }
        });
        task.await.map_err(|_| RoomsError::Unreachable("the invitation was cut short".to_owned()))?
    }

    async fn invite_whoever_proves(
        &self,
        person: &Person,
        room: &Arc<Room>,
        asked: &Unbound,
        invite: &NewInvite,
    ) -> Result<(), RoomsError> {
        let stored = asked.store(invite).await?;
        let writer = self.writer(room).await;
        let new = writer.third_party_invite(&person.user_id, &stored).await?;
        self.append_and_commit(writer, new).await.map(drop)
    }

    /// Finds out whom the addresses of a request mean: who is known joins those who are invited by their ids.
    ///
    /// # Errors
    /// As for [`Self::invite_by_address`]; [`RoomsError::Invalid`] for too many.
    pub async fn look_up_addresses(
        &self,
        actor: &Actor<'_>,
        mut request: CreateRoom,
    ) -> Result<CreateRoom, RoomsError> {
        let wanted = std::mem::take(&mut request.by_address);
        if wanted.len() > ADDRESSES_MAX {
            return Err(RoomsError::Invalid(format!("a new room invites at most {ADDRESSES_MAX} people by address")));
        }
        let asked: Vec<Unbound> =
            wanted.iter().map(|wanted| self.addressee(actor.user_id, wanted)).collect::<Result<_, _>>()?;
        let looked_up = stream::iter(asked).map(|asked| async move { Ok((asked.look_up().await?, asked)) });
        let found: Vec<_> = looked_up.buffered(AT_ONCE).try_collect::<Vec<_>>().await.map_err(|e: RoomsError| e)?;
        for (user, asked) in found {
            match user {
                Some(user) if request.invites.contains(&user) => {}
                Some(user) => request.invites.push(user),
                None => request.unbound.push(asked),
            }
        }
        Ok(request)
    }

    /// Who is asked about an address, if this user may invite by one.
    fn addressee(&self, user: &UserId, wanted: &ByAddress) -> Result<Unbound, RoomsError> {
        let remote = &self.parts.remote;
        let server = remote.identity_server(&wanted.id_server, wanted.id_access_token.clone());
        let server = server.map_err(|refusal| {
            match refusal {
            IdentityRefusal::Off => RoomsError::AddressDenied(
                "nobody is invited by e-mail or telephone here: the administrator of this server has named no identity \
                 server"
                    .to_owned(),
            ),
            IdentityRefusal::NotNamed => RoomsError::IdentityServer(wanted.id_server.chars().take(255).collect()),
        }
        })?;
        let address = Address::read(&wanted.medium, &wanted.address)?;
        self.parts.policy.by_address(user)?;
        Ok(Unbound { server, address })
    }
}

impl Unbound {
    async fn look_up(&self) -> Result<Option<ruma::OwnedUserId>, RoomsError> {
        Ok(self.server.look_up(self.address.medium.name(), &self.address.text).await?)
    }

    async fn store(&self, invite: &NewInvite) -> Result<StoredInvite, RoomsError> {
        if self.address.medium != Medium::Email {
            return Err(RoomsError::AddressDenied("nobody is known by this telephone number".to_owned()));
        }
        Ok(self.server.store_invite(invite).await?)
    }
}

impl Writer {
    /// Has invitations kept for addresses that are nobody's, in a room that is being made: nobody else knows of it yet, so
    /// it may wait.
    pub(in crate::rooms) async fn invite_unbound(
        &mut self,
        sender: &UserId,
        unbound: &[Unbound],
    ) -> Result<(), RoomsError> {
        if unbound.is_empty() {
            return Ok(());
        }
        self.rehearse(sender).await?;
        for asked in unbound {
            let invite = self.new_invite(sender, &asked.address).await?;
            let stored = asked.store(&invite).await?;
            let new = self.third_party_invite(sender, &stored).await?;
            self.append(new).await?;
        }
        Ok(())
    }

    /// Whether the room and the policy would allow an invitation by an address.
    async fn rehearse(&self, sender: &UserId) -> Result<(), RoomsError> {
        let content = Content::from_serialize(&json!({ "display_name": "", "public_keys": [] }))?;
        let new = NewEvent::state(sender, StateEventType::RoomThirdPartyInvite, REHEARSAL, content);
        self.propose(new).await.map(drop)
    }

    /// The event that waits for whoever proves an address.
    async fn third_party_invite(&self, sender: &UserId, stored: &StoredInvite) -> Result<NewEvent, RoomsError> {
        let kind = StateEventType::RoomThirdPartyInvite;
        if self.state_event(&kind, &stored.token).await?.is_some() {
            return Err(RoomsError::Unreachable(
                "the identity server has given a token for the second time".to_owned(),
            ));
        }
        let keys: Vec<Value> = stored
            .public_keys
            .iter()
            .map(|(key, place)| json!({ "public_key": key, "key_validity_url": place }))
            .collect();
        let mut content = json!({ "display_name": stored.display_name, "public_keys": keys });
        // For servers from before there were several.
        if let (Some((key, place)), Some(content)) = (stored.public_keys.first(), content.as_object_mut()) {
            content.insert("public_key".to_owned(), key.as_str().into());
            content.insert("key_validity_url".to_owned(), place.as_str().into());
        }
        Ok(NewEvent::state(sender, kind, &stored.token, Content::from_serialize(&content)?))
    }

    /// What the identity server writes in its letter.
    async fn new_invite(&self, sender: &UserId, address: &Address) -> Result<NewInvite, StoreError> {
        let alias = self.state_event(&StateEventType::RoomCanonicalAlias, "").await?;
        let avatar = self.state_event(&StateEventType::RoomAvatar, "").await?;
        let name = self.state_event(&StateEventType::RoomName, "").await?;
        let create = &self.view().create.pdu;
        let created = content::Create::read(&create.content, &create.sender, &self.room().rules);
        let profile = self.rooms.profile_of(sender).await?;
        Ok(NewInvite {
            medium: address.medium.name(),
            address: address.text.clone(),
            room_id: self.room().id.clone(),
            sender: sender.to_owned(),
            room_alias: alias.and_then(|event| content::CanonicalAlias::read(&event.pdu.content).alias),
            room_avatar_url: avatar.and_then(|event| content::avatar_url(&event.pdu.content)),
            room_join_rules: Some(self.view().join_rules.rule.to_string()),
            room_name: name.and_then(|event| content::name(&event.pdu.content)).map(String::from),
            room_type: created.room_type.map(|kind| kind.to_string()),
            sender_display_name: profile.displayname,
            sender_avatar_url: profile.avatar_url,
        })
    }
}
