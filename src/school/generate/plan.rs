//! How large a generated school is.

use chrono::NaiveDate;

use super::{keys, teaching::SUBJECTS_MAX};

/// What to generate. The same plan gives the same roster, today and in later versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Another seed gives other names, families and classes.
    pub seed: u64,
    /// How many schools, at least 1.
    pub schools: usize,
    /// How many pupils in all schools together.
    pub pupils: usize,
    /// How many pupils a homeroom has at most, at least 1.
    pub homeroom_pupils_max: usize,
    /// How many classes a pupil has besides the homeroom, at most 12.
    pub subjects: usize,
    /// When there are fewer people than this, relatives are added until it is reached.
    pub people_min: usize,
    /// When there are fewer enrollments than this, classes are added until it is reached.
    pub enrollments_min: usize,
    /// The day from which all dates are counted; its school year is generated.
    pub today: NaiveDate,
}

impl Plan {
    /// The schools of the demo: two, with 600 pupils together, on a fixed day.
    pub fn demo() -> Self {
        Self {
            seed: 20_261_005,
            schools: 2,
            pupils: 600,
            homeroom_pupils_max: 20,
            subjects: 8,
            people_min: 0,
            enrollments_min: 0,
            today: keys::day(2026, 10, 5),
        }
    }

    /// A small school for quick tests: 48 pupils.
    pub fn small(seed: u64) -> Self {
        Self { seed, schools: 1, pupils: 48, homeroom_pupils_max: 6, subjects: 3, ..Self::demo() }
    }

    /// So many people and enrollments, exactly where that can be: when there are at least 500 people, and two to fifteen
    /// times as many enrollments. Schools have about 800 pupils.
    pub fn of_size(people: usize, enrollments: usize) -> Self {
        // What the generator needs on an average: 2.4 people for a pupil, with adults and staff; 1.06 enrollments for a
        // place in a class, with teachers. A little less is aimed at, and the rest is added at the end.
        let pupils = (people.saturating_sub(25) * 100 / 252).max(1);
        let places = enrollments * 100 / (pupils * 109);
        Self {
            seed: 1,
            schools: (pupils / 800).max(1),
            pupils,
            homeroom_pupils_max: 25,
            subjects: places.saturating_sub(1).min(SUBJECTS_MAX),
            people_min: people,
            enrollments_min: enrollments,
            ..Self::demo()
        }
    }

    /// The same on another day.
    #[must_use]
    pub fn on(self, today: NaiveDate) -> Self {
        Self { today, ..self }
    }
}
