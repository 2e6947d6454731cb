//! Signals, readers that go away, and answers that cannot be written.

use std::fs::File;
use std::io::Read as _;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::folder::{Folder, KUBECONFIG, RADIO, near};

/// A cluster that takes connections and never answers.
fn silent() -> (TcpListener, Folder) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let folder = Folder::with(RADIO);
    folder.write("kubeconfig", &KUBECONFIG.replace("127.0.0.1:9", &address));
    (listener, folder)
}

#[test]
fn a_signal_ends_every_command_that_waits() {
    for words in [
        &["status", "--env", "dev"] as &[&str],
        &["history", "--env", "dev"],
        &["verify", "--env", "dev"],
        &["rollback", "--env", "dev"],
        &["deploy", "player", "--env", "dev"],
    ] {
        for (signal, code) in [("INT", 130), ("TERM", 143)] {
            let (listener, folder) = silent();
            let mut child = folder.command(words).stderr(Stdio::piped()).spawn().expect("the program starts");
            // It is there, connected, and waits.
            let _connection = listener.accept().expect("it connects");
            let asked = Instant::now();
            let id = child.id().to_string();
            let kill = Command::new("kill").args(["-s", signal, &id]).status().expect("kill");
            assert!(kill.success());
            let ended = child.wait().expect("it ends");
            let mut err = String::new();
            child.stderr.take().expect("it is piped").read_to_string(&mut err).expect("UTF-8");
            assert_eq!(ended.code(), Some(code), "{words:?} {signal} {err}");
            assert_eq!(err, "error: stopped; nothing was changed in the cluster\n", "{words:?}");
            assert!(asked.elapsed() < Duration::from_secs(5), "{words:?} took {:?}", asked.elapsed());
        }
    }
}

#[test]
fn a_signal_ends_rehearsals_with_what_was_told_so_far() {
    let folder = Folder::with(RADIO);
    let child = folder
        .command(&["rehearse", "--env", "dev", "--seeds", "1000000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // Long enough for the first stories, with room for a busy machine.
    std::thread::sleep(Duration::from_secs(4));
    let asked = Instant::now();
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &id]).status().expect("kill").success());
    let done = child.wait_with_output().expect("it ends");
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert_eq!(done.status.code(), Some(143), "{out}{err}");
    assert!(out.starts_with("RELEASE  ENDED"), "{out}");
    assert!(err.contains(" of 1000000 seeds in "), "{err}");
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
}

#[test]
fn a_reader_that_went_away_changes_nothing() {
    let folder = Folder::with(&near());
    folder.write("Dockerfile", "FROM scratch\n");
    for (words, code) in [
        (&["render", "--env", "dev"] as &[&str], 0),
        (&["schema"], 0),
        (&["build", "web"], 3),
        (&["build", "web", "-o", "json"], 3),
        (&["doctor"], 9),
        (&["init", "--force"], 0),
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let other = writer.try_clone().expect("a pipe");
        let ended = folder.command(words).stdout(writer).stderr(other).status().expect("the program starts");
        assert_eq!(ended.code(), Some(code), "{words:?}");
    }
}

#[test]
fn half_an_answer_in_a_file_is_a_failure() {
    let folder = Folder::with(RADIO);
    for words in [&["render", "--env", "dev", "-q"] as &[&str], &["schema"], &["completions", "bash"]] {
        let full = File::options().write(true).open("/dev/full").expect("/dev/full");
        let done = folder.command(words).stdout(full).stderr(Stdio::piped()).output().expect("the program");
        let err = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(2), "{words:?} {err}");
        assert!(err.starts_with("error: cannot write the answer to standard output\n  caused by: "), "{err}");
    }
}
