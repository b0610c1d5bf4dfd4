//! Random rooms with random forks, resolved on trees and by the plain form.

use proptest::prelude::*;
use serde_json::json;

use super::{
    room::{ALICE, BOB, CAROL, DAVE, Point, TestRoom},
    stored::{StoredRoom, Storing},
};

const PEOPLE: [&str; 4] = [ALICE, BOB, CAROL, DAVE];
const BRANCHES_MAX: usize = 5;

#[derive(Debug, Clone)]
enum Step {
    /// A branch more, from where another stands.
    Fork(usize),
    /// All branches whose bit is set go on from where they meet.
    Meet(u8),
    /// Somebody does something to somebody; when the clock jumps back, times are no help.
    Act { branch: usize, who: usize, to: usize, what: u8, back: bool },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let act = (0..BRANCHES_MAX, 0..4_usize, 0..4_usize, 0..14_u8, any::<bool>())
        .prop_map(|(branch, who, to, what, back)| Step::Act { branch, who, to, what, back });
    let step = prop_oneof![
        2 => (0..BRANCHES_MAX).prop_map(Step::Fork),
        2 => (1..32_u8).prop_map(Step::Meet),
        12 => act,
    ];
    proptest::collection::vec(step, 10..90)
}

fn act(room: &mut TestRoom, at: &mut Point, who: &str, to: &str, what: u8) {
    // What the rules forbid does not happen.
    let _ = match what {
        0 | 1 => room.member(at, who, who, "join"),
        2 => room.member(at, who, to, "leave"),
        3 => room.member(at, who, to, "ban"),
        4 => room.member(at, who, to, "invite"),
        5 => {
            let rule = if to == ALICE { "public" } else { "invite" };
            room.send(at, who, "m.room.join_rules", "", &json!({ "join_rule": rule }))
        }
        6 => room.levels(at, who, &[(to, 50), (BOB, 50)]),
        7 => room.levels(at, who, &[(to, 100)]),
        8 => room.levels(at, who, &[]),
        9 => room.send(at, who, "m.room.topic", "", &json!({ "topic": to })),
        10 => room.send(at, who, "m.room.name", "", &json!({ "name": to })),
        11 => room.send(at, who, "org.example.of", to, &json!({})),
        12 => room.send(at, who, "m.room.member", who, &json!({ "membership": "join", "displayname": to })),
        _ => room.member(at, who, who, "leave"),
    };
}

fn play(version: u8, steps: &[Step]) -> TestRoom {
    let (mut room, at) = TestRoom::new(version);
    let mut branches = vec![at];
    for step in steps {
        match *step {
            Step::Fork(from) if branches.len() < BRANCHES_MAX => {
                branches.push(branches[from % branches.len()].clone());
            }
            Step::Fork(_) => {}
            Step::Meet(which) => {
                let bits: Vec<usize> = (0..branches.len()).filter(|bit| which >> bit & 1 == 1).collect();
                if bits.len() > 1 {
                    let points: Vec<&Point> = bits.iter().map(|bit| &branches[*bit]).collect();
                    let met = room.meet(&points);
                    branches[bits[0]] = met;
                    branches.truncate(branches.len().max(2) - 1);
                }
            }
            Step::Act { branch, who, to, what, back } => {
                let branch = branch % branches.len();
                if back {
                    room.clock -= 7;
                }
                act(&mut room, &mut branches[branch], PEOPLE[who], PEOPLE[to], what);
            }
        }
    }
    let ends: Vec<&Point> = branches.iter().collect();
    if ends.len() > 1 {
        room.meet(&ends);
    }
    room
}

/// Tries many rooms; only this many per version, as each of them is a store on disk.
const CASES: u32 = 24;

fn check(version: u8) {
    let config = ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    proptest!(config, |(steps in steps(), shuffle: u64, without_rows: bool, not_durable: bool)| {
        let room = play(version, &steps);
        runtime.block_on(StoredRoom::check(&room, Storing { shuffle, without_rows, not_durable }));
    });
}

#[test]
fn random_forks_of_version_1_come_to_the_same() {
    check(1);
}

#[test]
fn random_forks_of_version_2_come_to_the_same() {
    check(2);
}

#[test]
fn random_forks_of_version_6_come_to_the_same() {
    check(6);
}

#[test]
fn random_forks_of_version_10_come_to_the_same() {
    check(10);
}

#[test]
fn random_forks_of_version_11_come_to_the_same() {
    check(11);
}

#[test]
fn random_forks_of_version_12_come_to_the_same() {
    check(12);
}
