//! Key rings in files.

use std::fs::{self, File};
use std::path::Path;

use trickles::key_ring::KeyRing;

use super::{Fixture, Service, assert_failed, assert_ok, stderr, trickles};

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Keeps a key file from being refused.
pub(super) fn make_private(path: &Path) {
    #[cfg(unix)]
    set_mode(path, 0o600);
}

fn serve(fixture: &Fixture, keys: &str) -> std::process::Output {
    let mut command = trickles();
    command.arg("serve").arg(fixture.files()).args(["--listen", "127.0.0.1:0", "--key-file"]);
    command.arg(fixture.path(keys)).output().unwrap()
}

#[test]
fn keygen_writes_a_key_ring() {
    let fixture = Fixture::new();
    let text = fs::read_to_string(fixture.path("keys")).unwrap();
    assert_eq!(KeyRing::parse(&text).unwrap().signing_id(), 1);
    #[cfg(unix)]
    assert_eq!(mode(&fixture.path("keys")), 0o600);

    for arguments in [&["--id", "7"][..], &["--id", "7", "-"]] {
        let output =
            trickles().arg("keygen").args(arguments).current_dir(fixture.fetched()).output().unwrap();
        assert_ok(&output);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(KeyRing::parse(&text).unwrap().signing_id(), 7);
    }
    super::assert_is_empty(&fixture.fetched());
}

#[test]
fn keygen_overwrites_nothing() {
    let fixture = Fixture::new();
    let before = fs::read(fixture.path("keys")).unwrap();
    let output = trickles().arg("keygen").arg(fixture.path("keys")).output().unwrap();
    assert_failed(&output, 1, "exists");
    assert_eq!(fs::read(fixture.path("keys")).unwrap(), before);
}

/// However much the user lets others do with new files.
#[cfg(unix)]
#[test]
fn keygen_makes_files_that_only_their_owner_can_read() {
    let fixture = Fixture::new();
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "umask 000; \"$0\" keygen \"$1\""]).arg(env!("CARGO_BIN_EXE_trickles"));
    assert_ok(&shell.arg(fixture.path("open")).output().unwrap());
    assert_eq!(mode(&fixture.path("open")), 0o600);
}

#[cfg(unix)]
#[test]
fn a_key_file_that_others_can_read_is_refused() {
    let fixture = Fixture::new();
    for open in [0o644, 0o640, 0o604] {
        set_mode(&fixture.path("keys"), open);
        assert_failed(&serve(&fixture, "keys"), 1, "chmod 600");
    }
}

#[test]
fn a_key_file_that_is_wrong_is_refused() {
    let fixture = Fixture::new();
    assert_failed(&serve(&fixture, "none"), 1, "trickles keygen");
    fs::write(fixture.path("wrong"), format!("# keys\n1 {}\n2 00ff\n", "00".repeat(32))).unwrap();
    make_private(&fixture.path("wrong"));
    let output = serve(&fixture, "wrong");
    assert_failed(&output, 1, "line 3");
    assert!(!stderr(&output).contains("0000"), "{}", stderr(&output));
    fs::write(fixture.path("wrong"), "").unwrap();
    assert_failed(&serve(&fixture, "wrong"), 1, "no key");
}

#[cfg(target_os = "linux")]
#[test]
fn a_server_without_a_key_file_keeps_its_key() {
    let fixture = Fixture::new();
    let serve = || {
        let mut command = trickles();
        command.arg("serve").arg(fixture.files()).args(["--listen", "127.0.0.1:0"]);
        Service::start(command.env("XDG_DATA_HOME", fixture.path("data")))
    };
    let _servers = [serve(), serve()];
    let keys = fixture.path("data/trickles/keys");
    let text = fs::read_to_string(&keys).unwrap();
    assert_eq!(mode(&keys), 0o600);
    drop(serve());
    assert_eq!(fs::read_to_string(&keys).unwrap(), text);
}

/// The ring's only key, in hexadecimal.
fn key(fixture: &Fixture) -> String {
    let text = fs::read_to_string(fixture.path("keys")).unwrap();
    text.split_whitespace().nth(1).unwrap().to_owned()
}

fn bytes(key: &str) -> Vec<u8> {
    (0..key.len()).step_by(2).map(|at| u8::from_str_radix(&key[at..at + 2], 16).unwrap()).collect()
}

/// Servers that take the key, one that has lost it, and clients that are told so.
#[test]
fn no_log_holds_a_key() {
    let fixture = Fixture::new();
    let key = key(&fixture);
    fixture.file("file", 100_000);
    let log = File::create(fixture.path("log")).unwrap();
    let serve = |keys: &str| {
        let mut command = trickles();
        command.arg("serve").arg(fixture.files()).args(["--listen", "127.0.0.1:0"]);
        command.arg("--key-file").arg(fixture.path(keys)).env("RUST_LOG", "trace");
        Service::start(command.stderr(log.try_clone().unwrap()))
    };
    let server = serve("keys");
    let mut get = fixture.get(server.address, "/file", &[]);
    let output = get.env("RUST_LOG", "trace").output().unwrap();
    assert_ok(&output);
    let address = server.kill();
    let mut get = fixture.get(address, "/file", &["-o", "other"]);
    let refused = get.env("RUST_LOG", "trace").output().unwrap();
    assert!(!refused.status.success());

    let served = fs::read_to_string(fixture.path("log")).unwrap();
    assert!(served.contains("TRACE") || served.contains("DEBUG"), "nothing is logged: {served}");
    let list: Vec<_> = bytes(&key).iter().map(u8::to_string).collect();
    for text in [&served, stderr(&output), stderr(&refused)] {
        let text: String = text.to_lowercase().split_whitespace().collect();
        for at in 0..key.len() - 12 {
            assert!(!text.contains(&key[at..at + 12]), "a part of the key");
        }
        for part in list.windows(6) {
            assert!(!text.contains(&part.join(",")), "a part of the key");
        }
    }
}

/// Neither as text, nor as bytes, nor as HMAC mixes them: what the server needs is derived from it.
#[cfg(target_os = "linux")]
#[test]
fn the_memory_of_a_server_does_not_hold_its_key() {
    use std::os::unix::fs::FileExt;
    let fixture = Fixture::new();
    fixture.file("file", 100_000);
    let server = fixture.serve();
    assert_ok(&fixture.get(server.address, "/file", &[]).output().unwrap());
    let process = format!("/proc/{}", server.child.id());
    let maps = fs::read_to_string(format!("{process}/maps")).unwrap();
    let Ok(memory) = File::open(format!("{process}/mem")) else {
        eprintln!("skipped: this system does not let its parent look into a process");
        return;
    };
    let key = key(&fixture);
    let mixed = |with: u8| bytes(&key).iter().map(|byte| byte ^ with).collect();
    let secrets: [(&str, Vec<u8>); 4] = [
        ("text", key.clone().into_bytes()),
        ("bytes", bytes(&key)),
        ("inner padding", mixed(0x36)),
        ("outer padding", mixed(0x5c)),
    ];
    // A path is known to be there: what is found nowhere could have been looked for wrongly.
    let path = fixture.path("keys").to_str().unwrap().as_bytes().to_vec();
    let (mut looked, mut seen) = (0, false);
    for line in maps.lines().filter(|line| line.contains(" rw-p ")) {
        let (start, end) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        let [start, end] = [start, end].map(|at| u64::from_str_radix(at, 16).unwrap());
        let mut contents = vec![0; (end - start) as usize];
        let Ok(length) = memory.read_at(&mut contents, start) else { continue };
        contents.truncate(length);
        looked += length;
        let holds = |what: &[u8]| contents.windows(what.len()).any(|window| window == what);
        seen |= holds(&path);
        for (form, secret) in &secrets {
            assert!(!holds(&secret[..16]), "the key is in {line} as {form}");
        }
    }
    assert!(seen && looked > 1 << 20, "looked at {looked} bytes");
}
