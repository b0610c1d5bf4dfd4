//! The code of a slip: 14 random characters and one that follows from them.

use std::fmt::Write as _;

use crate::{
    ids::Ids,
    secret::{Secret, token_hash},
};

/// Digits and capital letters without those that look like others (0 and O, 1, I and L). There are 31, a prime: so the
/// weighted sum below finds every mistyped character and every two that were swapped.
const ALPHABET: &[u8; 31] = b"23456789ABCDEFGHJKMNPQRSTUVWXYZ";

/// Random characters: 69 bits. Nobody guesses that through the login's rate limit, and not from its hash either.
const RANDOM: usize = 14;

/// Characters between two hyphens.
const GROUP: usize = 5;

/// A well-formed code. It does not print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code(Secret);

/// Why a text is no code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// A character that no code has.
    #[error("A code has only digits from 2 to 9 and letters, but no I, L and O")]
    Character,
    /// Too few or too many characters.
    #[error("A code has 15 characters")]
    Length,
    /// One character is wrong, or two are swapped.
    #[error("A character of the code is mistyped")]
    Mistyped,
}

impl Code {
    /// A new one.
    pub fn new(ids: &Ids) -> Self {
        let mut text = Secret::new(ids.code(ALPHABET, RANDOM)).expose().clone();
        text.push(check_character(text.bytes()));
        Self(text.into())
    }

    /// The code that somebody typed, in capital or small letters, with or without hyphens and spaces.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(typed: &str) -> Result<Self, CodeError> {
        let mut text = String::with_capacity(RANDOM + 1);
        for character in typed.chars().filter(|character| !character.is_whitespace() && !"-–—_".contains(*character))
        {
            let character = character.to_ascii_uppercase();
            if !u8::try_from(character).is_ok_and(|byte| ALPHABET.contains(&byte)) {
                return Err(CodeError::Character);
            }
            if text.len() > RANDOM {
                return Err(CodeError::Length);
            }
            text.push(character);
        }
        let text = Secret::new(text);
        let code = text.expose();
        if code.len() != RANDOM + 1 {
            return Err(CodeError::Length);
        }
        let expected = check_character(code.bytes().take(RANDOM));
        if code.ends_with(expected) { Ok(Self(text)) } else { Err(CodeError::Mistyped) }
    }

    /// As it is printed: groups of five.
    pub fn printed(&self) -> Secret {
        let mut text = String::new();
        for (at, character) in self.0.expose().chars().enumerate() {
            let hyphen = if at > 0 && at % GROUP == 0 { "-" } else { "" };
            // Writing to a string cannot fail.
            let _ = write!(text, "{hyphen}{character}");
        }
        text.into()
    }

    /// What is stored of it.
    pub fn hash(&self) -> [u8; 32] {
        token_hash(self.0.expose())
    }
}

/// The character that follows from the others: the sum of their places, each times its position, modulo 31.
fn check_character(characters: impl Iterator<Item = u8>) -> char {
    let place = |byte: u8| ALPHABET.iter().position(|known| *known == byte).unwrap_or_default();
    let sum: usize = characters.zip(1..).map(|(byte, position)| place(byte) * position).sum();
    ALPHABET.get(sum % ALPHABET.len()).map_or('2', |byte| char::from(*byte))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]
mod tests {
    use super::*;

    #[test]
    fn a_code_reads_as_it_is_printed_and_as_people_type_it() {
        let code = Code::new(&Ids::seeded(1));
        let printed = code.printed().expose().clone();
        assert_eq!(printed.len(), 17);
        assert_eq!(printed.split('-').map(str::len).collect::<Vec<_>>(), [5, 5, 5]);
        for typed in [printed.clone(), printed.to_lowercase(), printed.replace('-', " "), printed.replace('-', "")] {
            assert_eq!(Code::parse(&typed).unwrap(), code);
        }
        assert!(!format!("{code:?}").contains(&printed[..5]));
    }

    #[test]
    fn every_wrong_character_and_every_swap_is_found() {
        for seed in 0..20 {
            let code = Code::new(&Ids::seeded(seed)).printed().expose().replace('-', "");
            for at in 0..code.len() {
                for other in ALPHABET.iter().map(|byte| char::from(*byte)) {
                    let mut wrong: Vec<char> = code.chars().collect();
                    if wrong[at] != other {
                        wrong[at] = other;
                        let wrong: String = wrong.into_iter().collect();
                        assert_eq!(Code::parse(&wrong), Err(CodeError::Mistyped), "{wrong}");
                    }
                }
                let mut swapped: Vec<char> = code.chars().collect();
                if at + 1 < RANDOM && swapped[at] != swapped[at + 1] {
                    swapped.swap(at, at + 1);
                    let swapped: String = swapped.into_iter().collect();
                    assert_eq!(Code::parse(&swapped), Err(CodeError::Mistyped), "{swapped}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_code_is_said() {
        assert_eq!(Code::parse(""), Err(CodeError::Length));
        assert_eq!(Code::parse("ABCDE"), Err(CodeError::Length));
        assert_eq!(Code::parse(&"A".repeat(10_000)), Err(CodeError::Length));
        assert_eq!(Code::parse("ABCDE-FGHJK-MNPQO"), Err(CodeError::Character));
        assert_eq!(Code::parse("äBCDE-FGHJK-MNPQR"), Err(CodeError::Character));
    }
}
