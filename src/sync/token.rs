//! Positions as clients hold them: `s` and the number; `t` before a negative order, which only history has.

use crate::store::Position;

/// The token of a position.
pub fn position(at: Position) -> String {
    format!("s{}", at.0)
}

/// The token of a place in a room's timeline: after the event of that order.
pub fn order(order: i64) -> String {
    if order < 0 { format!("t{order}") } else { format!("s{order}") }
}

/// Reads a token of `/sync`; `None` when it is not one of ours.
pub fn parse(token: &str) -> Option<Position> {
    token.strip_prefix('s')?.parse().ok().map(Position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_anything_else_is_refused() {
        assert_eq!(parse(&position(Position(77))), Some(Position(77)));
        for other in ["", "s", "77", "s-1", "s77x", "t77"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
