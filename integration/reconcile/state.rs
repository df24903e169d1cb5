//! The folder with the steps back: who may write it, what in it is a record, who waits for whom, and where it
//! can't be written.

use std::{
    fs::{self, File, Permissions},
    io::{BufRead as _, BufReader, Read as _},
    os::unix::fs::{PermissionsExt as _, chown, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use super::folder;
use crate::{
    docker::need::require,
    iptables::Installed,
    killed::{Netns, ruleset},
    support::{Done, finish, in_netns, run, until},
};

const NOBODY: u32 = 65534;

/// A policy of so many rules.
fn policy(folder: &Path, name: &str, rules: u16) -> String {
    let file = folder.join(format!("{name}.toml"));
    let rules: String =
        (0..rules).map(|number| format!("[[rule]]\nallow = '{}/tcp'\nfrom = '10.9.{number}.0/24'\n", 1000 + number)).collect();
    fs::write(&file, format!("external = 'lo'\ndefault = 'drop'\n{rules}")).unwrap();
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

/// The folder of this network namespace: the only one in it.
fn own(state: &Path) -> PathBuf {
    fs::read_dir(state).unwrap().next().unwrap().unwrap().path()
}

/// The records there, in order.
fn records(state: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(own(state)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// All rules of both families, and the names of our own tables.
fn kernel() -> String {
    run("nft", "list ruleset")
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_record_that_somebody_else_could_have_written_is_not_gone_back_to() {
    if !require("iptables") {
        return;
    }
    let netns = Netns::new();
    let netns = netns.path();
    let folder = folder("owners");
    let (state, web) = (folder.join("outer/state"), policy(&folder, "web", 1));
    let run = |words: &[&str]| {
        let mut command = crate::docker::engine::within(&netns, env!("CARGO_BIN_EXE_dockgate"));
        command.args(words).env("DOCKGATE_STATE", &state);
        finish(command, "")
    };
    assert_eq!(run(&["apply", &web]).code, 0);
    assert_eq!(run(&["apply", &policy(&folder, "other", 2)]).code, 0);
    let (own, outer) = (own(&state), folder.join("outer"));
    let before = ruleset(&netns);
    let files = || fs::read_dir(&own).unwrap().count();
    type Change<'c> = &'c dyn Fn();
    let other = |path: &Path| chown(path, Some(NOBODY), None).unwrap();
    let link = folder.join("link");
    let cases: [(&str, Change<'_>, &Path, &str); 7] = [
        ("the folder is for all to write", &|| mode(&own, 0o777), &own, "others may write"),
        ("it is for all, with the sticky bit", &|| mode(&own, 0o1777), &own, "others may write"),
        ("it is for the group", &|| mode(&own, 0o770), &own, "others may write"),
        ("it is somebody else's", &|| other(&own), &own, "belongs to another user"),
        ("what it is in is for all to write", &|| mode(&state, 0o777), &state, "others may write"),
        ("what it is in is somebody else's", &|| other(&state), &state, "belongs to another user"),
        ("what that is in is somebody else's", &|| other(&outer), &outer, "belongs to another user"),
    ];
    for (what, change, at, said) in cases {
        change();
        for words in [&["apply", &web][..], &["apply", &web, "--confirm", "60s"], &["rollback"], &["rollback", "--list"], &["remove"]] {
            let done = run(words);
            assert_eq!(done.code, 4, "{what}: {words:?}: {done:?}");
            assert!(done.err.contains(said) && done.err.contains(&format!("`{}`", at.display())), "{what}: {words:?}: {done:?}");
            assert_eq!((ruleset(&netns), files()), (before.clone(), 2), "{what}: {words:?}");
        }
        // What holds is known from the kernel; that there is no way back is a fault.
        let status = run(&["status"]);
        assert!(status.code == 5 && status.out.contains("policy other ") && status.out.contains(said), "{what}: {status:?}");
        let json: serde_json::Value = serde_json::from_str(&run(&["--json", "status"]).out).unwrap();
        assert!(json["history"] == "broken" && json["history_faults"][0].as_str().unwrap().contains(said), "{what}: {json}");
        assert_eq!(run(&["plan", &web]).code, 5, "{what}");
        chown(at, Some(0), None).unwrap();
        mode(at, 0o700);
    }
    // A way to it that somebody else may bend.
    symlink(&state, &link).unwrap();
    let by_link = |words: &[&str]| {
        let mut command = crate::docker::engine::within(&netns, env!("CARGO_BIN_EXE_dockgate"));
        command.args(words).env("DOCKGATE_STATE", &link);
        finish(command, "")
    };
    assert_eq!(by_link(&["rollback", "--list"]).code, 0);
    std::os::unix::fs::lchown(&link, Some(NOBODY), None).unwrap();
    let done = by_link(&["rollback"]);
    assert!(done.code == 4 && done.err.contains("belongs to another user"), "{done:?}");
    // In a folder where all may write and nobody may take away, ours is ours.
    mode(&state, 0o1777);
    // A record of somebody else's is none, in whatever folder.
    let forged = own.join("00000009.json");
    fs::copy(own.join("00000001.json"), &forged).unwrap();
    other(&forged);
    let done = run(&["rollback", "--list"]);
    assert!(done.code == 0 && done.out.contains("00000009.json` is not a record of a change: it is another user's file"), "{done:?}");
    let done = run(&["rollback"]);
    assert!(done.code == 0 && done.out.starts_with("rolled back: policy web "), "{done:?}");
    assert!(done.err.contains("another user's file; it is passed over"), "{done:?}");
}

#[test]
fn what_is_no_record_is_named_and_passed_over() {
    const NAME: &str = "reconcile::state::what_is_no_record_is_named_and_passed_over";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        let folder = folder("no-records");
        let (state, web, other) = (folder.join("state"), policy(&folder, "web", 1), policy(&folder, "other", 2));
        for file in [&web, &other] {
            assert_eq!(dockgate(&state, &["apply", file]).code, 0);
        }
        let good = fs::read_to_string(&records(&state)[1]).unwrap();
        let strange = own(&state).join("00000007.json");
        let write = |text: &str| fs::write(&strange, text).unwrap();
        let cases: &[(&str, &dyn Fn())] = &[
            ("a folder", &|| fs::create_dir(&strange).unwrap()),
            ("a named pipe", &|| drop(run("mkfifo", strange.to_str().unwrap()))),
            ("a symbolic link", &|| symlink(own(&state).join("00000002.json"), &strange).unwrap()),
            ("a symbolic link", &|| symlink("/nowhere", &strange).unwrap()),
            ("a file with another name elsewhere", &|| {
                write(&good);
                fs::hard_link(&strange, folder.join("elsewhere")).unwrap();
            }),
            ("a file that others may write", &|| {
                write(&good);
                mode(&strange, 0o666);
            }),
            ("damaged", &|| write("")),
            ("damaged", &|| write("{}")),
            ("damaged", &|| write("no JSON")),
            ("damaged", &|| fs::write(&strange, b"\xff\xfe").unwrap()),
            ("damaged", &|| write(&good[..good.len() / 2])),
            ("damaged", &|| write(&good.replace("*filter", "*filtre"))),
            ("too large", &|| File::create(&strange).unwrap().set_len(2 << 30).unwrap()),
        ];
        for (what, make) in cases {
            make();
            let said = format!("`{}` is not a record of a change: it is {what}", strange.display());
            let status = dockgate(&state, &["status"]);
            assert!(status.code == 0 && status.out.contains("policy other ") && status.out.contains(&said), "{what}: {status:?}");
            assert!(status.out.contains("2 steps back known"), "{what}: {status:?}");
            let list = dockgate(&state, &["rollback", "--list"]);
            assert!(list.code == 0 && list.out.contains(&said) && list.out.contains("\n  1  "), "{what}: {list:?}");
            // It is no step: the step back is that of the last change.
            let done = dockgate(&state, &["rollback"]);
            assert!(done.code == 0 && done.out.starts_with("rolled back: policy web ") && done.err.contains(&said), "{what}: {done:?}");
            // It stays in nobody's way.
            assert_eq!(dockgate(&state, &["apply", &other]).code, 0, "{what}");
            let json: serde_json::Value = serde_json::from_str(&dockgate(&state, &["status", "--json"]).out).unwrap();
            assert!(json["steps_back"] == 2 && json["history_faults"][0] == said && json["history"] == "ok", "{what}: {json}");
            let json: serde_json::Value = serde_json::from_str(&dockgate(&state, &["rollback", "--list", "--json"]).out).unwrap();
            assert!(json["steps"][1]["step"] == 2 && json["history_faults"][0] == said, "{what}: {json}");
            match fs::symlink_metadata(&strange).unwrap().is_dir() {
                true => fs::remove_dir(&strange).unwrap(),
                false => fs::remove_file(&strange).unwrap(),
            }
            assert_eq!(records(&state).len(), 2, "{what}");
            fs::rename(&records(&state)[1], own(&state).join("00000002.json")).unwrap();
        }
        // Files of others are nothing to it, and what a process left that was killed is taken away.
        fs::write(own(&state).join("notes.json"), "mine").unwrap();
        fs::write(own(&state).join("00000003.json.new"), "a half").unwrap();
        assert_eq!(dockgate(&state, &["apply", &web]).code, 0);
        assert!(dockgate(&state, &["rollback"]).out.starts_with("rolled back: policy other "));
        assert_eq!(records(&state).len(), 3, "{:?}", records(&state));
    });
}

/// A record that would not be found again is not written, and no change is made without one.
#[test]
fn no_record_comes_after_the_highest_number() {
    const NAME: &str = "reconcile::state::no_record_comes_after_the_highest_number";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        let folder = folder("highest");
        let (state, web, other) = (folder.join("state"), policy(&folder, "web", 1), policy(&folder, "other", 2));
        assert_eq!(dockgate(&state, &["apply", &web]).code, 0);
        // Higher ones are nobody's records.
        for name in ["1000000000000000.json", "18446744073709551615.json", "99999999999999999999999.json", "+0000009.json"] {
            fs::write(own(&state).join(name), "").unwrap();
        }
        let last = own(&state).join("999999999999999.json");
        fs::write(&last, "").unwrap();
        let before = (kernel(), records(&state));
        for words in [&["apply", &other][..], &["apply", &other, "--confirm", "60s"], &["remove"]] {
            let done = dockgate(&state, words);
            assert!(done.code == 4 && done.err.contains(last.to_str().unwrap()) && done.err.contains("hint: "), "{words:?}: {done:?}");
            assert_eq!((kernel(), records(&state)), before, "{words:?}");
        }
        // The cure cures. The last number may be used, and is found.
        fs::rename(&last, own(&state).join("999999999999998.json")).unwrap();
        assert_eq!(dockgate(&state, &["apply", &other]).code, 0);
        let done = dockgate(&state, &["rollback"]);
        assert!(done.code == 0 && done.out.starts_with("rolled back: policy web "), "{done:?}");
    });
}

#[test]
fn who_holds_the_lock_is_waited_for_with_words_and_an_end() {
    const NAME: &str = "reconcile::state::who_holds_the_lock_is_waited_for_with_words_and_an_end";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        let folder = folder("lock");
        let (state, web, other) = (folder.join("state"), policy(&folder, "web", 1), policy(&folder, "other", 2));
        assert_eq!(dockgate(&state, &["apply", &web]).code, 0);
        let lock = File::open(own(&state)).unwrap();
        lock.lock().unwrap();
        let holder = format!("process {}", std::process::id());
        let all = || (kernel(), run("find", &format!("{} -printf %p:%s:%m:%U\\n", state.display())));
        let before = all();
        thread::scope(|scope| {
            for words in [format!("apply {other}"), format!("apply {other} --confirm 60s"), "rollback".into(), "remove".into()] {
                let (state, holder) = (&state, &holder);
                scope.spawn(move || {
                    let done = dockgate(state, &words.split(' ').collect::<Vec<_>>());
                    let said = format!("error: waited 10 s for another change of a policy to end ({holder}");
                    assert!(done.code == 4 && done.err.contains(&said) && done.err.contains("hint: "), "{words:?}: {done:?}");
                });
            }
        });
        assert_eq!(all(), before, "nothing is changed");
        // What only looks does not wait, and what has nothing to do does not either.
        assert_eq!(dockgate(&state, &["status"]).code, 0);
        assert_eq!(dockgate(&state, &["plan", &other]).code, 5);
        assert_eq!(dockgate(&state, &["rollback", "--list"]).code, 0);
        assert_eq!(dockgate(&state, &["apply", "--dry-run", &other]).code, 0);
        assert_eq!(dockgate(&state, &["apply", &web]).code, 0);
        // It goes on when the lock is free.
        let mut waiting = command(&state, &["apply", &other]).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(waiting.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("waiting for another change of a policy to end") {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "it did not say that it waits");
        }
        assert!(line.starts_with("note: ") && line.contains(&holder), "{line}");
        drop(lock);
        said.read_to_string(&mut line).unwrap();
        assert!(waiting.wait().unwrap().success(), "{line}");
    });
}

#[test]
fn a_trial_that_could_not_be_confirmed_goes_on_and_that_is_said() {
    const NAME: &str = "reconcile::state::a_trial_that_could_not_be_confirmed_goes_on_and_that_is_said";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        let folder = folder("confirm-full");
        let (state, many, other) = (folder.join("state"), policy(&folder, "many", 60), policy(&folder, "other", 2));
        assert_eq!(dockgate(&state, &["apply", &many]).code, 0);
        let mut trial = command(&state, &["apply", &other, "--confirm", "3600s"]);
        let mut trial = trial.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let is_on_trial = || dockgate(&state, &["status"]).out.contains("on trial for another");
        until("the trial begins", is_on_trial);
        trial.kill().unwrap();
        trial.wait().unwrap();
        let done = mounted("mount -t tmpfs -o size=4k,mode=700 tmpfs \"$STATE\"", &state, &["confirm", "--here"]);
        assert!(done.code == 4 && done.err.contains("No space left on device"), "{done:?}");
        assert!(done.err.contains("\nhint: the trial goes on for another 3"), "{done:?}");
        assert!(is_on_trial());
        let done = dockgate(&state, &["confirm", "--here", "--json"]);
        let json: serde_json::Value = serde_json::from_str(&done.out).unwrap();
        let said = (&json["command"], &json["changed"], &json["step_back"], &json["families"][1]["policy"]["name"]);
        assert_eq!(said, (&"confirm".into(), &true.into(), &true.into(), &"other".into()), "{done:?}");
        // Where there is none, there is nothing to say of it.
        let done = dockgate(&state, &["confirm", "--here"]);
        assert!(done.code == 1 && !done.err.contains("goes on"), "{done:?}");
    });
}

/// Runs dockgate in a mount namespace that `mount` prepares for the state.
fn mounted(mount: &str, state: &Path, words: &[&str]) -> Done {
    let mut command = Command::new("unshare");
    let script = format!("{mount} && exec \"$@\"");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh", env!("CARGO_BIN_EXE_dockgate")]).args(words);
    finish(
        {
            command.env("DOCKGATE_STATE", state).env("STATE", state);
            command
        },
        "",
    )
}

#[test]
fn a_state_that_cannot_be_written_is_found_before_anything_is_changed() {
    const NAME: &str = "reconcile::state::a_state_that_cannot_be_written_is_found_before_anything_is_changed";
    /// One page, and what stands takes more.
    const FULL: &str = "mount -t tmpfs -o size=4k,mode=700 tmpfs \"$STATE\"";
    const READ_ONLY: &str = "mount --bind \"$STATE\" \"$STATE\" && mount -o remount,bind,ro \"$STATE\"";
    in_netns(NAME, || {
        if Installed::find(NAME).is_none() {
            return;
        }
        let folder = folder("full");
        let (state, many, other) = (folder.join("state"), policy(&folder, "many", 60), policy(&folder, "other", 2));
        assert_eq!(dockgate(&state, &["apply", &other]).code, 0);
        assert_eq!(dockgate(&state, &["apply", &many]).code, 0);
        let (before, files) = (kernel(), records(&state));
        for (mount, why, all) in [
            (FULL, "No space left on device", &[&["apply", &other][..], &["apply", &other, "--confirm", "60s"], &["remove"]][..]),
            (READ_ONLY, "Read-only file system", &[&["apply", &other], &["apply", &other, "--confirm", "60s"], &["remove"], &["rollback"]]),
        ] {
            for words in all {
                let done = mounted(mount, &state, words);
                assert!(done.code == 4 && done.err.contains(why) && done.err.contains("hint: "), "{mount}: {words:?}: {done:?}");
                assert_eq!(kernel(), before, "{mount}: {words:?}: {done:?}");
                assert_eq!(records(&state), files, "{mount}: {words:?}");
            }
            let status = mounted(mount, &state, &["status"]);
            assert!(status.code == 0 && status.out.contains("policy many "), "{status:?}");
            assert_eq!(mounted(mount, &state, &["plan", &other]).code, 5);
            assert_eq!(mounted(mount, &state, &["apply", &other, "--confirm", "60s", "--dry-run"]).code, 0);
        }
        // No way to it at all: what holds is known from the kernel.
        let none = Path::new("/proc/version");
        let status = dockgate(none, &["status"]);
        assert!(status.code == 5 && status.out.contains("policy many ") && status.out.contains("history: could not "), "{status:?}");
        assert_eq!(dockgate(none, &["plan", &other]).code, 5);
        assert_eq!(dockgate(none, &["apply", &other]).code, 4);
        assert_eq!(kernel(), before);
    });
}

#[test]
fn who_may_change_rules_and_is_not_root_has_no_history_that_root_does_not_know() {
    if !require("iptables") {
        return;
    }
    let netns = Netns::new();
    let netns = netns.path();
    let folder = folder("setcap");
    let (web, other) = (policy(&folder, "web", 1), policy(&folder, "other", 2));
    // The machine's own /run stays as it is; the program is one that anybody may run.
    let script = format!(
        "mount -t tmpfs -o mode=755 tmpfs /run && mkdir /run/own /run/bin && chown {NOBODY} /run/own && \
         cp \"$GATE\" \"$WEB\" \"$OTHER\" /run/bin && mount -t tmpfs -o mode=1777 tmpfs /tmp && \
         chmod a+rx /run/bin/* && cd /run/bin || exit 99
         nobody() {{ setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups --inh-caps=+net_admin --ambient-caps=+net_admin -- \"$@\" 2>&1; echo \"exit code $?\"; }}
         ./dockgate apply web.toml
         nobody ./dockgate apply other.toml
         nobody ./dockgate apply other.toml --confirm 60s
         nobody ./dockgate rollback
         nobody ./dockgate status
         nobody ./dockgate status --json
         nobody ./dockgate plan web.toml
         ls /tmp /run/own
         echo = own =
         nobody env DOCKGATE_STATE=/run/own ./dockgate apply other.toml
         ls /run/own | wc -l
         ls -ld /run/dockgate | cut -c1-10"
    );
    let mut command = crate::docker::engine::within(&netns, "unshare");
    command
        .args(["--mount", "--propagation", "private", "sh", "-c", &script])
        .env_remove("DOCKGATE_STATE")
        .env("XDG_RUNTIME_DIR", "/run/own");
    command.env("GATE", env!("CARGO_BIN_EXE_dockgate")).env("WEB", &web).env("OTHER", &other);
    let done = finish(command, "");
    assert_eq!(done.code, 0, "{done:?}");
    let (refused, own) = done.out.split_once("= own =").unwrap();
    assert_eq!(
        refused.matches("where only root may write").count(),
        3 + 2,
        "three changes and status in both forms: {refused}\n{}",
        done.err
    );
    assert_eq!(refused.matches("exit code 4").count(), 3, "{refused}");
    assert!(refused.contains("policy web ") && refused.contains("exit code 0") && refused.contains("hint: run it with sudo"), "{refused}");
    // What only root may look at is not said to be well.
    assert!(refused.contains("as written, but it is not known whether it is in force") && !refused.contains("sound"), "{refused}");
    assert_eq!(refused.matches("legacy iptables filters here could not be seen").count(), 2 + 1, "both families, and plan: {refused}");
    assert!(refused.contains("\"history\":\"not-root\"") && refused.contains("\"legacy_known\":false"), "{refused}");
    assert!(refused.ends_with("/run/own:\n\n/tmp:\n"), "nothing was written elsewhere: {refused}");
    assert!(own.contains("exit code 0\n1\ndrwx------"), "{own}\n{}", done.err);
}
