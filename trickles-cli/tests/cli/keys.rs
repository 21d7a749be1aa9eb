//! Key rings in files.

use std::fs;
use std::path::Path;

use trickles::key_ring::KeyRing;

use super::{Fixture, Service, assert_failed, assert_ok, trickles};

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
    assert_failed(&serve(&fixture, "wrong"), 1, "line 3");
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
