//! The answer of the policy.

/// What is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Go ahead.
    Allow,
    /// In a room that other adults of the school watch over: so many adults at least, the actor included.
    Supervised {
        /// How many.
        adults: u8,
    },
    /// In the room of the pupil's family, together with the guardians.
    FamilyThread,
    /// Only after the other has agreed.
    Knock,
    /// No.
    Deny,
}

impl Outcome {
    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Supervised { .. } => "supervised",
            Self::FamilyThread => "family",
            Self::Knock => "knock",
            Self::Deny => "deny",
        }
    }
}

/// A decision, and the rule it follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ruling {
    /// What is decided.
    pub outcome: Outcome,
    /// The rule's id: stable, `snake_case` with dots, such as `matrix.teacher.student.dm`.
    pub rule: &'static str,
    /// For the person who asks.
    pub message: &'static str,
    /// The actor may not know of the target at all.
    pub hidden: bool,
}

impl Ruling {
    /// Whether the actor may do it without more ado.
    pub fn is_allowed(&self) -> bool {
        self.outcome == Outcome::Allow
    }
}
