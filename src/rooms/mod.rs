//! Rooms: everything that makes, accepts, stores and shows events.
//!
//! | file | what |
//! |---|---|
//! | `room` | one room in memory: the writer's head, the readers' view, the newest events |
//! | `registry` | `Rooms`: finds rooms and keeps those in use; what the layers above hold |
//! | `load` | a room from its rows |
//! | `founding` | a room's first event, and the room it makes |
//! | `writer` | **the one writer of events**: build, authorise, sign, append |
//! | `commit` | how what a writer has made becomes durable and visible |
//! | `append` | how an event becomes part of its room: its rows, the room's ends and state |
//! | `partial` | rooms that are joined before all of their members are known |
//! | `receive` | events from other servers: the seven checks, what is missing, rooms that are joined |
//! | `resolve` | the state that several states come to |
//! | `effects` | what an event changes besides the timeline: the view, memberships |
//! | `related`, `redaction` | what it changes of the event that it relates to, or redacts |
//! | `awaited` | events that came before the one they aim at |
//! | `event_filter` | which events a client wants, for `/sync` and everything that pages |
//! | `visibility` | who may see which event; `Reader`: a user who reads a room |
//! | `unsigned` | an event as one reader sees it |
//! | `history` | a room's events in pages, around an event, near a time |
//! | `walk` | how a reader gets from event to event, and over what is missing |
//! | `server_reader` | who of another server may see which event: `ServerReader` |
//! | `served` | what other servers are given: backfill, missing events, states, auth chains |
//! | `backfill`, `past` | history that other servers have: asked for, and put where it belongs |
//! | `nearest` | the event nearest to a time, here or elsewhere |
//! | `reading` | what such readers share |
//! | `state_read` | state and members as a reader may see them |
//! | `relations` | events that relate to an event |
//! | `search` | finding messages by their words |
//! | `summary` | a room in few words |
//! | `hierarchy`, `remote_hierarchy` | spaces as trees of rooms, here and elsewhere |
//! | `threads` | replies of threads, counted and listed |
//! | `send` | messages, state, redactions; `transactions`: a request sent twice makes one event |
//! | `contact` | who may know of whom, and of which rooms |
//! | `device_sharing` | whose devices which servers follow |
//! | `create`, `upgrade` | new rooms, and rooms that replace others |
//! | `membership` | invite, join, knock, leave, kick, ban, unban, forget |
//! | `remote_directory`, `remote_profile` | aliases, published rooms and profiles, between servers |
//! | `aliases`, `directory` | names of rooms, and the list of published ones |
//! | `profile` | names and pictures of members, and what happens when they change |
//! | `writes` | what writers share besides the rooms: locks, requests under way |
//! | `receipts`, `typing`, `presence` | what is true of people for the moment |
//! | `unread` | counts of unread events, by push rules |
//! | `policy` | the trait asked before this server accepts an event (the school's rules) |

mod aliases;
mod append;
mod awaited;
mod backfill;
mod commit;
mod contact;
mod create;
mod device_sharing;
mod directory;
mod effects;
mod error;
pub mod event_filter;
mod founding;
pub mod hierarchy;
pub mod history;
mod load;
mod membership;
mod nearest;
mod partial;
mod past;
pub mod policy;
mod presence;
mod profile;
mod reading;
mod receipts;
pub mod receive;
mod redaction;
mod registry;
mod related;
pub mod relations;
mod remote_directory;
mod remote_hierarchy;
mod remote_profile;
pub mod resolve;
mod room;
pub mod search;
mod send;
mod served;
mod server_reader;
pub mod state_read;
pub mod summary;
mod threads;
mod transactions;
mod typing;
mod unread;
mod unsigned;
mod upgrade;
mod visibility;
mod walk;
mod writer;
mod writes;

pub use contact::Caller;
pub use create::{CreateRoom, InitialState, Preset};
pub use directory::{DirectoryPage, DirectoryQuery};
pub use error::RoomsError;
pub use membership::{
    Binding, BoundInvite, ByAddress, Exchange, Handed, Invitation, Join, JoinAnswer, Knock, MemberAction, Outside,
    Template, Unbound,
};
pub use presence::{Presence, Present, Status};
pub use profile::{MemberProfile, ProfileFuture, Profiles, SharedProfiles};
pub use receipts::{Marker, NewReceipt, Receipts, ReceiptsError};
pub use registry::{Rooms, RoomsParts, UserRoom};
pub use remote_directory::FoundAlias;
pub use room::{Extremity, Room, RoomView};
pub use send::Actor;
pub use server_reader::{ServerReader, Sight};
pub use threads::{Include, Thread, ThreadsPage};
pub use typing::Typing;
pub use unread::{Counts, Unread};
pub use unsigned::Form;
pub use upgrade::UpgradeRoom;
pub use visibility::Reader;
pub use writer::{NewEvent, Writer};
