//! The matrix: who may do what to whom, as data. Nothing is allowed that no row of it allows.
//!
//! A row is an actor's role, a column the target's, a cell a list of grants. Switches gate grants; their levels in the
//! preset `safe` make it the school's default, and the other presets are other levels of the same switches.
//! `S` below is seeing, `D` starting a chat, `K` asking for one. Everything else follows from these, see `derive`.

use super::{Outcome, Switch, facts::Facts};
use crate::school::{people::Relations, roster::SchoolRole};

/// How many kinds of people there are: the roles of the school, and the staff of other servers.
pub(super) const KINDS: usize = SchoolRole::ALL.len() + 1;

/// The place of other servers' staff in the matrix.
pub(super) const REMOTE: usize = SchoolRole::ALL.len();

/// The place of pupils and guardians.
pub(super) const STUDENT: usize = 0;
/// The place of guardians.
pub(super) const GUARDIAN: usize = 1;

/// Something a cell allows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grant {
    /// What.
    pub gives: Gives,
    /// When.
    pub when: When,
    /// Whether the age of the pupil of the pair matters.
    pub age: Age,
    /// The switch that opens it, and from which level on.
    pub gate: Option<(Switch, u8)>,
}

/// What a grant is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gives {
    /// Seeing.
    See,
    /// Starting a chat, in this way.
    Write(Outcome),
    /// Asking for one.
    Knock,
    /// Bringing into a group.
    Add,
}

/// Under which relation.
#[derive(Debug, Clone, Copy)]
pub(super) enum When {
    /// Any.
    Always,
    /// One of these.
    Related(Relations),
    /// The target is there for families (office, head, counsellor).
    Reachable,
    /// The same, or one of these.
    ReachableOr(Relations),
    /// The actor is there for the families of the target's school, or one of these.
    OfficeOr(Relations),
    /// The other server is one that the administrator has named.
    Listed,
    /// The same, and the target is shown to other servers.
    Published,
}

/// Which pupils a grant is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    /// All.
    Any,
    /// Those from grade 7 and age 13 on.
    Older,
    /// Those below.
    Junior,
}

impl Grant {
    const fn gate(mut self, switch: Switch, level: u8) -> Self {
        self.gate = Some((switch, level));
        self
    }

    const fn older(mut self) -> Self {
        self.age = Age::Older;
        self
    }

    const fn junior(mut self) -> Self {
        self.age = Age::Junior;
        self
    }

    /// Whether it is in force for a pair, of which the role of the cell makes `junior` a junior.
    pub(super) fn holds(&self, facts: &Facts<'_>, levels: &super::Levels, junior: bool) -> bool {
        let age = match self.age {
            Age::Any => true,
            Age::Older => !junior,
            Age::Junior => junior,
        };
        let office = facts.actor.reachable && facts.relations.has(Relations::SAME_ORG);
        age && self.gate.is_none_or(|(switch, level)| levels.of(switch) >= level)
            && match self.when {
                When::Always => true,
                When::Related(relations) => facts.relations.has_any(relations),
                When::Reachable => facts.target.reachable,
                When::ReachableOr(relations) => facts.target.reachable || facts.relations.has_any(relations),
                When::OfficeOr(relations) => office || facts.relations.has_any(relations),
                When::Listed => facts.listed,
                When::Published => facts.listed && facts.published,
            }
    }
}

const fn grant(gives: Gives, when: When) -> Grant {
    Grant { gives, when, age: Age::Any, gate: None }
}

const fn see(when: When) -> Grant {
    grant(Gives::See, when)
}

const fn write(outcome: Outcome, when: When) -> Grant {
    grant(Gives::Write(outcome), when)
}

const fn knock(when: When) -> Grant {
    grant(Gives::Knock, when)
}

type Cell = &'static [Grant];

const ALLOW: Outcome = Outcome::Allow;
const SUPERVISED: Outcome = Outcome::Supervised { adults: 2 };

const CLASSMATES: When = When::Related(Relations::CLASSMATE);
const OWN_CHILDREN: When = When::Related(Relations::GUARDIAN_OF);
const OWN_GUARDIANS: When = When::Related(Relations::CHILD_OF);
const OWN_TEACHERS: When = When::Related(Relations::TAUGHT_BY);
const CHILDS_TEACHERS: When = When::Related(Relations::CHILD_TAUGHT_BY);
const TAUGHT: When = When::Related(Relations::TEACHES);
const GUARDIANS_OF_TAUGHT: When = When::Related(Relations::TEACHES_CHILD_OF);
const CLASS_GUARDIANS: When = When::Related(Relations::CLASS_GUARDIAN.with(Relations::COGUARDIAN));

/// Nothing, ever: the hard denials stand behind it, or there is nobody to reach.
const NEVER: Cell = &[];
/// S D.
const FREELY: Cell = &[see(When::Always), write(ALLOW, When::Always)];
/// S D on the servers that the administrator has named.
const TO_REMOTE: Cell =
    &[see(When::Listed).gate(Switch::RemoteContacts, 1), write(ALLOW, When::Listed).gate(Switch::RemoteContacts, 1)];
/// S D of those who are shown to other servers.
const FROM_REMOTE: Cell = &[
    see(When::Published).gate(Switch::RemoteContacts, 1),
    write(ALLOW, When::Published).gate(Switch::RemoteContacts, 1),
];

/// The matrix. The order of rows and columns is that of `SchoolRole::ALL`, then other servers' staff.
pub(super) const MATRIX: [[Cell; KINDS]; KINDS] = [
    // A pupil →
    [
        // pupil: S classmates
        &[
            see(CLASSMATES).gate(Switch::PupilsSeeClassmates, 1),
            write(ALLOW, CLASSMATES).gate(Switch::PupilsWriteClassmates, 1),
            grant(Gives::Add, CLASSMATES).gate(Switch::PupilsAddClassmates, 1),
        ],
        // guardian: S own
        &[see(OWN_GUARDIANS)],
        // teacher: S own teachers, K (juniors: none)
        &[
            see(OWN_TEACHERS),
            knock(OWN_TEACHERS).older().gate(Switch::PupilsKnockTeachers, 1),
            write(SUPERVISED, OWN_TEACHERS).older().gate(Switch::PupilsWriteTeachers, 1),
            write(ALLOW, OWN_TEACHERS).older().gate(Switch::PupilsWriteTeachers, 2),
        ],
        // staff: S reachable and the helpers of their classes, K reachable
        &[see(When::ReachableOr(Relations::TAUGHT_BY)), knock(When::Reachable).gate(Switch::PupilsKnockStaff, 1)],
        // leadership: S, K
        &[see(When::Always), knock(When::Always).gate(Switch::PupilsKnockStaff, 1)],
        // safeguarding lead: S D, always
        FREELY,
        NEVER,
    ],
    // A guardian →
    [
        // pupil: S own children
        &[see(OWN_CHILDREN)],
        // guardian: –
        &[
            see(CLASS_GUARDIANS).gate(Switch::GuardiansSeeClassGuardians, 1),
            write(ALLOW, CLASS_GUARDIANS).gate(Switch::GuardiansWriteClassGuardians, 1),
        ],
        // teacher: S D own child's teachers
        &[see(CHILDS_TEACHERS), write(ALLOW, CHILDS_TEACHERS).gate(Switch::GuardiansWriteTeachers, 1)],
        // staff: S D reachable
        &[
            see(When::ReachableOr(Relations::CHILD_TAUGHT_BY)),
            write(ALLOW, When::Reachable).gate(Switch::GuardiansWriteStaff, 1),
        ],
        // leadership: S D reachable
        &[see(When::Reachable), write(ALLOW, When::Reachable).gate(Switch::GuardiansWriteStaff, 1)],
        // safeguarding lead: S D
        FREELY,
        NEVER,
    ],
    // A teacher →
    [
        // pupil: S taught, D supervised (juniors: in the family's room)
        &[
            see(TAUGHT),
            write(SUPERVISED, TAUGHT).older().gate(Switch::TeachersWritePupils, 1),
            write(Outcome::FamilyThread, TAUGHT).junior().gate(Switch::TeachersWritePupils, 1),
            write(ALLOW, TAUGHT).older().gate(Switch::TeachersWritePupils, 2),
        ],
        // guardian: S D of taught pupils
        &[see(GUARDIANS_OF_TAUGHT), write(ALLOW, GUARDIANS_OF_TAUGHT).gate(Switch::StaffWriteGuardians, 1)],
        FREELY,
        FREELY,
        FREELY,
        FREELY,
        TO_REMOTE,
    ],
    // Staff →
    [
        // pupil: S D with relation, supervised
        &[
            see(When::OfficeOr(Relations::TEACHES)),
            write(SUPERVISED, When::OfficeOr(Relations::TEACHES)).gate(Switch::TeachersWritePupils, 1),
            write(ALLOW, When::OfficeOr(Relations::TEACHES)).older().gate(Switch::TeachersWritePupils, 2),
        ],
        // guardian: the same
        &[
            see(When::OfficeOr(Relations::TEACHES_CHILD_OF)),
            write(SUPERVISED, When::OfficeOr(Relations::TEACHES_CHILD_OF)).gate(Switch::StaffWriteGuardians, 1),
        ],
        FREELY,
        FREELY,
        FREELY,
        FREELY,
        TO_REMOTE,
    ],
    // Leadership →
    [
        // pupil: S all, D supervised
        &[
            see(When::Always),
            write(SUPERVISED, When::Always).gate(Switch::TeachersWritePupils, 1),
            write(ALLOW, When::Always).older().gate(Switch::TeachersWritePupils, 2),
        ],
        // guardian: S D
        &[see(When::Always), write(ALLOW, When::Always).gate(Switch::StaffWriteGuardians, 1)],
        FREELY,
        FREELY,
        FREELY,
        FREELY,
        TO_REMOTE,
    ],
    // The safeguarding lead →: S D; two of them are colleagues.
    [FREELY, FREELY, FREELY, FREELY, FREELY, FREELY, TO_REMOTE],
    // Staff of another server →
    [NEVER, NEVER, FROM_REMOTE, FROM_REMOTE, FROM_REMOTE, FROM_REMOTE, NEVER],
];

/// The cell of two kinds of people.
pub(super) fn cell(from: usize, to: usize) -> Cell {
    MATRIX.get(from).and_then(|row| row.get(to)).copied().unwrap_or(NEVER)
}

macro_rules! ids {
    ($from:literal, $to:literal) => {
        [
            concat!("matrix.", $from, ".", $to, ".see"),
            concat!("matrix.", $from, ".", $to, ".dm"),
            concat!("matrix.", $from, ".", $to, ".knock"),
            concat!("matrix.", $from, ".", $to, ".add"),
            concat!("matrix.", $from, ".", $to, ".call"),
            concat!("matrix.", $from, ".", $to, ".presence"),
            concat!("matrix.", $from, ".", $to, ".photo"),
        ]
    };
    ($from:literal) => {
        [
            ids!($from, "student"),
            ids!($from, "guardian"),
            ids!($from, "teacher"),
            ids!($from, "staff"),
            ids!($from, "leadership"),
            ids!($from, "safeguarding_lead"),
            ids!($from, "remote"),
        ]
    };
}

/// The id of each cell's rules: actor, target, verb in the order of `Verb::ALL`.
static IDS: [[[&str; 7]; KINDS]; KINDS] = [
    ids!("student"),
    ids!("guardian"),
    ids!("teacher"),
    ids!("staff"),
    ids!("leadership"),
    ids!("safeguarding_lead"),
    ids!("remote"),
];

/// The id of a cell's rule for a verb: `matrix.teacher.student.dm`.
pub(super) fn rule_id(from: usize, to: usize, verb: crate::rooms::policy::Verb) -> &'static str {
    let verbs = IDS.get(from).and_then(|row| row.get(to));
    verbs.and_then(|verbs| verbs.get(verb as usize)).copied().unwrap_or("matrix")
}
