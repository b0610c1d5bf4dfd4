//! The school's interface, `/_homeroom/v1`: what Matrix has no endpoint for.
//!
//! Requests carry a Matrix access token, refusals have Matrix's shape, lists take `limit` and `from` and answer
//! `next_batch`. Every handler stands in the `OpenAPI` document (`openapi`), which a test compares with the route table
//! and with the replies.
//!
//! | file | what |
//! |---|---|
//! | `openapi` | `GET /openapi.json`: the document of all of it |
//! | `errors`, `paging`, `administrator` | refusals; parts of lists; who may call what is for administrators |
//! | `activate` | the first password, set with a slip's code: `POST /activate` and a page |
//! | `slips`, `slip_sheet` | activation slips: made, listed, revoked; as a page to print |
//! | `me`, `contacts`, `classes` | the caller, the people they may see, their classes and children |
//! | `chats` | starting a chat, and asking for one |
//! | `imports`, `import_reply`, `exports` | rosters in and out |
//! | `people` | everybody the school knows; two accounts of one person |
//! | `decisions`, `overrides` | roles, links between pupils and adults, pairs by name |
//! | `policy` | the contact policy: read, changed, tried out, explained |
//! | `rooms`, `rollover` | the school's rooms and tasks; a new school year |
//! | `room_orders` | modes, announcements, supervisors, families' rooms |
//! | `audit` | who did what as an administrator |
//! | `page` | what pages of this server's own have in common |

pub mod activate;
pub mod administrator;
pub mod audit;
pub mod chats;
pub mod classes;
pub mod contacts;
pub mod decisions;
pub mod errors;
pub mod exports;
pub mod import_reply;
pub mod imports;
pub mod me;
pub mod openapi;
pub mod overrides;
mod page;
pub mod paging;
pub mod people;
pub mod policy;
pub mod rollover;
pub mod room_orders;
pub mod rooms;
mod slip_sheet;
pub mod slips;
