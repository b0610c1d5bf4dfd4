use crate::{
    config,
    rooms::policy::Verb,
    school::{
        people::{Relations, Standing},
        policy::{Compiled, Facts, Level, Levels, Outcome, Preset, SWITCHES, Scopes, Settings, Switch, decide},
        roster::SchoolRole::{self, Guardian, Leadership, SafeguardingLead, Staff, Student, Teacher},
    },
};

fn with(role: SchoolRole) -> Standing<'static> {
    Standing { roles: [role].into_iter().collect(), reachable: role == Staff, ..Standing::UNKNOWN }
}

fn outcome(settings: &Compiled, verb: Verb, from: SchoolRole, to: SchoolRole, relations: Relations) -> Outcome {
    let facts = Facts { relations, ..Facts::new(verb, with(from), with(to)) };
    decide(&facts, settings).outcome
}

fn set(name: &str, level: &str) -> Compiled {
    let mut settings = Settings::of(Preset::Safe);
    settings.switches.insert(name.into(), Level::Name(level.into()));
    settings.compile().unwrap()
}

const SUPERVISED: Outcome = Outcome::Supervised { adults: 2 };

#[test]
fn the_configuration_knows_the_same_switches_and_presets() {
    let known = SWITCHES.map(|info| (info.name, info.levels));
    assert_eq!(known, config::SWITCH_LEVELS);
    for (preset, configured) in Preset::ALL.into_iter().zip([
        config::SchoolPreset::Safe,
        config::SchoolPreset::Classmates,
        config::SchoolPreset::StaffOnly,
        config::SchoolPreset::OpenUpperSchool,
    ]) {
        let setting = config::SwitchSetting { switch: "pupil_photos", level: "seen" };
        let settings = Settings::configured(&config::School { preset: configured, switches: vec![setting] });
        assert_eq!(settings.preset, preset.name());
        assert_eq!(settings.compile().unwrap().levels(Scopes::default()).of(Switch::PupilPhotos), 2);
        assert_eq!(Preset::from_name(preset.name()), Some(preset));
        assert_eq!(serde_json::to_value(preset).unwrap(), preset.name());
    }
}

#[test]
fn each_switch_does_what_it_says() {
    use Outcome::{Allow, Deny, Knock};
    let (mates, taught, taught_by) = (Relations::CLASSMATE, Relations::TEACHES, Relations::TAUGHT_BY);
    let class = Relations::CLASS_GUARDIAN;
    let (child_taught, childs_teacher) = (Relations::TEACHES_CHILD_OF, Relations::CHILD_TAUGHT_BY);
    for (switch, level, verb, from, to, relations, safe, then) in [
        ("pupils_see_classmates", "off", Verb::See, Student, Student, mates, Allow, Deny),
        ("pupils_write_classmates", "on", Verb::Dm, Student, Student, mates, Deny, Allow),
        ("pupils_write_classmates", "on", Verb::Dm, Student, Student, Relations::SAME_ORG, Deny, Deny),
        ("pupils_add_classmates", "on", Verb::Add, Student, Student, mates, Deny, Allow),
        ("pupils_knock_teachers", "off", Verb::Dm, Student, Teacher, taught_by, Knock, Deny),
        ("pupils_write_teachers", "supervised", Verb::Dm, Student, Teacher, taught_by, Knock, SUPERVISED),
        ("pupils_write_teachers", "direct", Verb::Dm, Student, Teacher, taught_by, Knock, Allow),
        ("pupils_knock_staff", "off", Verb::Knock, Student, Leadership, Relations::NONE, Allow, Deny),
        ("pupils_knock_staff", "off", Verb::Dm, Student, Staff, Relations::NONE, Knock, Deny),
        ("guardians_see_class_guardians", "on", Verb::See, Guardian, Guardian, class, Deny, Allow),
        ("guardians_see_class_guardians", "on", Verb::Dm, Guardian, Guardian, class, Deny, Deny),
        // Nobody writes to whom they do not see.
        ("guardians_write_class_guardians", "on", Verb::Dm, Guardian, Guardian, class, Deny, Deny),
        ("guardians_write_teachers", "off", Verb::Dm, Guardian, Teacher, childs_teacher, Allow, Deny),
        ("guardians_write_staff", "off", Verb::Dm, Guardian, Staff, Relations::NONE, Allow, Deny),
        ("teachers_write_pupils", "off", Verb::Dm, Teacher, Student, taught, SUPERVISED, Deny),
        ("teachers_write_pupils", "direct", Verb::Dm, Teacher, Student, taught, SUPERVISED, Allow),
        ("teachers_write_pupils", "off", Verb::Dm, Leadership, Student, Relations::NONE, SUPERVISED, Deny),
        ("staff_write_guardians", "off", Verb::Dm, Teacher, Guardian, child_taught, Allow, Deny),
        ("calls_with_pupils", "on", Verb::Call, SafeguardingLead, Student, Relations::NONE, Deny, Allow),
        ("calls_with_pupils", "on", Verb::Call, Teacher, Student, taught, Deny, SUPERVISED),
        ("calls_with_guardians", "off", Verb::Call, Teacher, Guardian, child_taught, Allow, Deny),
        ("pupil_photos", "off", Verb::Photo, Student, Student, mates, Allow, Deny),
    ] {
        let row = format!("{switch}={level}: {from:?} → {to:?} {verb:?}");
        assert_eq!(outcome(&Compiled::default(), verb, from, to, relations), safe, "{row}, before");
        assert_eq!(outcome(&set(switch, level), verb, from, to, relations), then, "{row}");
    }
}

#[test]
fn presets_are_levels_of_switches() {
    let (mates, taught, taught_by) = (Relations::CLASSMATE, Relations::TEACHES, Relations::TAUGHT_BY);
    let classmates = Compiled::of(Preset::Classmates);
    assert_eq!(outcome(&classmates, Verb::Dm, Student, Student, mates), Outcome::Allow);
    assert_eq!(outcome(&classmates, Verb::Dm, Student, Teacher, taught_by), SUPERVISED);
    assert_eq!(outcome(&classmates, Verb::See, Student, Student, Relations::SAME_ORG), Outcome::Deny);
    let staff_only = Compiled::of(Preset::StaffOnly);
    for (from, to, relations) in [
        (Student, Teacher, taught_by),
        (Student, Leadership, Relations::NONE),
        (Guardian, Teacher, Relations::CHILD_TAUGHT_BY),
        (Guardian, Staff, Relations::NONE),
        (Teacher, Student, taught),
        (Teacher, Guardian, Relations::TEACHES_CHILD_OF),
        (Leadership, Guardian, Relations::NONE),
    ] {
        assert_eq!(outcome(&staff_only, Verb::Dm, from, to, relations), Outcome::Deny, "{from:?} → {to:?}");
        assert_eq!(outcome(&staff_only, Verb::See, from, to, relations), Outcome::Allow, "{from:?} → {to:?}");
    }
    assert_eq!(outcome(&staff_only, Verb::Dm, Teacher, Staff, Relations::NONE), Outcome::Allow);
    for preset in Preset::ALL {
        // Whatever a school chooses, every child reaches who answers for their safety.
        let settings = Compiled::of(preset);
        assert_eq!(outcome(&settings, Verb::Dm, Student, SafeguardingLead, Relations::NONE), Outcome::Allow);
        assert_eq!(outcome(&settings, Verb::Dm, SafeguardingLead, Student, Relations::NONE), Outcome::Allow);
    }
}

#[test]
fn the_upper_school_is_open_where_both_are_in_it() {
    let settings = Compiled::of(Preset::OpenUpperSchool);
    let mates = |scopes| {
        let facts =
            Facts { scopes, relations: Relations::CLASSMATE, ..Facts::new(Verb::Dm, with(Student), with(Student)) };
        decide(&facts, &settings).outcome
    };
    assert_eq!(settings.scopes().len(), 1);
    assert_eq!(mates(Scopes { any: 1, all: 1 }), Outcome::Allow);
    assert_eq!(mates(Scopes { any: 1, all: 0 }), Outcome::Deny);
    assert_eq!(mates(Scopes { any: 0, all: 0 }), Outcome::Deny);
}

fn scoped(json: &str) -> Compiled {
    Settings::read(json).unwrap().1
}

#[test]
fn the_narrower_part_goes_first_and_of_equals_the_narrower_level() {
    let settings = scoped(
        r#"{"preset":"classmates","scoped":[
            {"scope":{"class":{"source":"s","id":"7a"}},"switches":{"pupils_write_classmates":true}},
            {"scope":{"grades":{"from":5,"to":7}},"switches":{"pupils_write_classmates":false}},
            {"scope":{"org":{"source":"s","id":"o"}},"switches":{"pupils_write_classmates":"on","pupil_photos":"off"}},
            {"scope":{"class":{"source":"s","id":"7b"}},"switches":{"pupils_write_classmates":"off"}}
        ]}"#,
    );
    let level = |all: u64, any: u64, switch| settings.levels(Scopes { any: any | all, all }).of(switch);
    let writes = |all, any| level(all, any, Switch::PupilsWriteClassmates);
    let (class, grades, org, other) = (1, 2, 4, 8);
    assert_eq!(writes(0, 0), 1);
    assert_eq!(writes(grades, 0), 0);
    assert_eq!(writes(class | grades | org, 0), 1);
    assert_eq!(writes(org | grades, 0), 0);
    assert_eq!(writes(class | other, 0), 0);
    // A part that only one of the two is in takes away, and gives nothing.
    assert_eq!(writes(0, grades), 0);
    assert_eq!(writes(grades, class), 0);
    assert_eq!(level(org, 0, Switch::PupilPhotos), 0);
    assert_eq!(level(grades, 0, Switch::PupilPhotos), Levels::SAFE.of(Switch::PupilPhotos));
}

#[test]
fn what_is_set_by_name_goes_before_the_preset_everywhere() {
    let closed = scoped(r#"{"preset":"open-upper-school","switches":{"pupils_write_classmates":false}}"#);
    let upper = Scopes { any: 1, all: 1 };
    assert_eq!(closed.levels(upper).of(Switch::PupilsWriteClassmates), 0);
    assert_eq!(closed.levels(upper).of(Switch::TeachersWritePupils), 2);
}

#[test]
fn settings_come_back_from_json_as_they_were() {
    let json = r#"{"preset":"safe","switches":{"pupil_photos":"seen"},"scoped":[{"scope":{"grades":{"from":1,"to":4}},
        "switches":{"pupils_see_classmates":false}}],"published":["a.keller"]}"#;
    let (settings, compiled) = Settings::read(json).unwrap();
    let again = Settings::read(&serde_json::to_string(&settings).unwrap()).unwrap();
    assert_eq!(again, (settings, compiled.clone()));
    assert!(compiled.publishes("a.keller") && !compiled.publishes("a.kelle"));
    assert_eq!(Settings::read("{}").unwrap().1, Compiled::default());
}

#[test]
fn every_problem_of_settings_is_told_at_once() {
    let json = r#"{"preset":"saef","switches":{"pupil_photo":"on","pupil_photos":"on","calls_with_pupils":"maybe"},
        "scoped":[{"scope":{"grades":{"from":9,"to":3}},"switches":{"nothing":true}},
        {"scope":{"class":{"source":"","id":"x"}},"switches":{}}],"published":["@a:b"]}"#;
    let problems = Settings::read(json).unwrap_err();
    let mut paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(
        paths,
        [
            "preset",
            "published",
            "scoped[0].scope",
            "scoped[0].switches.nothing",
            "scoped[1].scope",
            "switches.calls_with_pupils",
            "switches.pupil_photo",
            "switches.pupil_photos",
        ]
    );
    for json in [r#"{"presett":"safe"}"#, r#"{"scoped":[{"scope":{"room":{}},"switches":{}}]}"#, "[]x", ""] {
        assert_eq!(Settings::read(json).unwrap_err().len(), 1, "{json}");
    }
    let many = serde_json::json!({ "scoped": (0..61).map(|id| serde_json::json!({
        "scope": { "class": { "source": "s", "id": id.to_string() } }, "switches": {}
    })).collect::<Vec<_>>() });
    assert_eq!(Settings::read(&many.to_string()).unwrap_err()[0].path, "scoped");
}

#[test]
fn a_wide_part_set_by_name_goes_before_a_narrow_one_of_the_preset() {
    let settings = scoped(
        r#"{"preset":"open-upper-school","scoped":[
            {"scope":{"org":{"source":"s","id":"o"}},"switches":{"pupils_write_classmates":"off"}}]}"#,
    );
    let writes = |all| settings.levels(Scopes { any: all, all }).of(Switch::PupilsWriteClassmates);
    assert_eq!([writes(0), writes(1), writes(2), writes(3)], [0, 1, 0, 0]);
}
