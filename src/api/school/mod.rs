//! The school's interface, `/_homeroom/v1`: what Matrix has no endpoint for.
//!
//! Requests carry a Matrix access token, refusals have Matrix's shape, lists take `limit` and `from` and answer
//! `next_batch`. Every handler stands in the OpenAPI document (`openapi`), which a test compares with the route table
//! and with the replies.
//!
//! | file | what |
//! |---|---|
//! | `openapi` | `GET /openapi.json`: the document of all of it |
//! | `errors`, `paging`, `administrator` | refusals; parts of lists; who may call what is for administrators |
//! | `audit` | who did what as an administrator |

pub mod administrator;
pub mod audit;
pub mod errors;
pub mod openapi;
pub mod paging;
