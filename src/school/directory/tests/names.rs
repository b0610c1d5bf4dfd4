//! Names are found however they are typed.

use std::collections::BTreeSet;

use super::school::{School, add_person, people};
use crate::{
    config::SchoolPreset,
    school::{
        directory::folding::Query,
        generate::{self, Plan},
        roster::{Org, OrgType, Roster, SchoolRole},
    },
};

fn roster(names: &[(&str, &str, &str)]) -> Roster {
    let mut roster = Roster::default();
    roster.orgs.insert("school".into(), Org { name: "School".into(), kind: OrgType::School, parent: None });
    for (id, given, family) in names {
        add_person(&mut roster, id, given, family, SchoolRole::Teacher);
    }
    roster
}

const NAMES: [(&str, &str, &str); 19] = [
    ("searcher", "Xaver", "Sucher"),
    ("a.mueller", "Änne", "Müller"),
    ("b.mueller", "Bert", "Mueller"),
    ("c.muller", "Carl", "Muller"),
    ("d.weiss", "Dörte", "Weiß"),
    ("e.weiss", "Emil", "Weiss"),
    ("f.soerensen", "Frøya", "Sørensen"),
    ("g.lukasz", "Łukasz", "Gołąb"),
    ("h.obrian", "Hugh", "O'Brian"),
    ("i.meier-schulz", "Ida", "Meier-Schulz"),
    ("k.nguyen", "Kim", "Nguyễn"),
    ("l.caglar", "Leyla", "Çağlar"),
    ("m.ibanez", "María José", "Ibáñez"),
    ("n.vonderaue", "Nils", "von der Aue"),
    ("p.zoe", "Zoë", "Peeters"),
    ("q.jansen", "Jan", "Jansen"),
    ("r.jan", "Rita", "Jan"),
    ("s.hanspeter", "Hanspeter", "Sommer"),
    ("t.ilija", "Илија", "Петров"),
];

#[test]
fn names_are_found_however_they_are_typed() {
    let school = School::new(&roster(&NAMES), SchoolPreset::Safe);
    for (text, expected) in [
        ("müller", "a.mueller b.mueller c.muller"),
        ("MÜLLER", "a.mueller b.mueller c.muller"),
        ("mu\u{308}ller", "a.mueller b.mueller c.muller"),
        ("mueller", "a.mueller b.mueller"),
        ("muller", "a.mueller c.muller"),
        ("mül", "a.mueller b.mueller c.muller"),
        ("ä", "a.mueller n.vonderaue"),
        ("anne müller", "a.mueller"),
        ("aenne", "a.mueller"),
        ("müller änne", "a.mueller"),
        ("müller, änne", "a.mueller"),
        ("mül än", "a.mueller"),
        ("müller bert", "b.mueller"),
        ("weiss", "d.weiss e.weiss"),
        ("weiß", "d.weiss e.weiss"),
        ("WEIẞ", "d.weiss e.weiss"),
        ("doerte", "d.weiss"),
        ("dorte", "d.weiss"),
        ("soerensen", "f.soerensen"),
        ("sorensen", "f.soerensen"),
        ("froya", "f.soerensen"),
        ("lukasz golab", "g.lukasz"),
        ("ŁUKASZ", "g.lukasz"),
        ("o'brian", "h.obrian"),
        ("obrian", "h.obrian"),
        ("o’bri", "h.obrian"),
        ("brian", "h.obrian"),
        ("meier-schulz", "i.meier-schulz"),
        ("schulz meier", "i.meier-schulz"),
        ("meierschulz", "i.meier-schulz"),
        ("schulz", "i.meier-schulz"),
        ("nguyen", "k.nguyen"),
        ("caglar", "l.caglar"),
        ("ibanez maria", "m.ibanez"),
        ("josé ibáñez", "m.ibanez"),
        ("von der aue", "n.vonderaue"),
        ("aue von", "n.vonderaue"),
        ("zoe", "p.zoe"),
        ("hans-peter", "s.hanspeter"),
        ("петров", "t.ilija"),
        ("@a.mueller", "a.mueller"),
        ("@a.mueller:school.example", "a.mueller"),
        ("a.mueller:school", "a.mueller"),
        ("@A.Mueller", "a.mueller"),
        ("@a.mueller:elsewhere.example", ""),
        ("k.ngu", "k.nguyen"),
        ("müller weiß", ""),
        ("uller", ""),
        ("!?", ""),
        ("sucher", ""),
    ] {
        let found: BTreeSet<String> = school.found("searcher", text, 100).into_iter().collect();
        let expected: BTreeSet<String> = expected.split_whitespace().map(str::to_owned).collect();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn whole_words_come_before_begun_ones_and_equal_ones_in_the_order_of_their_names() {
    let school = School::new(&roster(&NAMES), SchoolPreset::Safe);
    assert_eq!(school.found("searcher", "jan", 100), ["r.jan", "q.jansen"]);
    assert_eq!(school.found("searcher", "weiss", 100), ["d.weiss", "e.weiss"]);
    assert_eq!(school.found("searcher", "müller", 1), ["b.mueller", "a.mueller", "c.muller"]);
}

#[test]
fn the_index_finds_what_a_comparison_of_each_name_finds() {
    let people = people(&generate::roster(&Plan::small(3)));
    for text in ["a", "m", "mü", "sch", "an be", "e s", "@", "@s", "s-1", "jo ha", "zzz", "ö", "o"] {
        let query = Query::read(text, "school.example").unwrap().unwrap();
        let found = people.names().find(&people, Some(&query));
        for person in people.iter() {
            let name = format!("{} {} {}", people.given(person), people.family(person), people.called(person));
            let matches = query.matches(&name, people.localpart(person));
            let place = people.names().place(person);
            let indexed = found.all.has(place).then(|| found.exact.has(place));
            assert_eq!(indexed, matches, "{text}: {name} {}", people.localpart(person));
        }
    }
}
