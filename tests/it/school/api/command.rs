//! `homeroom school`, as a process, beside a running server and without one.

use std::{
    fs,
    path::{Path, PathBuf},
};

use homeroom::school::{
    export,
    generate::{self, Plan},
};
use serde_json::Value;
use tokio::process::Command;

use crate::{
    harness::{Process, write_config},
    school::small::{remove, roster},
};

/// What came of a command.
#[derive(Debug)]
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    #[track_caller]
    fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    #[track_caller]
    fn json(self) -> Value {
        serde_json::from_str(&self.ok()).unwrap()
    }
}

struct Shell {
    config: PathBuf,
    folder: tempfile::TempDir,
}

impl Shell {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { config: write_config(folder.path()), folder }
    }

    async fn run(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_homeroom"));
        command.arg("--config").arg(&self.config).arg("school").args(arguments).current_dir(self.folder.path());
        let output = command.kill_on_drop(true).output().await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (out, err) = (text(output.stdout), text(output.stderr));
        let code = output.status.code().unwrap_or_else(|| panic!("{arguments:?}: {} {out} {err}", output.status));
        Said { code, out, err }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }
}

/// The same conversation in both ways of working.
async fn converse(shell: &Shell) {
    export::folder(&roster(), Path::new(&shell.path("small"))).unwrap();
    let dry = shell.run(&["import", "small", "--dry-run"]).await.ok();
    assert!(dry.contains("planned") && dry.contains("nothing is applied"), "{dry}");
    assert_eq!(shell.run(&["people", "--json"]).await.ok().trim(), "[]");
    let done = shell.run(&["import", "small"]).await.ok();
    assert!(done.contains("in force"), "{done}");

    let people = shell.run(&["people", "--json"]).await.json();
    let people = people.as_array().unwrap();
    assert_eq!(people.len(), 20);
    let find = |id: &str| people.iter().find(|person| person["source_id"] == id).unwrap();
    assert_eq!(find("pupil")["roles"], serde_json::json!(["student"]));
    let (pupil, tutor) = (find("pupil")["user_id"].as_str().unwrap(), find("tutor")["user_id"].as_str().unwrap());
    let why = shell.run(&["why", tutor, pupil, "dm", "--json"]).await.json();
    assert_eq!((why["outcome"].as_str(), why["verb"].as_str()), (Some("supervised"), Some("dm")));
    let told = shell.run(&["why", tutor, pupil, "see"]).await.ok();
    assert!(told.contains("see") && told.contains("allow") && told.contains("teaches"), "{told}");

    shell.run(&["role", "add", tutor, "safeguarding_lead"]).await.ok();
    assert!(shell.run(&["people", "--role", "safeguarding_lead"]).await.ok().contains(tutor));
    shell.run(&["role", "remove", tutor, "safeguarding_lead"]).await.ok();

    shell.run(&["export", "out.zip"]).await.ok();
    shell.run(&["export", "out"]).await.ok();
    for path in ["out.zip", "out"] {
        let same = shell.run(&["import", path, "--dry-run", "--json"]).await.json();
        let counts = &same["import"]["counts"];
        assert_eq!((&counts["created"], &counts["updated"], &counts["removed"]), (&0.into(), &0.into(), &0.into()));
    }
    let imports = shell.run(&["imports", "--json"]).await.json();
    assert!(imports.as_array().unwrap().iter().any(|import| import["state"] == "applied"));
    assert!(shell.run(&["rollover"]).await.ok().contains("rooms"));
}

/// What is refused, and by which exit code.
async fn refuse(shell: &Shell) {
    let mut fewer = roster();
    remove(&mut fewer, "classmate");
    remove(&mut fewer, "stranger");
    export::folder(&fewer, Path::new(&shell.path("fewer"))).unwrap();
    let held = shell.run(&["import", "fewer"]).await;
    assert_eq!(held.code, 3, "{held:?}");
    assert!(held.err.contains("--confirm"), "{held:?}");
    shell.run(&["import", "fewer", "--confirm"]).await.ok();
    shell.run(&["rollback"]).await.ok();
    assert_eq!(shell.run(&["people", "--json"]).await.json().as_array().unwrap().len(), 20);

    let mut broken = roster();
    broken.enrollments.values_mut().next().unwrap().class = "nowhere".into();
    export::folder(&broken, Path::new(&shell.path("broken"))).unwrap();
    let refused = shell.run(&["import", "broken"]).await;
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.out.contains("enrollments.csv:") && refused.out.contains("hint:"), "{refused:?}");
    let refused = shell.run(&["import", "broken", "--json"]).await;
    let told: Value = serde_json::from_str(&refused.out).unwrap();
    assert_eq!(
        (refused.code, &told["outcome"], told["problems"].as_array().unwrap().is_empty()),
        (1, &"refused".into(), false)
    );
    assert_eq!(shell.run(&["import", "missing.zip"]).await.code, 1);
    assert_eq!(shell.run(&["why", "a", "b", "fly"]).await.code, 1);
    assert_eq!(shell.run(&["import"]).await.code, 2);
}

#[tokio::test]
async fn commands_work_beside_a_running_server() {
    let shell = Shell::new();
    let server = Process::start(&shell.config).await;
    converse(&shell).await;
    refuse(&shell).await;
    let left = fs::read_dir(shell.folder.path().join("data/exchange")).unwrap().count();
    assert_eq!(left, 0, "files of commands are removed");
    server.kill().await;
}

#[tokio::test]
async fn commands_work_without_a_server() {
    let shell = Shell::new();
    converse(&shell).await;
    refuse(&shell).await;
}

#[tokio::test]
async fn the_generated_school_is_imported_from_a_file() {
    let shell = Shell::new();
    let plan = Plan::small(1);
    let made = generate::roster(&plan);
    let file = fs::File::create(shell.path("school.zip")).unwrap();
    export::zip(&made, file).unwrap();
    shell.run(&["import", "school.zip"]).await.ok();
    let people = shell.run(&["people", "--json"]).await.json();
    assert!(people.as_array().unwrap().len() >= made.people.len() / 2);
}
