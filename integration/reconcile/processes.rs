//! Several processes, and the folder that they have in common.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use super::folder;
use crate::{
    iptables::Installed,
    support::{Done, finish, in_netns},
};

fn policy(folder: &Path, name: &str, port: u16) -> String {
    let file = folder.join(format!("{name}.toml"));
    fs::write(&file, format!("external = \"lo\"\ndefault = \"drop\"\n[[rule]]\nallow = \"{port}/tcp\"\n")).unwrap();
    file.display().to_string()
}

fn command(state: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dockgate"));
    command.args(words).env("DOCKGATE_STATE", state);
    command
}

fn dockgate(state: &Path, words: &[&str]) -> Done {
    finish(command(state, words), "")
}

#[test]
fn of_changes_at_once_each_has_its_step_back() {
    const NAME: &str = "reconcile::processes::of_changes_at_once_each_has_its_step_back";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        let folder = folder("at-once");
        let state = folder.join("state");
        let names: Vec<String> = (0..8).map(|number| format!("policy-{number}")).collect();
        let files: Vec<String> = names.iter().zip(1000..).map(|(name, port)| policy(&folder, name, port)).collect();
        let all: Vec<_> =
            files.iter().map(|file| command(&state, &["apply", file]).stdout(std::process::Stdio::piped()).spawn().unwrap()).collect();
        for child in all {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
        // Way back through all of them, each once, to nothing.
        let standing = |done: &Done| names.iter().position(|name| done.out.contains(&format!("policy {name} ")));
        let mut seen = vec![standing(&dockgate(&state, &["status"])).expect("one of them holds")];
        for _ in 1..names.len() {
            let done = dockgate(&state, &["rollback"]);
            assert!(done.out.starts_with("rolled back: "), "{done:?}");
            seen.push(standing(&done).expect("one of them holds"));
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..names.len()).collect::<Vec<_>>());
        assert_eq!(dockgate(&state, &["rollback"]).out, "rolled back: no policy is deployed\n");
        assert_eq!(dockgate(&state, &["rollback"]).code, 1);
    });
}

#[test]
fn a_folder_is_made_for_the_first_change_and_for_its_owner_alone() {
    const NAME: &str = "reconcile::processes::a_folder_is_made_for_the_first_change_and_for_its_owner_alone";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        let folder = folder("folders");
        let web = policy(&folder, "web", 443);
        // What is only looked at needs no folder, and makes none.
        let none = folder.join("none");
        assert_eq!(dockgate(&none, &["plan", &web]).code, 5);
        assert_eq!(dockgate(&none, &["status"]).code, 0);
        assert_eq!(dockgate(&none, &["rollback", "--list"]).code, 0);
        assert_eq!(dockgate(&none, &["apply", "--dry-run", &web]).code, 0);
        assert!(!none.exists());
        // Relative: from where the command is run.
        let mut relative = command(Path::new("own/state"), &["apply", &web]);
        relative.current_dir(&folder);
        assert_eq!(finish(relative, "").code, 0);
        let made = fs::read_dir(folder.join("own/state")).unwrap().next().unwrap().unwrap();
        assert_eq!(made.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(dockgate(&folder.join("own/state"), &["rollback"]).code, 0);
    });
}
