use super::*;

#[test]
fn directories() {
    let mut fixture = Fixture::new();
    assert_eq!(fixture.get("/").status, 404);
    fixture.write("index.html", b"<p>root");
    for target in ["/", "//", "/.", "/./", "/index.html"] {
        let reply = fixture.get(target);
        assert_eq!((reply.status, reply.text()), (200, "<p>root"), "{target}");
        assert_eq!(reply.header("Content-Type"), Some("text/html; charset=utf-8"));
    }
    assert_eq!(fixture.get("/docs/").text(), "<p>docs");
    assert_eq!(fixture.get("/docs/.").text(), "<p>docs");
    assert_eq!(fixture.get("/docs/empty%20dir/").status, 404);
    assert_eq!(fixture.get("/data.txt/").status, 404);
    fs::create_dir(fixture.path("docs/empty dir/index.html")).unwrap();
    assert_eq!(fixture.get("/docs/empty%20dir/").status, 404);
}

#[test]
fn redirects_stay_on_the_site() {
    let mut fixture = Fixture::new();
    let name = "\\a\r\nSet-Cookie: b";
    fs::create_dir(fixture.path(name)).unwrap();
    let cases = [
        ("/docs", "/docs/"),
        ("/docs?query", "/docs/"),
        ("//docs", "/docs/"),
        ("/docs/empty%20dir", "/docs/empty%20dir/"),
        ("/%5Ca%0D%0ASet-Cookie:%20b", "/%5Ca%0D%0ASet%2DCookie%3A%20b/"),
    ];
    for (target, location) in cases {
        let reply = fixture.get(target);
        assert_eq!(reply.status, 301, "{target}");
        assert_eq!(
            reply.header("Location").map(|to| to.replace("%2D", "-")),
            Some(location.replace("%2D", "-"))
        );
        assert_eq!(reply.header("Set-Cookie"), None);
    }
}

#[test]
fn forms_of_target() {
    let mut fixture = Fixture::new();
    fixture.write("ä b.txt", b"umlaut");
    let targets = ["/%C3%A4%20b.txt", "/ä%20b.txt", "/docs/../%c3%a4%20b.txt"];
    for target in targets {
        assert_eq!(fixture.get(target).text(), "umlaut", "{target}");
    }
    for target in ["http://a/data.txt", "HTTPS://a:80/data.txt?x=http://b/", "/data.txt?x", "/data.txt#x"] {
        assert_eq!(fixture.get(target).text(), TEXT, "{target}");
    }
    fixture.write("index.html", b"<p>root");
    for target in ["http://a", "http://a?/data.txt"] {
        assert_eq!(fixture.get(target).text(), "<p>root", "{target}");
    }
}

#[test]
fn no_way_out() {
    let mut fixture = Fixture::new();
    let absolute = fixture.dir.path().join("secret.txt");
    let targets = [
        "/../secret.txt",
        "/%2e%2e%2fsecret.txt",
        "/%2e%2e/secret.txt",
        "/.%2E/secret.txt",
        "/docs/../../secret.txt",
        "/..%5csecret.txt",
        "/..\\secret.txt",
        "/\\..\\secret.txt",
        "/data.txt%00.html",
        "/%00",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
        "/%252e%252e/secret.txt",
        "/C:%5csecret.txt",
        "file:///etc/passwd",
        absolute.to_str().unwrap(),
    ];
    for target in targets {
        let (reply, _) = fixture.ask(&format!("GET {target} HTTP/1.1|Host: a||"));
        let status = if target.starts_with('/') { 404 } else { 400 };
        assert_eq!(reply.status, status, "{target}");
    }
    let (reply, _) = fixture.ask("GET /%ff HTTP/1.1|Host: a||");
    assert_eq!(reply.status, 400);
}

#[cfg(unix)]
#[test]
fn symbolic_links() {
    use std::os::unix::fs::symlink;
    let mut fixture = Fixture::new();
    symlink("data.txt", fixture.path("inside")).unwrap();
    symlink("../data.txt", fixture.path("docs/inside")).unwrap();
    symlink("docs", fixture.path("inside-dir")).unwrap();
    for target in ["/inside", "/docs/inside", "/inside-dir/inside"] {
        assert_eq!(fixture.get(target).text(), TEXT, "{target}");
    }
    assert_eq!(fixture.get("/inside-dir").status, 301);
    symlink("../secret.txt", fixture.path("outside")).unwrap();
    symlink(fixture.dir.path().join("secret.txt"), fixture.path("absolute")).unwrap();
    symlink("..", fixture.path("parent")).unwrap();
    symlink("/etc", fixture.path("etc")).unwrap();
    symlink("gone", fixture.path("dangling")).unwrap();
    for target in ["/outside", "/absolute", "/parent/secret.txt", "/parent", "/etc/passwd", "/dangling"] {
        assert_eq!(fixture.get(target).status, 404, "{target}");
    }
}

#[cfg(unix)]
#[test]
fn special_files() {
    use std::os::unix::{fs::symlink, net::UnixListener};
    let mut fixture = Fixture::new();
    let made = std::process::Command::new("mkfifo").arg(fixture.path("pipe")).status().unwrap();
    assert!(made.success());
    let _socket = UnixListener::bind(fixture.path("socket")).unwrap();
    symlink("pipe", fixture.path("link")).unwrap();
    for target in ["/pipe", "/socket", "/link", "/pipe/"] {
        assert_eq!(fixture.get(target).status, 404, "{target}");
    }
    // A pipe in place of the file that a response began with must not block either.
    let exchange = fixture.exchange(b"GET /data.txt HTTP/1.1\r\nHost: a\r\n\r\n", &[], false);
    fs::rename(fixture.path("pipe"), fixture.path("data.txt")).unwrap();
    let mut other = Site::open(&fixture.path("")).unwrap();
    let output = &exchange.outputs[0];
    let result = other.output(&output.state, output.range.end - 1, &mut [0]);
    assert!(matches!(result, Err(OutputError::Changed)));
}
