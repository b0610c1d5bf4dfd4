use super::*;
use crate::school::{
    export,
    generate::{self, Dirt, Plan, Verdict},
};

#[test]
fn what_is_exported_is_read_again() {
    let before = generate::roster(&Plan::small(7));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("export.zip");
    export::zip(&before, fs::File::create(&path).unwrap()).unwrap();
    let outcome = read_path(&path);
    let after = roster(&outcome);
    assert_eq!(warnings(&outcome), [""; 0]);
    assert_eq!(after.people, before.people);
    assert_eq!(after.roles, before.roles);
    assert_eq!(after.links, before.links);
    assert_eq!(*after, before);
}

#[test]
fn every_kind_of_dirt_is_read_or_refused() {
    let before = generate::roster(&Plan::small(7));
    for dirt in Dirt::ALL {
        let mut files = export::files(&before).unwrap();
        dirt.soil(&mut files);
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in &files {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        let outcome = read_path(folder.path());
        let codes: Vec<_> = outcome.problems.iter().map(|problem| problem.code).collect();
        match dirt.verdict() {
            Verdict::Accepted(code) => {
                assert!(codes.iter().all(|found| Some(*found) == code), "{dirt:?}: {:?}", outcome.problems);
                assert!(*roster(&outcome) == before, "{dirt:?}");
            }
            Verdict::Refused(code) => {
                assert!(outcome.bundle.is_none() && codes.contains(&code), "{dirt:?}: {codes:?}");
            }
        }
    }
}
