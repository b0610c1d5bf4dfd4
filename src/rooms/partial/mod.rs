//! Rooms that are joined before all of their members are known, so that a room of many thousands can be used at once
//! (MSC3706, MSC3902; spec v1.19, Server-Server API, `PUT /_matrix/federation/v2/send_join`, `members_omitted`).
//!
//! Until the members have come, the room's states lack them: an event that names a member brings them along
//! (`members`), and servers are taken to be in the room because the answer to the join says so (`servers`). The state
//! before the join is fetched in the background (`tasks`), and every state since is made anew of it (`complete`).
//!
//! | file | what |
//! |---|---|
//! | `members` | members that a state lacks, taken from the events that name them |
//! | `servers` | servers that are taken to be in the room as long as its members are not known |
//! | `tasks` | fetching the members, until it succeeds; who waits for that |
//! | `persist` | trying again, whatever an attempt came to |
//! | `complete` | what becomes of the states since the join when the members are there |

mod complete;
mod members;
mod persist;
mod servers;
mod tasks;

pub(in crate::rooms) use tasks::Completions;
